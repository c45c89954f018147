"""A client that reads 1 KiB a second, in a flood of orders: what it costs, and what it loses.

It must be closed with 4008 while everybody else goes on as before, cost the edge no more memory
than its share, and find all it missed once its line is a good one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from random import Random

import aiohttp

from bench.bare_world import BareWorld
from bench.chaos_proxy import Way, Weather, chaos_proxy, fair
from bench.goal import Tally
from bench.stream_log import STREAM, an_order, entry_of, journal_of, until
from gateway import wire
from gateway.client import Client, ClientOptions, Refused
from gateway.wire import CloseCode

BYTES_PER_S = 1_024
WINDOW_BYTES = 4_096
RSS_BYTES_MAX = 6 * 1024 * 1024
P99_CHANGE_MAX = 1.10
COMPARED_FROM = 4
"""So many floods and more also compare the others' latency: fewer entries show only noise."""
BATCH_ORDERS = 10
PAUSE_S = 0.015
WARM_ENTRIES = 1_000
CLOSED_S = 90.0


class Log:
    """A client's entries, and how long each was on its way."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.delays_us: list[int] = []

    def __call__(self, ev: wire.Ev) -> None:
        """One more."""
        self.delays_us.append((time.time_ns() - ev.at_ns) // 1_000)
        self.entries.append(entry_of(ev))


class Trader:
    """Orders in small batches at a steady pace, by a client that keeps up."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._count = 0

    async def trade(self, is_over: Callable[[], bool]) -> None:
        """Goes on until it is over."""
        while not is_over():
            orders = tuple(
                an_order(f"f-{self._count + n}", self._count + n) for n in range(BATCH_ORDERS)
            )
            self._count += BATCH_ORDERS
            with contextlib.suppress(Refused):
                await self.client.command(wire.OrderBatch, orders=orders)
            await asyncio.sleep(PAUSE_S)


async def flood(world: BareWorld, floods: int, seed: int, tally: Tally) -> None:
    """Floods with and without a slow reader, in turns; all that was found goes to the tally."""
    alone, beside = Log(), Log()
    async with Client.connect(world.url, world.token, "fast", on_event=Log()) as fast:
        trader = Trader(fast)
        await _trade(trader, Log())
        for number in range(floods):
            await _trade(trader, alone)
            faults = await _beside(world, trader, beside, number)
            tally.violations += len(faults)
            tally.details += [f"seed {seed}: {fault}" for fault in faults]
    tally.samples_us["others alone"] = alone.delays_us
    tally.samples_us["others beside a slow reader"] = beside.delays_us
    change = _p99(beside.delays_us) / _p99(alone.delays_us) - 1
    tally.counts |= {"slow readers": floods}
    if floods >= COMPARED_FROM and change >= P99_CHANGE_MAX - 1:
        tally.violations += 1
        tally.details.append(f"seed {seed}: the others' p99 changed by {change:+.0%}")


def _p99(samples: list[int]) -> int:
    return sorted(samples)[int(len(samples) * 0.99)]


async def _trade(trader: Trader, log: Log) -> None:
    trader.client.on_event = log
    until_count = len(log.entries) + WARM_ENTRIES
    await trader.trade(lambda: len(log.entries) >= until_count)


def _drip(_number: int, _luck: Random) -> Weather:
    return Weather(down=Way(bytes_per_s=BYTES_PER_S), window_bytes=WINDOW_BYTES)


async def _beside(world: BareWorld, trader: Trader, log: Log, number: int) -> list[str]:
    """One flood past a slow reader: its faults."""
    fast, slow = trader.client, Log()
    fast.on_event = log
    edge = world.process("edge-0")
    closed = await _count_closed(world)
    first = fast.cursors[STREAM]
    before = edge.memory_info().rss
    async with chaos_proxy(("127.0.0.1", world.port), _drip) as proxy, Client.connect(
        f"ws://127.0.0.1:{proxy.port}", world.token, f"slow-{number}",
        codec="json", on_event=slow, options=ClientOptions(cursors={STREAM: first}),
    ) as client:  # fmt: skip
        watch = asyncio.create_task(_until_closed(world, closed))
        await trader.trade(watch.done)
        is_closed, grown = watch.result(), edge.memory_info().rss - before
        proxy.plan = fair
        proxy.cut()
        with contextlib.suppress(TimeoutError):
            await until(lambda: _has_all(client, fast))
    faults = [] if is_closed else [f"not closed with 4008 within {CLOSED_S:.0f} s"]
    if grown > RSS_BYTES_MAX:
        faults.append(f"the edge grew by {grown / 2**20:.1f} MiB for one slow reader")
    journal = journal_of(world)[first:]
    if slow.entries != journal[: len(slow.entries)] or len(slow.entries) < len(journal):
        faults.append(f"the slow reader has {len(slow.entries)} entries, of {len(journal)}")
    return faults


async def _has_all(client: Client, fast: Client) -> bool:
    return client.cursors[STREAM] >= fast.cursors[STREAM]


async def _until_closed(world: BareWorld, before: int) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSED_S):
            while await _count_closed(world) == before:
                await asyncio.sleep(0.1)
            return True
    return False


async def _count_closed(world: BareWorld) -> int:
    """How many slow readers the edge has closed so far."""
    url = f"http://127.0.0.1:{world.sockets[1].getsockname()[1]}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        text = await answer.text()
    name = f'fillgate_gateway_closes_total{{code="{int(CloseCode.SLOW_CONSUMER)}"}}'
    found = [line for line in text.splitlines() if line.startswith(name)]
    return int(float(found[0].split()[1])) if found else 0
