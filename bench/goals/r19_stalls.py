"""R19: a disk whose syncs take 5 s kills nobody and holds back no cancel.

Each stall delays every fdatasync of the router. The first one after a quiet minute may hold the
router's loop for as long as it lasts; those that follow do not (docs/decisions/0012). In each:
new orders are refused or durable, a cancel reaches the broker, the process is the same and
trades on. A batch ends with client, journal and broker compared.
"""

from __future__ import annotations

import asyncio
import time

from bench.disk_world import ClientLog, Fault, compare, disk_world, until_priced
from bench.goal import Goal, Tally
from bench.goals.r08_disk_full import SETTLE_S, Trial
from domain.orders import CancelOrder
from gateway.client import Client

STALL_US = 5_000_000
FIRST_S_MAX = STALL_US / 1e6 + 1.0
LATER_S_MAX = 1.0
REFUSED_S_MAX = 1.0
RESUMES_S_MAX = 30.0
PLACES = 5


async def run(trials: int, seed: int) -> Tally:
    """So many stalls of one deployment."""
    tally, log = Tally(trials=trials), ClientLog()
    async with disk_world() as world:
        connect = Client.connect(world.url, world.token, "stall", on_event=log.take)
        async with connect as client:
            await until_priced(client)
            trial = Trial(world, client, tally, seed)
            router = world.pid("router")
            for number in range(trials):
                await _stall(trial, number)
                world.look()
            if world.pid("router") != router or world.logged("watchdog", "killed for its silence"):
                trial.violate("the watchdog killed somebody")
            await asyncio.sleep(SETTLE_S)
            agreement = await compare(world, log, trial.durable)
    trial.end(agreement)
    return tally


async def _stall(trial: Trial, number: int) -> None:
    world = trial.world
    await _until_open(trial)
    if not await _is_at_broker(trial, True, REFUSED_S_MAX):
        trial.violate(f"stall {number}: the order before it does not rest at the broker")
    inject = f"delay_enter={STALL_US}:when=1+"
    async with Fault(world.pid("router"), "fdatasync", inject, world.paths.home):
        before = len(trial.refused)
        asked = [asyncio.create_task(trial.place(patient=True)) for _ in range(PLACES)]
        await asyncio.sleep(0.2)
        started = time.monotonic()
        canceling = asyncio.create_task(trial.client.cancel(CancelOrder(all=True)))
        limit = LATER_S_MAX if number else FIRST_S_MAX
        if await _is_at_broker(trial, False, limit):
            name = "cancel" if number else "cancel in the first"
            took_us = int((time.monotonic() - started) * 1e6)
            trial.tally.samples_us.setdefault(name, []).append(took_us)
        else:
            trial.violate(f"stall {number}: a cancel did not reach the broker within {limit} s")
        if await trial.place(patient=True) and number:
            trial.violate(f"stall {number}: a new order was taken")
        if len(trial.refused) == before:
            trial.violate(f"stall {number}: no new order was refused")
    resumes = time.monotonic()
    await asyncio.gather(*asked, canceling)
    await _until_open(trial)
    trial.tally.samples_us.setdefault("trading again", []).append(
        int((time.monotonic() - resumes) * 1e6)
    )
    await trial.cancel_all()


async def _is_at_broker(trial: Trial, is_there: bool, seconds: float) -> bool:
    """Whether something of ours comes to rest at the broker, or nothing does any more."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if any(order.is_working for order in (await trial.world.book()).orders) is is_there:
            return True
        await asyncio.sleep(0.005)
    return False


async def _until_open(trial: Trial) -> None:
    deadline = time.monotonic() + RESUMES_S_MAX
    while not await trial.place(patient=True):
        if time.monotonic() > deadline:
            trial.violate(f"no order was taken within {RESUMES_S_MAX} s after a stall")
            return
        await asyncio.sleep(0.05)


GOAL = Goal(
    id="R19",
    says="syncs that take 5 s: no kill, orders refused, cancels pass, all goes on",
    unit="stalls",
    short=1,
    long=200,
    batch=10,
    run=run,
    bars_us={"cancel p99": 1_000_000},
)
