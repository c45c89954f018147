"""The proxy does what its plan says, no more and no less: otherwise no goal behind it is proved."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from random import Random
from time import monotonic

import pytest

from bench.chaos_proxy import ChaosProxy, Plan, Way, Weather, chaos_proxy, fair

pytestmark = pytest.mark.asyncio
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """A server that says back what it hears, and keeps it."""

    def __init__(self) -> None:
        self.heard = b""
        self.ends = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                self.heard += data
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self.ends += 1
            writer.close()


@contextlib.asynccontextmanager
async def an_echo(plan: Plan = fair, seed: int = 1) -> AsyncIterator[tuple[ChaosProxy, Echo]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with chaos_proxy(("127.0.0.1", port), plan, seed) as proxy:
        yield proxy, echo
    server.close()


@contextlib.asynccontextmanager
async def a_line(proxy: ChaosProxy) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


FAIR = Way()


def always(up: Way = FAIR, down: Way = FAIR) -> Plan:
    return lambda _number, _luck: Weather(up=up, down=down)


async def test_fair_weather_carries_every_byte_and_the_end() -> None:
    async with an_echo() as (proxy, echo), a_line(proxy) as (reader, writer):
        sent = bytes(range(256)) * 2_000
        writer.write(sent)
        writer.write_eof()
        assert await reader.read(-1) == sent
        assert echo.heard == sent


@pytest.mark.parametrize("after", [1, 10, 70_000])
async def test_a_cut_lets_exactly_so_many_bytes_through(after: int) -> None:
    async with an_echo(always(up=Way(cut_after=after))) as (proxy, echo):
        async with a_line(proxy) as (reader, writer):
            writer.write(bytes(200_000))
            with contextlib.suppress(ConnectionError):
                await reader.read(-1)
        while not echo.ends:
            await asyncio.sleep(0.001)
        assert len(echo.heard) <= after
        assert proxy.cuts == 1


async def test_a_stalled_direction_keeps_the_socket_open_and_hides_its_end() -> None:
    plan = always(down=Way(stall_after=3))
    async with an_echo(plan) as (proxy, echo), a_line(proxy) as (reader, writer):
        writer.write(b"abcdef")
        assert await reader.readexactly(3) == b"abc"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        assert echo.heard == b"abcdef"
        proxy.flow()
        assert await reader.readexactly(3) == b"def"
        proxy.stall(up=True, down=False)
        writer.write(b"more")
        writer.write_eof()
        await asyncio.sleep(0.05)
        assert (echo.heard, echo.ends) == (b"abcdef", 0)


async def test_latency_delays_and_jitter_never_reorders() -> None:
    way = Way(latency_ms=40, jitter_ms=30)
    async with an_echo(always(up=way)) as (proxy, _), a_line(proxy) as (reader, writer):
        began = monotonic()
        sent = b""
        for number in range(20):
            piece = f"{number:04}".encode()
            sent += piece
            writer.write(piece)
            await asyncio.sleep(0.001)
        assert await reader.readexactly(len(sent)) == sent
        assert 0.04 <= monotonic() - began < 1.0


async def test_a_drip_is_slow() -> None:
    way = Way(bytes_per_s=1_000)
    async with an_echo(always(down=way)) as (proxy, _), a_line(proxy) as (reader, writer):
        began = monotonic()
        writer.write(bytes(300))
        assert len(await reader.readexactly(300)) == 300
        assert monotonic() - began >= 0.2


async def test_a_repeated_piece_comes_twice_once() -> None:
    way = Way(repeat_after=2)
    async with an_echo(always(up=way)) as (proxy, echo), a_line(proxy) as (reader, writer):
        writer.write(b"ab")
        await reader.readexactly(2)
        writer.write(b"cd")
        await reader.readexactly(4)
        writer.write(b"ef")
        await reader.readexactly(2)
        assert echo.heard == b"abcdcdef"


async def test_a_cut_of_all_ends_both_sides() -> None:
    async with an_echo() as (proxy, echo), a_line(proxy) as (reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)
        assert proxy.cut() == 1
        with contextlib.suppress(ConnectionError):
            assert await reader.read(1) == b""
        while not echo.ends:
            await asyncio.sleep(0.001)


async def test_nobody_behind_is_a_closed_connection() -> None:
    async with chaos_proxy(("127.0.0.1", 1)) as proxy, a_line(proxy) as (reader, _):
        with contextlib.suppress(ConnectionError):
            assert await reader.read(1) == b""


async def test_a_seed_gives_the_same_weather_again() -> None:
    async def seen(seed: int) -> list[float]:
        drawn: list[float] = []

        def plan(_number: int, luck: Random) -> Weather:
            drawn.append(luck.random())
            return Weather()

        async with an_echo(plan, seed) as (proxy, _):
            for _ in range(3):
                async with a_line(proxy) as (reader, writer):
                    writer.write(b"x")
                    await reader.readexactly(1)
        return drawn

    assert await seen(7) == await seen(7) != await seen(8)
