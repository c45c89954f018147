"""R7 on one node: a sender that hangs is replaced, and what wakes up later sends nothing.

A trial stops the process of a connection (SIGSTOP) while orders stream into it, goes on sending for
a while, waits until their send-by is over, and lets it run on (SIGCONT). Every other time a newer
router has taken over meanwhile. The tap on the wire says whether an order left after the stop. A
batch also stops the connection of a whole deployment, under Ray: its silence is to be seen within
a second, and orders to pass again within three.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from random import Random

from msgspec.structs import replace

from actors import messages as m
from actors.beacon import boot_ns
from actors.gate import sealed
from actors.link import Hello, Link, dial
from bench.goal import Goal, Tally
from bench.hand_router import HandRouter, order
from bench.small_world import DEAD, Shape, SmallWorld, small_world, state_of
from bench.world import CONNECTION_ROLE, world
from gateway.client import Client, ConnectionLostError, Refused

SEND_BY_NS = 60_000_000
GAP_S = 0.004
WHOLE_FROM = 100
"""A batch of so many trials also stops the connection of a whole deployment."""
WATCHED_S = 3.0
"""Until the watchdog, which is started last, has heard everybody once."""


async def run(trials: int, seed: int) -> Tally:
    """`trials` stops; a violation is an order that leaves after one."""
    tally = Tally(trials=trials, counts={"sent into it": 0, "left before": 0})
    luck = Random(seed)
    async with small_world(Shape(processes=())) as running:
        router = HandRouter()
        process = await running.start_process(CONNECTION_ROLE)
        me = Hello(role="router", deployment="small", incarnation="r", pid=os.getpid())
        path = running.paths.socket(CONNECTION_ROLE)
        dialing = asyncio.create_task(
            dial(path, lambda: Link(me, m.router_from_connection, router))
        )
        for number in range(trials):
            await running.until(lambda: router.is_up)
            late_ms = await _trial(running, router, process.pid, luck, tally)
            if late_ms:
                tally.violations += 1
                what = f"orders left {late_ms} ms after the stop"
                tally.details.append(f"seed {seed}, trial {number}: {what}")
        dialing.cancel()
    if trials >= WHOLE_FROM:
        await _stop_whole(tally)
    return tally


async def _trial(
    running: SmallWorld, router: HandRouter, pid: int, luck: Random, tally: Tally
) -> list[int]:
    """How long after the stop orders left, each of them one too many (ms)."""
    assert running.tap is not None
    running.tap.seen.clear()
    await _send(router, luck.randint(1, 5), tally)
    os.kill(pid, signal.SIGSTOP)
    await running.until(lambda: state_of(pid) == "T")
    stopped_ns = time.time_ns()
    await _send(router, luck.randint(1, 8), tally)
    if luck.random() < 0.5:
        # Another router takes over: its attach stands in the socket behind the old orders.
        router.epoch += 1
        router.attach()
    await asyncio.sleep(SEND_BY_NS / 1e9 + 0.01)
    os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(0.03)
    late = running.tap.orders_after(stopped_ns)
    tally.counts["left before"] += sum(one.is_order for one in running.tap.seen) - len(late)
    return [(one.at_ns - stopped_ns) // 1_000_000 for one in late]


async def _send(router: HandRouter, count: int, tally: Tally) -> None:
    for _ in range(count):
        router.intent += 1
        name = f"z-{router.intent}"
        dispatch = router.dispatch(name, 1, intent=router.intent)
        router.say(sealed(replace(dispatch, send_by_ns=boot_ns() + SEND_BY_NS)))
        tally.counts["sent into it"] += 1
        await asyncio.sleep(GAP_S)


async def _stop_whole(tally: Tally) -> None:
    """The watchdog's part: how soon a hung connection is dead, and how soon orders pass again."""
    async with (
        world() as running,
        Client.connect(running.url, running.token, "r07") as client,
    ):
        await _until_accepted(client, "first")
        await asyncio.sleep(WATCHED_S)
        pid, stopped = running.pid(CONNECTION_ROLE), time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        while state_of(pid) not in DEAD:
            await asyncio.sleep(0.005)
        seen_s = time.monotonic() - stopped
        await _until_accepted(client, "again")
        replaced_s = time.monotonic() - stopped
    tally.samples_us["seen"] = [int(seen_s * 1e6)]
    tally.samples_us["replaced"] = [int(replaced_s * 1e6)]


async def _until_accepted(client: Client, name: str) -> None:
    """Tries new orders until the broker has accepted one."""
    for number in range(2_000):
        try:
            update = await client.place_and_wait(order(f"{name}-{number}", 1))
        except (Refused, ConnectionLostError):
            await asyncio.sleep(0.02)
            continue
        if update.status.value == "live":
            return
    raise RuntimeError("no order is accepted")


GOAL = Goal(
    id="R7",
    says="A hung sender is seen in 1 s and replaced in 3 s; what wakes up later sends no order",
    unit="stops",
    short=12,
    long=1_000,
    batch=100,
    run=run,
    bars_us={"seen p99": 1_000_000, "replaced p99": 3_000_000},
)
