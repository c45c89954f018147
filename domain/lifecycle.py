"""The order's life: one table of every legal transition, and the fold that follows it.

RECEIVED -> DENIED | READY | SENDING. SENDING ends in a broker outcome, in proof that nothing was
sent, or in UNKNOWN, which only evidence ends. A cancel or amend in flight is `pending`, an
overlay: it cannot hide a fill. A fill after a terminal state is kept and marked late. An
event without a row is a break: recorded, never applied, and a reason to reconcile. The table
is the authority; docs/lifecycle.md is printed from it.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from domain import events as ev
from domain.events import OrderEvent
from domain.orders import AmendOrder, NewOrder
from domain.portfolio import ZERO


class Status(Enum):
    """Where an order stands; the names are PROTOCOL.md's."""

    RECEIVED = "received"
    DENIED = "denied"
    HELD = "held"
    ARMED = "armed"
    READY = "ready"
    SENDING = "sending"
    UNKNOWN = "unknown"
    LIVE = "live"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    NOT_PLACED = "not_placed"


class Origin(Enum):
    """Who made the order."""

    CLIENT = "client"
    CHILD = "child"
    EXTERNAL = "external"


class Pending(Enum):
    """What is under way at the broker, beside the status."""

    CANCEL = "cancel"
    AMEND = "amend"


S = Status
TERMINAL = frozenset({S.DENIED, S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED, S.NOT_PLACED})
OPEN = frozenset(Status) - TERMINAL
AT_BROKER = frozenset({S.SENDING, S.UNKNOWN, S.LIVE, S.PARTIALLY_FILLED})
"""States in which the broker may hold the order: they count in exposure."""

AMENDABLE = ("quantity", "limit_price", "stop_price", "trailing", "expire_at_ns")
Terms = TypeVar("Terms", NewOrder, ev.External)

_SAME = None
"""The event is legal and leaves the status as it is."""

TRANSITIONS: dict[tuple[Status, type], Status | None] = {
    (S.RECEIVED, ev.Denied): S.DENIED,
    (S.RECEIVED, ev.Held): S.HELD,
    (S.RECEIVED, ev.Armed): S.ARMED,
    (S.RECEIVED, ev.Readied): S.READY,
    (S.RECEIVED, ev.Sending): S.SENDING,
    (S.RECEIVED, ev.External): S.LIVE,
    (S.HELD, ev.Readied): S.READY,
    (S.HELD, ev.Canceled): S.CANCELED,
    (S.HELD, ev.Denied): S.DENIED,
    (S.ARMED, ev.Readied): S.READY,
    (S.ARMED, ev.Canceled): S.CANCELED,
    (S.ARMED, ev.Denied): S.DENIED,
    (S.READY, ev.Sending): S.SENDING,
    (S.READY, ev.Canceled): S.CANCELED,
    (S.READY, ev.Denied): S.DENIED,
    (S.SENDING, ev.NeverSent): S.READY,
    (S.SENDING, ev.OutcomeUnknown): S.UNKNOWN,
    # Brokers may fill, cancel or refuse before they accept.
    **{
        (at, kind): to
        for at in (S.SENDING, S.UNKNOWN)
        for kind, to in {
            ev.Accepted: S.LIVE,
            ev.Triggered: S.LIVE,
            ev.Fill: S.PARTIALLY_FILLED,
            ev.Rejected: S.REJECTED,
            ev.Canceled: S.CANCELED,
            ev.Expired: S.EXPIRED,
            ev.Replaced: S.LIVE,
            ev.CancelRequested: _SAME,
            ev.CancelRefused: _SAME,
            ev.AmendRefused: _SAME,
        }.items()
    },
    (S.UNKNOWN, ev.NotPlaced): S.NOT_PLACED,
    # A mark can prove it late: the connection that held the order answers after its silence.
    (S.UNKNOWN, ev.NeverSent): S.READY,
    **{
        (at, kind): to
        for at in (S.LIVE, S.PARTIALLY_FILLED)
        for kind, to in {
            ev.Accepted: _SAME,
            ev.Triggered: _SAME,
            ev.Fill: S.PARTIALLY_FILLED,
            ev.Canceled: S.CANCELED,
            ev.Expired: S.EXPIRED,
            ev.Replaced: _SAME,
            ev.CancelRequested: _SAME,
            ev.CancelRefused: _SAME,
            ev.AmendRequested: _SAME,
            ev.AmendRefused: _SAME,
        }.items()
    },
    (S.LIVE, ev.Rejected): S.REJECTED,
    # Already on its way when the order ended: kept, and marked late. Also a late refusal or
    # confirmation that changes nothing.
    **{
        (at, kind): _SAME
        for at in (S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED)
        for kind in (
            ev.Fill, ev.Accepted, ev.Triggered, ev.Replaced, ev.CancelRefused, ev.AmendRefused,
        )
    },
    # After complete negative evidence only a fill is believed at once; that the broker has the
    # order after all is a break: it must be looked at, not filed away.
    (S.NOT_PLACED, ev.Fill): _SAME,
    (S.NOT_PLACED, ev.CancelRefused): _SAME,
    # The broker's word that it ended, after we had concluded so ourselves.
    (S.NOT_PLACED, ev.Canceled): _SAME,
    (S.NOT_PLACED, ev.Rejected): _SAME,
    (S.CANCELED, ev.Canceled): _SAME,
    (S.REJECTED, ev.Rejected): _SAME,
    (S.EXPIRED, ev.Expired): _SAME,
}  # fmt: skip


