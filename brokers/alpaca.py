"""Alpaca Trading API v2: https://docs.alpaca.markets (specs: trading and market-data API).

Four things to know:

* **A 2xx is a promise.** A cancel's 204 and a replace's 200 say that it will be tried: only the
  stream, or the order itself, says that it was done. So neither is told as an event.
* **A replacement is another order** under a new id and a new client id (`alpaca_reader`).
* **There is no transaction number.** The cursor is the broker's time of the newest news, and
  reading begins a little before it: what is read twice is known by its execution or order id.
  Lists of orders go by when they were submitted, so how an older order ended is asked by its
  client id, as soon as the open orders miss it.
* **The stream does not tell balances**, and may lose a line: the account is read again and again.

Beside this file: `alpaca_words` (tables), `alpaca_messages` (structs), `alpaca_reader`,
`alpaca_account`, `alpaca_prices`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote

from msgspec import MsgspecError, Raw, Struct
from msgspec.structs import replace

from brokers import alpaca_messages as wire
from brokers import alpaca_words as words
from brokers.adapter import (
    AdapterSettings,
    AmendTerms,
    BrokerError,
    Capabilities,
    ClientIdUse,
    Host,
    NotSent,
    OutcomeUnknown,
    Pace,
    PriceReport,
    Report,
    Request,
    Response,
    Restless,
    SocketStream,
    Step,
    VenueOrder,
)
from brokers.alpaca_account import (
    account_of,
    balances_of,
    instrument_of,
    is_tradeable,
    position_of,
    transaction_of,
    whole_second,
)
from brokers.alpaca_orders import (
    find_refusal,
    find_unsupported,
    is_unknown_order,
    order_body,
    patch_body,
)
from brokers.alpaca_prices import PriceReader
from brokers.alpaca_reader import Reader, fill_time, first_time, news_time
from brokers.reading import (
    NOT_JSON,
    NS,
    UnknownWord,
    deciding,
    expect_ok,
    format_time,
    need,
    parse_time,
    reading,
    refuse_change,
)
from domain.accounts import AccountSnapshot, Environment
from domain.errors import UnifiedError
from domain.events import (
    Accepted,
    AmendRefused,
    CancelRefused,
    External,
    Rejected,
    Replaced,
    VenueEvent,
)
from domain.instruments import AssetClass, Instrument
from domain.orders import NewOrder
from domain.transactions import Transaction

CAPABILITIES = Capabilities(
    broker="alpaca",
    docs="https://docs.alpaca.markets",
    order_types=frozenset(words.TYPE),
    times_in_force=words.TIMES[AssetClass.EQUITY],
    client_id=ClientIdUse.UNIQUE,
    duplicate_client_id="refused for ever: an id is never taken twice",
    visibility_horizon_ms=2_000,
    evidence_window_ms=90 * 86_400_000,
    pace=Pace(requests=190, per_ms=60_000),  # Refused above 200.
    heartbeat_ms=5_000,
    amends=True,
    brackets=True,
    shows_lots=False,
    resync_ms=30_000,
)

HOSTS = {
    Environment.LIVE: ("https://api.alpaca.markets", "https://stream.data.alpaca.markets"),
    Environment.PAPER: ("https://paper-api.alpaca.markets", "https://stream.data.alpaca.markets"),
}
"""Trading host (REST and the trading stream) and market-data stream host, by environment."""
assert HOSTS.keys() == set(Environment)

HEADERS = {"Content-Type": "application/json"}
OVERLAP_NS = 120 * NS
"""How far before the cursor reading begins: news may come late, and clocks differ."""
ORDERS_MAX = 500
ACTIVITIES_MAX = 100
DUPLICATE = "client_order_id must be unique"


def auth_headers(token: str) -> dict[str, str]:
    """The headers that log in with KEY_ID:SECRET. A secret: for the transport alone."""
    key, _, secret = token.partition(":")
    return {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret}


def find_token_fault(token: str) -> str | None:
    """Why it cannot be a login, or None. Never shows it."""
    key, colon, secret = token.partition(":")
    is_plain = token.isascii() and token.isprintable() and " " not in token
    if key and colon and secret and is_plain:
        return None
    return "must be KEY_ID:SECRET, the two parts of an Alpaca API key"


ORDERS_ANSWER = 3
"""Which of the account's answers lists the open orders."""
UNREADABLE = (MsgspecError, ValueError, ArithmeticError)
"""What one message of many may raise: it is named, and the others are read."""
_M = TypeVar("_M")


