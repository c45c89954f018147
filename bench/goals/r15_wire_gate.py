"""R15, the wire gate: whatever a broken router says, no more leaves than was written down.

A trial writes one order down, sends it or not, and then says something a router must not: the
same frame again, the order under new numbers, more of it than was journaled, a frame of an older
epoch or build, one replayed after a halt. The broker's own book is the judge: its orders are at
most the journal's, each with no more than its quantity, and one order's parts add up to no more.
Now and then the connection dies in between and knows only its marks.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import aiohttp
from msgspec.structs import replace

from actors import messages as m
from actors.gate import sealed
from actors.link import Hello, Link, dial
from bench.goal import Goal, Tally
from bench.hand_router import HandRouter
from bench.small_world import Shape, SmallWorld, small_world
from bench.world import CONNECTION_ROLE
from domain.records import Halted, HaltScope

AT_ONCE = 50
RESTART_EVERY = 400
HALT_MS_MAX = 50
HALTED = (Halted(scope=HaltScope.ALL, subject="*", by="ops", reason="stop"),)


class Trials:
    """The hand router and what it did."""

    def __init__(self, world: SmallWorld, router: HandRouter, luck: Random) -> None:
        self.world = world
        self.router = router
        self.luck = luck
        self.sent: list[m.Dispatch] = []
        self.awaited: list[int] = []
        """Intents whose outcome is still to come; a connection that dies takes them along."""
        self.halts = 0
        self.faults: dict[str, Callable[[m.Dispatch], Any]] = {
            "the same frame again": self._again,
            "the order under a new intent": self._looped,
            "another attempt of it": self._another_attempt,
            "more than was written down": self._grown,
            "more, under new numbers": self._grown_and_looped,
            "another order's id": self._renamed,
            "another broker id": self._misnamed,
            "an older epoch": self._older_epoch,
            "a build that seals nothing": self._unsealed,
            "a frame from long ago": self._replayed,
            "after a halt": self._after_halt,
            "after a halt and an older resume": self._after_replayed_resume,
            "too late": self._late,
        }

    def one(self, number: int) -> str:
        """One fault; its name."""
        name = self.luck.choice(list(self.faults))
        genuine = self.router.write_down(f"o-{number}", self.luck.randint(1, 5))
        if name not in UNSENT and self.luck.random() < 0.8:
            self._say(genuine)
        for fault in _listed(self.faults[name](genuine)):
            self.router.say(fault)
        return name

    def _say(self, genuine: m.Dispatch) -> None:
        self.router.say(genuine)
        self.sent.append(genuine)
        self.awaited.append(genuine.intent)

    def _new_intent(self) -> int:
        self.router.intent += 1
        return self.router.intent

    def _again(self, one: m.Dispatch) -> Any:
        return [one] * self.luck.randint(1, 3)

    def _looped(self, one: m.Dispatch) -> Any:
        return [sealed(replace(one, intent=self._new_intent())) for _ in range(3)]

    def _another_attempt(self, one: m.Dispatch) -> Any:
        self.router.say(one)
        name, quantity = one.order.client_order_id, int(one.order.quantity)
        return self.router.dispatch(name, quantity, intent=self._new_intent(), attempt=2)

    def _grown(self, one: m.Dispatch) -> Any:
        order = replace(one.order, quantity=one.order.quantity * 2)
        return replace(one, order=order, intent=self._new_intent())

    def _grown_and_looped(self, one: m.Dispatch) -> Any:
        self.router.say(one)
        order = replace(one.order, quantity=one.order.quantity * 2)
        return sealed(replace(one, order=order, intent=self._new_intent()))

    def _renamed(self, one: m.Dispatch) -> Any:
        other = self.luck.choice(self.sent) if self.sent else one
        return sealed(replace(one, order_id=f"{other.order_id[:-1]}x", intent=self._new_intent()))

    def _misnamed(self, one: m.Dispatch) -> Any:
        name = f"{one.venue_client_id[:-1]}x"
        return sealed(replace(one, venue_client_id=name, intent=self._new_intent()))

    def _older_epoch(self, one: m.Dispatch) -> Any:
        return sealed(replace(one, epoch=one.epoch - 1, intent=self._new_intent()))

    def _unsealed(self, one: m.Dispatch) -> Any:
        return replace(one, intent=self._new_intent(), digest="")

    def _replayed(self, one: m.Dispatch) -> Any:
        return self.luck.sample(self.sent, min(3, len(self.sent)))

    def _halt(self, number: int, halts: tuple[Halted, ...]) -> m.SetHalts:
        return m.SetHalts(epoch=self.router.epoch, number=number, halts=halts)

    def _after_halt(self, one: m.Dispatch) -> Any:
        self.halts += 2
        del self.router.journaled[one.venue_client_id]
        return [self._halt(self.halts, HALTED), one, self._halt(self.halts + 1, ())]

    def _after_replayed_resume(self, one: m.Dispatch) -> Any:
        self.halts += 2
        del self.router.journaled[one.venue_client_id]
        resumed = self._halt(self.halts - 1, ())
        return [self._halt(self.halts, HALTED), resumed, one, self._halt(self.halts + 1, ())]

    def _late(self, one: m.Dispatch) -> Any:
        del self.router.journaled[one.venue_client_id]
        return sealed(replace(one, send_by_ns=1))


UNSENT = frozenset({"after a halt", "after a halt and an older resume", "too late"})
"""Faults whose own order must not arrive at all: it is struck from the journal's account."""


