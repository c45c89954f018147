"""A broker in memory that can be as bad as brokers are, its adapter, and the line to it.

Its messages are our own events in msgpack, so that the tests tell of actors, not of a dialect.
It takes the same client id as often as it is sent: only the actors keep an order from being
doubled. All waiting is done on the loop, so a virtual clock makes it free.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct
from router_world import INSTRUMENTS, REFUSED, account, quote

from actors.settings import ConnectionSettings
from bench.dst.begun import Begun
from brokers.adapter import (
    AmendTerms,
    BrokerError,
    Capabilities,
    ClientIdUse,
    NotSent,
    OutcomeUnknown,
    Pace,
    PriceReport,
    Report,
    Request,
    Response,
    VenueOrder,
)
from brokers.transport_http1 import Heard
from domain import events as ev
from domain import ids
from domain.accounts import AccountBalances, AccountSnapshot
from domain.events import VenueEvent
from domain.instruments import Instrument
from domain.market_facts import MarketFact
from domain.orders import NewOrder, OrderType
from domain.portfolio import LotClosed, LotOpened, Position, apply_lots
from domain.quotes import Quote
from ledger.agreement import VenueBook, VenueFill
from ledger.agreement import VenueOrder as BookOrder

HEARTBEAT_S = 1.0
LATENCY_S = 0.002
LATE_S = 0.25
SLOW_S = 0.4
MONEY = Decimal(1_000_000)
PRICE = Decimal("1.10000")

CAPABILITIES = Capabilities(
    broker="paper",
    docs="tests",
    order_types=frozenset(OrderType),
    times_in_force={},
    client_id=ClientIdUse.ECHOED,
    duplicate_client_id="taken",
    visibility_horizon_ms=500,
    evidence_window_ms=86_400_000,
    pace=Pace(requests=1000, per_ms=1000),
    heartbeat_ms=int(HEARTBEAT_S * 1000),
    amends=True,
    brackets=True,
    shows_lots=True,
)


class Line(Struct):
    """One line of the event stream, or a page of history."""

    events: tuple[VenueEvent, ...] = ()
    cursor: str | None = None
    head: str | None = None


class Asked(Struct):
    """What a request says."""

    what: str
    name: str = ""
    order: VenueOrder | None = None
    terms: AmendTerms | None = None


class Told(Struct):
    """What an answer says."""

    events: tuple[VenueEvent, ...] = ()
    cursor: str = "0"
    snapshot: AccountSnapshot | None = None
    instruments: tuple[Instrument, ...] = ()


class Kept(Struct):
    """An order in the venue's book."""

    broker_order_id: str
    client_id: str
    order: NewOrder
    leaves: Decimal
    is_working: bool = True
    replaces: str | None = None


_encode = msgspec.msgpack.Encoder().encode
_asked = msgspec.msgpack.Decoder(Asked).decode
_told = msgspec.msgpack.Decoder(Told).decode
_line = msgspec.msgpack.Decoder(Line).decode
_quote = msgspec.msgpack.Decoder(Quote).decode
_fact = msgspec.msgpack.Decoder(MarketFact).decode


