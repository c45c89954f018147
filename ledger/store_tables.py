"""The relational store's tables: what the journal says, laid out to be asked.

Decimals are exact: NUMERIC on PostgreSQL, their digits as TEXT on SQLite, which has no decimal
of its own (nothing here is ordered by one). Times are int64 ns UTC. `record` is the journal's
record that a row was last written from, `retention` the class that says how long it must be
kept, owners are pseudonyms. `body` is the struct that the row is of, as msgpack: a read gives
back what the journal held, digit for digit, while the columns are for SQL. What many rows are
written to has no index by order id: its places are as good as drawn by lot, so that each row
would cost a page of its own, over and over.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

SCHEMA = "fillgate_ledger"
"""PostgreSQL's schema for it; SQLite has a file."""

metadata = MetaData()


class Exact(TypeDecorator[Decimal]):
    """A decimal that comes back digit for digit."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """TEXT where a decimal would become a float."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """To the database."""
        return _to_text if dialect.name == "sqlite" else None

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """From the database; PostgreSQL's driver gives decimals by itself."""
        return _from_text if dialect.name == "sqlite" else None


def _to_text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _from_text(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _words(*names: str) -> list[Column[Any]]:
    """Text that may be absent."""
    return [Column(name, Text) for name in names]


def _names(*names: str) -> list[Column[Any]]:
    """Text that is always there."""
    return [Column(name, Text, nullable=False) for name in names]


def _exact(*names: str) -> list[Column[Any]]:
    """Decimals that may be absent."""
    return [Column(name, Exact) for name in names]


def _times(*names: str) -> list[Column[Any]]:
    """Nanoseconds, or other whole numbers, that may be absent."""
    return [Column(name, BigInteger) for name in names]


def _origin() -> list[Column[Any]]:
    """Whose a row is, which record it was last written from, and how long it is kept."""
    return [
        Column("owner", Text),
        Column("record", BigInteger, nullable=False),
        Column("retention", Text, nullable=False),
    ]


def _body() -> Column[Any]:
    return Column("body", LargeBinary, nullable=False)


store = Table(
    "store",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("deployment_id", Text, nullable=False),
    # The last record applied, and enough of it to know it again.
    Column("position", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
)

events = Table(
    "events",
    metadata,
    *_names("stream"),
    Column("seq", BigInteger, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    *_names("kind"),
    *_words("order_id"),
    *_origin(),
    _body(),
    PrimaryKeyConstraint("stream", "seq"),
)
orders = Table(
    "orders",
    metadata,
    Column("order_id", Text, primary_key=True),
    *_words("client_order_id", "parent_order_id", "tag", "signal_id"),
    *_names("origin", "status"),
    *_words("pending", "connection", "account", "instrument", "side", "type", "reason"),
    *_exact("quantity", "filled", "leaves", "average_price"),
    Column("version", BigInteger, nullable=False),
    Column("late_fill", Boolean, nullable=False),
    Column("received_ns", BigInteger, nullable=False),
    *_times("updated_ns", "filled_ns"),
    *_origin(),
    _body(),
)
Index("orders_by_time", orders.c.owner, orders.c.received_ns, orders.c.order_id)
Index("orders_by_status", orders.c.owner, orders.c.status, orders.c.received_ns)

fills = Table(
    "fills",
    metadata,
    *_names(
        "execution_id", "order_id", "broker_execution_id", "broker_order_id", "instrument", "side"
    ),
    *_words("client_order_id", "signal_id", "connection", "account", "currency"),
    Column("quantity", Exact, nullable=False),
    Column("price", Exact, nullable=False),
    *_exact("commission", "financing", "realized_pnl", "balance_after"),
    Column("late", Boolean, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    *_names("stream"),
    Column("seq", BigInteger, nullable=False),
    *_origin(),
    PrimaryKeyConstraint("stream", "seq"),
)

positions = Table(
    "positions",
    metadata,
    *_names("account", "instrument"),
    Column("quantity", Exact, nullable=False),
    *_exact("average_cost", "current_price", "market_value", "unrealized_pnl", "realized_pnl"),
    *_exact("financing", "margin_used"),
    *_times("opened_ns", "broker_ns", "synced_ns"),
    *_origin(),
    _body(),
    PrimaryKeyConstraint("account", "instrument"),
)

lots = Table(
    "lots",
    metadata,
    *_names("account", "instrument", "lot_id"),
    Column("quantity", Exact, nullable=False),
    Column("price", Exact, nullable=False),
    Column("opened_ns", BigInteger, nullable=False),
    Column("opened_sequence", BigInteger, nullable=False),
    Column("has_bracket", Boolean, nullable=False),
    *_origin(),
    PrimaryKeyConstraint("account", "instrument", "lot_id"),
)

balances = Table(
    "balances",
    metadata,
    *_names("account", "currency"),
    Column("cash", Exact, nullable=False),
    Column("equity", Exact, nullable=False),
    *_exact("available", "withdrawable", "buying_power", "margin_used", "margin_available"),
    *_exact("margin_maintenance", "market_value", "realized_pnl", "unrealized_pnl"),
    *_times("broker_ns"),
    *_origin(),
    _body(),
    PrimaryKeyConstraint("account", "currency"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("account", Text, primary_key=True),
    *_names("connection", "broker", "environment", "base_currency"),
    *_names("type", "status", "region", "regime"),
    *_origin(),
    _body(),
)

connections = Table(
    "connections",
    metadata,
    Column("connection", Text, primary_key=True),
    *_names("state", "reason"),
    Column("since_ns", BigInteger, nullable=False),
    *_origin(),
)

transactions = Table(
    "transactions",
    metadata,
    *_names("broker_transaction_id", "connection"),
    Column("number", BigInteger, nullable=False),
    *_names("account", "type", "currency"),
    Column("amount", Exact, nullable=False),
    *_words("instrument"),
    *_exact("quantity", "price", "commission", "fees", "financing", "balance_after"),
    Column("traded_ns", BigInteger, nullable=False),
    *_words("settled_on", "order_id", "client_order_id", "signal_id"),
    Column("told_by_broker", Boolean, nullable=False),
    Column("reconciled", Boolean, nullable=False),
    *_origin(),
    PrimaryKeyConstraint("broker_transaction_id", "connection"),
)
Index("transactions_by_number", transactions.c.account, transactions.c.number)

audit = Table(
    "audit",
    metadata,
    Column("record", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ns", BigInteger, nullable=False),
    *_names("actor", "act", "subject", "outcome"),
    # JSON, its keys in a fixed order.
    *_names("detail"),
    *_words("owner"),
    *_names("retention"),
)
Index("audit_by_act", audit.c.act, audit.c.at_ns)

notices = Table(
    "notices",
    metadata,
    *_names("stream"),
    Column("seq", BigInteger, nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    *_names("kind", "scope", "message"),
    *_words("order_id"),
    *_origin(),
    PrimaryKeyConstraint("stream", "seq"),
)

FOLDED: tuple[Table, ...] = (
    events, orders, fills, positions, lots, balances, accounts, connections, transactions,
    audit, notices,
)  # fmt: skip
"""Everything but the cursor: what a rebuild makes again."""
