"""R8: a disk that is full or fails one call in twenty sends nothing that is not written down.

In each batch the disk fills up: new orders are refused, cancels reach the broker and are durable
in the reserve, and with room again orders are taken, by the same process. Then every write, and
every sync, fails for a while: not one order may reach the broker, and cancels must. Then they fail
(EIO or ENOSPC) at 5 %, under orders. In the end client, journal and broker are compared.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from random import Random

from bench.disk_world import (
    ClientLog,
    DiskWorld,
    Fault,
    compare,
    disk_world,
    limit_order,
    until,
    until_priced,
)
from bench.goal import Goal, Tally
from domain.errors import ErrorInfo, Outcome
from domain.lifecycle import Status
from domain.orders import CancelOrder
from gateway.client import Client, Refused
from ledger.agreement import Agreement

SETTLE_S = 1.0
RESTING = 10
AT_ONCE = 20
ROUNDS = 20
ANSWER_S_MAX = 5.0
PATIENCE_S = 30.0
OPENS_S_MAX = 5.0
STEADY_S = 0.3
CANCEL_S_MAX = 2.0
EVERY = 20
"""One call in so many fails: 5 %."""

CALLS = ("pwrite64", "fdatasync")
REFUSALS = ("journal_full", "journal_unavailable")
CLOSED = "cancels alone are taken"


class Trial:
    """A client under way: what it was told, and what must not have been."""

    def __init__(self, world: DiskWorld, client: Client, tally: Tally, seed: int) -> None:
        self.world = world
        self.client = client
        self.tally = tally
        self.seed = seed
        self.number = 0
        self.durable: set[str] = set()
        self.refused: list[ErrorInfo] = []

    def violate(self, what: str) -> None:
        """Counts it, with the seed."""
        self.tally.violations += 1
        self.tally.details.append(f"seed {self.seed}: {what}")

    def count(self, what: str, more: int = 1) -> None:
        """For the table."""
        self.tally.counts[what] = self.tally.counts.get(what, 0) + more

    def end(self, agreement: Agreement) -> None:
        """What the three logs say of it all, and how many orders there were."""
        for what in agreement.lost + agreement.doubled + agreement.differences:
            self.violate(what)
        self.count("orders taken", len(self.durable))
        self.count("orders refused", len(self.refused))

    async def place(self, patient: bool = False) -> bool:
        """One order; whether it was taken. A patient one waits for a disk that stalls."""
        self.number += 1
        name = f"o{self.seed}-{self.number}"
        try:
            async with asyncio.timeout(PATIENCE_S if patient else ANSWER_S_MAX):
                await self.client.place(limit_order(name))
        except Refused as refusal:
            self.refused.append(refusal.error)
            if refusal.error.code not in REFUSALS or refusal.error.outcome is not Outcome.NONE:
                self.violate(f"{name} refused with {refusal.error}")
            return False
        except TimeoutError:
            self.violate(f"{name} had no answer within {ANSWER_S_MAX} s")
            return False
        self.durable.add(name)
        return True

    async def place_many(self, count: int) -> int:
        """Orders side by side; how many were taken."""
        return sum(await asyncio.gather(*(self.place() for _ in range(count))))

    async def cancel_all(self) -> None:
        """Every open order must be canceled at the broker, and that must be durable."""
        async with asyncio.timeout(ANSWER_S_MAX):
            await self.client.cancel(CancelOrder(all=True))
        if not await until(lambda: not self._working(), ANSWER_S_MAX):
            self.violate(f"{len(self._working())} cancels had no outcome within {ANSWER_S_MAX} s")

    def _working(self) -> list[str]:
        return [order.order_id for order in self.client.orders.open() if order.status in WORKING]


WORKING = (Status.LIVE, Status.PARTIALLY_FILLED, Status.SENDING)


async def run(trials: int, seed: int) -> Tally:
    """So many orders, most of them while calls fail; each batch fills a disk first."""
    tally, log = Tally(trials=trials), ClientLog()
    async with disk_world() as world:
        connect = Client.connect(world.url, world.token, "disk", on_event=log.take)
        async with connect as client:
            await until_priced(client)
            trial = Trial(world, client, tally, seed)
            router = world.pid("router")
            await _fill_the_disk(trial)
            for call in CALLS:
                await _fail_all(trial, call)
            await _fail_calls(trial, trials, Random(seed))
            await trial.cancel_all()
            if world.pid("router") != router or world.process("router").status() == "zombie":
                trial.violate("the router did not live through it")
            await asyncio.sleep(SETTLE_S)
            agreement = await compare(world, log, trial.durable)
    trial.end(agreement)
    return tally


async def _fill_the_disk(trial: Trial) -> None:
    await trial.place_many(RESTING)
    trial.world.fill_disk()
    while not trial.refused and trial.number < 20_000:
        await trial.place_many(AT_ONCE)
        await trial.cancel_all()
    trial.count("disks filled")
    if await trial.place_many(AT_ONCE):
        trial.violate("an order was taken on a full disk")
    written = trial.world.records()[-1].number
    await trial.cancel_all()
    trial.world.ballast.unlink()
    freed = time.monotonic()
    while not await trial.place():
        if time.monotonic() - freed > OPENS_S_MAX:
            trial.violate(f"still refuses {OPENS_S_MAX} s after there was room again")
            return
        await asyncio.sleep(0.01)
    trial.tally.samples_us.setdefault("open again", []).append(
        int((time.monotonic() - freed) * 1e6)
    )
    assert trial.world.records()[-1].number > written


async def _fail_all(trial: Trial, call: str) -> None:
    """Nothing can be written: orders wait or are refused, and cancels reach the broker."""
    world = trial.world
    await _until_open(trial)
    before = await _when_working(trial, await trial.place_many(RESTING))
    async with Fault(world.pid("router"), call, "error=EIO:when=1+", world.paths.home):
        asked = [asyncio.create_task(trial.place()) for _ in range(AT_ONCE)]
        await asyncio.sleep(STEADY_S)
        canceling = asyncio.create_task(trial.client.cancel(CancelOrder(all=True)))
        deadline = time.monotonic() + CANCEL_S_MAX
        while any(order.is_working for order in (await world.book()).orders):
            if time.monotonic() > deadline:
                trial.violate(f"a cancel did not leave within {CANCEL_S_MAX} s while {call} failed")
                break
            await asyncio.sleep(0.01)
        now = {order.broker_order_id for order in (await world.book()).orders}
        if now - before:
            trial.violate(f"{len(now - before)} orders left while every {call} failed")
    await asyncio.gather(*asked, canceling)
    trial.count(f"times every {call} failed")
    await trial.cancel_all()


async def _when_working(trial: Trial, count: int) -> set[str]:
    """Every order at the broker, once so many rest there. Raises TimeoutError."""
    async with asyncio.timeout(ANSWER_S_MAX):
        while True:
            orders = (await trial.world.book()).orders
            if sum(order.is_working for order in orders) >= count:
                return {order.broker_order_id for order in orders}
            await asyncio.sleep(0.01)


async def _until_open(trial: Trial) -> None:
    while not await trial.place():
        await asyncio.sleep(0.05)


async def _fail_calls(trial: Trial, orders: int, luck: Random) -> None:
    """Orders under failing calls, until so many were placed."""
    end = trial.number + orders
    while trial.number < end:
        call = luck.choice(CALLS)
        error = luck.choice(("EIO", "ENOSPC"))
        first = luck.randint(1, EVERY)
        inject = f"error={error}:when={first}+{EVERY}"
        before = len(trial.world.logged("router", CLOSED))
        folder = trial.world.paths.home
        async with Fault(trial.world.pid("router"), call, inject, folder) as fault:
            for _ in range(ROUNDS):
                await _place_or_cancel(trial)
        failed = fault.times()
        trial.count(f"{call} failed", len(failed))
        told = trial.world.logged("router", CLOSED)[before:]
        if failed:
            _judge_closing(trial, failed[0], told)
        await _until_open(trial)
        await trial.cancel_all()


async def _place_or_cancel(trial: Trial) -> None:
    if not await trial.place_many(5):
        await trial.cancel_all()
        await asyncio.sleep(0.1)


def _judge_closing(trial: Trial, failed: float, told: list[dict[str, object]]) -> None:
    if not told:
        trial.violate("a call failed and new orders were taken all the same")
        return
    at = datetime.fromisoformat(str(told[0]["@timestamp"])).timestamp()
    # Where a slow commit closed it before, it was closed at once.
    closed_us = max(0, int((at - failed) * 1e6))
    trial.tally.samples_us.setdefault("cancel-only", []).append(closed_us)


GOAL = Goal(
    id="R8",
    says="a journal disk full, or failing at 5 %: nothing unwritten leaves, cancels pass, it heals",
    unit="orders",
    short=100,
    long=20_000,
    batch=1_000,
    run=run,
    bars_us={"cancel-only max": 100_000},
)
