"""One price stream of a connection, kept open on the instruments wanted now.

What is wanted changes while it is open: where the broker takes it, it is told so on the stream;
else a second stream is opened with the new set, and the first goes once the second speaks. A
broker that allows but one refuses the second; then the first makes room for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from actors.connection import BrokerConnection
from actors.event_stream import BACKOFF_S
from brokers.adapter import Answered, BrokerError
from domain.accounts import SessionState
from domain.market_facts import MarketFact
from domain.quotes import Quote
from streaming.quotes import QuoteBook

CHANGE_AFTER_S = 0.05
"""Wishes that come together are one change."""
IDLE_S = 0.05
CATCH_UP_NS = 2_000_000_000
"""How long a new stream may tell what is known already; after it all it says is news."""

log = structlog.get_logger()


class PriceFeed:
    """The prices of one feed. `tell` is called with each quote that is news.

    `tell_fact` is with what the market says of a security beside its price.
    """

    def __init__(
        self,
        connection: BrokerConnection,
        tell: Callable[[Quote], None],
        tell_fact: Callable[[MarketFact], None],
    ) -> None:
        self.connection = connection
        self.book = QuoteBook()
        self.wanted: frozenset[str] = frozenset()
        self.tell = tell
        self.tell_fact = tell_fact
        self._changed = asyncio.Event()
        self._speaker: _Stream | None = None

    def want(self, symbols: frozenset[str]) -> None:
        """Follows these from now on."""
        if symbols == self.wanted:
            return
        for gone in self.wanted - symbols:
            self.book.drop(gone)
        self.wanted = symbols
        self._changed.set()

    async def run(self) -> None:
        """Follows what is wanted while the connection is up, for ever."""
        failures = 0
        while True:
            while not self.wanted or self.connection.state is not SessionState.CONNECTED:
                await asyncio.sleep(IDLE_S)
            try:
                await self._follow()
                failures = 0
            except BrokerError as trouble:
                failures = 0 if self._speaker is not None else failures + 1
                log.warning("price stream", id=self.connection.settings.id, why=str(trouble))
            self._speaker = None
            self.book.lost()
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])

    async def _follow(self) -> None:
        """One stream after another, until nothing is wanted or the last one breaks."""
        stream: _Stream | None = _Stream(self, self.wanted)
        while stream is not None:
            try:
                later = await self._outlive(stream)
            except BaseException:
                await stream.end()
                raise
            if later is not stream:
                await stream.end()
            stream = later

    async def _outlive(self, stream: _Stream) -> _Stream | None:
        """Waits for a change of wishes; returns the stream that goes on with them."""
        await asyncio.wait({stream.opened, stream.task}, return_when=asyncio.FIRST_COMPLETED)
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({changed, stream.task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        if stream.task.done():
            stream.task.result()
            raise BrokerError("the price stream ended")
        await asyncio.sleep(CHANGE_AFTER_S)
        self._changed.clear()
        if not self.wanted:
            return None
        if self.wanted == stream.symbols:
            return stream
        return stream if await self._say(stream) else await self._replace(stream)

    async def _say(self, stream: _Stream) -> bool:
        """True where the change could be said on the open stream."""
        added = tuple(sorted(self.wanted - stream.symbols))
        removed = tuple(sorted(stream.symbols - self.wanted))
        frames = self.connection.adapter.change_prices(added, removed)
        if frames is None:
            return False
        stream.symbols = self.wanted
        await stream.lines.say(*frames)
        return True

    async def _replace(self, stream: _Stream) -> _Stream:
        """Opens another; the old one stays until the new one has spoken, or cannot be beside it."""
        later = _Stream(self, self.wanted)
        try:
            await asyncio.wait({later.spoke, later.task}, return_when=asyncio.FIRST_COMPLETED)
            if later.task.done():
                later.task.result()
        except Answered as refused:
            log.info("one price stream at a time", why=str(refused))
            await stream.end()
            return _Stream(self, self.wanted)
        except BrokerError:
            # The old one may still speak: it is tried again after a moment.
            await asyncio.sleep(BACKOFF_S[-1])
            self._changed.set()
            return stream
        except BaseException:
            await later.end()
            raise
        return later

    def take(self, stream: _Stream, line: bytes) -> bool:
        """Takes a line of the newest stream that speaks; False where another has taken over."""
        if self._speaker is not stream:
            if stream.has_spoken:
                return False
            self._speaker = stream
            stream.begin(self.connection.clocks.boot_ns())
        connection = self.connection
        clocks = connection.clocks
        now_ns, boot_ns = clocks.utc_ns(), clocks.boot_ns()
        self.book.heard(boot_ns, now_ns)
        report = connection.adapter.parse_price_line(line, connection.settings.id, now_ns)
        if report.fact is not None and report.fact.instrument in self.wanted:
            self.tell_fact(report.fact)
        for quote in report.quotes:
            if quote.instrument in self.wanted and stream.is_news(quote, boot_ns):
                self.tell(quote)
        return True


class _Stream:
    """One stream from its opening; `symbols` are what it was asked for last."""

    def __init__(self, feed: PriceFeed, symbols: frozenset[str]) -> None:
        loop = asyncio.get_running_loop()
        self.symbols = symbols
        self.lines: Any = None
        self.opened: asyncio.Future[None] = loop.create_future()
        self.spoke: asyncio.Future[None] = loop.create_future()
        self._feed = feed
        self._spoke_ns = 0
        self._told: set[str] = set()
        self.task = loop.create_task(self._read())

    @property
    def has_spoken(self) -> bool:
        """True once a line came."""
        return self.spoke.done()

    def begin(self, now_ns: int) -> None:
        """It has spoken."""
        self._spoke_ns = now_ns
        self.spoke.set_result(None)

    async def _read(self) -> None:
        connection = self._feed.connection
        adapter = connection.adapter
        request = adapter.price_stream(tuple(sorted(self.symbols)))
        silence_ms = adapter.capabilities.heartbeat_ms * 2 + 500
        async with connection.line.open_lines(request, silence_ms) as lines:
            self.lines = lines
            self.opened.set_result(None)
            async for line in lines:
                if not self._feed.take(self, line):
                    return

    def is_news(self, quote: Quote, now_ns: int) -> bool:
        """False for what a stream tells first, its state, where that is known already."""
        name = quote.instrument
        known = None if name in self._told else self._feed.book.find(name)
        if known is not None and now_ns - self._spoke_ns < CATCH_UP_NS:
            is_older = quote.broker_ns < known.broker_ns
            if is_older or _state(quote) == _state(known):
                return False
        self._told.add(name)
        return True

    async def end(self) -> None:
        """Closes it; how it ended is no matter any more."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def _state(quote: Quote) -> tuple[object, ...]:
    return (quote.broker_ns, quote.bid, quote.ask, quote.tradeable)
