"""R12: every process that trades is replaced, one by one, under 100 orders a second.

One trial is a whole rolling replacement (`fillgate roll`): edges, compliance, broker connections,
ledger, router. Both builds are of one release here; what is tried is the way from one process to
the next. At the end client, journal and venue must agree, and no record may come from an epoch
that was fenced.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time

import msgspec

from actors.paths import LEDGER_ROLE
from actors.rolling import Rolled
from bench.goal import Goal, Tally
from bench.kills import Log
from bench.steady import Steady, find_differences, until_priced
from bench.world import CONNECTION_ROLE, World, WorldOptions, world
from gateway.client import Client

RATE = 100
ROLL_S_MAX = 240.0
CALM_S = 1.0
ROLES = ("edge-0", "compliance", CONNECTION_ROLE, LEDGER_ROLE, "router")


async def run(trials: int, seed: int) -> Tally:
    """One replacement after the other; the seed only names the batch."""
    tally = Tally(trials=trials, samples_us={"pause": []})
    log = Log()
    async with world(WorldOptions()) as deployment:
        connect = Client.connect(deployment.url, deployment.token, "r12", on_event=log.take)
        async with connect as client:
            await until_priced(client)
            steady = Steady(client, log, RATE)
            for number in range(trials):
                await asyncio.sleep(CALM_S)
                since = time.monotonic()
                tally.details += [f"upgrade {number}: {f}" for f in await _upgrade(deployment)]
                pause_s = steady.longest_pause_s(since, time.monotonic())
                tally.samples_us["pause"].append(int(pause_s * 1e6))
            await steady.stop()
        tally.details += await find_differences(deployment, log)
    tally.counts = {"orders": len(steady.sent)}
    tally.counts |= {f"refused {code}": n for code, n in steady.refusals().items()}
    tally.details = [f"seed {seed}: {detail}" for detail in tally.details]
    tally.violations = len(tally.details)
    return tally


async def _upgrade(deployment: World) -> list[str]:
    """Asks the supervisor for it and waits for the end; what was not replaced."""
    assert deployment.process is not None
    before = {role: deployment.pid(role) for role in ROLES}
    deployment.paths.rolled.unlink(missing_ok=True)
    deployment.paths.rolled.unlink(missing_ok=True)
    os.kill(deployment.process.pid, signal.SIGUSR2)
    async with asyncio.timeout(ROLL_S_MAX):
        while not (deployment.paths.rolled.exists() and deployment.paths.ready.exists()):
            await asyncio.sleep(0.05)
    rolled = msgspec.json.decode(deployment.paths.rolled.read_bytes(), type=Rolled)
    faults = [rolled.trouble] if rolled.trouble else []
    return faults + [
        f"{role} is as before" for role in ROLES if deployment.pid(role) == before[role]
    ]


GOAL = Goal(
    id="R12",
    says="100 upgrades under 100 orders/s: 0 lost, 0 doubled; a client's pause p99 ≤ 1.5 s",
    unit="upgrades",
    short=1,
    long=100,
    batch=5,
    run=run,
    bars_us={"pause p99": 1_500_000},
)
