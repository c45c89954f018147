"""R13: a broker connection is killed; how long until an order sent after it is at the broker.

Half of a batch's trials have no process waiting for the role (Ray starts one from nothing), half
have one that waits. Orders flow at a steady rate through all of it, and at the end client,
journal and venue must agree.
"""

from __future__ import annotations

import asyncio
import time
from random import Random

import psutil

from bench.goal import Goal, Tally
from bench.kills import Log
from bench.steady import Steady, find_differences, until_priced
from bench.world import CONNECTION_ROLE, World, WorldOptions, world
from gateway.client import Client

RATE = 100
ACCEPTED_S_MAX = 30.0
READY_S_MAX = 60.0
CALM_S = 0.5


async def run(trials: int, seed: int) -> Tally:
    """Cold, then warm."""
    tally = Tally(trials=trials, samples_us={"cold": [], "warm": []})
    luck = Random(seed)
    warm = (trials + 1) // 2
    for name, standbys, kills in (("cold", 0, trials - warm), ("warm", 1, warm)):
        if kills:
            async with world(WorldOptions(standbys=standbys)) as deployment:
                tally.details += await _kill(deployment, name, kills, luck, tally)
    tally.details = [f"seed {seed}: {detail}" for detail in tally.details]
    tally.violations = len(tally.details)
    return tally


async def _kill(deployment: World, name: str, kills: int, luck: Random, tally: Tally) -> list[str]:
    log, faults = Log(), []
    async with Client.connect(deployment.url, deployment.token, "r13", on_event=log.take) as client:
        await until_priced(client)
        steady = Steady(client, log, RATE)
        for _ in range(kills):
            await until_waiting(deployment, CONNECTION_ROLE, 1 if name == "warm" else 0)
            await asyncio.sleep(CALM_S + luck.random() / 2)
            deployment.kill(CONNECTION_ROLE)
            took_s = await steady.accepted_after(time.monotonic(), ACCEPTED_S_MAX)
            if took_s is None:
                faults.append(f"{name}: no order was accepted after {ACCEPTED_S_MAX} s")
            else:
                tally.samples_us[name].append(int(took_s * 1e6))
        await steady.stop()
    for code, count in steady.refusals().items():
        tally.counts[f"refused {code}"] = tally.counts.get(f"refused {code}", 0) + count
    tally.counts["orders"] = tally.counts.get("orders", 0) + len(steady.sent)
    return faults + await find_differences(deployment, log)


async def until_waiting(deployment: World, role: str, wanted: int) -> None:
    """Until as many processes wait for the role. Raises TimeoutError."""
    async with asyncio.timeout(READY_S_MAX):
        while len(waiting(deployment, role)) < wanted:
            await asyncio.sleep(0.02)


def waiting(deployment: World, role: str) -> list[int]:
    """The processes that wait for the role."""
    pattern = deployment.paths.waiting(role, 0).name.removesuffix("0") + "*"
    pids = [int(path.suffix[1:]) for path in deployment.paths.runtime.glob(pattern)]
    return [pid for pid in pids if psutil.pid_exists(pid)]


GOAL = Goal(
    id="R13",
    says="a killed broker connection is back: next order accepted ≤ 2.5 s cold, ≤ 300 ms warm",
    unit="kills",
    short=1,
    long=400,
    batch=20,
    run=run,
    bars_us={"cold p99": 2_500_000, "warm p99": 300_000},
)
