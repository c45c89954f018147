"""What the actors say to each other over links, beside `domain.commands`.

A connection numbers its facts (`Item`) per incarnation, 1, 2, 3 ...; the router frees them
with `Freed` once they are durable. A router introduces its epoch with `Attach`; a connection
drops every frame of an older one.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import Struct

from actors.link import Hello, Ping, Pong
from compliance.leases import Lent, Recalled, Returned
from compliance.limits import Security
from domain.accounts import AccountSnapshot, BreakerState, ConnectionState, SessionState
from domain.commands import FromRouter, Query, QueryAnswer, ReadStream, ToRouter
from domain.equity import EquityHistory
from domain.events import External, VenueEvent
from domain.findings import Finding
from domain.history import AccountHistory
from domain.instruments import Instrument
from domain.lifecycle import Order
from domain.market_facts import MarketFact
from domain.orders import NewOrder
from domain.quotes import Quote
from domain.records import Halted
from domain.screening import Rate, ScreenAnswer, ScreenRequest
from domain.streams import StreamUpdate
from gateway.passing import PassedFromRouter, PassedPage


class Attach(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="attach"):
    """A router takes a connection: its epoch, and what of this connection is durable.

    `last` is the last durable item of `incarnation`; `cursor` the broker's as journaled;
    `last_intent` fences lower intents; `halts`, as of record `halts_number`, are in force at the
    gate from now on.
    """

    epoch: int
    incarnation: str
    last: int
    last_intent: int
    cursor: str | None
    halts: tuple[Halted, ...] = ()
    halts_number: int = 0


class Attached(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="attached"):
    """The connection is the router's: how it stands, its credits and instruments.

    `credits` bound what is in flight. Where the broker limits requests, `granted` is how many
    orders may be sent since the attach (`Credits` raises it), and `per_order_us` how long each
    takes where they come as fast as they may.
    """

    connection: str
    epoch: int
    credits: int
    state: SessionState
    instruments: tuple[Instrument, ...] = ()
    breaker: BreakerState = BreakerState.CLOSED
    granted: int | None = None
    per_order_us: int = 0


class Dispatch(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="dispatch"):
    """Send this order now: it is durable. Never sent after `send_by_ns` (boot clock).

    `digest` is of the order and its names as they were written down (gate.sealed).
    """

    epoch: int
    intent: int
    attempt: int
    order_id: str
    order: NewOrder
    venue_client_id: str
    verdict: str
    send_by_ns: int
    trace: str | None = None
    digest: str = ""


class SendCancel(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="send_cancel"):
    """Cancel a working order; safe to say again."""

    epoch: int
    order_id: str
    order: NewOrder
    venue_client_id: str
    broker_order_id: str | None


class SendAmend(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="send_amend"):
    """Change a working order to `terms` (whole)."""

    epoch: int
    order_id: str
    order: NewOrder
    terms: NewOrder
    venue_client_id: str
    broker_order_id: str | None
    send_by_ns: int
    request_id: str = ""
    digest: str = ""


class Probe(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="probe"):
    """After a restart of either side: what became of these intents?

    Each is answered by an item: never sent (no mark), in doubt (marked, and nobody waits for
    an answer any more), or its outcome once that arrives.
    """

    epoch: int
    intents: tuple[int, ...]


class LookUp(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="look_up"):
    """Find evidence of an order whose outcome is unknown, from `cursor` on."""

    epoch: int
    order_id: str
    venue_client_id: str
    cursor: str | None


class ResetBreaker(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="reset_breaker"):
    """An operator says that the broker can be trusted again."""

    epoch: int


class Resync(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="resync"):
    """Read the account again: something in the books was not as it can be."""

    epoch: int


class Credits(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="credits"):
    """Orders `granted` since the attach, in all; the next one comes after `wait_ms`.

    Fewer than before take back what was not used: the broker wants a pause.
    """

    connection: str
    epoch: int
    granted: int
    wait_ms: int = 0


class SetHalts(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="set_halts"):
    """The halts in force from now on, checked right before each write."""

    epoch: int
    number: int
    halts: tuple[Halted, ...]


class HaltsSet(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="halts_set"):
    """The gate confirms: nothing in scope leaves after this."""

    connection: str
    number: int


class Freed(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="freed"):
    """Items up to `last` of `incarnation` are durable and need not be kept."""

    incarnation: str
    last: int


ToConnection = (
    Attach
    | Dispatch
    | SendCancel
    | SendAmend
    | Probe
    | LookUp
    | SetHalts
    | Freed
    | ResetBreaker
    | Resync
)


class Told(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="told"):
    """The broker said these, in its order."""

    events: tuple[VenueEvent, ...]
    intent: int | None = None


class GateRefused(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="gate_refused"):
    """Proof that an intent was never sent: stale, halted, fenced, or no connection."""

    intent: int
    reason: str


class InDoubt(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="in_doubt"):
    """An intent may have been sent, and no answer tells."""

    intent: int
    reason: str


class NoTrace(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="no_trace"):
    """Negative evidence, complete: what was asked and that all said no."""

    order_id: str
    evidence: tuple[str, ...]


class Unread(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="unread"):
    """The broker said something in words we do not know: a break, to be reconciled."""

    what: str


class SyncedAccount(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="synced"):
    """The account at one moment, every earlier event told before."""

    snapshot: AccountSnapshot
    open_orders: tuple[External, ...] = ()


class StateChanged(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="state"):
    """The connection came up or went down."""

    state: ConnectionState


Item = Told | GateRefused | InDoubt | NoTrace | Unread | SyncedAccount | StateChanged


class Items(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="items"):
    """Facts `first`, `first` + 1, ... of an incarnation, and the broker's cursor after them."""

    connection: str
    incarnation: str
    first: int
    items: tuple[Item, ...]
    cursor: str | None = None


