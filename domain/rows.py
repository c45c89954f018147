"""What reads answer with: rows for clients, equal over WebSocket and REST."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from domain.accounts import (
    AccountBalances,
    BreakerState,
    BrokerAccount,
    Environment,
    SessionState,
)
from domain.lifecycle import COMMON, CommonStatus, Order, Origin, Pending, Status
from domain.orders import NewOrder, Side
from domain.transactions import Transaction


class OrderRow(Struct, frozen=True, kw_only=True):
    """An order as clients read it: our status, the common word for it, and the facts."""

    order_id: str
    client_order_id: str | None
    origin: Origin
    status: Status
    common_status: CommonStatus
    pending: Pending | None
    instrument: str
    side: Side
    quantity: Decimal
    filled: Decimal
    leaves: Decimal
    average_price: Decimal | None
    account: str | None
    connection: str | None
    legs: tuple[str, ...]
    reason: str | None
    version: int
    late_fill: bool
    terms: NewOrder | None
    parent_order_id: str | None
    received_ns: int
    updated_ns: int


class AccountRow(Struct, frozen=True, kw_only=True):
    """An account, once the broker has told of it, and what it holds in each currency."""

    account: BrokerAccount | None
    balances: tuple[AccountBalances, ...]


class TransactionRow(Struct, frozen=True, kw_only=True):
    """A movement, and its number in the order the ledger wrote them down: the cursor of a page."""

    seq: int
    transaction: Transaction


class ConnectionRow(Struct, frozen=True, kw_only=True):
    """A login at a broker and how it stands."""

    connection: str
    broker: str
    environment: Environment
    account: str
    state: SessionState
    in_flight: int
    ready: int
    credits: int
    breaker: BreakerState


def order_row(order: Order) -> OrderRow:
    """The row of an order as it stands."""
    source = order.terms or order.external
    assert source is not None
    return OrderRow(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        origin=order.origin,
        status=order.status,
        common_status=COMMON[order.status],
        pending=order.pending,
        instrument=order.instrument,
        side=source.side,
        quantity=order.quantity,
        filled=order.filled,
        leaves=order.leaves,
        average_price=order.average_price,
        account=order.account,
        connection=order.connection,
        legs=order.legs,
        reason=order.reason,
        version=order.version,
        late_fill=order.late_fill,
        terms=order.terms,
        parent_order_id=order.parent_order_id,
        received_ns=order.received_ns,
        updated_ns=order.updated_ns,
    )
