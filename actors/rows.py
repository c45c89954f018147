"""What a query answers with, whoever answers it: the router from its books, or the ledger."""

from __future__ import annotations

from collections.abc import Iterable

from actors.settings import ConnectionSettings
from domain.commands import Query
from domain.errors import Category, ErrorInfo, Outcome, Retry

ROWS_MAX = 500
ROWS_DEFAULT = 100


def limit_of(query: Query, default: int = ROWS_DEFAULT) -> int:
    """How many rows are wanted, within our bound."""
    return max(1, min(int(query.args.get("limit") or default), ROWS_MAX))


def owned_accounts(query: Query, connections: Iterable[ConnectionSettings]) -> set[str]:
    """The owner's accounts, or the one of them that was asked for."""
    wanted = query.args.get("account")
    return {
        connection.account
        for connection in connections
        if connection.owner == query.owner and wanted in (None, connection.account)
    }


def _error(code: str, message: str, field: str) -> ErrorInfo:
    return ErrorInfo(
        code=code,
        category=Category.CLIENT,
        outcome=Outcome.NONE,
        retry=Retry.NEVER,
        message=message,
        field=field,
    )


def unknown(field: str, message: str) -> ErrorInfo:
    """There is no such thing of this owner."""
    return _error(f"unknown_{field}", message, field)


UNKNOWN_ACCOUNT = unknown("account", "no such account; see accounts.list")
UNKNOWN_BEFORE = ErrorInfo(
    code="unknown_order",
    category=Category.CLIENT,
    outcome=Outcome.NONE,
    retry=Retry.NEVER,
    message="no such order; give the order_id of the last row of the page before",
    field="before",
)
LEDGER_AWAY = ErrorInfo(
    code="ledger_unavailable",
    category=Category.SYSTEM,
    outcome=Outcome.NONE,
    retry=Retry.SAME_ID,
    message="only the ledger has this, and it is away or behind; ask again in a moment",
    retry_after_ms=1000,
)


def too_old(stream: str) -> ErrorInfo:
    """Beyond what is kept in memory."""
    what = f"older than what is kept at hand; follow the stream {stream} from there"
    return _error("too_old", what, "after")


def not_there_yet(position: int) -> ErrorInfo:
    """A read was to see a record that the journal does not have."""
    return _error("not_there_yet", f"the journal ends at {position}", "at_least")


def unavailable(what: str) -> ErrorInfo:
    """No part answers this."""
    return _error("unsupported_request", f"{what} is not available in this release", "t")
