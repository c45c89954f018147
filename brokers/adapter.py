"""What every broker file must offer: pure translation both ways.

An adapter builds requests and reads answers; it opens no socket and keeps no clock. The
connection actor sends what it builds through `transport.py` and gives the answer back to the
matching `parse_*`. What a broker cannot do stands in its `Capabilities`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Protocol

from msgspec import Struct

from domain.accounts import AccountSnapshot, BrokerAccount
from domain.events import VenueEvent
from domain.instruments import Instrument
from domain.market_facts import MarketFact
from domain.orders import NewOrder, OrderType, TimeInForce, Trailing
from domain.quotes import Quote
from domain.transactions import Transaction


class BrokerError(Exception):
    """Trouble with a broker, raised once, at the edge."""


class NotSent(BrokerError):
    """Proof that no byte reached the broker: it may be sent again."""


class OutcomeUnknown(BrokerError):
    """It may have been applied: timeout, disconnect, 5xx, an answer that cannot be read."""


class Answered(BrokerError):
    """The broker answered a read with an error status; `status` and `body` say which."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP {status}: {body[:200]!r}")
        self.status = status
        self.body = body


class Restless(BrokerError):
    """The account moved while it was read in parts: what was read is of no one moment."""


class Request(Struct, frozen=True, kw_only=True):
    """One HTTP request: path and query encoded, body as the bytes to send."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = {}


class Host(Enum):
    """Which of a broker's two hosts a stream is on."""

    REST = "rest"
    STREAM = "stream"


class Step(Struct, frozen=True):
    """One step of opening a WebSocket stream: what to say, and which line confirms it.

    `hears` is False for a line that has nothing to do with it, and raises BrokerError for a
    refusal. What is said may hold the secret.
    """

    says: bytes | None
    hears: Callable[[bytes], bool]

    def __repr__(self) -> str:
        return "Step(<said>)"


class SocketStream(Request, frozen=True, kw_only=True):
    """A stream over a WebSocket, open once every step is confirmed.

    The steps log in: the secret headers are not sent. `split` cuts a message into lines.
    """

    method: str = "GET"
    host: Host = Host.STREAM
    steps: tuple[Step, ...]
    split: Callable[[bytes], tuple[bytes, ...]]


class Response(Struct, frozen=True, kw_only=True):
    """One HTTP answer, whole."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


class ClientIdUse(Enum):
    """What the broker does with an id of ours."""

    UNIQUE = "unique"
    ECHOED = "echoed"
    NONE = "none"


class Pace(Struct, frozen=True, kw_only=True):
    """A rate limit: at most so many requests in any such time."""

    requests: int
    per_ms: int


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a broker can do, and how far its answers can be trusted after trouble.

    `visibility_horizon_ms` (H): an order placed shows in lookups at the latest after this.
    `evidence_window_ms`: how far back lookups reach. `pace` is what a login may ask, a little
    below the broker's published limit.
    `resync_ms`: how often the account is read again because the stream does not tell all that
    changes in it; None where it does.
    """

    broker: str
    docs: str
    order_types: frozenset[OrderType]
    times_in_force: Mapping[OrderType, frozenset[TimeInForce]]
    client_id: ClientIdUse
    duplicate_client_id: str
    visibility_horizon_ms: int
    evidence_window_ms: int
    pace: Pace
    heartbeat_ms: int
    amends: bool
    brackets: bool
    shows_lots: bool
    resync_ms: int | None = None


class VenueOrder(Struct, frozen=True, kw_only=True):
    """An order ready for one broker: the screened terms and the names it goes by."""

    order: NewOrder
    instrument: Instrument
    venue_client_id: str
    broker_order_id: str | None = None


class AmendTerms(Struct, frozen=True, kw_only=True):
    """The whole new terms of a working order (absent: unchanged)."""

    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trailing: Trailing | None = None
    expire_at_ns: int | None = None


def whole_terms(order: NewOrder) -> AmendTerms:
    """All the terms of an order that an amend can change."""
    return AmendTerms(
        quantity=order.quantity,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        trailing=order.trailing,
        expire_at_ns=order.expire_at_ns,
    )


class Report(Struct, frozen=True, kw_only=True):
    """What a stream line or a list said: events in the broker's order, and its cursor after.

    `head` is the broker's newest transaction as a heartbeat tells it. It is no cursor, for its
    events may still be on their way: beyond ours for longer than that, the stream has a gap.
    `gap` says why a line before this one must have been lost. `has_more` asks for the next page
    from `cursor` on. `unread` names what the broker said in words that are not known: a break
    each, passed over so that the same words do not stop us again at every start.
    """

    events: tuple[VenueEvent, ...] = ()
    cursor: str | None = None
    is_heartbeat: bool = False
    head: str | None = None
    gap: str | None = None
    has_more: bool = False
    unread: tuple[str, ...] = ()
    transactions: tuple[Transaction, ...] = ()


