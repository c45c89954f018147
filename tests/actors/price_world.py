"""A connection's prices between a paper venue, a router and edges played by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from connection_world import Wired
from paper_venue import Asked
from router_world import FakeLink, over_the_wire, quote

from actors import messages as m
from actors.prices import Prices
from brokers.adapter import Answered, Request
from domain.quotes import Quote

TICK_S = 0.001


class Lines:
    """Lines of one stream; remembers what was said on it."""

    def __init__(self, lines: AsyncGenerator[bytes, None], said: list[tuple[bytes, ...]]) -> None:
        self._lines = lines
        self._said = said

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        return self._lines

    async def say(self, *frames: bytes) -> None:
        self._said.append(frames)


class Market:
    """A connection with its price streams. `asked` are the symbols of each stream opened."""

    def __init__(self, folder: Path, *, streams_max: int = 9, **settings: Any) -> None:
        self.wired = Wired(folder, **settings)
        self.prices = Prices(self.wired.connection)
        self.asked: list[tuple[str, ...]] = []
        self.said: list[tuple[bytes, ...]] = []
        self.opened_beside: list[int] = []
        self._streams_max = streams_max
        self._open_lines = self.wired.transport.open_lines
        self.wired.transport.open_lines = self._spy  # type: ignore[method-assign,assignment]
        self._task = asyncio.create_task(self.prices.run())

    @asynccontextmanager
    async def _spy(self, request: Request, silence_ms: int) -> AsyncGenerator[Any, None]:
        async with self._open_lines(request, silence_ms) as lines:
            if request.path != "prices":
                yield lines
                return
            assert request.body is not None
            asked = msgspec.msgpack.decode(request.body, type=Asked)
            self.asked.append(tuple(asked.name.split(",")))
            open_now = len(self.wired.venue._prices)
            if open_now > self._streams_max:
                raise Answered(406, b"connection limit exceeded")
            self.opened_beside.append(open_now - 1)
            yield Lines(lines, self.said)

    async def up(self) -> FakeLink:
        link = self.attach()
        await asyncio.sleep(0.3)
        return link

    def attach(self, name: str = "router", epoch: int = 1) -> FakeLink:
        link = self.wired.link(name)
        attach = m.Attach(epoch=epoch, incarnation="", last=0, last_intent=0, cursor=None)
        self.prices.received(link, over_the_wire(attach, "connection"))  # type: ignore[arg-type]
        return link

    def edge(self, name: str = "edge-0") -> FakeLink:
        link = FakeLink(name, "edge", self.wired.effects)
        self.prices.link_up(link)  # type: ignore[arg-type]
        return link

    def watch(self, name: str, *instruments: str, link: FakeLink | None = None) -> FakeLink:
        link = link or FakeLink(name, "edge", self.wired.effects)
        wanted = m.WatchQuotes(instruments=instruments)
        self.prices.received(link, over_the_wire(wanted, "connection"))  # type: ignore[arg-type]
        return link

    def say(self, symbol: str = "EUR/USD", **words: Any) -> None:
        self.wired.venue.quote(quote(symbol, **words))

    def heard(self, name: str) -> list[Quote]:
        return [q for told in self.wired.told(m.Quotes, name) for q in told.quotes]

    def offers(self, name: str = "edge-0") -> list[m.PriceOffer]:
        return self.wired.told(m.PriceOffer, name)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.wired.stop()
