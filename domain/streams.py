"""What the durable streams carry: numbered updates, journaled before anyone sees them.

Streams: `orders/<owner>`, `account/<account>`, `transactions/<account>`, `connections`, `admin`.
Each is numbered 1, 2, 3 ... without holes.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from msgspec import Struct

from domain.accounts import AccountBalances, ConnectionState
from domain.events import OrderEvent
from domain.findings import Finding
from domain.lifecycle import Order, Origin, Pending, Status
from domain.portfolio import Position
from domain.transactions import Transaction


class OrderUpdate(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="order", gc=False):
    """A fact about an order and where the order stands after it."""

    order_id: str
    status: Status
    version: int
    filled: Decimal
    leaves: Decimal
    event: OrderEvent
    client_order_id: str | None = None
    origin: Origin = Origin.CLIENT
    pending: Pending | None = None
    average_price: Decimal | None = None
    instrument: str | None = None
    account: str | None = None
    tag: str | None = None
    late_fill: bool = False
    parent_order_id: str | None = None
    signal_id: str | None = None


class BalancesUpdate(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag="balances", gc=False
):
    """New balances of an account."""

    balances: AccountBalances


class PositionUpdate(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag="position", gc=False
):
    """What an account now holds of an instrument; closed at quantity zero."""

    position: Position


class TransactionUpdate(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag="transaction", gc=False
):
    """A movement the broker booked."""

    transaction: Transaction


class ConnectionUpdate(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="connection"):
    """A connection came up or went down."""

    connection: ConnectionState


class NoticeKind(Enum):
    """What an operator should know."""

    HALTED = "halted"
    RESUMED = "resumed"
    BREAK = "break"
    LATE_FILL = "late_fill"
    UNKNOWN_ORDER = "unknown_order"
    GUARD_FIRED = "guard_fired"
    FINDING = "finding"
    SUSPICION = "suspicion"
    JOURNAL = "journal"
    RESOLVED = "resolved"
    BREAKER = "breaker"
    AUDIT = "audit"


class Notice(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="notice"):
    """A thing for people: a halt, a break, a late fill, what compliance found after the trade."""

    kind: NoticeKind
    scope: str
    message: str
    order_id: str | None = None
    finding: Finding | None = None


UpdateBody = (
    OrderUpdate | BalancesUpdate | PositionUpdate | TransactionUpdate | ConnectionUpdate | Notice
)


class StreamUpdate(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One numbered entry of a stream; `at_ns` is when it was journaled (UTC)."""

    stream: str
    seq: int
    at_ns: int
    body: UpdateBody


def order_update(order: Order, event: OrderEvent) -> OrderUpdate:
    """The update that tells of an event, with where it leaves the order."""
    return OrderUpdate(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        origin=order.origin,
        status=order.status,
        pending=order.pending,
        version=order.version,
        filled=order.filled,
        leaves=order.leaves,
        average_price=order.average_price,
        instrument=order.instrument,
        account=order.account,
        tag=order.terms.tag if order.terms else None,
        late_fill=order.late_fill,
        parent_order_id=order.parent_order_id,
        signal_id=order.terms.signal_id if order.terms else None,
        event=event,
    )