class PaperVenue:
    """The book of one account, and how badly its owner behaves."""

    def __init__(self, settings: ConnectionSettings, page: int = 1000) -> None:
        self.settings = settings
        self.orders: dict[str, Kept] = {}
        self.fills: list[ev.Fill] = []
        self.history: list[VenueEvent] = []
        self.positions: dict[str, Position] = {}
        self.requests: list[Asked] = []
        self.fates: deque[str] = deque()
        self.read_fates: deque[str] = deque()
        self.is_down = False
        self.is_silent = False
        self.skips = 0
        self.page = page
        self.opened = asyncio.Event()
        self._streams: list[asyncio.Queue[bytes | None]] = []
        self._prices: list[asyncio.Queue[bytes | None]] = []

    # -- the book

    def say(self, event: VenueEvent) -> VenueEvent:
        """Writes a fact into history and onto the streams."""
        self.history.append(event)
        if self.skips:
            self.skips -= 1
            return event
        line = _encode(Line(events=(event,), cursor=self.cursor))
        for stream in self._streams:
            stream.put_nowait(line)
        return event

    @property
    def cursor(self) -> str:
        return str(len(self.history))

    def now_ns(self) -> int:
        return len(self.history) + 1

    def place(self, asked: VenueOrder) -> tuple[VenueEvent, ...]:
        """Takes an order; a market order fills at once, one tagged `refuse` is refused."""
        order, client_id = asked.order, asked.venue_client_id
        if order.tag == "refuse":
            refused = ev.Rejected(at_ns=self.now_ns(), error=REFUSED, venue_client_id=client_id)
            return (self.say(refused),)
        kept = self.book(order, client_id)
        accepted = ev.Accepted(
            at_ns=self.now_ns(), broker_order_id=kept.broker_order_id, venue_client_id=client_id
        )
        if order.type is not OrderType.MARKET:
            return (accepted,)
        return (accepted, self.fill(kept.broker_order_id, order.quantity))

    def book(self, order: NewOrder, client_id: str = "", replaces: str | None = None) -> Kept:
        name = f"b{len(self.orders) + 1}"
        kept = Kept(name, client_id, order, order.quantity, replaces=replaces)
        self.orders[name] = kept
        if replaces is None:
            self.say(self._creation(kept))
        return kept

    def _creation(self, kept: Kept) -> ev.External:
        order = kept.order
        return ev.External(
            at_ns=self.now_ns(),
            broker_order_id=kept.broker_order_id,
            instrument=order.instrument,
            side=order.side,
            quantity=kept.leaves,
            order_type=order.type,
            time_in_force=order.time_in_force,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
            venue_client_id=kept.client_id or None,
        )

    def fill(self, name: str, quantity: Decimal | int) -> VenueEvent:
        """Fills a working order, or a part of it."""
        kept = self.orders[name]
        done = min(Decimal(quantity), kept.leaves)
        kept.leaves -= done
        kept.is_working = kept.leaves > 0
        execution = f"x{len(self.fills) + 1}"
        at_ns, symbol = self.now_ns(), kept.order.instrument
        opened, closed = self._net(symbol, done * kept.order.side.sign, execution)
        before = self.positions.get(symbol) or Position(
            account=self.settings.account, instrument=symbol, quantity=Decimal(0)
        )
        self.positions[symbol] = apply_lots(before, opened, closed, at_ns)
        fill = ev.Fill(
            at_ns=at_ns,
            execution_id=ids.execution_id("paper", self.settings.account, execution),
            broker_execution_id=execution,
            broker_order_id=name,
            instrument=symbol,
            side=kept.order.side,
            quantity=done,
            price=PRICE,
            venue_client_id=kept.client_id or None,
            lots_opened=opened,
            lots_closed=closed,
        )
        self.fills.append(fill)
        return self.say(fill)

    def _net(
        self, symbol: str, left: Decimal, execution: str
    ) -> tuple[tuple[LotOpened, ...], tuple[LotClosed, ...]]:
        """What a fill does to the lots: first in, first out, and the rest is a lot of its own."""
        closed = []
        held = self.positions.get(symbol)
        for lot in held.lots if held else ():
            if left and (left > 0) != (lot.quantity > 0):
                used = min(abs(left), abs(lot.quantity)) * (1 if left > 0 else -1)
                closed.append(LotClosed(lot_id=lot.lot_id, quantity=used, price=PRICE))
                left -= used
        opened = LotOpened(lot_id=f"lot-{execution}", quantity=left, price=PRICE)
        return ((opened,) if left else ()), tuple(closed)

    def cancel(self, name: str, client_id: str = "") -> tuple[VenueEvent, ...]:
        kept = self._find(name, client_id)
        if kept is None or not kept.is_working:
            refused = ev.CancelRefused(
                at_ns=self.now_ns(), error=REFUSED, broker_order_id=name or None,
                venue_client_id=client_id or None,
            )  # fmt: skip
            return (refused,)
        kept.is_working = False
        canceled = ev.Canceled(
            at_ns=self.now_ns(), reason="asked", broker_order_id=kept.broker_order_id,
            venue_client_id=kept.client_id or None,
        )  # fmt: skip
        return (self.say(canceled),)

    def amend(self, name: str, client_id: str, terms: AmendTerms) -> tuple[VenueEvent, ...]:
        """Cancels and makes anew, under another broker order id and the same client id."""
        kept = self._find(name, client_id)
        if kept is None or not kept.is_working:
            refused = ev.AmendRefused(
                at_ns=self.now_ns(), error=REFUSED, broker_order_id=name, venue_client_id=client_id
            )
            return (refused,)
        kept.is_working = False
        filled = kept.order.quantity - kept.leaves
        quantity = max(terms.quantity or kept.order.quantity, filled)
        order = msgspec.structs.replace(
            kept.order, quantity=quantity, limit_price=terms.limit_price
        )
        made = self.book(order, client_id, replaces=kept.broker_order_id)
        made.leaves = quantity - filled
        made.is_working = made.leaves > 0
        replaced = ev.Replaced(
            at_ns=self.now_ns(),
            broker_order_id=made.broker_order_id,
            previous_broker_order_id=kept.broker_order_id,
            venue_client_id=client_id or None,
            quantity=quantity,
            limit_price=terms.limit_price,
        )
        return (self.say(replaced),)

    def _find(self, name: str, client_id: str) -> Kept | None:
        if name:
            return self.orders.get(name)
        found = [kept for kept in self.orders.values() if kept.client_id == client_id]
        return found[-1] if found and client_id else None

    def working(self) -> list[Kept]:
        return [kept for kept in self.orders.values() if kept.is_working]

    def as_book(self) -> VenueBook:
        """The account for `ledger.agreement`; replacements are no orders of their own."""
        return VenueBook(
            orders=tuple(
                BookOrder(
                    broker_order_id=kept.broker_order_id,
                    client_id=kept.client_id or None,
                    is_working=kept.is_working,
                )
                for kept in self.orders.values()
            ),
            fills=tuple(
                VenueFill(
                    broker_execution_id=fill.broker_execution_id,
                    broker_order_id=fill.broker_order_id,
                    quantity=fill.quantity,
                    price=fill.price,
                )
                for fill in self.fills
            ),
        )

    # -- answers

    def answer(self, asked: Asked) -> Told:
        self.requests.append(asked)
        order = asked.order
        match asked.what:
            case "place" if order is not None:
                return Told(events=self.place(order))
            case "cancel" if order is not None:
                return Told(events=self.cancel(order.broker_order_id or "", order.venue_client_id))
            case "amend" if order is not None and asked.terms is not None:
                name = order.broker_order_id or ""
                return Told(events=self.amend(name, order.venue_client_id, asked.terms))
            case "look_up":
                return Told(events=self._look_up(asked.name))
            case "since":
                start = int(asked.name)
                page = tuple(self.history[start : start + self.page])
                return Told(events=page, cursor=str(start + len(page)))
            case "account":
                orders = tuple(self._creation(kept) for kept in self.working())
                return Told(events=orders, cursor=self.cursor, snapshot=self._snapshot())
            case _:
                return Told(instruments=INSTRUMENTS)

    def _look_up(self, name: str) -> tuple[VenueEvent, ...]:
        kept = self._find("", name)
        if kept is None:
            return ()
        found = ev.Accepted(
            at_ns=self.now_ns(), broker_order_id=kept.broker_order_id, venue_client_id=name
        )
        return (found,)

    def _snapshot(self) -> AccountSnapshot:
        settings = self.settings
        held = tuple(p for p in self.positions.values() if p.quantity or p.lots)
        balances = AccountBalances(
            account=settings.account, currency=settings.currency, cash=MONEY, equity=MONEY
        )
        return AccountSnapshot(
            account=account(settings), balances=balances, positions=held, cursor=self.cursor
        )

    # -- streams

    def cut(self) -> None:
        """Ends every open stream."""
        for stream in (*self._streams, *self._prices):
            stream.put_nowait(None)

    def fact(self, told: MarketFact) -> None:
        """Says something of a security beside its price."""
        for stream in self._prices:
            stream.put_nowait(b"!" + _encode(told))

    def quote(self, told: Quote) -> None:
        for stream in self._prices:
            stream.put_nowait(_encode(told))

    def quote_all(self, at_ns: int) -> None:
        for one in INSTRUMENTS:
            self.quote(quote(one.symbol, at_ns))

    def raw_line(self, line: bytes) -> None:
        for stream in self._streams:
            stream.put_nowait(line)

    def heartbeat(self, head: str | None = None) -> bytes:
        return _encode(Line(head=head or self.cursor))


