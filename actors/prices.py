"""The price stream of a connection, and who gets its quotes.

Edges say which instruments their clients watch and get every update (a reader that lags gets
the latest of each); the router gets at most 20 a second and instrument, never raw ticks. A
still market is told once a second, marked `unchanged`, for as long as its stream gives signs
of life: so a quote's age says whether the line is dead, not whether the market is quiet.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from actors import messages as m
from actors.connection import BACKOFF_S, BrokerConnection
from actors.link import Link, LinkOwner
from brokers.adapter import BrokerError, PriceReport
from domain.accounts import SessionState
from domain.quotes import Quote
from streaming.quotes import QuoteBook, Throttle

FLUSH_S = 0.05
REPEAT_EVERY_FLUSHES = 4
IDLE_S = 0.05


class Prices(LinkOwner[Any]):
    """Takes the connection's links: routers' go on to the connection, edges' stay here."""

    def __init__(self, connection: BrokerConnection) -> None:
        self._connection = connection
        self._name = connection.settings.id
        self._edges: dict[Link[Any], frozenset[str]] = {}
        self._updates: dict[str, int] = {}
        self._book = QuoteBook()
        self._throttle = Throttle()

    # -- readers

    def link_down(self, link: Link[Any]) -> None:
        """A router or an edge went."""
        if self._edges.pop(link, None) is None:
            self._connection.link_down(link)

    def received(self, link: Link[Any], message: Any) -> None:
        """An edge's wishes, or a router's word."""
        if isinstance(message, m.WatchQuotes):
            wanted = frozenset(message.instruments)
            added = wanted - self._edges.get(link, frozenset())
            self._edges[link] = wanted
            self._tell_latest(link, added)
        else:
            was = self._connection.router
            self._connection.received(link, message)
            if self._connection.router is not was:
                self._tell_latest(link, self._updates)

    def _tell_latest(self, link: Link[Any], instruments: Any) -> None:
        quotes = tuple(q for name in instruments for q in self._book.latest(name))
        if quotes:
            link.send(m.Quotes(quotes=quotes))

    def is_ready(self) -> bool:
        """What a Pong says."""
        return self._connection.is_ready()

    # -- the stream

    async def run(self) -> None:
        """Follows the prices while the connection is up, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._flush_for_ever())
            tasks.create_task(self._follow_for_ever())

    async def _follow_for_ever(self) -> None:
        failures = 0
        while True:
            while self._connection.state is not SessionState.CONNECTED:
                await asyncio.sleep(IDLE_S)
            try:
                await self._follow()
                failures = 0
            except BrokerError:
                self._book.drop_connection(self._name)
                failures += 1
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])

    async def _follow(self) -> None:
        connection = self._connection
        adapter, clocks = connection.adapter, connection.clocks
        names = connection.settings.instruments or tuple(sorted(connection.instruments))
        request = adapter.price_stream(tuple(n for n in names if n in connection.instruments))
        silence_ms = adapter.capabilities.heartbeat_ms * 2 + 500
        async with connection.transport.open_lines(request, silence_ms) as lines:
            async for line in lines:
                self._take(adapter.parse_price_line(line, self._name, clocks.utc_ns()))

    def _take(self, report: PriceReport) -> None:
        clocks = self._connection.clocks
        now_ns = clocks.boot_ns()
        if report.quote is None:
            self._book.heard(self._name, now_ns, clocks.utc_ns())
            return
        for other in report.others:
            self._take(PriceReport(quote=other))
        name = report.quote.instrument
        number = self._updates.get(name, 0) + 1
        self._updates[name] = number
        quote = msgspec.structs.replace(report.quote, update=number)
        self._book.update(quote, now_ns)
        self._tell_edges(quote)
        at_once = self._throttle.offer(quote, now_ns)
        if at_once is not None:
            self._tell_router((at_once,))

    def _tell_edges(self, quote: Quote) -> None:
        message = m.Quotes(quotes=(quote,))
        for link, wanted in self._edges.items():
            if quote.instrument in wanted:
                link.send(message)

    def _tell_router(self, quotes: tuple[Quote, ...]) -> None:
        if self._connection.router is not None:
            self._connection.router.send(m.Quotes(quotes=quotes))

    async def _flush_for_ever(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(FLUSH_S)
            turn += 1
            now_ns = self._connection.clocks.boot_ns()
            due = self._throttle.due(now_ns)
            if turn % REPEAT_EVERY_FLUSHES == 0:
                repeats = self._book.repeats(self._updates, now_ns)
                for quote in repeats:
                    self._tell_edges(quote)
                due += repeats
            if due:
                self._tell_router(tuple(due))
