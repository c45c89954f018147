"""What every broker file must offer: pure translation both ways.

An adapter builds requests and reads answers; it opens no socket and keeps no clock. The
connection actor sends what it builds through `transport.py` and gives the answer back to the
matching `parse_*`. What a broker cannot do stands in its `Capabilities`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Protocol

from msgspec import Struct

from domain.accounts import AccountSnapshot, BrokerAccount
from domain.events import VenueEvent
from domain.instruments import Instrument
from domain.orders import NewOrder, OrderType, TimeInForce, Trailing
from domain.quotes import Quote


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


class Request(Struct, frozen=True, kw_only=True):
    """One HTTP request: path and query encoded, body as the bytes to send."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = {}


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


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a broker can do, and how far its answers can be trusted after trouble.

    `visibility_horizon_ms` (H): an order placed shows in lookups at the latest after this.
    `evidence_window_ms`: how far back lookups reach. `requests_per_s` is the broker's own limit.
    """

    broker: str
    docs: str
    order_types: frozenset[OrderType]
    times_in_force: Mapping[OrderType, frozenset[TimeInForce]]
    client_id: ClientIdUse
    duplicate_client_id: str
    visibility_horizon_ms: int
    evidence_window_ms: int
    requests_per_s: int
    heartbeat_ms: int
    amends: bool
    brackets: bool
    shows_lots: bool


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
    `unread` names what the broker said in words that are not known: a break each, passed over
    so that the same words do not stop us again at every start.
    """

    events: tuple[VenueEvent, ...] = ()
    cursor: str | None = None
    is_heartbeat: bool = False
    head: str | None = None
    unread: tuple[str, ...] = ()


class PriceReport(Struct, frozen=True, kw_only=True):
    """What a price line said; `quote.update` and `received_ns` are set by the caller."""

    quote: Quote | None = None
    is_heartbeat: bool = False


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

    def account(self) -> Request:
        """Asks for balances, positions, lots and open orders at one moment."""

    def parse_account(self, response: Response, now_ns: int) -> AccountSnapshot:
        """The account as of its cursor. Raises Answered."""

    def parse_open_orders(self, response: Response, now_ns: int) -> Report:
        """The working orders in an `account` answer, as External events."""

    def since(self, cursor: str) -> Request:
        """Asks for what happened after the cursor."""

    def parse_since(self, response: Response, now_ns: int) -> Report:
        """Events after the cursor, oldest first. Raises Answered."""

    def instruments(self) -> Request:
        """Asks what can be traded."""

    def parse_instruments(self, response: Response) -> tuple[Instrument, ...]:
        """The instruments. Raises Answered."""

    def event_stream(self) -> Request:
        """Opens the stream of account events, one line each."""

    def parse_event_line(self, line: bytes, now_ns: int) -> Report:
        """What one line of the event stream said."""

    def price_feed(self, symbol: str) -> str:
        """The feed that prices a canonical symbol; each feed has a stream of its own."""

    def price_stream(self, symbols: tuple[str, ...]) -> Request:
        """Opens the stream of prices for canonical symbols of one feed, one line each."""

    def change_prices(
        self, added: tuple[str, ...], removed: tuple[str, ...]
    ) -> tuple[bytes, ...] | None:
        """What to say on the open price stream, or None where it must be opened anew."""

    def parse_price_line(self, line: bytes, connection: str, now_ns: int) -> PriceReport:
        """What one line of the price stream said."""


class AdapterSettings(Struct, frozen=True, kw_only=True):
    """What an adapter is made with. `token` is a secret: never logged, never in a repr.

    `account` is a template: id, owner, region and regime as configured; the broker's own
    facts replace the rest when the account is read.
    """

    account: BrokerAccount
    broker_account_id: str
    token: str

    def __repr__(self) -> str:
        return f"AdapterSettings(account={self.account.account!r}, token=<secret>)"
