"""The router's own refusals, in the words of PROTOCOL rule 4. None of them reached a broker."""

from __future__ import annotations

from typing import Any

from domain.commands import Decided
from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.records import Halted
from domain.screening import Violation
from domain.signals import Refusal


def _error(
    code: str, category: Category, message: str, retry: Retry = Retry.NEW_ID, **details: Any
) -> ErrorInfo:
    """An error whose outcome is none; `details` are further fields of ErrorInfo."""
    return ErrorInfo(
        code=code,
        category=category,
        outcome=Outcome.NONE,
        retry=retry,
        message=message,
        **details,
    )


COMPLIANCE_UNAVAILABLE = _error(
    "compliance_unavailable",
    Category.SYSTEM,
    "no order can be screened at the moment; cancels still pass",
    Retry.SAME_ID,
    retry_after_ms=500,
)
VENUE_UNAVAILABLE = _error(
    "venue_unavailable",
    Category.VENUE,
    "no connection that trades this instrument is up; ask for queue_if_down to wait",
    Retry.SAME_ID,
    retry_after_ms=1000,
)
JOURNAL_FULL = _error(
    "journal_full",
    Category.SYSTEM,
    "the journal has no room for new orders; cancels still pass",
    Retry.SAME_ID,
    retry_after_ms=1000,
)
JOURNAL_UNAVAILABLE = _error(
    "journal_unavailable",
    Category.SYSTEM,
    "the journal's disk or server is in trouble: no new orders; cancels still pass",
    Retry.SAME_ID,
    retry_after_ms=1000,
)
JOURNAL_SILENT = ErrorInfo(
    code="journal_unavailable",
    category=Category.SYSTEM,
    outcome=Outcome.UNKNOWN,
    retry=Retry.SAME_ID,
    retry_after_ms=1000,
    message="the journal writes nothing, and too much waits for it; ask again with the same id",
)
BUSY = _error(
    "busy", Category.SYSTEM, "too many orders are waiting", Retry.SAME_ID, retry_after_ms=200
)
STALE = _error("stale", Category.CLIENT, "valid_for_ms ran out before the order could be sent")
HALTED = _error("halted", Category.RISK, "a halt covers this order; cancels still pass")
UNKNOWN_ORDER = _error(
    "unknown_order",
    Category.CLIENT,
    "no such order of this owner",
    Retry.NEVER,
    field="client_order_id",
)
REQUEST_CONFLICT = _error(
    "request_conflict", Category.CLIENT, "this request id was used before for something else"
)
PENDING = _error(
    "change_pending",
    Category.CLIENT,
    "a cancel or amend of this order is under way; wait for its outcome",
    Retry.SAME_ID,
    retry_after_ms=200,
)
ADMIN_ONLY = _error(
    "forbidden", Category.AUTH, "this needs a token with the scope admin", Retry.NEVER, field="t"
)
NO_SELECTOR = _error(
    "invalid_cancel",
    Category.CLIENT,
    "say what to cancel: client_order_id, order_id, tag, instrument, account, or all: true",
    field="cancel",
)
UNKNOWN_LOT = _error(
    "unknown_lot", Category.CLIENT, "no such open lot of this account", field="lot_id"
)
NO_POSITION = _error(
    "no_position",
    Category.CLIENT,
    "there is nothing of this instrument to close",
    field="instrument",
)


def invalid(field: str, message: str) -> ErrorInfo:
    """The order leaves the instrument's grid or bounds."""
    return _error("invalid_order", Category.CLIENT, message, field=field)


def signal_refused(refusal: Refusal) -> ErrorInfo:
    """The signal stands for no order; the field is the signal's own."""
    wait_ms = 500 if refusal.retry is Retry.SAME_ID else None
    return _error(
        refusal.code,
        Category.CLIENT,
        refusal.message,
        refusal.retry,
        field=f"signal.{refusal.field}" if refusal.field else "signal",
        retry_after_ms=wait_ms,
    )


def unsupported(reason: str) -> ErrorInfo:
    """The broker cannot take such an order."""
    return _error("unsupported", Category.CLIENT, reason)


def unconfirmed(halt: Halted, word: str) -> ErrorInfo:
    """The halt stays until someone who has read it says its word."""
    message = (
        f"{halt.scope.value} {halt.subject} was halted by {halt.by}: {halt.reason}; "
        f"to lift it resume again with confirm={word}"
    )
    return _error("resume_unconfirmed", Category.CLIENT, message, field="confirm")