class Cursor(Struct, frozen=True):
    """How far history was read. `origin_ns` is the newest fill of before our time.

    While pages are being read: `phase` of the three, and where its next page begins.
    """

    watermark_ns: int
    origin_ns: int
    phase: str = ""
    token: str = ""

    @property
    def start_ns(self) -> int:
        """Where reading begins."""
        return max(self.watermark_ns - OVERLAP_NS, self.origin_ns)

    def encode(self) -> str:
        """As it is written down."""
        text = f"{format_time(self.watermark_ns)};{format_time(self.origin_ns)}"
        return f"{text};{self.phase};{self.token}" if self.phase else text


CREATIONS, FILLS, ENDINGS = "creations", "fills", "endings"
"""What history is read for, in this order: no fill before its order, no ending before its fills."""
NEXT_PHASE = {CREATIONS: FILLS, FILLS: ENDINGS, ENDINGS: ""}


class AlpacaAdapter:
    """Speaks Alpaca's trading and market-data API for one account."""

    capabilities = CAPABILITIES

    def __init__(self, settings: AdapterSettings) -> None:
        self._settings = settings
        key, _, secret = settings.token.partition(":")
        self._key, self._secret = key, secret
        self._reader = Reader(settings.broker_account_id, settings.account.base_currency)
        self._prices = PriceReader(key, secret, settings.feed)
        self._origin_ns: int | None = None

    # Orders

    def find_unsupported(self, order: NewOrder) -> str | None:
        """Why Alpaca cannot take the order, naming the field, or None."""
        return find_unsupported(order)

    def place(self, order: VenueOrder) -> Request:
        """POST /v2/orders."""
        return _call("POST", "/v2/orders", wire.encode(order_body(order)))

    def parse_placed(self, order: VenueOrder, response: Response, now_ns: int) -> Report:
        """Accepted and how it ended at once, or Rejected. Raises OutcomeUnknown."""
        name = order.venue_client_id
        refusal = find_refusal(response, now_ns, UnifiedError.SYMBOL_NOT_FOUND)
        if refusal is not None:
            if DUPLICATE in refusal.message:
                raise OutcomeUnknown("the id is in use: an order of ours exists under it")
            return Report(events=(Rejected(at_ns=now_ns, error=refusal, venue_client_id=name),))
        with deciding():
            made = wire.decode_order(response.body)
            if made.client_order_id not in (None, name):
                raise UnknownWord("an answer to another order")
            self._reader.remember_order(made)
            ending = self._reader.read_ending(made)
            if any(isinstance(event, Rejected) for event in ending):
                return Report(events=ending)
            at_ns = first_time(made.submitted_at, made.created_at)
            accepted = Accepted(at_ns=at_ns, broker_order_id=made.id, venue_client_id=name)
            return Report(events=(accepted, *ending))

    def cancel(self, order: VenueOrder) -> Request:
        """DELETE /v2/orders/{id}. Raises NotSent where no id of Alpaca's is known."""
        return _call("DELETE", self._path_of(order))

    def parse_canceled(self, order: VenueOrder, response: Response, now_ns: int) -> Report:
        """Nothing for a 204, which only promises; or CancelRefused. Raises OutcomeUnknown."""
        refusal = find_refusal(response, now_ns, UnifiedError.INVALID_ORDER)
        if refusal is None:
            return Report()
        return refuse_change(CancelRefused, order, refusal, now_ns)

    def amend(self, order: VenueOrder, terms: AmendTerms) -> Request:
        """PATCH /v2/orders/{id}, with what changes. Raises NotSent for one that is partly filled.

        What Alpaca makes of a quantity that is partly done is nowhere said, and was seen to
        trade more than was asked: such an order is to be canceled instead.
        """
        if self._reader.filled_of(self._id_of(order)):
            raise NotSent("a partly filled order is not replaced at Alpaca: cancel it")
        body = patch_body(order.order, terms)
        return _call("PATCH", self._path_of(order), wire.encode(body))

    def parse_amended(self, order: VenueOrder, response: Response, now_ns: int) -> Report:
        """Nothing for a 200, which only promises, or AmendRefused. Raises OutcomeUnknown."""
        refusal = find_refusal(response, now_ns, UnifiedError.INVALID_ORDER)
        if refusal is not None:
            return refuse_change(AmendRefused, order, refusal, now_ns)
        with deciding():
            made = wire.decode_order(response.body)
            previous = need(made.replaces or order.broker_order_id, "replaces")
            made = replace(made, replaces=previous)
            return Report(events=self._reader.expect_replacement(made, previous))

    def look_up(self, venue_client_id: str) -> Request:
        """GET /v2/orders:by_client_order_id."""
        name = quote(venue_client_id, safe="")
        return _call("GET", f"/v2/orders:by_client_order_id?client_order_id={name}")

    def parse_looked_up(self, venue_client_id: str, response: Response, now_ns: int) -> Report:
        """The order and how it ended, or no events. Its fills are in `since`. Raises Answered."""
        del venue_client_id, now_ns  # Alpaca dates what it says.
        if response.status == 404 and is_unknown_order(response):
            return Report()
        expect_ok(response)
        with reading("an order"):
            return Report(events=self._reader.read_listed(wire.decode_order(response.body)))

    def _id_of(self, order: VenueOrder) -> str | None:
        return order.broker_order_id or self._reader.broker_id(order.venue_client_id)

    def _path_of(self, order: VenueOrder) -> str:
        broker_order_id = self._id_of(order)
        if broker_order_id is None:
            raise NotSent("Alpaca goes by its own order id, and none was heard yet")
        return f"/v2/orders/{quote(broker_order_id, safe='')}"

    # The account, whose parts are read one after another

    def account(self) -> tuple[Request, ...]:
        """Fills before and after the rest: equal, and nothing moved in between."""
        newest = f"/v2/account/activities/FILL?direction=desc&page_size={ACTIVITIES_MAX}"
        listed = f"/v2/orders?status=open&limit={ORDERS_MAX}&direction=asc&nested=false"
        paths = (newest, "/v2/account", "/v2/positions", listed, "/v2/clock", newest)
        return tuple(_call("GET", path) for path in paths)

    def parse_account(self, answers: tuple[Response, ...], now_ns: int) -> AccountSnapshot:
        """The account, every fill in it told before. Raises Answered, Restless."""
        for response in answers:
            expect_ok(response)
        before, account, positions, orders, clock, after = (one.body for one in answers)
        name = self._settings.account.account
        with reading("an account"):
            facts = wire.decode_account(account)
            held = wire.decode_positions(positions)
            rung = wire.decode_clock(clock)
            self._prices.set_clock(rung)
            self._check_at_rest(wire.decode_activities(before), wire.decode_activities(after))
            self._reader.currency = facts.currency
            if not self._reader.watermark_ns:
                self._reader.advance(parse_time(rung.timestamp))
            snapshot = AccountSnapshot(
                account=account_of(self._settings.account, facts, now_ns),
                balances=balances_of(name, facts, len(held), len(wire.decode_raws(orders))),
                positions=tuple(
                    position_of(name, one, self._reader.symbol_of(one.symbol), now_ns)
                    for one in held
                ),
                cursor=self._cursor(),
            )
            # At rest: all that was before the broker's own time is told.
            self._reader.advance(parse_time(rung.timestamp))
            return snapshot

    def _check_at_rest(
        self, before: tuple[wire.Activity, ...], after: tuple[wire.Activity, ...]
    ) -> None:
        """Raises Restless where a fill may be in one part of the account and not in another."""
        if [fill.id for fill in before] != [fill.id for fill in after]:
            raise Restless("filled while the account was read")
        if self._origin_ns is None:
            # What was filled before our time is in the positions, and is not told again.
            self._origin_ns = max((fill_time(fill) for fill in after), default=0)
            return
        start_ns = max(self._reader.watermark_ns - OVERLAP_NS, self._origin_ns)
        if any(fill_time(f) > start_ns and not self._reader.has_read(f) for f in after):
            raise Restless("the account has fills that were not told yet")

    def _cursor(self) -> str:
        return Cursor(self._reader.watermark_ns, self._origin_ns or 0).encode()

    def parse_open_orders(self, answers: tuple[Response, ...], now_ns: int) -> Report:
        """The working orders among an account's answers; replacements with what they replace."""
        del now_ns  # Alpaca dates what it says.
        expect_ok(answers[ORDERS_ANSWER])
        with reading("open orders"):
            orders, unread = _decode_each(answers[ORDERS_ANSWER].body, wire.decode_order, "order")
            listed = {order.id for order in orders}
            for order in orders:
                if order.replaces is not None and order.replaces not in listed:
                    self._reader.mark_replaced(order.replaces)
            report = self._read_orders(orders)
            return replace(report, unread=unread + report.unread)

    # History

    def since(self, cursor: str) -> Request:
        """A page: orders submitted, or activities booked, since a little before the cursor."""
        at = _decode_cursor(cursor)
        start = quote(whole_second(at.start_ns), safe="")
        if at.phase == FILLS:
            token = f"&page_token={quote(at.token, safe='')}" if at.token else ""
            path = f"/v2/account/activities?direction=asc&page_size={ACTIVITIES_MAX}"
            return _call("GET", f"{path}&after={start}{token}")
        after = quote(at.token, safe="") or start
        path = f"/v2/orders?status=all&direction=asc&nested=true&limit={ORDERS_MAX}"
        return _call("GET", f"{path}&after={after}")

    def parse_since(self, cursor: str, response: Response, now_ns: int) -> Report:
        """A page of creations, then of fills, then of endings. Raises Answered."""
        del now_ns  # Alpaca dates what it says.
        expect_ok(response)
        with reading("history"):
            at = _decode_cursor(cursor)
            if self._origin_ns is None:
                self._origin_ns = at.origin_ns
            self._reader.advance(at.watermark_ns)
            phase = at.phase or CREATIONS
            if phase == FILLS:
                page, token = self._read_activities(response.body, at)
            else:
                page, token = self._read_history(response.body, phase)
            following = phase if token else NEXT_PHASE[phase]
            if not following:
                return replace(page, cursor=self._cursor())
            here = Cursor(at.watermark_ns, at.origin_ns, following, token)
            return replace(page, cursor=here.encode(), has_more=True)

    def _read_history(self, body: bytes, phase: str) -> tuple[Report, str]:
        """Creations or endings, and where the next page begins."""
        orders, unread = _decode_each(body, wire.decode_order, "order")
        token = ""
        if len(orders) + len(unread) == ORDERS_MAX and orders:
            token = need(orders[-1].submitted_at or orders[-1].created_at, "submitted_at")
        every = tuple(one for order in orders for one in (order, *(order.legs or ())))
        for order in every:
            self._reader.remember_order(order)
        report = self._read_orders(every)
        if phase == ENDINGS:
            ended = tuple(event for event in report.events if not _is_creation(event))
            self._reader.advance(news_time(ended))
            return Report(events=ended), token
        made = tuple(event for event in report.events if _is_creation(event))
        return Report(events=made, unread=unread + report.unread), token

    def _read_orders(self, orders: tuple[wire.Order, ...]) -> Report:
        """What each says; one in unknown words is named and passed over."""
        events: list[VenueEvent] = []
        unread: list[str] = []
        for order in orders:
            try:
                events += self._reader.read_listed(order)
            except UNREADABLE as trouble:
                unread.append(f"order {order.id}: {trouble}")
        return Report(events=tuple(events), unread=tuple(unread))

    def _read_activities(self, body: bytes, at: Cursor) -> tuple[Report, str]:
        """Fills and bookings, and where the next page begins."""
        activities, unread = _decode_each(body, wire.decode_activity, "activity")
        events: list[VenueEvent] = []
        booked: list[Transaction] = []
        for activity in activities:
            try:
                if activity.activity_type != "FILL":
                    moved = transaction_of(self._settings, activity)
                    booked += () if moved is None else (moved,)
                elif fill_time(activity) > at.origin_ns:
                    events.append(self._reader.read_fill(activity))
            except UNREADABLE as trouble:
                unread += (f"activity {activity.id}: {trouble}",)
        self._reader.advance(news_time(events))
        is_full = len(activities) + len(unread) >= ACTIVITIES_MAX
        token = activities[-1].id if is_full and activities else ""
        return Report(events=tuple(events), unread=unread, transactions=tuple(booked)), token

    # Instruments

    def instruments(self) -> tuple[Request, ...]:
        """GET /v2/assets, by class."""
        path = "/v2/assets?status=active&asset_class="
        return tuple(_call("GET", path + name) for name in words.ASSET_CLASS)

    def parse_instruments(self, answers: tuple[Response, ...]) -> tuple[Instrument, ...]:
        """What is open for trading. Raises Answered."""
        found: list[Instrument] = []
        for response in answers:
            expect_ok(response)
            with reading("assets"):
                assets = wire.decode_assets(response.body)
                found += (instrument_of(asset) for asset in assets if is_tradeable(asset))
        self._reader.learn_pairs(i.symbol for i in found if i.asset_class is AssetClass.CRYPTO)
        return tuple(found)

    # Streams

    def event_stream(self) -> Request:
        """The trading stream: logged in, and listening to trade updates."""
        login = {
            "action": "authenticate",
            "data": {"key_id": self._key, "secret_key": self._secret},
        }
        listen = {"action": "listen", "data": {"streams": ["trade_updates"]}}
        steps = (
            Step(wire.encode(login), _hears_authorized),
            Step(wire.encode(listen), _hears_listening),
        )
        return SocketStream(path="/stream", host=Host.REST, steps=steps, split=wire.whole_message)

    def parse_event_line(self, line: bytes, now_ns: int) -> Report:
        """What a trade update says, or that the stream lives."""
        del now_ns  # Alpaca dates what it says.
        if not line:
            return Report(is_heartbeat=True)
        with reading("a stream line"):
            said = wire.decode_envelope(line)
            if said.stream in ("authorization", "listening"):
                return Report(is_heartbeat=True)
            if said.stream != "trade_updates":
                return Report(cursor=self._cursor(), unread=(f"stream {said.stream[:40]!r}",))
            return self._read_update(wire.decode_update(bytes(said.data)))

    def _read_update(self, update: wire.TradeUpdate) -> Report:
        try:
            gap = self._reader.find_gap(update)
            events = self._reader.read_update(update)
        except UNREADABLE as trouble:
            return Report(cursor=self._cursor(), unread=(f"order {update.order.id}: {trouble}",))
        self._reader.advance(news_time(events))
        return Report(events=events, cursor=self._cursor(), gap=gap)

    def price_feed(self, symbol: str) -> str:
        """Stocks and crypto come over streams of their own."""
        return self._prices.feed_of(symbol)

    def price_stream(self, symbols: tuple[str, ...]) -> Request:
        """The stream of one feed, on the stream host."""
        return self._prices.stream(symbols)

    def change_prices(
        self, added: tuple[str, ...], removed: tuple[str, ...]
    ) -> tuple[bytes, ...] | None:
        """Subscribes and unsubscribes on the open stream."""
        return self._prices.change(added, removed)

    def parse_price_line(self, line: bytes, connection: str, now_ns: int) -> PriceReport:
        """The best bid and ask, and whether they can be traded on."""
        with reading("a price line"):
            return self._prices.read(line, connection, now_ns)