class Order(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An order as the events so far leave it.

    `terms` are the current ones (an amend changes them); `filled` and `filled_notional` are
    sums over `executions` (the ids already applied). `legs` are the broker's ids for it, the
    newest last; `version` rises with each applied event. `reason` explains the present status
    and goes with it; `filled_ns` is the broker's time of the latest fill. `session` is the
    client's that placed it, whose guards it is under.
    """

    order_id: str
    owner: str
    origin: Origin
    terms: NewOrder | None = None
    external: ev.External | None = None
    client_order_id: str | None = None
    parent_order_id: str | None = None
    status: Status = Status.RECEIVED
    pending: Pending | None = None
    connection: str | None = None
    account: str | None = None
    intent: int | None = None
    attempt: int = 0
    venue_client_id: str | None = None
    sent_cursor: str | None = None
    legs: tuple[str, ...] = ()
    filled: Decimal = ZERO
    filled_notional: Decimal = ZERO
    executions: tuple[str, ...] = ()
    late_fill: bool = False
    overfilled: bool = False
    reason: str | None = None
    version: int = 0
    received_ns: int = 0
    updated_ns: int = 0
    filled_ns: int | None = None
    session: str | None = None

    @property
    def quantity(self) -> Decimal:
        """What was asked for, as last amended."""
        if self.terms is not None:
            return self.terms.quantity
        return self.external.quantity if self.external else ZERO

    @property
    def leaves(self) -> Decimal:
        """Still open to be filled; zero once terminal."""
        return ZERO if self.status in TERMINAL else max(self.quantity - self.filled, ZERO)

    @property
    def average_price(self) -> Decimal | None:
        """Of what was filled, exact to the context's 28 digits."""
        return self.filled_notional / self.filled if self.filled else None

    @property
    def instrument(self) -> str:
        """The canonical symbol."""
        if self.terms is not None:
            return self.terms.instrument
        return self.external.instrument if self.external else ""

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        source = self.terms or self.external
        return source.side.sign if source else 0


class Break(Struct, frozen=True, kw_only=True):
    """A difference between what is and what can be: written down, then reconciled."""

    order_id: str | None
    what: str


def apply(order: Order, event: OrderEvent) -> Order | Break:
    """The order after the event; the same order for a fill seen before; a Break for no row."""
    key = (order.status, type(event))
    if key not in TRANSITIONS:
        return Break(
            order_id=order.order_id,
            what=f"{type(event).__name__} does not follow {order.status.value}",
        )
    if isinstance(event, ev.Fill):
        return _apply_fill(order, event)
    target = TRANSITIONS[key]
    changes = _changes(order, event)
    if target is not None:
        changes = {"reason": None, "status": target} | changes
    changed = replace(order, version=order.version + 1, updated_ns=event.at_ns, **changes)
    return _end_where_done(changed) if isinstance(event, ev.Replaced) else changed


def _end_where_done(order: Order) -> Order:
    """An order amended down to what is filled already has nothing left to wait for."""
    if order.status in TERMINAL or not 0 < order.quantity <= order.filled:
        return order
    return replace(order, status=Status.FILLED, pending=None)


def _apply_fill(order: Order, fill: ev.Fill) -> Order:
    if fill.execution_id in order.executions:
        return order
    filled = order.filled + fill.quantity
    was_over = order.status in TERMINAL
    status = order.status if was_over else Status.PARTIALLY_FILLED
    if filled >= order.quantity:
        status = Status.FILLED
    return replace(
        order,
        status=status,
        filled=filled,
        filled_notional=order.filled_notional + fill.quantity * fill.price,
        executions=(*order.executions, fill.execution_id),
        legs=_add_leg(order.legs, fill.broker_order_id),
        filled_ns=max(fill.at_ns, order.filled_ns or 0),
        pending=None if status is Status.FILLED else order.pending,
        reason=order.reason if status is order.status else None,
        late_fill=order.late_fill or was_over,
        overfilled=filled > order.quantity,
        version=order.version + 1,
        updated_ns=fill.at_ns,
    )


def _add_leg(legs: tuple[str, ...], broker_order_id: str | None) -> tuple[str, ...]:
    if broker_order_id is None or broker_order_id in legs:
        return legs
    return (*legs, broker_order_id)


def _changes(order: Order, event: OrderEvent) -> dict[str, object]:
    """What the event changes beside status and version."""
    match event:
        case ev.Sending():
            return {
                "connection": event.connection,
                "account": event.account,
                "intent": event.intent,
                "attempt": event.attempt,
                "venue_client_id": event.venue_client_id,
                "sent_cursor": event.cursor,
            }
        case ev.Accepted() | ev.Triggered():
            return {"legs": _add_leg(order.legs, event.broker_order_id)}
        case ev.External():
            return {"external": event, "legs": _add_leg(order.legs, event.broker_order_id)}
        case ev.Replaced():
            return {
                "legs": _add_leg(order.legs, event.broker_order_id),
                "terms": _amended(order.terms, event) if order.terms else None,
                "external": _amended(order.external, event) if order.external else None,
                "pending": None if order.pending is Pending.AMEND else order.pending,
            }
        case ev.CancelRequested():
            return {"pending": Pending.CANCEL}
        case ev.AmendRequested():
            return {"pending": order.pending or Pending.AMEND}
        case ev.CancelRefused():
            return {"pending": None}
        case ev.AmendRefused():
            # A cancel under way outlives the amend it overtook.
            return {"pending": None if order.pending is Pending.AMEND else order.pending}
        case ev.Canceled() | ev.NeverSent() | ev.OutcomeUnknown():
            ends = not isinstance(event, ev.OutcomeUnknown)
            return {"reason": event.reason, "pending": None if ends else order.pending}
        case ev.Denied() | ev.Rejected():
            return {"reason": event.error.code, "pending": None}
        case ev.Expired() | ev.NotPlaced():
            return {"pending": None}
        case _:
            return {}


def amended_terms(terms: NewOrder, amend: AmendOrder) -> NewOrder:
    """The terms an amend asks for."""
    return _amended(terms, amend)


def _amended(terms: Terms, change: ev.Replaced | AmendOrder) -> Terms:
    given = {name: getattr(change, name) for name in AMENDABLE}
    given = {name: value for name, value in given.items() if value is not None}
    return replace(terms, **given) if given else terms


class CommonStatus(Enum):
    """The seven words most broker libraries use."""

    PENDING = "pending"
    OPEN = "open"
    FILLED = "filled"
    PARTIALLY_FILLED = "partially_filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


COMMON = {
    S.RECEIVED: CommonStatus.PENDING,
    S.DENIED: CommonStatus.REJECTED,
    S.HELD: CommonStatus.PENDING,
    S.ARMED: CommonStatus.PENDING,
    S.READY: CommonStatus.PENDING,
    S.SENDING: CommonStatus.PENDING,
    S.UNKNOWN: CommonStatus.PENDING,
    S.LIVE: CommonStatus.OPEN,
    S.PARTIALLY_FILLED: CommonStatus.PARTIALLY_FILLED,
    S.FILLED: CommonStatus.FILLED,
    S.CANCELED: CommonStatus.CANCELLED,
    S.REJECTED: CommonStatus.REJECTED,
    S.EXPIRED: CommonStatus.EXPIRED,
    S.NOT_PLACED: CommonStatus.REJECTED,
}
assert COMMON.keys() == set(Status)