def unknown_instrument(symbol: str) -> ErrorInfo:
    """No connection of this owner trades it."""
    message = f"{symbol} is not traded by any of your connections; see instruments.list"
    return _error("unknown_instrument", Category.CLIENT, message, field="instrument")


def breaker_open(connection: str) -> ErrorInfo:
    """The connection had repeated trouble: cancels alone pass."""
    message = (
        f"connection {connection} takes no new orders after repeated trouble with its broker; "
        "cancels pass; it is tried again by itself, or an operator says breaker.reset"
    )
    return _error(
        "venue_unavailable", Category.VENUE, message, Retry.SAME_ID, retry_after_ms=10_000
    )


def rate_limited(connection: str, wait_ms: int) -> ErrorInfo:
    """The order would wait too long for the broker's rate limit."""
    message = f"the rate limit of {connection}'s broker is used up; cancels still pass"
    return _error(
        "rate_limited", Category.RATE, message, Retry.SAME_ID, retry_after_ms=max(1, wait_ms)
    )


def account_held(account: str, why: str) -> ErrorInfo:
    """What the broker says of the account and what the books say differ."""
    message = f"{account} is being reconciled ({why}); only orders that reduce pass until it is"
    return _error("account_held", Category.SYSTEM, message, Retry.SAME_ID, retry_after_ms=1000)


def market_closed(symbol: str) -> ErrorInfo:
    """A market order now would be refused by the broker."""
    return _error("market_closed", Category.VENUE, f"the market of {symbol} is closed")


def unknown_outstanding(symbol: str) -> ErrorInfo:
    """An order whose outcome is unknown blocks new risk on its instrument and account."""
    message = f"an earlier order in {symbol} has an unknown outcome; new risk waits for evidence"
    return _error(
        "unknown_outstanding", Category.SYSTEM, message, Retry.SAME_ID, retry_after_ms=1000
    )


def not_working(status: str) -> ErrorInfo:
    """A cancel or amend of an order that is no longer working."""
    return _error("not_working", Category.CLIENT, f"the order is {status}", Retry.NEVER)


def stale_version(version: int) -> ErrorInfo:
    """The order changed since the client last saw it."""
    message = f"the order is at version {version} by now"
    return _error("stale_version", Category.CLIENT, message, field="if_version")


def id_conflict(client_order_id: str) -> Decided:
    """The same client order id with another body."""
    error = _error(
        "id_conflict",
        Category.CLIENT,
        "this client_order_id was used before for another order",
        field="client_order_id",
    )
    return Decided(client_order_id=client_order_id, error=error)


def denied(violation: Violation | None) -> ErrorInfo:
    """Compliance's refusal, with its numbers."""
    if violation is None:
        return _error("not_screened", Category.RISK, "compliance gave no verdict")
    message = violation.message
    if violation.would_pass:
        message = f"{message}; {violation.would_pass}"
    return ErrorInfo(
        code=violation.code,
        category=Category.RISK,
        outcome=Outcome.NONE,
        retry=Retry.NEW_ID,
        message=message,
        field=violation.field,
        rule=violation.rule,
        citation=violation.citation,
    )


def not_amended(why: str) -> ErrorInfo:
    """The amend did not leave the connection."""
    return _error("not_amended", Category.SYSTEM, f"the amend was not sent: {why}")


def not_unknown(status: str) -> ErrorInfo:
    """Only an order of unknown outcome can be resolved by hand."""
    message = f"the order is {status}; only an unknown order is resolved by hand"
    return _error("not_unknown", Category.CLIENT, message, Retry.NEVER, field="order_id")


def no_connection(name: str) -> ErrorInfo:
    """No such connection."""
    message = f"no connection {name}; see connections.list"
    return _error("unknown_connection", Category.CLIENT, message, Retry.NEVER, field="connection")


def unanswered(what: str) -> ErrorInfo:
    """The broker did not answer a cancel or amend: the one error here whose outcome is unknown."""
    return ErrorInfo(
        code=f"{what}_unanswered",
        category=Category.VENUE,
        outcome=Outcome.UNKNOWN,
        retry=Retry.NEW_ID,
        message=f"the broker did not answer the {what}; the stream will show if it took effect",
    )
