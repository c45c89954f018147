"""Facts about an order, in the order they became known. Nobody edits them; state is their fold.

The same structs leave an adapter, are written to the journal and reach the client. An adapter
names the order by `venue_client_id` (the id we gave the broker) and `broker_order_id` (the
broker's); the router alone knows which order that is. Times are the broker's where it gave
one, else ours, int64 ns UTC.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from domain.errors import ErrorInfo
from domain.orders import NewOrder, OrderType, Side, TimeInForce, Trailing
from domain.portfolio import LotClosed, LotOpened


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """What all facts share."""

    at_ns: int


class Denied(Event, frozen=True, kw_only=True, omit_defaults=True, tag="denied"):
    """Compliance, or the gateway, refused: nothing was sent."""

    error: ErrorInfo


class Held(Event, frozen=True, kw_only=True, omit_defaults=True, tag="held"):
    """Queued until the market opens."""


class Armed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="armed"):
    """Waiting for its own trigger: an emulated type, or a child whose parent must fill first."""


class Readied(Event, frozen=True, kw_only=True, omit_defaults=True, tag="readied"):
    """Screened and waiting for a send credit; still cancelable."""


class Sending(Event, frozen=True, kw_only=True, omit_defaults=True, tag="sending"):
    """Durable before the first byte. `intent` rises by one per connection; never reused.

    `cursor` is the broker's as journaled before: whatever came of the order lies after it.
    """

    connection: str
    account: str
    intent: int
    attempt: int
    venue_client_id: str
    verdict: str
    cursor: str | None = None


class NeverSent(Event, frozen=True, kw_only=True, omit_defaults=True, tag="never_sent"):
    """A send mark, or the gate, proves that no byte left."""

    reason: str


class OutcomeUnknown(Event, frozen=True, kw_only=True, omit_defaults=True, tag="outcome_unknown"):
    """It may have been placed. Evidence alone ends this state."""

    reason: str


class NotPlaced(Event, frozen=True, kw_only=True, omit_defaults=True, tag="not_placed"):
    """Negative evidence, complete by PROTOCOL.md: what was asked, when, and that all said no."""

    evidence: tuple[str, ...]


class Accepted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="accepted"):
    """The broker has it."""

    broker_order_id: str
    venue_client_id: str | None = None


class Triggered(Event, frozen=True, kw_only=True, omit_defaults=True, tag="triggered"):
    """A stop's condition was met; the order is working at the broker."""

    broker_order_id: str
    venue_client_id: str | None = None


class Fill(Event, frozen=True, kw_only=True, omit_defaults=True, tag="fill"):
    """One execution. `execution_id` is the hash of `ids.execution_id`, so twice seen is once.

    `quantity` is positive; money is in `currency` (the account's), signed as booked:
    a commission paid is negative. Lots are named where the broker shows them.
    """

    execution_id: str
    broker_execution_id: str
    broker_order_id: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    venue_client_id: str | None = None
    currency: str | None = None
    commission: Decimal | None = None
    financing: Decimal | None = None
    realized_pnl: Decimal | None = None
    balance_after: Decimal | None = None
    lots_opened: tuple[LotOpened, ...] = ()
    lots_closed: tuple[LotClosed, ...] = ()


class Rejected(Event, frozen=True, kw_only=True, omit_defaults=True, tag="rejected"):
    """The broker refused it, at once or late."""

    error: ErrorInfo
    broker_order_id: str | None = None
    venue_client_id: str | None = None


class Canceled(Event, frozen=True, kw_only=True, omit_defaults=True, tag="canceled"):
    """No longer working. `reason` is ours or the broker's word."""

    reason: str
    broker_order_id: str | None = None
    venue_client_id: str | None = None
    error: ErrorInfo | None = None


class Expired(Event, frozen=True, kw_only=True, omit_defaults=True, tag="expired"):
    """Its time in force ran out at the broker."""

    broker_order_id: str
    venue_client_id: str | None = None


class Replaced(Event, frozen=True, kw_only=True, omit_defaults=True, tag="replaced"):
    """Amended at the broker, maybe under a new broker order id. Absent terms are unchanged."""

    broker_order_id: str
    previous_broker_order_id: str | None = None
    venue_client_id: str | None = None
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trailing: Trailing | None = None
    expire_at_ns: int | None = None


class CancelRequested(Event, frozen=True, kw_only=True, omit_defaults=True, tag="cancel_requested"):
    """A cancel is on its way: an overlay, never a status."""

    request_id: str


class CancelRefused(Event, frozen=True, kw_only=True, omit_defaults=True, tag="cancel_refused"):
    """The cancel did not happen; the order is as it was."""

    error: ErrorInfo
    broker_order_id: str | None = None
    venue_client_id: str | None = None


class AmendRequested(Event, frozen=True, kw_only=True, omit_defaults=True, tag="amend_requested"):
    """An amend is on its way: an overlay, never a status."""

    request_id: str


class AmendRefused(Event, frozen=True, kw_only=True, omit_defaults=True, tag="amend_refused"):
    """The amend did not happen; the order is as it was."""

    error: ErrorInfo
    broker_order_id: str | None = None
    venue_client_id: str | None = None


class External(Event, frozen=True, kw_only=True, omit_defaults=True, tag="external"):
    """An order we did not place: made in the broker's own app, or a bracket child of ours.

    An adapter says `External` of every creation it reads from a stream or a list; the router
    turns it into `Accepted` where `venue_client_id` is one of ours. For a bracket child
    `parent_execution` is the broker's execution id of the entry's fill that made it, or
    `parent_broker_order_id` the broker's id of the entry, whichever the broker tells.
    """

    broker_order_id: str
    instrument: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    time_in_force: TimeInForce
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trailing: Trailing | None = None
    parent_execution: str | None = None
    venue_client_id: str | None = None
    closes_lot: str | None = None
    expire_at_ns: int | None = None
    parent_broker_order_id: str | None = None


OrderEvent = (
    Denied
    | Held
    | Armed
    | Readied
    | Sending
    | NeverSent
    | OutcomeUnknown
    | NotPlaced
    | Accepted
    | Triggered
    | Fill
    | Rejected
    | Canceled
    | Expired
    | Replaced
    | CancelRequested
    | CancelRefused
    | AmendRequested
    | AmendRefused
    | External
)
VenueEvent = (
    Accepted
    | Triggered
    | Fill
    | Rejected
    | Canceled
    | Expired
    | Replaced
    | CancelRefused
    | AmendRefused
    | External
)


class Placed(Struct, frozen=True, kw_only=True):
    """A command with the moment it was received: what an order is folded from."""

    command: NewOrder
    received_ns: int
