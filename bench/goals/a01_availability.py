"""A1: a client is answered, whatever its broker does.

A trial is one order, at 50 a second, while the broker is in trouble a tenth of the time: in turn it
stands still, is killed (and started again by its keeper), cuts its streams again and again, answers
5xx, or loses its answers. An answer counts where it is here within a second and well-formed: taken,
or refused with a code and what became of the order. At the end client, journal and broker agree.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from random import Random

import psutil

from bench.goal import Goal, Tally
from bench.kills import Log
from bench.steady import Sent, Steady, find_differences, until_priced
from bench.world import World, WorldOptions, world
from gateway.client import Client

RATE = 50
PERIOD_S = 10.0
TROUBLE_S = 1.0
ANSWER_S_MAX = 1.0
BATCH = 2_500
"""A simulator that starts again remembers its newest 6,000 facts; of more we could not compare."""
CUT_EVERY_S = 0.25
BAD_SHARE_MAX = 0.001
BREAKER = "breaker_failures = 5\nbreaker_open_ms = 1000"
"""As it is by default, but closed again sooner: the minute would hide the other nine tenths."""

Trouble = Callable[[World], Awaitable[None]]


def _simulator(deployment: World) -> psutil.Process:
    return next(p for p in deployment.descendants() if "brokers.simulators.oanda" in p.cmdline())


async def _stand_still(deployment: World) -> None:
    broker = _simulator(deployment)
    broker.suspend()
    await asyncio.sleep(TROUBLE_S)
    broker.resume()


async def _go_down(deployment: World) -> None:
    """Every line breaks, and it comes back with its books: killed, it would forget a second."""
    os.kill(_simulator(deployment).pid, signal.SIGTERM)
    await asyncio.sleep(TROUBLE_S)


async def _flap(deployment: World) -> None:
    for _ in range(int(TROUBLE_S / CUT_EVERY_S)):
        await deployment.simulate("/sim/streams", {"action": "cut"})
        await asyncio.sleep(CUT_EVERY_S)


async def _fail(deployment: World) -> None:
    await _be_hostile(deployment, {"failed_ignored": 0.9, "failed_applied": 0.1})


async def _lose_answers(deployment: World) -> None:
    await _be_hostile(deployment, {"lost_reply": 0.5, "late_landing": 0.3})


async def _be_hostile(deployment: World, how: dict[str, float]) -> None:
    await deployment.simulate("/sim/hostility", how)
    await asyncio.sleep(TROUBLE_S)
    await deployment.simulate("/sim/hostility", {})


TROUBLES: tuple[Trouble, ...] = (_stand_still, _flap, _fail, _go_down, _lose_answers)


async def run(trials: int, seed: int) -> Tally:
    """So many orders at 50 a second; the seed says when trouble comes."""
    luck, log = Random(seed), Log()
    tally = Tally(trials=trials, samples_us={"answer": []})
    async with world(WorldOptions(connection=BREAKER)) as deployment:
        connect = Client.connect(deployment.url, deployment.token, "a1", on_event=log.take)
        async with connect as client:
            await until_priced(client)
            steady = Steady(client, log, RATE)
            troubling = asyncio.create_task(_trouble(deployment, luck))
            await asyncio.sleep(trials / RATE)
            troubling.cancel()
            await asyncio.gather(troubling, return_exceptions=True)
            await _calm(deployment)
            await steady.stop()
        differences = await find_differences(deployment, log)
    bad = [sent for sent in steady.sent if not _is_answered(sent)]
    tally.trials = len(steady.sent)
    tally.samples_us["answer"] = [
        int((s.decided_s - s.sent_s) * 1e6) for s in steady.sent if s.decided_s
    ]
    tally.counts = {"not answered in time": len(bad)}
    tally.counts |= {f"refused {code}": n for code, n in steady.refusals().items()}
    tally.details = [f"seed {seed}: {what}" for what in differences]
    if len(bad) > max(1, tally.trials * BAD_SHARE_MAX):
        words = ", ".join(f"{s.name} {s.refusal or 'no answer'}" for s in bad[:5])
        tally.details.append(f"seed {seed}: {len(bad)} of {tally.trials} not answered: {words}")
    tally.violations = len(tally.details)
    return tally


def _is_answered(sent: Sent) -> bool:
    is_in_time = 0.0 < sent.decided_s - sent.sent_s <= ANSWER_S_MAX
    return is_in_time and sent.refusal not in ("connection_lost", "internal")


async def _trouble(deployment: World, luck: Random) -> None:
    """A tenth of the time, at a moment that the seed says."""
    number = 0
    while True:
        before_s = luck.uniform(0.0, PERIOD_S - TROUBLE_S)
        await asyncio.sleep(before_s)
        await TROUBLES[number % len(TROUBLES)](deployment)
        number += 1
        await asyncio.sleep(PERIOD_S - TROUBLE_S - before_s)


async def _calm(deployment: World) -> None:
    """Whatever was under way is over: the broker runs, and is kind."""
    for process in deployment.descendants():
        if process.status() == psutil.STATUS_STOPPED:
            process.resume()
    async with asyncio.timeout(30.0):
        while True:
            try:
                await deployment.simulate("/sim/hostility", {})
                return
            except OSError:
                await asyncio.sleep(0.1)


GOAL = Goal(
    id="A1",
    says="an hour at 50 orders/s with the broker down or flapping 10 % of the time: 99.9 % of "
    "answers well-formed within 1 s (a clean refusal counts)",
    unit="orders",
    short=500,
    long=180_000,
    batch=BATCH,
    run=run,
    bars_us={"answer p99.9": 1_000_000},
)
