"""Quotes to clients: in one write, to slow readers as they asked, to late ones at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from gateway_world import RawClient, World, a_quote, a_world, an_update, until

from gateway import wire
from gateway.client import Client
from gateway.settings import Limits
from gateway.wire import CloseCode


async def _lag(world: World, client: RawClient) -> Any:
    """Makes the client's transport say stop; returns its connection."""
    client.writer.transport.pause_reading()
    (connection,) = world.server._connections
    seq = world.router.head()
    while not connection.outbox.is_paused:
        seq += 1
        world.router.publish(an_update(seq, name="n" * 60 + str(seq)))
        if seq % 100 == 0:
            await asyncio.sleep(0)
    return connection


@pytest.mark.asyncio
async def test_who_wants_each_quote_gets_each_though_it_lags(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        slow = await world.logged_in(receive_buffer=4_096)
        sub = {"t": "sub", "id": "s", "streams": {"quotes/EUR/USD": None}, "conflate": False}
        await slow.ask(sub)
        await _lag(world, slow)
        for first in range(1, 100, 2):
            world.server.quotes.deliver([a_quote(first), a_quote(first + 1)])
        slow.writer.transport.resume_reading()
        got = [(await slow.next(wire.QuoteUpdate)).quote for _ in range(100)]
        assert [quote.update for quote in got] == list(range(1, 101))
        assert {quote.conflated for quote in got} == {1}
        assert world.server.counts.quotes_conflated == 0


@pytest.mark.asyncio
async def test_who_wants_each_quote_and_reads_too_slowly_is_closed(tmp_path: Path) -> None:
    async with a_world(tmp_path, limits=Limits(unsent_bytes_max=20_000)) as world:
        slow = await world.logged_in(receive_buffer=4_096)
        sub = {"t": "sub", "id": "s", "streams": {"quotes/EUR/USD": None}, "conflate": False}
        await slow.ask(sub)
        connection = await _lag(world, slow)
        update = 0
        while not connection._is_closing:
            update += 1
            world.server.quotes.deliver([a_quote(update)])
        # What comes after the close is nobody's any more.
        world.server.quotes.deliver([a_quote(update + 1)])
        connection.hold_quote(a_quote(update + 1))
        slow.writer.transport.resume_reading()
        assert await slow.closed() == CloseCode.SLOW_CONSUMER


@pytest.mark.asyncio
async def test_who_subscribes_second_hears_the_newest_quote_at_once(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        first = await world.logged_in()
        await first.ask({"t": "sub", "id": "s", "streams": {"quotes/EUR/USD": None}})
        world.server.quotes.deliver([a_quote(6), a_quote(7), a_quote(1, "NOT/WATCHED")])
        second = await world.logged_in(login={"session": "s2"})
        await second.ask({"t": "sub", "id": "s", "streams": {"quotes/EUR/USD": None}})
        quote = (await second.next(wire.QuoteUpdate)).quote
        assert (quote.update, quote.unchanged, quote.conflated) == (7, True, 0)


@pytest.mark.asyncio
async def test_several_quotes_reach_each_client_in_one_write(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        client = await world.logged_in()
        streams = {"quotes/EUR/USD": None, "quotes/USD/JPY": None}
        await client.ask({"t": "sub", "id": "s", "streams": streams})
        (connection,) = world.server._connections
        written: list[bytes] = []
        write, connection.outbox._write = connection.outbox._write, written.append
        world.server.quotes.deliver([a_quote(1), a_quote(1, "USD/JPY"), a_quote(2)])
        assert len(written) == 1
        write(written[0])
        got = [(await client.next(wire.QuoteUpdate)).quote for _ in range(3)]
        assert [(q.instrument, q.update) for q in got] == [
            ("EUR/USD", 1), ("USD/JPY", 1), ("EUR/USD", 2),
        ]  # fmt: skip


@pytest.mark.asyncio
async def test_a_client_asks_again_for_each_quote_after_a_reconnect(tmp_path: Path) -> None:
    async with (
        a_world(tmp_path) as world,
        Client.connect(world.url, world.token, "s1") as client,
    ):
        quotes = client.quotes("EUR/USD", conflate=False)
        first = asyncio.create_task(anext(quotes))
        await until(lambda: world.router.watched == ["EUR/USD"])
        await world.kill()
        world.router.watched.clear()
        await world.start()
        await until(lambda: world.router.watched == ["EUR/USD"])
        (watchers,) = world.server.quotes._watchers.values()
        assert list(watchers.values()) == [False]
        world.server.quotes.deliver([a_quote(1), a_quote(2)])
        assert [(await first).update, (await anext(quotes)).update] == [1, 2]
        await quotes.aclose()  # type: ignore[attr-defined]


@pytest.mark.asyncio
async def test_a_second_feed_of_an_instrument_hears_the_newest_at_once(tmp_path: Path) -> None:
    async with (
        a_world(tmp_path) as world,
        Client.connect(world.url, world.token, "s1") as client,
    ):
        one, two = client.quotes("EUR/USD"), client.quotes("EUR/USD")
        first = asyncio.create_task(anext(one))
        await until(lambda: world.router.watched == ["EUR/USD"])
        world.server.quotes.deliver([a_quote(4)])
        assert (await first).update == 4
        assert (await anext(two)).update == 4
        for quotes in (one, two):
            await quotes.aclose()  # type: ignore[attr-defined]
