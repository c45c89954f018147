"""R5, the kill switch: once a halt is answered, not one byte of a new order leaves any more.

Orders come at 500 a second all the while. A trial halts everything, notes when the answer came,
lets time pass, and asks the tap on the wire, whose times are the kernel's. Then it resumes, in two
steps. Once a batch 200 orders are left working, and the halt is to cancel them; and once the
connection is stopped first (SIGSTOP): then it must be dead before the halt is answered.
"""

from __future__ import annotations

import asyncio
import signal
import time
from decimal import Decimal
from random import Random

import msgspec

from bench.goal import Goal, Tally
from bench.small_world import DEAD, Shape, SmallWorld, small_world, state_of
from bench.world import ACCOUNT, CONNECTION, CONNECTION_ROLE, OWNER
from domain import commands as c
from domain.ids import halt_word
from domain.orders import CancelOrder, NewOrder, OrderType, Side, TimeInForce
from domain.records import HaltScope

RATE = 500
AFTER_S = 0.03
BETWEEN_S = 0.05
WORKING = 200
CANCELS_MS_MAX = 500
SCOPES = (
    (HaltScope.ALL, "*"),
    (HaltScope.ACCOUNT, ACCOUNT),
    (HaltScope.BROKER, "oanda"),
    (HaltScope.TAG, "storm"),
)
MS = 1_000_000


async def run(trials: int, seed: int) -> Tally:
    """`trials` halts under load; a violation is an order's byte after the answer."""
    tally = Tally(trials=trials, counts={"orders": 0, "after": 0, "cancels": 0})
    luck = Random(seed)
    async with small_world() as world:
        await _priced(world)
        await _cancel_many(world, tally)
        load = asyncio.create_task(_load(world, tally))
        try:
            for number in range(trials):
                await _trial(world, tally, luck, f"seed {seed}, trial {number}")
        finally:
            load.cancel()
    await _halt_a_silent_one(tally, seed)
    return tally


async def _halt_a_silent_one(tally: Tally, seed: int) -> None:
    """A connection that cannot confirm is ended, and named so, before the answer."""
    async with small_world(
        Shape(processes=(("router", "compliance"), (CONNECTION_ROLE,)))
    ) as world:
        silent = world.processes[CONNECTION_ROLE]
        silent.send_signal(signal.SIGSTOP)
        _, answer = await world.edge.say(c.Halt(scope=HaltScope.ALL, reason="silence"))
        told = msgspec.msgpack.decode(answer.body or b"\x80")
        is_dead = state_of(silent.pid) in DEAD
        tally.counts["ended"] = len(told.get("ended", ()))
        if told != {"confirmed": [], "ended": [CONNECTION]} or not is_dead:
            tally.violations += 1
            tally.details.append(f"seed {seed}: a silent connection: {told}, dead: {is_dead}")


async def _priced(world: SmallWorld) -> None:
    """Until compliance has a price: before, it refuses what it cannot value."""
    for number in range(200):
        _, answer = await world.edge.say(c.Place(order=_order(f"first-{number}", "first")))
        if answer.decided[0].error is None:
            return
        await asyncio.sleep(0.05)
    raise RuntimeError(f"nothing is priced: {answer.decided[0].error}")


def _order(name: str, tag: str) -> NewOrder:
    return NewOrder(
        client_order_id=name,
        instrument="EUR/USD",
        side=Side.BUY,
        quantity=Decimal(1),
        type=OrderType.LIMIT,
        limit_price=Decimal("0.50000"),
        time_in_force=TimeInForce.GTC,
        tag=tag,
    )


async def _load(world: SmallWorld, tally: Tally) -> None:
    """Orders at a steady rate, whatever is answered; what rests is canceled now and then."""
    start, number, under_way = time.monotonic(), 0, set[asyncio.Task[object]]()
    while True:
        number += 1
        task = asyncio.create_task(world.edge.say(c.Place(order=_order(f"load-{number}", "storm"))))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        tally.counts["orders"] = number
        if number % RATE == 0:
            cancel = c.Cancel(cancel=CancelOrder(all=True))
            under_way.add(asyncio.create_task(world.edge.say(cancel)))
        await asyncio.sleep(max(0.0, start + number / RATE - time.monotonic()))


async def _trial(world: SmallWorld, tally: Tally, luck: Random, where: str) -> None:
    scope, subject = luck.choice(SCOPES)
    await asyncio.sleep(BETWEEN_S * luck.random())
    asked_ns = time.time_ns()
    reason = f"trial at {asked_ns}"
    halted_ns, answer = await world.edge.say(c.Halt(scope=scope, subject=subject, reason=reason))
    tally.samples_us.setdefault("halt", []).append((halted_ns - asked_ns) // 1_000)
    await asyncio.sleep(AFTER_S)
    assert world.tap is not None
    late = world.tap.orders_after(halted_ns)
    named = msgspec.msgpack.decode(answer.body or b"\x80").get("confirmed")
    if late or named != [CONNECTION]:
        tally.violations += 1
        tally.counts["after"] += len(late)
        tally.details.append(f"{where}: {len(late)} orders after {scope.value}; confirmed {named}")
    world.tap.seen.clear()
    await _resume(world, scope, subject, reason)
    # A wire on which nothing moves would prove nothing.
    tap = world.tap
    await world.until(lambda: any(one.is_order for one in tap.seen))


async def _resume(world: SmallWorld, scope: HaltScope, subject: str, reason: str) -> None:
    word = halt_word(scope.value, subject, OWNER, reason)
    _, answer = await world.edge.say(c.Resume(scope=scope, subject=subject, confirm=word))
    assert answer.decided[0].error is None, answer


async def _cancel_many(world: SmallWorld, tally: Tally) -> None:
    """200 working orders, and a halt that cancels them: every cancel is on the wire in time."""
    assert world.tap is not None
    edge = world.edge
    names = [f"rest-{number}" for number in range(WORKING)]
    await asyncio.gather(*(edge.say(c.Place(order=_order(name, "rest"))) for name in names))
    await world.until(lambda: all(len(edge.updates.get(name, ())) >= 2 for name in names))
    world.tap.seen.clear()
    asked_ns, reason = time.time_ns(), "cancel what is open"
    await edge.say(c.Halt(scope=HaltScope.TAG, subject="rest", reason=reason, cancel_open=True))
    tap = world.tap
    await world.until(lambda: sum(one.is_cancel for one in tap.seen) >= WORKING)
    took_us = (max(one.at_ns for one in tap.seen if one.is_cancel) - asked_ns) // 1_000
    tally.samples_us["cancels of 200"] = [took_us]
    tally.counts["cancels"] += WORKING
    await _resume(world, HaltScope.TAG, "rest", reason)


GOAL = Goal(
    id="R5",
    says="After the kill switch's answer no byte of a new order leaves; 200 cancels leave in 0.5 s",
    unit="halts",
    short=6,
    long=1_000,
    batch=100,
    run=run,
    bars_us={"halt p99": 20_000, "cancels of 200 p99": CANCELS_MS_MAX * 1_000},
)
