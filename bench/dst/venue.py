"""The broker: the real matching engine and OANDA dialect, behind a bad line in memory.

What the line may do: not connect, lose a request or its answer, let it land late, fail with a
502 before or after, tell stream lines twice or swapped, go silent, cut its streams, stay away.
The request of a process that dies may still arrive.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from random import Random
from urllib.parse import unquote

from msgspec import Struct

from bench.dst.begun import Begun
from bench.dst.loop import PROCESS, Process, SimLoop
from brokers.adapter import BrokerError, NotSent, OutcomeUnknown, Request, Response
from brokers.simulators.book import Account, AccountSettings, Quote
from brokers.simulators.bookkeeping import Clocks
from brokers.simulators.candles import Candles
from brokers.simulators.control import all_orders
from brokers.simulators.engine import Engine, EngineSettings
from brokers.simulators.facts import AnyFact, Filled
from brokers.simulators.hostility import Hostility, disturb
from brokers.simulators.listings import LISTINGS
from brokers.simulators.oanda_bodies import rfc3339
from brokers.simulators.oanda_dialect import OandaDialect
from brokers.simulators.oanda_replies import ENCODER, Call
from brokers.transport_http1 import Heard
from ledger.agreement import VenueBook, VenueFill, VenueOrder

BROKER_ACCOUNT = "101-001-1000001-001"
MIDDLES = {
    "EUR_USD": Decimal("1.10000"), "USD_JPY": Decimal("110.000"), "GBP_USD": Decimal("1.30000"),
}  # fmt: skip
HEARTBEAT_S = 5.0
MS = 1_000_000
WAY_NS = (300_000, 3_000_000)
FATES = ("lost", "dropped", "late", "not_sent", "failed_applied", "failed_ignored", "slow")


class Badness(Struct, kw_only=True):
    """How badly the broker and its line behave now."""

    write_fault: float = 0.0
    read_fault: float = 0.0
    lines: Hostility = Hostility()
    lost_line: float = 0.0
    is_down: bool = False


class Sent(Struct, frozen=True):
    """An order whose first byte left: when, and its words."""

    at_ns: int
    body: bytes


class Lines:
    """One open stream: lines in order, its end, or silence."""

    def __init__(self, venue: Venue, process: Process, silence_ms: int) -> None:
        self.process = process
        self.symbols: frozenset[str] | None = None
        self._venue = venue
        self._silence_s = silence_ms / 1_000
        self._held: deque[bytes | None] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._last_ns = 0

    def tell(self, line: bytes | None) -> None:
        """Sends a line (None: the end) after all sent before."""
        loop = self._venue.loop
        self._last_ns = max(self._last_ns, loop.now_ns + self._venue.way_ns())
        loop.call_at_ns(self._last_ns, self._arrive, line, context=self.process.context)

    def _arrive(self, line: bytes | None) -> None:
        self._held.append(line)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> bytes:
        """The next line. Raises BrokerError."""
        if not self._held:
            self._wake = self._venue.loop.create_future()
            try:
                async with asyncio.timeout(self._silence_s):
                    await self._wake
            except TimeoutError:
                raise BrokerError(f"silent for {self._silence_s} s") from None
        line = self._held.popleft()
        if line is None:
            raise BrokerError("the stream was cut")
        return line


class Venue:
    """The broker's process."""

    def __init__(self, loop: SimLoop, luck: Random, utc_ns: Callable[[], int]) -> None:
        self.loop = loop
        self.luck = luck
        self.process = Process("venue")
        self.badness = Badness()
        self.on_request: Callable[[str, bytes | None, str], None] | None = None
        self.sent: list[Sent] = []
        settings = EngineSettings(
            accounts=(AccountSettings(id=BROKER_ACCOUNT, balance=Decimal(1_000_000)),),
            listings=tuple(x for x in LISTINGS if x.symbol in MIDDLES),
            client_ids="off",
        )
        self._streams: list[Lines] = []
        self._utc_ns = utc_ns
        self._dialect: OandaDialect | None = None
        self.engine = Engine(settings, Clocks(utc_ns), self._tell, self._tell_quote)
        self.dialect = self._dialect = OandaDialect(self.engine, Candles(), lambda: "")
        self.account = self.engine.accounts[BROKER_ACCOUNT]
        self.middles = dict(MIDDLES)
        loop.call_soon(self._beat, context=self.process.context)

    def way_ns(self) -> int:
        """One way over the internet."""
        return self.luck.randint(*WAY_NS)

    # -- the market

    def move(self, symbol: str, pips: int) -> None:
        """The market quotes again, some pips away."""
        pip = Decimal("0.01") if symbol.endswith("JPY") else Decimal("0.0001")
        middle = self.middles[symbol] = self.middles[symbol] + pip * pips
        half = pip / 2
        self.engine.quote(
            Quote(
                instrument=symbol, bid=middle - half, ask=middle + half, at_ns=self._utc_ns(),
            )
        )  # fmt: skip

    def _tell_quote(self, quote: Quote) -> None:
        line = None
        for stream in self._streams:
            if stream.symbols is not None and quote.instrument in stream.symbols:
                if line is None:
                    line = self.dialect.reads.price_line(quote.instrument, rfc3339) or b""
                stream.tell(line)

    def _tell(self, account: Account, act: list[AnyFact]) -> None:
        if self._dialect is None:
            return
        lines = [bytes(raw) for raw in self._dialect.render(account, act)]
        badness = self.badness.lines
        if badness.silent:
            return
        for line in disturb(badness, self.luck, lines):
            if self.badness.lost_line and self.luck.random() < self.badness.lost_line:
                continue
            for stream in tuple(self._streams):
                if stream.symbols is None:
                    stream.tell(line)

    def _beat(self) -> None:
        self.loop.call_later(HEARTBEAT_S, self._beat)
        if not self.badness.lines.silent:
            for stream in self._streams:
                stream.tell(self._heartbeat(stream))

    def _heartbeat(self, stream: Lines) -> bytes:
        beat = {"type": "HEARTBEAT", "time": rfc3339(self._utc_ns())}
        if stream.symbols is None:
            beat["lastTransactionID"] = str(self.account.last_id)
        return ENCODER.encode(beat)

    def cut(self) -> None:
        """Ends every open stream."""
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.tell(None)

    def open(self, stream: Lines, query: str) -> None:
        """A stream begins: prices first say what they are, both give a sign of life."""
        if query:
            names = frozenset(unquote(query.removeprefix("instruments=")).split(","))
            stream.symbols = names
            for name in sorted(names & self.engine.quotes.keys()):
                stream.tell(self.dialect.reads.price_line(name, rfc3339))
        stream.tell(self._heartbeat(stream))
        self._streams.append(stream)

    def leave(self, stream: Lines) -> None:
        """Nobody listens any more."""
        if stream in self._streams:
            self._streams.remove(stream)

    # -- requests

    def answer(self, request: Request) -> Response:
        """The engine's answer."""
        path, _, query = request.path.partition("?")
        tail = [unquote(part) for part in path.split("/")[4:]]
        call = Call(self.account, "", request.body or b"", query, rfc3339)
        handlers = self.dialect.routes.get(tuple(tail))
        if handlers is None:
            call.spec = tail[1]
            handlers = self.dialect.routes[tail[0], "*", *tail[2:]]
        reply = self.dialect.answer(handlers[request.method], call)
        return Response(status=reply.status, body=reply.body)

    def book(self) -> VenueBook:
        """The account in the words of the agreement."""
        return VenueBook(
            orders=tuple(
                VenueOrder(
                    broker_order_id=str(order.id),
                    client_id=order.client_id,
                    is_working=order.id in self.account.working,
                )
                for order in all_orders(self.account)
            ),
            fills=tuple(
                VenueFill(
                    broker_execution_id=str(fact.id),
                    broker_order_id=str(fact.order),
                    quantity=abs(fact.units),
                    price=fact.price,
                )
                for fact in self.account.facts.values()
                if isinstance(fact, Filled)
            ),
        )