def _call(method: str, path: str, body: bytes | None = None) -> Request:
    return Request(method=method, path=path, body=body, headers=HEADERS if body else {})


def _decode_each(
    body: bytes, decode: Callable[[Raw], _M], what: str
) -> tuple[tuple[_M, ...], tuple[str, ...]]:
    """The messages of a list, and those that cannot be read. Raises MsgspecError for no list."""
    read: list[_M] = []
    unread: list[str] = []
    for raw in wire.decode_raws(body):
        try:
            read.append(decode(raw))
        except NOT_JSON as trouble:
            unread.append(f"{what} {bytes(raw)[:80]!r}: {trouble}")
    return tuple(read), tuple(unread)


def _decode_cursor(text: str) -> Cursor:
    """Raises BrokerError."""
    watermark, _, rest = text.partition(";")
    origin, _, paging = rest.partition(";")
    phase, _, token = paging.partition(";")
    try:
        if phase and phase not in NEXT_PHASE:
            raise ValueError(phase)
        return Cursor(parse_time(watermark), parse_time(origin), phase, token)
    except ValueError as error:
        raise BrokerError(f"no cursor of Alpaca's: {text[:80]!r}") from error


def _is_creation(event: VenueEvent) -> bool:
    return isinstance(event, External | Replaced)


def _hears_authorized(line: bytes) -> bool:
    return _hears_control(line, "authorization", lambda said: said.status == "authorized")


def _hears_listening(line: bytes) -> bool:
    return _hears_control(line, "listening", lambda said: "trade_updates" in said.streams)


def _hears_control(line: bytes, stream: str, is_granted: Callable[[wire.Control], bool]) -> bool:
    """Whether the line grants what was asked. Raises BrokerError where it refuses."""
    try:
        said = wire.decode_envelope(line)
        if said.stream not in ("authorization", "listening"):
            return False
        control = wire.decode_control(bytes(said.data))
    except NOT_JSON:
        return False
    if control.status == "unauthorized" or (said.stream == stream and not is_granted(control)):
        raise BrokerError(
            f"the trading stream refuses: {said.stream} {control.status or 'nothing'}"
        )
    return said.stream == stream