class Quotes(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="quotes"):
    """Quotes, conflated for their reader."""

    quotes: tuple[Quote, ...]


class MarketFacts(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="market_facts"):
    """What a market said of listed securities beside their prices; said again to a new router."""

    facts: tuple[MarketFact, ...]


class PriceOffer(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="price_offer"):
    """What a connection would price if asked; `is_full`: what it does already is its most."""

    connection: str
    instruments: tuple[str, ...]
    is_full: bool = False


FromConnection = Attached | Items | HaltsSet | Quotes | MarketFacts | Credits


class Standing(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="standing"):
    """The router tells edges whether an order would get through, and where the journal is."""

    is_trading: bool
    position: int = 0


class TooOld(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="too_old"):
    """The router no longer holds this in memory: ask the ledger."""

    read: ReadStream


class AskRouter(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="ask_router"):
    """The ledger is behind, or its store is away: ask the router."""

    ref: int


class WatchQuotes(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="watch_quotes"):
    """These instruments and no others: an edge wants their quotes, a router needs their prices.

    A router gets the quotes of all that is followed, for any of it may be ordered next.
    """

    instruments: tuple[str, ...]


class LoadBook(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="load_book"):
    """Everything compliance knows is replaced by this, as of record `position` of the journal."""

    epoch: int
    accounts: tuple[AccountSnapshot, ...]
    orders: tuple[Order, ...]
    halts: tuple[Halted, ...]
    instruments: tuple[Instrument, ...]
    histories: tuple[AccountHistory, ...] = ()
    equities: tuple[EquityHistory, ...] = ()
    position: int = 0


class Loaded(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="loaded"):
    """Compliance is ready to screen, as this incarnation, by these settings (JSON).

    `state` is a digest of all it then knows.
    """

    incarnation: str
    settings: str = ""
    state: str = ""


class Observe(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="observe"):
    """Durable updates, in order, on the same link as the screens."""

    updates: tuple[StreamUpdate, ...]


class SeeRates(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="see_rates"):
    """Prices to value other holdings with, at most 20 a second and instrument.

    `stepped_ns`: the wall clock was set by so much, and what is known ages on as before.
    """

    rates: tuple[Rate, ...]
    stepped_ns: int = 0


class Release(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="release"):
    """An order that passed was not sent after all."""

    order_id: str


class Found(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="found"):
    """What was found after the trade; the router writes down what it does not know yet."""

    findings: tuple[Finding, ...]


class SeeMarket(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="see_market"):
    """What became known of listed securities; whoever tells it tells it again to a new book."""

    securities: tuple[Security, ...]


class Tripped(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="tripped"):
    """Halts that compliance has in force already: the router writes them down."""

    halts: tuple[Halted, ...]


class Wanted(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="wanted"):
    """A shard could use that much more of the firm's limit."""

    shard: str
    more: Decimal


ToCompliance = (
    LoadBook | Observe | ScreenRequest | SeeRates | SeeMarket | Release | SetHalts | Lent | Recalled
)
FromCompliance = Loaded | ScreenAnswer | Found | Tripped | Returned | Wanted


class Leave(Struct, frozen=True, kw_only=True, tag="leave"):
    """Leave the role to another process, once what is under way has ended."""


_Greeting = Hello | Ping | Pong

router_inbox = msgspec.msgpack.Decoder(ToRouter | Found | _Greeting)
edge_inbox = msgspec.msgpack.Decoder(
    FromRouter | Quotes | PriceOffer | Standing | TooOld | _Greeting
)
edge_from_router = msgspec.msgpack.Decoder(PassedFromRouter | Standing | TooOld | _Greeting)
edge_from_ledger = msgspec.msgpack.Decoder(QueryAnswer | PassedPage | AskRouter | _Greeting)
ledger_inbox = msgspec.msgpack.Decoder(Query | ReadStream | _Greeting)
connection_inbox = msgspec.msgpack.Decoder(ToConnection | WatchQuotes | _Greeting)
router_from_connection = msgspec.msgpack.Decoder(FromConnection | _Greeting)
compliance_inbox = msgspec.msgpack.Decoder(ToCompliance | _Greeting)
router_from_compliance = msgspec.msgpack.Decoder(FromCompliance | _Greeting)
watchdog_inbox = msgspec.msgpack.Decoder(_Greeting)
control_inbox = msgspec.msgpack.Decoder(Leave | _Greeting)