class Line:
    """One login's way to the venue: the transport's interface."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self._is_busy = False
        self._begun = Begun()

    def open(self) -> None:
        """Nothing to make."""

    async def close(self) -> None:
        """Nothing to end."""

    async def warm_up(self) -> None:
        """Raises BrokerError where the venue is away."""
        await asyncio.sleep(0.001)
        if self.venue.badness.is_down:
            raise BrokerError("nobody there")

    def begin(
        self, request: Request, timeout_ms: int, check: Callable[[], None], heard: Heard
    ) -> bool:
        """Every second order finds no connection at rest."""
        self._is_busy = not self._is_busy
        if self._is_busy:
            return False
        check()
        self._begun.begin(self.send(request, timeout_ms), heard)
        return True

    async def send(
        self, request: Request, timeout_ms: int, check: Callable[[], None] | None = None
    ) -> Response:
        """At most once, whatever happens to it. Raises NotSent or OutcomeUnknown."""
        venue = self.venue
        luck, badness = venue.luck, venue.badness
        is_bad = badness.write_fault and luck.random() < badness.write_fault
        fate = luck.choice(FATES) if is_bad else "ok"
        if badness.is_down or fate == "not_sent":
            await asyncio.sleep(0.001)
            raise NotSent("no connection")
        if check is not None:
            check()
        if request.method == "POST":
            venue.sent.append(Sent(venue.loop.now_ns, request.body or b""))
        if venue.on_request is not None:
            venue.on_request(f"{request.method} {request.path}", request.body, fate)
        future: asyncio.Future[Response] = venue.loop.create_future()
        self._carry(request, fate, future)
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                return await future
        except TimeoutError:
            raise OutcomeUnknown("no answer in time") from None

    def _carry(self, request: Request, fate: str, future: asyncio.Future[Response]) -> None:
        venue = self.venue
        sender = PROCESS.get()
        assert sender is not None
        due_ns = venue.loop.now_ns + venue.way_ns()
        if fate == "late":
            due_ns += venue.luck.randint(20, 400) * MS
        if fate in ("lost", "late", "dropped") and venue.luck.random() < 0.5:
            # The connection breaks at once, whether or not the request goes on.
            error = OutcomeUnknown(fate)
            venue.loop.call_at_ns(due_ns, _fail, future, error, context=sender.context)
        if fate == "dropped":
            return
        # What has left goes on without its sender.
        context = venue.process.context
        venue.loop.call_at_ns(due_ns, self._land, request, fate, future, sender, context=context)

    def _land(
        self, request: Request, fate: str, future: asyncio.Future[Response], sender: Process
    ) -> None:
        venue = self.venue
        failed = Response(status=502, body=b"")
        response = failed if fate == "failed_ignored" else venue.answer(request)
        if fate == "failed_applied":
            response = failed
        if fate in ("lost", "late"):
            return
        due_ns = venue.loop.now_ns + venue.way_ns()
        if fate == "slow":
            due_ns += venue.luck.randint(50, 1_500) * MS
        venue.loop.call_at_ns(due_ns, _give, future, response, context=sender.context)

    async def read(self, request: Request, timeout_ms: int) -> Response:
        """A read. Raises BrokerError."""
        venue = self.venue
        luck, badness = venue.luck, venue.badness
        await asyncio.sleep(venue.way_ns() / 1e9)
        if badness.is_down or (badness.read_fault and luck.random() < badness.read_fault):
            raise BrokerError("the read failed")
        response = venue.answer(request)
        await asyncio.sleep(venue.way_ns() / 1e9)
        return response

    @asynccontextmanager
    async def open_lines(self, request: Request, silence_ms: int) -> AsyncGenerator[Lines, None]:
        """A stream, open: from here on nothing is missed, unless the venue is hostile."""
        venue = self.venue
        await asyncio.sleep(venue.way_ns() / 1e9)
        if venue.badness.is_down:
            raise BrokerError("nobody there")
        process = PROCESS.get()
        assert process is not None
        stream = Lines(venue, process, silence_ms)
        venue.open(stream, request.path.partition("?")[2])
        try:
            yield stream
        finally:
            venue.leave(stream)


def _give(future: asyncio.Future[Response], response: Response) -> None:
    if not future.done():
        future.set_result(response)


def _fail(future: asyncio.Future[Response], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