class PaperAdapter:
    """Translates nothing: the venue speaks our words."""

    capabilities = CAPABILITIES

    def __init__(self) -> None:
        self.last = 0

    def find_unsupported(self, order: NewOrder) -> str | None:
        return None

    def _ask(self, what: str, **words: Any) -> Request:
        return Request(method="POST", path=what, body=_encode(Asked(what=what, **words)))

    def place(self, order: VenueOrder) -> Request:
        return self._ask("place", order=order)

    def cancel(self, order: VenueOrder) -> Request:
        return self._ask("cancel", order=order)

    def amend(self, order: VenueOrder, terms: AmendTerms) -> Request:
        return self._ask("amend", order=order, terms=terms)

    def look_up(self, venue_client_id: str) -> Request:
        return self._ask("look_up", name=venue_client_id)

    def account(self) -> tuple[Request, ...]:
        return (self._ask("account"),)

    def since(self, cursor: str) -> Request:
        return self._ask("since", name=cursor)

    def instruments(self) -> tuple[Request, ...]:
        return (self._ask("instruments"),)

    def event_stream(self) -> Request:
        return self._ask("events")

    def price_feed(self, symbol: str) -> str:
        return "prices"

    def price_stream(self, symbols: tuple[str, ...]) -> Request:
        return self._ask("prices", name=",".join(symbols))

    def change_prices(
        self, added: tuple[str, ...], removed: tuple[str, ...]
    ) -> tuple[bytes, ...] | None:
        return None

    def _events(self, response: Response) -> Report:
        if response.status != 200:
            raise OutcomeUnknown(f"HTTP {response.status}")
        told = _told(response.body)
        return Report(events=told.events, cursor=told.cursor)

    def parse_placed(self, order: VenueOrder, response: Response, now_ns: int) -> Report:
        return self._events(response)

    def parse_canceled(self, order: VenueOrder, response: Response, now_ns: int) -> Report:
        return self._events(response)

    def parse_amended(self, order: VenueOrder, response: Response, now_ns: int) -> Report:
        return self._events(response)

    def parse_looked_up(self, venue_client_id: str, response: Response, now_ns: int) -> Report:
        return self._events(response)

    def parse_open_orders(self, answers: tuple[Response, ...], now_ns: int) -> Report:
        return self._events(answers[0])

    def parse_since(self, cursor: str, response: Response, now_ns: int) -> Report:
        page = self._events(response)
        return msgspec.structs.replace(page, has_more=bool(page.events))

    def parse_account(self, answers: tuple[Response, ...], now_ns: int) -> AccountSnapshot:
        told = _told(answers[0].body).snapshot
        assert told is not None
        self.last = int(told.cursor)
        return told

    def parse_instruments(self, answers: tuple[Response, ...]) -> tuple[Instrument, ...]:
        return _told(answers[0].body).instruments

    def parse_event_line(self, line: bytes, now_ns: int) -> Report:
        said = _line(line)
        if said.cursor is None:
            return Report(is_heartbeat=True, head=said.head)
        last, self.last = self.last, max(self.last, int(said.cursor))
        gap = f"after {last} came {said.cursor}" if 0 < last < int(said.cursor) - 1 else None
        return Report(events=said.events, cursor=said.cursor, gap=gap)

    def parse_price_line(self, line: bytes, connection: str, now_ns: int) -> PriceReport:
        if line == b"heartbeat":
            return PriceReport(is_heartbeat=True)
        if line[:1] == b"!":
            return PriceReport(is_heartbeat=True, fact=_fact(line[1:]))
        told = msgspec.structs.replace(_quote(line), connection=connection, received_ns=now_ns)
        return PriceReport(quote=told)


