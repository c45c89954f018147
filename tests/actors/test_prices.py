"""Prices: every update to those who watch, a few to the router, and a still market says so."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

from connection_world import Wired
from router_world import FakeLink, over_the_wire, quote
from virtual_time import in_virtual_time

from actors import messages as m
from actors.prices import Prices

TICK_S = 0.001


class Market:
    """A connection with its price stream, and edges played by hand."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.wired = Wired(folder, **settings)
        self.prices = Prices(self.wired.connection)
        self._task = asyncio.create_task(self.prices.run())

    async def up(self) -> FakeLink:
        link = self.attach()
        await asyncio.sleep(0.3)
        return link

    def attach(self, name: str = "router", epoch: int = 1) -> FakeLink:
        link = self.wired.link(name)
        attach = m.Attach(epoch=epoch, incarnation="", last=0, last_intent=0, cursor=None)
        self.prices.received(link, over_the_wire(attach, "connection"))  # type: ignore[arg-type]
        return link

    def watch(self, name: str, *instruments: str, link: FakeLink | None = None) -> FakeLink:
        link = link or FakeLink(name, "edge", self.wired.effects)
        wanted = m.WatchQuotes(instruments=instruments)
        self.prices.received(link, over_the_wire(wanted, "connection"))  # type: ignore[arg-type]
        return link

    def say(self, symbol: str = "EUR/USD", **words: Any) -> None:
        self.wired.venue.quote(quote(symbol, **words))

    def heard(self, name: str) -> list[Any]:
        return [q for told in self.wired.told(m.Quotes, name) for q in told.quotes]

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.wired.stop()


@in_virtual_time
async def test_an_edge_gets_every_update_of_what_it_watches_and_nothing_else(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path)
    await market.up()
    market.watch("edge-0", "EUR/USD")
    for number in range(5):
        market.say("EUR/USD", bid=Decimal("1.1") - Decimal(number) / 10_000)
        market.say("USD/JPY")
    await asyncio.sleep(TICK_S)
    heard = market.heard("edge-0")
    assert [q.instrument for q in heard] == ["EUR/USD"] * 5
    assert [q.update for q in heard] == [1, 2, 3, 4, 5]
    await market.stop()


@in_virtual_time
async def test_the_router_gets_at_most_twenty_a_second_and_the_latest_at_last(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path)
    await market.up()
    for number in range(100):
        market.say(bid=Decimal("1.1") - Decimal(number) / 100_000)
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)
    heard = [q for q in market.heard("router") if not q.unchanged]
    assert 5 <= len(heard) <= 12
    assert heard[-1].bid == Decimal("1.1") - Decimal(99) / 100_000
    assert sum(q.conflated for q in heard) == 100
    await market.stop()


@in_virtual_time
async def test_who_comes_later_gets_the_latest_first(tmp_path: Path) -> None:
    market = Market(tmp_path)
    await market.up()
    market.say("EUR/USD")
    market.say("USD/JPY")
    await asyncio.sleep(TICK_S)
    edge = market.watch("edge-0", "EUR/USD")
    assert [q.instrument for q in market.heard("edge-0")] == ["EUR/USD"]
    market.watch("edge-0", "EUR/USD", "USD/JPY", link=edge)
    assert [q.instrument for q in market.heard("edge-0")] == ["EUR/USD", "USD/JPY"]
    market.watch("edge-1", "GBP/USD")
    assert market.heard("edge-1") == []
    market.attach("second", epoch=2)
    assert {q.instrument for q in market.heard("second")} == {"EUR/USD", "USD/JPY"}
    await market.stop()


@in_virtual_time
async def test_an_edge_that_left_is_told_nothing_and_the_router_may_leave_too(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path)
    router = await market.up()
    edge = market.watch("edge-0", "EUR/USD")
    market.prices.link_down(edge)  # type: ignore[arg-type]
    market.prices.link_down(router)  # type: ignore[arg-type]
    market.say()
    await asyncio.sleep(0.2)
    assert market.heard("edge-0") == []
    assert market.heard("router") == []
    assert market.wired.connection.router is None
    await market.stop()


@in_virtual_time
async def test_a_still_market_is_told_once_a_second_as_unchanged(tmp_path: Path) -> None:
    market = Market(tmp_path)
    await market.up()
    market.watch("edge-0", "EUR/USD")
    market.say()
    await asyncio.sleep(5)
    repeats = [q for q in market.heard("edge-0") if q.unchanged]
    assert 4 <= len(repeats) <= 6
    assert all(q.conflated == 0 and q.stream_ns is not None for q in repeats)
    assert [q for q in market.heard("router") if q.unchanged]
    await market.stop()


@in_virtual_time
async def test_a_dead_price_stream_vouches_for_nothing_and_is_opened_again(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path)
    await market.up()
    market.watch("edge-0", "EUR/USD")
    market.say()
    await asyncio.sleep(TICK_S)
    market.wired.venue.is_down = True
    market.wired.venue.cut()
    await asyncio.sleep(5)
    assert [q for q in market.heard("edge-0") if q.unchanged] == []
    market.wired.venue.is_down = False
    await asyncio.sleep(5)
    market.say()
    await asyncio.sleep(TICK_S)
    assert market.heard("edge-0")[-1].update == 2
    await market.stop()


@in_virtual_time
async def test_before_the_connection_is_up_no_prices_are_asked_for(tmp_path: Path) -> None:
    market = Market(tmp_path)
    await asyncio.sleep(1)
    assert not market.prices.is_ready()
    assert market.wired.venue._prices == []
    await market.up()
    assert market.prices.is_ready()
    assert len(market.wired.venue._prices) == 1
    await market.stop()


@in_virtual_time
async def test_only_the_instruments_set_are_followed(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY", "NOT/HERE"))
    seen: list[tuple[str, ...]] = []
    ask = market.wired.connection.adapter.price_stream

    def spy(symbols: tuple[str, ...]) -> Any:
        seen.append(symbols)
        return ask(symbols)

    market.wired.connection.adapter.price_stream = spy  # type: ignore[method-assign]
    await market.up()
    assert seen == [("USD/JPY",)]
    await market.stop()
