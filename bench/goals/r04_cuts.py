"""R4: however often the line is cut, each client's log is the journal's, entry by entry."""

from __future__ import annotations

import asyncio
import contextlib
import time
from random import Random

import msgspec

from bench.bare_world import BareWorld, bare_world
from bench.chaos_proxy import ChaosProxy, Way, Weather, chaos_proxy, fair
from bench.goal import Goal, Tally
from bench.stream_log import STREAM, an_order, entry_of, until, until_priced
from gateway import wire
from gateway.client import Client, ClientOptions, ConnectionLostError, Refused

CLIENTS = 50
CLIENTS_SHORT = 10
LONG_FROM = 500
"""So many trials and more also fill the journal, to time the resume of all of it."""
RESUMED = 10_000
RESUMES = 20
PLACERS = 5
ORDER_EVERY_S = 0.05
BULK = 50
HANDSHAKE_BYTES = 1_500
"""Upgrade, hello and welcome: the wait grows with each cut in there, so few fall so early."""
EARLY_SHARE = 0.15
CUT_BYTES_MAX = 7_000
STALLED_SHARE = 0.004
DOWN_SHARE = 0.8
CALM_S = 60.0


def weather(_number: int, luck: Random) -> Weather:
    """A cut after a few bytes or many, on either way, in the middle of whatever is said."""
    is_early = luck.random() < EARLY_SHARE
    size = luck.randint(*((1, HANDSHAKE_BYTES) if is_early else (HANDSHAKE_BYTES, CUT_BYTES_MAX)))
    if luck.random() < STALLED_SHARE:
        return Weather(down=Way(stall_after=size))
    slow = Way(latency_ms=luck.choice((0, 0, 2)), jitter_ms=luck.choice((0, 3)))
    hurt = msgspec.structs.replace(slow, cut_after=size)
    if luck.random() < DOWN_SHARE:
        return Weather(up=slow, down=hurt)
    # Little goes up: an eighth of what comes down.
    return Weather(up=msgspec.structs.replace(slow, cut_after=size // 8 or 1), down=slow)


class Listener:
    """A client and its own log: the entries' numbers, and a digest of all they said."""

    def __init__(self, url: str, token: str, number: int, seed: int) -> None:
        luck = Random(f"{seed}/{number}")
        self.entries: list[bytes] = []
        self.placed: set[str] = set()
        self.number = number
        self.client = Client.connect(
            url, token, f"s-{number}",
            codec=luck.choice(("json", "msgpack")),
            on_event=self._hear,
            options=ClientOptions(cursors={STREAM: 0}, luck=luck.random),
        )  # fmt: skip

    def _hear(self, ev: wire.Ev) -> None:
        self.entries.append(entry_of(ev))

    async def trade(self, over: asyncio.Event) -> None:
        """Places orders until it is over; remembers those it was told are durable."""
        count = 0
        while not over.is_set():
            count += 1
            name = f"c{self.number}-{count}"
            with contextlib.suppress(Refused):
                await self.client.place(an_order(name, count))
                self.placed.add(name)
            await asyncio.sleep(ORDER_EVERY_S)


async def run(trials: int, seed: int) -> Tally:
    """So many cuts, then peace, then every log against the journal."""
    is_long = trials >= LONG_FROM
    tally = Tally(trials=trials)
    async with bare_world() as world, chaos_proxy(
        ("127.0.0.1", world.port), weather, seed
    ) as proxy:  # fmt: skip
        await until_priced(world)
        count = CLIENTS if is_long else CLIENTS_SHORT
        url = f"ws://127.0.0.1:{proxy.port}"
        listeners = [Listener(url, world.token, n, seed) for n in range(count)]
        async with contextlib.AsyncExitStack() as stack:
            for listener in listeners:
                await stack.enter_async_context(listener.client)
            await _cut(world, proxy, listeners, trials)
            head = await _read_all(world, listeners)
        _compare(world, listeners, head, tally, seed)
        tally.counts |= {"cuts": proxy.cuts, "events": head, "clients": count}
        if is_long:
            await _time_resumes(world, tally)
    return tally


async def _cut(world: BareWorld, proxy: ChaosProxy, listeners: list[Listener], trials: int) -> None:
    """Trades through the weather until it has cut so often; then in fair weather to the end."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as trading:
        for listener in listeners[:PLACERS]:
            trading.create_task(listener.trade(over))
        while proxy.cuts < trials:
            world.look()
            await asyncio.sleep(0.02)
        over.set()
        proxy.plan = fair
        proxy.cut()


async def _read_all(world: BareWorld, listeners: list[Listener]) -> int:
    """Until every order has ended and every client has read all; the stream's last number."""
    async with Client.connect(world.url, world.token, "last") as client:

        async def is_settled() -> bool:
            return not (await client.query(wire.OrdersList, status="open")).body

        await until(is_settled)
    head = max((u.seq for r in world.records() for u in r.updates if u.stream == STREAM), default=0)

    async def has_read() -> bool:
        return all(one.client.cursors.get(STREAM, 0) >= head for one in listeners)

    with contextlib.suppress(TimeoutError):
        await until(has_read)
    return head


def _compare(
    world: BareWorld, listeners: list[Listener], head: int, tally: Tally, seed: int
) -> None:
    records = world.records()
    journal = [entry_of(u) for r in records for u in r.updates if u.stream == STREAM]
    names = [getattr(getattr(r.cause, "command", None), "client_order_id", None) for r in records]
    journaled = [name for name in names if name is not None]
    faults = [] if len(journal) == head else [f"the journal ends at {len(journal)}, not {head}"]
    for listener in listeners:
        if listener.entries != journal:
            faults.append(f"client {listener.number}: {_difference(listener.entries, journal)}")
        lost = listener.placed - set(journaled)
        if lost:
            faults.append(f"client {listener.number}: {len(lost)} durable orders are not written")
        tally.counts["gaps read again"] = (
            tally.counts.get("gaps read again", 0) + listener.client.gaps
        )
    doubled = len(journaled) - len(set(journaled))
    if doubled:
        faults.append(f"{doubled} orders were written twice")
    tally.violations += len(faults)
    tally.details += [f"seed {seed}: {fault}" for fault in faults[:10]]


def _difference(heard: list[bytes], journal: list[bytes]) -> str:
    at = next((n for n, (a, b) in enumerate(zip(heard, journal, strict=False)) if a != b), None)
    where = "the shorter one's end" if at is None else f"entry {at + 1}"
    return f"{len(heard)} entries, the journal has {len(journal)}; they differ from {where}"


async def _time_resumes(world: BareWorld, tally: Tally) -> None:
    """How long a client that was away for many entries takes to have them all."""
    async with Client.connect(world.url, world.token, "filler") as client:
        count = 0
        while client.cursors.get(STREAM, 0) < RESUMED:
            orders = tuple(an_order(f"f-{count + n}", count + n) for n in range(BULK))
            with contextlib.suppress(Refused):
                await client.command(wire.OrderBatch, orders=orders)
            count += BULK
        await asyncio.sleep(1.0)
        head = client.cursors[STREAM]
    samples = tally.samples_us.setdefault("resume", [])
    for number in range(RESUMES):
        done = asyncio.get_running_loop().create_future()

        def hear(ev: wire.Ev, done: asyncio.Future[None] = done) -> None:
            if ev.seq >= head and not done.done():
                done.set_result(None)

        options = ClientOptions(cursors={STREAM: head - RESUMED})
        began = time.perf_counter()
        client = Client.connect(
            world.url, world.token, f"back-{number}", on_event=hear, options=options
        )
        with contextlib.suppress(ConnectionLostError):
            async with client:
                await asyncio.wait_for(done, CALM_S)
                samples.append(int((time.perf_counter() - began) * 1e6))


GOAL = Goal(
    id="R4",
    says="however often the line is cut, each client's log equals the journal",
    unit="cuts",
    short=120,
    long=10_000,
    batch=1_000,
    run=run,
    bars_us={"resume p99": 500_000},
)
