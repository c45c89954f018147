"""Edges are replaced one after the other under load: no event, no answer, no order is lost."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time

import pytest

from bench.bare_world import BareWorld, bare_world
from bench.stream_log import (
    STREAM,
    an_order,
    entry_of,
    journal_of,
    until,
    until_priced,
)
from domain.commands import SetGuard
from domain.records import GuardKind
from gateway import wire
from gateway.client import Client, ClientOptions

CLIENTS = 8
ENDS_S_MAX = 4.0


class Trader:
    """A client that trades all the while; guarded without a grace, so that a gap would show."""

    def __init__(self, world: BareWorld, number: int) -> None:
        self.entries: list[bytes] = []
        self.decided: list[str] = []
        self.longest_s = 0.0
        self.number = number
        guard = SetGuard(kind=GuardKind.CANCEL_ON_DISCONNECT, grace_ms=0)
        self.client = Client.connect(
            world.url, world.token, f"s-{number}", on_event=self._hear,
            options=ClientOptions(cursors={STREAM: 0}, guard=guard),
        )  # fmt: skip

    def _hear(self, ev: wire.Ev) -> None:
        self.entries.append(entry_of(ev))

    async def trade(self, over: asyncio.Event) -> None:
        count = 0
        while not over.is_set():
            count += 1
            name = f"t{self.number}-{count}"
            began = time.monotonic()
            await self.client.place(an_order(name, count))
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            self.decided.append(name)
            await asyncio.sleep(0.02)


@pytest.mark.asyncio
async def test_a_rolling_restart_of_two_edges_loses_nothing() -> None:
    async with bare_world(edges=2) as world:
        await until_priced(world)
        traders = [Trader(world, number) for number in range(CLIENTS)]
        async with contextlib.AsyncExitStack() as stack:
            for trader in traders:
                await stack.enter_async_context(trader.client)
            over = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                for trader in traders:
                    tasks.create_task(trader.trade(over))
                ends = await _roll(world)
                over.set()
            await until(lambda: _is_settled(traders[0].client))
            journal, records = journal_of(world), world.records()
            await until(lambda: _has_all(traders, len(journal)))
        assert max(ends) < ENDS_S_MAX
        assert sum(trader.client.reconnects for trader in traders) >= CLIENTS
        for trader in traders:
            assert trader.entries == journal
            assert trader.client.gaps == 0
        names = [getattr(getattr(r.cause, "command", None), "client_order_id", None)
                 for r in world.records()]  # fmt: skip
        decided = [name for trader in traders for name in trader.decided]
        assert sorted(name for name in names if name) == sorted(decided)
        fired = [r for r in records if "guard:" in getattr(r.cause, "request_id", "")]
        assert not fired, (fired[0].at_ns, ends, [trader.longest_s for trader in traders])


async def _roll(world: BareWorld) -> list[float]:
    """Ends and starts each edge in turn; how long each took to end."""
    took = []
    for role in world.edges:
        await asyncio.sleep(0.3)
        began = time.monotonic()
        await world.end(role, signal.SIGTERM)
        took.append(time.monotonic() - began)
        await world.start_role(role)
        await world.serving(role)
    return took


async def _is_settled(client: Client) -> bool:
    return not (await client.query(wire.OrdersList, status="open")).body


async def _has_all(traders: list[Trader], count: int) -> bool:
    return all(len(trader.entries) >= count for trader in traders)
