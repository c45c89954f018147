"""The price stream of a connection, and who gets its quotes.

Edges say which instruments their clients watch and get every update (a reader that lags gets
the latest of each); the router gets at most 20 a second and instrument, never raw ticks.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from actors import messages as m
from actors.connection import BACKOFF_S, BrokerConnection
from actors.link import Link, LinkOwner
from brokers.adapter import BrokerError
from domain.accounts import SessionState
from domain.quotes import Quote
from streaming.quotes import Throttle

ROUTER_QUOTES_PER_S = 20
FLUSH_S = 0.05
IDLE_S = 0.05


class Prices(LinkOwner[Any]):
    """Takes the connection's links: routers' go on to the connection, edges' stay here."""

    def __init__(self, connection: BrokerConnection) -> None:
        self._connection = connection
        self._edges: dict[Link[Any], frozenset[str]] = {}
        self._updates: dict[str, int] = {}
        self._latest: dict[str, Quote] = {}
        self._throttle = Throttle(ROUTER_QUOTES_PER_S)

    def link_down(self, link: Link[Any]) -> None:
        """A router or an edge went."""
        if self._edges.pop(link, None) is None:
            self._connection.link_down(link)

    def received(self, link: Link[Any], message: Any) -> None:
        """An edge's wishes, or a router's word."""
        if isinstance(message, m.WatchQuotes):
            wanted = frozenset(message.instruments)
            before = self._edges.get(link, frozenset())
            self._edges[link] = wanted
            first = [self._latest[name] for name in wanted - before if name in self._latest]
            if first:
                link.send(m.Quotes(quotes=tuple(first)))
        else:
            was = self._connection.router
            self._connection.received(link, message)
            if self._connection.router is not was and self._latest:
                link.send(m.Quotes(quotes=tuple(self._latest.values())))

    def is_ready(self) -> bool:
        """What a Pong says."""
        return self._connection.is_ready()

    async def run(self) -> None:
        """Follows the prices while the connection is up, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._flush_throttled())
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
                failures += 1
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])

    async def _follow(self) -> None:
        connection = self._connection
        adapter = connection.adapter
        names = connection.settings.instruments or tuple(sorted(connection.instruments))
        request = adapter.price_stream(tuple(n for n in names if n in connection.instruments))
        silence_ms = adapter.capabilities.heartbeat_ms * 2 + 500
        async with connection.transport.open_lines(request, silence_ms) as lines:
            async for line in lines:
                now = connection.clocks.utc_ns()
                report = adapter.parse_price_line(line, connection.settings.id, now)
                if report.quote is not None:
                    self._take(report.quote)

    def _take(self, quote: Quote) -> None:
        name = quote.instrument
        number = self._updates.get(name, 0) + 1
        self._updates[name] = number
        quote = msgspec.structs.replace(quote, update=number)
        self._latest[name] = quote
        if self._edges:
            message = m.Quotes(quotes=(quote,))
            for link, wanted in self._edges.items():
                if name in wanted:
                    link.send(message)
        now = self._throttle.offer(quote, self._connection.clocks.boot_ns())
        if now is not None:
            self._tell_router((now,))

    async def _flush_throttled(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            due = tuple(self._throttle.due(self._connection.clocks.boot_ns()))
            if due:
                self._tell_router(due)

    def _tell_router(self, quotes: tuple[Quote, ...]) -> None:
        if self._connection.router is not None:
            self._connection.router.send(m.Quotes(quotes=quotes))