def _listed(frames: Any) -> list[Any]:
    return frames if isinstance(frames, list) else [frames]


async def run(trials: int, seed: int) -> Tally:
    """`trials` faults; a violation is an order at the broker that nobody wrote down."""
    tally = Tally(trials=trials)
    counts: Counter[str] = Counter()
    extra = "sessions = 64\nbreaker_failures = 1000000"
    shape = Shape(processes=(), connection_extra=extra)
    async with small_world(shape) as world:
        router = HandRouter()
        process = await world.start_process(CONNECTION_ROLE)
        me = Hello(role="router", deployment="small", incarnation="r", pid=os.getpid())
        path = world.paths.socket(CONNECTION_ROLE)
        dialing = asyncio.create_task(
            dial(path, lambda: Link(me, m.router_from_connection, router))
        )
        await world.until(lambda: router.is_up)
        one = Trials(world, router, Random(seed))
        for number in range(trials):
            counts[one.one(number)] += 1
            if number % AT_ONCE == AT_ONCE - 1:
                await _settle(world, one, tally)
            if number % RESTART_EVERY == RESTART_EVERY // 2:
                process.kill()
                await world.until(lambda: not router.is_up)
                process = await world.start_process(CONNECTION_ROLE)
                await world.until(lambda: router.is_up)
                one.awaited.clear()
                counts["restarts"] += 1
        await _settle(world, one, tally)
        dialing.cancel()
        await _judge(world, router, tally, seed)
    tally.counts = dict(counts) | tally.counts
    return tally


async def _settle(world: SmallWorld, trials: Trials, tally: Tally) -> None:
    """All that was said is done with: the gate answers a halt, in time, after everything."""
    router = trials.router
    trials.halts += 2
    asked = time.monotonic()
    await router.halt(trials.halts, ())
    tally.samples_us.setdefault("halt", []).append(int((time.monotonic() - asked) * 1e6))
    await world.until(lambda: all(intent in router.outcomes for intent in trials.awaited))
    trials.awaited.clear()


async def _judge(world: SmallWorld, router: HandRouter, tally: Tally, seed: int) -> None:
    """The broker's book against the journal's account."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{world.simulator_url}/sim/book") as answer,
    ):
        book = await answer.json()
    arrived = [row for row in book["orders"] if row["cause"] != "REPLACEMENT"]
    names = Counter(row["client_order_id"] for row in arrived)
    tally.counts = {"journaled": len(router.journaled), "arrived": len(arrived)}
    for row in arrived:
        name = row["client_order_id"]
        allowed = router.journaled.get(name)
        units = abs(Decimal(row["units"]))
        if allowed is None or units > allowed or names[name] > 1:
            tally.violations += 1
            what = f"{units} of {name} arrived {names[name]} times, journaled {allowed}"
            tally.details.append(f"seed {seed}: {what}")


GOAL = Goal(
    id="R15",
    says="Whatever the router says, no more leaves than was written down; a halt is set in 50 ms",
    unit="faults",
    short=300,
    long=10_000,
    batch=1_000,
    run=run,
    bars_us={"halt p99": HALT_MS_MAX * 1_000},
)
