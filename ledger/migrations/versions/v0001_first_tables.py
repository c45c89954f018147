"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ledger.store_tables import Exact

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes them all."""
    _make_store()
    _make_events()
    _make_orders()
    _make_fills()
    _make_positions()
    _make_lots()
    _make_balances()
    _make_accounts()
    _make_connections()
    _make_transactions()
    _make_audit()
    _make_notices()


def _make_store() -> None:
    op.create_table(
        "store",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("deployment_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _make_events() -> None:
    op.create_table(
        "events",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text()),
        sa.Column("owner", sa.Text()),
        sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("retention", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "seq"),
    )
    is_of_order = sa.text("order_id IS NOT NULL")
    op.create_index(
        "events_of_order",
        "events",
        ["order_id", "seq"],
        sqlite_where=is_of_order,
        postgresql_where=is_of_order,
    )


def _make_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text()),
        sa.Column("parent_order_id", sa.Text()),
        sa.Column("tag", sa.Text()),
        sa.Column("signal_id", sa.Text()),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("pending", sa.Text()),
        sa.Column("connection", sa.Text()),
        sa.Column("account", sa.Text()),
        sa.Column("instrument", sa.Text()),
        sa.Column("side", sa.Text()),
        sa.Column("type", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("quantity", Exact()),
        sa.Column("filled", Exact()),
        sa.Column("leaves", Exact()),
        sa.Column("average_price", Exact()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("late_fill", sa.Boolean(), nullable=False),
        sa.Column("received_ns", sa.BigInteger(), nullable=False),
        sa.Column("updated_ns", sa.BigInteger()),
        sa.Column("filled_ns", sa.BigInteger()),
        sa.Column("owner", sa.Text()),
        sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("retention", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("order_id"),
    )
    op.create_index("orders_by_status", "orders", ["owner", "status", "received_ns"])
    op.create_index("orders_by_time", "orders", ["owner", "received_ns", "order_id"])


def _make_fills() -> None:
    op.create_table(
        "fills",
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("broker_execution_id", sa.Text(), nullable=False),
        sa.Column("broker_order_id", sa.Text(), nullable=False),
        sa.Column("instrument", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text()),
        sa.Column("signal_id", sa.Text()),
        sa.Column("connection", sa.Text()),
        sa.Column("account", sa.Text()),
        sa.Column("currency", sa.Text()),
        sa.Column("quantity", Exact(), nullable=False),
        sa.Column("price", Exact(), nullable=False),
        sa.Column("commission", Exact()),
        sa.Column("financing", Exact()),
        sa.Column("realized_pnl", Exact()),
        sa.Column("balance_after", Exact()),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("retention", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("execution_id"),
    )
    op.create_index("fills_by_number", "fills", ["stream", "seq"])
    op.create_index("fills_of_order", "fills", ["order_id"])


def _make_positions() -> None:
    op.create_table(
        "positions",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("instrument", sa.Text(), nullable=False),
        sa.Column("quantity", Exact(), nullable=False),
        sa.Column("average_cost", Exact()),
        sa.Column("current_price", Exact()),
        sa.Column("market_value", Exact()),
        sa.Column("unrealized_pnl", Exact()),
        sa.Column("realized_pnl", Exact()),
        sa.Column("financing", Exact()),
        sa.Column("margin_used", Exact()),
        sa.Column("opened_ns", sa.BigInteger()),
        sa.Column("broker_ns", sa.BigInteger()),
        sa.Column("synced_ns", sa.BigInteger()),
        sa.Column("owner", sa.Text()),
        sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("retention", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account", "instrument"),
    )


def _make_lots() -> None:
    op.create_table(
        "lots",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("instrument", sa.Text(), nullable=False),
        sa.Column("lot_id", sa.Text(), nullable=False),
        sa.Column("quantity", Exact(), nullable=False),
        sa.Column("price", Exact(), nullable=False),
        sa.Column("opened_ns", sa.BigInteger(), nullable=False),
        sa.Column("opened_sequence", sa.BigInteger(), nullable=False),
        sa.Column("has_bracket", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("retention", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "instrument", "lot_id"),
    )


def _make_balances() -> None:
    op.create_table(
        "balances",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("cash", Exact(), nullable=False),
        sa.Column("equity", Exact(), nullable=False),
        sa.Column("available", Exact()),
        sa.Column("withdrawable", Exact()),
        sa.Column("buying_power", Exact()),
        sa.Column("margin_used", Exact()),
        sa.Column("margin_available", Exact()),
        sa.Column("margin_maintenance", Exact()),
        sa.Column("market_value", Exact()),
        sa.Column("realized_pnl", Exact()),
        sa.Column("unrealized_pnl", Exact()),
        sa.Column("broker_ns", sa.BigInteger()),
        sa.Column("owner", sa.Text()),
        sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("retention", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account", "currency"),
    )


def _make_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("broker", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("base_currency", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("regime", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("retention", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("account"),
    )


def _make_connections() -> None:
    op.create_table(
        "connections",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since_ns", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("retention", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("connection"),
    )


def _make_transactions() -> None:
    op.create_table(
        "transactions",
        sa.Column("broker_transaction_id", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", Exact(), nullable=False),
        sa.Column("instrument", sa.Text()),
        sa.Column("quantity", Exact()),
        sa.Column("price", Exact()),
        sa.Column("commission", Exact()),
        sa.Column("fees", Exact()),
        sa.Column("financing", Exact()),
        sa.Column("balance_after", Exact()),
        sa.Column("traded_ns", sa.BigInteger(), nullable=False),
        sa.Column("settled_on", sa.Text()),
        sa.Column("order_id", sa.Text()),
        sa.Column("client_order_id", sa.Text()),
        sa.Column("signal_id", sa.Text()),
        sa.Column("told_by_broker", sa.Boolean(), nullable=False),
        sa.Column("reconciled", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("retention", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("broker_transaction_id", "connection"),
    )
    op.create_index("transactions_by_number", "transactions", ["account", "number"])


def _make_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("record", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("retention", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("record"),
    )
    op.create_index("audit_by_act", "audit", ["act", "at_ns"])


def _make_notices() -> None:
    op.create_table(
        "notices",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text()),
        sa.Column("owner", sa.Text()),
        sa.Column("record", sa.BigInteger(), nullable=False),
        sa.Column("retention", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "seq"),
    )