class PriceReport(Struct, frozen=True, kw_only=True):
    """What a price line said; `quote.update` and `received_ns` are set by the caller.

    `others` are quotes the same line changed: a market that closes closes many. `fact` is what
    the line said of a security beside its price.
    """

    quote: Quote | None = None
    is_heartbeat: bool = False
    others: tuple[Quote, ...] = ()
    fact: MarketFact | None = None

    @property
    def quotes(self) -> tuple[Quote, ...]:
        """All of them; none for a sign of life."""
        return () if self.quote is None else (self.quote, *self.others)


class Adapter(Protocol):
    """Translates for one login and one broker account. Pure: no I/O, no clock, no luck."""

    capabilities: Capabilities

    def find_unsupported(self, order: NewOrder) -> str | None:
        """Why this broker cannot take the order, naming the field, or None."""

    def place(self, order: VenueOrder) -> Request:
        """Asks for a new order."""

    def parse_placed(self, order: VenueOrder, response: Response, now_ns: int) -> Report:
        """What the answer to `place` means. Raises OutcomeUnknown where it cannot be told."""

    def cancel(self, order: VenueOrder) -> Request:
        """Asks to cancel a working order."""

    def parse_canceled(self, order: VenueOrder, response: Response, now_ns: int) -> Report:
        """Canceled or CancelRefused. Raises OutcomeUnknown."""

    def amend(self, order: VenueOrder, terms: AmendTerms) -> Request:
        """Asks to change a working order."""

    def parse_amended(self, order: VenueOrder, response: Response, now_ns: int) -> Report:
        """Replaced or AmendRefused. Raises OutcomeUnknown."""

    def look_up(self, venue_client_id: str) -> Request:
        """Asks for an order by the id we gave it."""

    def parse_looked_up(self, venue_client_id: str, response: Response, now_ns: int) -> Report:
        """What is known of it; no events means the broker knows no such order. Raises Answered."""

    def account(self) -> tuple[Request, ...]:
        """Asks for balances, positions, lots and open orders; one after another, in this order."""

    def parse_account(self, answers: tuple[Response, ...], now_ns: int) -> AccountSnapshot:
        """The account as of its cursor. Raises Answered, and Restless where it moved meanwhile."""

    def parse_open_orders(self, answers: tuple[Response, ...], now_ns: int) -> Report:
        """The working orders in `account`'s answers: External, and Replaced where one replaces."""

    def since(self, cursor: str) -> Request:
        """Asks for what happened after the cursor."""

    def parse_since(self, cursor: str, response: Response, now_ns: int) -> Report:
        """A page of what happened after the cursor, oldest first. Raises Answered."""

    def instruments(self) -> tuple[Request, ...]:
        """Asks what can be traded."""

    def parse_instruments(self, answers: tuple[Response, ...]) -> tuple[Instrument, ...]:
        """The instruments. Raises Answered."""

    def event_stream(self) -> Request:
        """Opens the stream of account events: a SocketStream, or lines over chunked HTTP."""

    def parse_event_line(self, line: bytes, now_ns: int) -> Report:
        """What one line of the event stream said; an empty line is a sign of life."""

    def price_feed(self, symbol: str) -> str:
        """The feed that prices a canonical symbol; each feed has a stream of its own."""

    def price_stream(self, symbols: tuple[str, ...]) -> Request:
        """Opens the stream of prices for canonical symbols of one feed, one line each."""

    def change_prices(
        self, added: tuple[str, ...], removed: tuple[str, ...]
    ) -> tuple[bytes, ...] | None:
        """What to say on the open price stream, or None where it must be opened anew."""

    def parse_price_line(self, line: bytes, connection: str, now_ns: int) -> PriceReport:
        """What one line of the price stream said; an empty line is a sign of life."""


class AdapterSettings(Struct, frozen=True, kw_only=True):
    """What an adapter is made with. `token` is a secret: never logged, never in a repr.

    `account` is a template: id, owner, region and regime as configured; the broker's own
    facts replace the rest when the account is read. `feed` names the broker's data feed where
    it has several; empty is its first.
    """

    account: BrokerAccount
    broker_account_id: str
    token: str
    feed: str = ""

    def __repr__(self) -> str:
        return f"AdapterSettings(account={self.account.account!r}, token=<secret>)"