class PaperTransport:
    """The line to the venue. Fates: ok, slow, hung, lost, late, dropped, not_sent, broken,
    too_many."""

    def __init__(self, venue: PaperVenue) -> None:
        self.venue = venue
        self.is_closed = False
        self._begun = Begun()

    def open(self) -> None:
        self.is_closed = False

    async def close(self) -> None:
        self.is_closed = True

    async def warm_up(self) -> None:
        if self.venue.is_down:
            raise BrokerError("nobody there")

    def begin(
        self, request: Request, timeout_ms: int, check: Callable[[], None], heard: Heard
    ) -> bool:
        fates = self.venue.fates
        if self.venue.is_down or (fates and fates[0] == "not_sent"):
            return False  # No connection is open.
        check()
        self._begun.begin(self.send(request, timeout_ms), heard)
        return True

    async def send(
        self, request: Request, timeout_ms: int, check: Callable[[], None] | None = None
    ) -> Response:
        venue = self.venue
        fate = venue.fates.popleft() if venue.fates else "ok"
        assert request.body is not None
        asked = _asked(request.body)
        if venue.is_down or fate == "not_sent":
            raise NotSent("no connection")
        if check is not None:
            check()
        if fate == "too_many":
            return Response(status=429, body=b"", headers={"retry-after": "2"})
        told = None
        if fate == "late":
            asyncio.get_running_loop().call_later(LATE_S, venue.answer, asked)
        elif fate != "dropped":
            told = venue.answer(asked)
        await asyncio.sleep(SLOW_S if fate in ("slow", "hung") else LATENCY_S)
        if fate == "broken":
            return Response(status=502, body=b"")
        if told is None or fate in ("lost", "hung"):
            raise OutcomeUnknown("no answer")
        return Response(status=200, body=_encode(told))

    async def read(self, request: Request, timeout_ms: int) -> Response:
        venue = self.venue
        fate = venue.read_fates.popleft() if venue.read_fates else "ok"
        assert request.body is not None
        await asyncio.sleep(LATENCY_S)
        if venue.is_down or fate != "ok":
            raise BrokerError("the read failed")
        return Response(status=200, body=_encode(venue.answer(_asked(request.body))))

    @asynccontextmanager
    async def open_lines(
        self, request: Request, silence_ms: int
    ) -> AsyncGenerator[AsyncGenerator[bytes, None], None]:
        venue = self.venue
        if venue.is_down:
            raise BrokerError("nobody there")
        is_events = request.path == "events"
        streams = venue._streams if is_events else venue._prices
        stream: asyncio.Queue[bytes | None] = asyncio.Queue()
        streams.append(stream)
        try:
            venue.opened.set()
            yield self._lines(stream, silence_ms, is_events)
        finally:
            streams.remove(stream)

    async def _lines(
        self, stream: asyncio.Queue[bytes | None], silence_ms: int, is_events: bool
    ) -> AsyncGenerator[bytes, None]:
        while True:
            try:
                # Not `wait_for`: on Python 3.11 it can swallow the end of its task.
                async with asyncio.timeout(HEARTBEAT_S):
                    line = await stream.get()
            except TimeoutError:
                if self.venue.is_silent:
                    raise BrokerError(f"silent for {silence_ms} ms") from None
                line = self.venue.heartbeat() if is_events else b"heartbeat"
            if line is None:
                raise BrokerError("the stream was cut")
            yield line
