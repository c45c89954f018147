"""The server under every dialect: its life, its market, its state file, the fate of requests.

The answer to a request is written before its events appear on the stream, unless hostility
says otherwise.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Protocol, Self

from aiohttp import web

from brokers.simulators.book import Account, Quote
from brokers.simulators.control import Control
from brokers.simulators.feed import Feed, MarketClock
from brokers.simulators.hostility import KIND, Fate, Hostility, draw_fate
from brokers.simulators.plain_http import Asked, PlainHttp
from brokers.simulators.server_settings import ServerSettings
from brokers.simulators.state import StateFile
from brokers.simulators.ticks import Tick, generate, read_aligned, tick_files
from brokers.simulators.venue import Venue

TIMER_S = 0.25
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class OpenStreams(Protocol):
    """The streams of a dialect."""

    hostility: Hostility

    def cut_all(self) -> None:
        """Ends them all."""


class Server(ABC):
    """One simulated broker. Times come from `now_ns`, luck from the seed."""

    engine: Venue
    streams: OpenStreams

    def __init__(self, settings: ServerSettings, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.base = settings
        self.clock = MarketClock(now_ns, settings.clock == "ticks")
        self.luck = Random(settings.seed)  # noqa: S311 - a simulator's luck is seeded
        self.orders_by_client_id: Counter[str] = Counter()
        self.requests_seen: deque[dict[str, Any]] = deque(maxlen=settings.requests_seen_max)
        self.player = Feed(settings.feed, self._source, self.feed, self.clock)
        self.hostility = Hostility()
        self.url = self.stream_url = ""
        self._control = Control(self)
        self._state = StateFile(Path(settings.state)) if settings.state else None
        self._tasks: set[asyncio.Task[None]] = set()
        self._plain: set[PlainHttp] = set()

    # -- what a dialect adds

    @abstractmethod
    async def handle(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        """Answers a request that is not the simulator's own."""

    def answer(self, asked: Asked) -> bytes | None:
        """The whole answer to a plain request of a kind broker; None leaves it to `handle`."""
        return None

    @abstractmethod
    def take_quote(self, quote: Quote) -> None:
        """Gives a new touch to the engine."""

    @abstractmethod
    def keep_time(self) -> None:
        """Ends orders and days on time, even while the market is silent."""

    def order_name(self, account: Account, number: int) -> int | str:
        """What the dialect calls an order."""
        return number

    def fill_name(self, account: Account, number: int) -> int | str:
        """What the dialect calls a fill."""
        return number

    # -- life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Restores state, starts the market and listens."""
        if self._state is not None:
            self._state.load(self.engine)
        self.keep_time()
        self._http = web.Server(self._handle, access_log=None, keepalive_timeout=600.0)
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: PlainHttp(self._answer, self._http, self._plain),
            self.base.host,
            self.base.port,
        )
        host, port = self._listener.sockets[0].getsockname()[:2]
        self.url = self.stream_url = f"http://{host}:{port}"
        self.spawn(self._keep_time())
        if self._state is not None:
            self.spawn(self._keep_state(self._state))
        if self.base.feed.source != "none":
            await self.player.begin()

    async def stop(self) -> None:
        """Stops the market, drops the streams, saves the state."""
        await self.player.stop()
        self.streams.cut_all()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._listener.close()
        for connection in tuple(self._plain):
            connection.abort()
        await self._http.shutdown(0.1)
        if self._state is not None:
            await self._state.save(self.engine)

    def spawn(self, work: Any) -> None:
        """Runs beside the server until it stops."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(TIMER_S)
            self.keep_time()

    async def _keep_state(self, state: StateFile) -> None:
        while True:
            await asyncio.sleep(self.base.state_every_ms / 1000)
            await state.save(self.engine)

    def be_hostile(self, hostility: Hostility) -> None:
        """Sets the faults from now on."""
        self.hostility = self.streams.hostility = hostility
        is_guarded = hostility.unique_client_ids
        self.engine.client_ids = self.base.engine.client_ids if is_guarded else "off"

    # -- the market

    def _source(self) -> Iterator[Tick]:
        feed = self.base.feed
        if feed.source == "files":
            return read_aligned(tick_files(Path(feed.ticks or "")))
        start_ns = self.clock.now_ns()
        return generate(self.engine.listings, self.luck, start_ns, feed.gap_ms)

    def feed(self, tick: Tick) -> None:
        """Takes one tick into the market; unknown instruments are ignored."""
        listing = self.engine.listings.get(tick.instrument)
        if listing is None:
            return
        self.clock.saw(tick.at_ns)
        self.take_quote(
            Quote(
                instrument=tick.instrument,
                bid=tick.bid.quantize(listing.tick),
                ask=tick.ask.quantize(listing.tick),
                at_ns=self.clock.now_ns() if self.base.restamp else tick.at_ns,
                bid_left=tick.bid_size,
                ask_left=tick.ask_size,
            )
        )

    # -- requests

    def _answer(self, asked: Asked) -> bytes | None:
        hostility = self.hostility
        is_plain = hostility.is_kind and not hostility.stream_first
        return self.answer(asked) if is_plain and not asked.path.startswith("/sim/") else None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if path.startswith("/sim/"):
            return await self._handle_control(request, path)
        return await self.handle(request, path, query)

    async def _handle_control(self, request: web.BaseRequest, path: str) -> web.Response:
        if "Origin" in request.headers:
            # No web page has business here.
            return web.Response(status=403)
        status, body = await self._control.answer(request.method, path, await request.read())
        return web.Response(status=status, body=body, content_type="application/json")

    def add_control(self, path: str, act: Callable[[dict[str, Any]], Any]) -> None:
        """A path of the simulator's own that only this dialect has."""
        self._control.add(path, act)

    def draw_fate(self, method: str) -> Fate:
        """What happens to a request."""
        hostility = self.hostility
        return KIND if hostility.is_kind else draw_fate(hostility, self.luck, method in WRITES)

    async def meet_fate(
        self, request: web.BaseRequest, fate: Fate, act: Callable[[], web.Response]
    ) -> web.StreamResponse:
        """Acts and answers, as well as the hostility allows."""
        if fate is KIND and not self.hostility.stream_first:
            return act()
        if fate.late_ms is not None:
            asyncio.get_running_loop().call_later(fate.late_ms / 1000, act)
        response = act() if fate.applied else self.trouble(503, "Service Unavailable")
        if fate.delay_ms:
            await asyncio.sleep(fate.delay_ms / 1000)
        if self.hostility.stream_first:
            # Let the stream's task write before this answer is written.
            for _ in range(3):
                await asyncio.sleep(0)
        if fate.lost:
            if request.transport is not None:
                hang_up(request.transport, response if fate.torn else None)
            return web.Response()
        return self.trouble(502, "Bad Gateway") if fate.failed else response

    @abstractmethod
    def trouble(self, status: int, message: str) -> web.Response:
        """The broker's own failure, in its words."""

    def remember(self, account: str, by: str, body: bytes) -> None:
        """Keeps what was asked, for checks."""
        self.requests_seen.append(
            {
                "at_ns": self.clock.now_ns(),
                "monotonic_ns": time.monotonic_ns(),
                "account": account,
                "by": by,
                "body": body.decode("utf-8", "replace"),
            }
        )


def hang_up(transport: asyncio.Transport, response: web.Response | None) -> None:
    """Drops the connection, without a word or in the middle of the answer."""
    if response is not None and isinstance(response.body, bytes):
        body = response.body
        head = f"HTTP/1.1 {response.status} Torn\r\nContent-Length: {len(body)}\r\n\r\n"
        transport.write(head.encode() + body[: len(body) // 2])
        transport.close()
    else:
        transport.abort()
