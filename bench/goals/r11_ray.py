"""R11: Ray's control service is dead for a while: trading goes on, and then all is as before.

A trial is a second without a GCS. To keep it dead the supervisor, which would start it again at
once, is stopped meanwhile. An actor is killed while nobody can start it again, one that no order
needs; after the supervisor goes on, every actor must answer over Ray within 5 s, that one
too. Then the raylet is killed, and the router after it: what runs trades on, and what the next
raylet started takes over.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from typing import Any

import psutil

from actors.beacon import read_beacon
from actors.cluster import GCS, RAYLET, ray_environment, ray_processes
from actors.paths import LEDGER_ROLE
from bench.goal import Goal, Tally
from bench.kills import Log
from bench.steady import Steady, find_differences, until_priced
from bench.world import World, WorldOptions, world
from gateway.client import Client

RATE = 50
ADDRESSABLE_S_MAX = 60.0
SUCCESSORS_S_MAX = 60.0
ACCEPTED_S_MAX = 10.0


async def run(trials: int, seed: int) -> Tally:
    """So many seconds without a GCS, then a raylet's death."""
    tally = Tally(trials=trials, samples_us={"addressable": [], "router after raylet": []})
    log = Log()
    async with world(WorldOptions()) as deployment:
        connect = Client.connect(deployment.url, deployment.token, "r11", on_event=log.take)
        async with connect as client:
            await until_priced(client)
            steady = Steady(client, log, RATE)
            await _without_gcs(deployment, trials, tally)
            await _kill_raylet(deployment, tally)
            failed = steady.refusals()
            await _lose_router(deployment, steady, tally)
            await steady.stop()
        tally.details += [f"{count} orders refused: {code}" for code, count in failed.items()]
        tally.details += await find_differences(deployment, log)
    tally.counts = {"orders": len(steady.sent)}
    tally.details = [f"seed {seed}: {detail}" for detail in tally.details]
    tally.violations = len(tally.details)
    return tally


async def _without_gcs(deployment: World, seconds: int, tally: Tally) -> None:
    assert deployment.process is not None
    before = deployment.pid(LEDGER_ROLE)
    asking = await _asking(deployment)
    deployment.process.send_signal(signal.SIGSTOP)
    gcs = ray_processes(deployment.paths.runtime)[GCS]
    gcs.kill()
    try:
        await asyncio.sleep(seconds / 2)
        deployment.kill(LEDGER_ROLE)
        await asyncio.sleep(seconds / 2)
        if gcs.is_running() and gcs.status() != psutil.STATUS_ZOMBIE:
            tally.details.append("the GCS did not stay dead")
    finally:
        deployment.process.send_signal(signal.SIGCONT)
    found = await _answers(asking)
    tally.samples_us["addressable"].append(int(found["took_s"] * 1e6))
    if before in found["pids"].values():
        tally.details.append("the actor that was killed is said to live")


async def _asking(deployment: World) -> asyncio.subprocess.Process:
    """A program that is ready to ask every actor over Ray."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "actors.addressing",
        str(deployment.home), deployment.ready["ray_address"], str(ADDRESSABLE_S_MAX),
        env=ray_environment(deployment.paths.runtime),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def _answers(process: asyncio.subprocess.Process) -> dict[str, Any]:
    told, _ = await process.communicate(b"now\n")
    assert process.returncode == 0, told
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found


async def _kill_raylet(deployment: World, tally: Tally) -> None:
    """Nobody who trades may notice; a successor for each comes to wait."""
    before = {role: deployment.pid(role) for role in ("router", "compliance")}
    ray_processes(deployment.paths.runtime)[RAYLET].kill()
    deadline = time.monotonic() + SUCCESSORS_S_MAX
    while not list(deployment.paths.runtime.glob("router.waiting.*")):
        if time.monotonic() > deadline:
            tally.details.append("the next raylet started no router that waits")
            return
        await asyncio.sleep(0.05)
    gone = [role for role, pid in before.items() if deployment.pid(role) != pid]
    tally.details += [f"{role} died with its raylet" for role in gone]


async def _lose_router(deployment: World, steady: Steady, tally: Tally) -> None:
    """The orphaned router dies: its successor waits already."""
    orphan = deployment.kill("router")
    took_s = await steady.accepted_after(time.monotonic(), ACCEPTED_S_MAX)
    reading = read_beacon(deployment.paths.beacon("router"))
    if took_s is None or reading is None or reading.pid == orphan:
        tally.details.append("nobody took over from the router")
    else:
        tally.samples_us["router after raylet"].append(int(took_s * 1e6))


GOAL = Goal(
    id="R11",
    says="GCS dead for 10 min: 0 failed orders; all actors addressable ≤ 5 s after its restart",
    unit="seconds without GCS",
    short=3,
    long=600,
    batch=600,
    run=run,
    bars_us={"addressable p99": 5_000_000},
)
