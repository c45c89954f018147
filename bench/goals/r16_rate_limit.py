"""R16, the broker's rate limit: at twice the limit it never has to say 429, and cancels pass.

The paper broker counts as OANDA does (120 requests a second, then 429). New orders are asked for at
240 a second: one in eight rests and is canceled at once, the others fill. What the limit has no
room for waits a little, or is refused `rate_limited`; a cancel waits for neither. A trial is a
second.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from decimal import Decimal

from bench.goal import Goal, Tally
from bench.hand_router import order
from bench.small_world import Shape, SmallWorld, small_world
from bench.world import CONNECTION_ROLE
from domain import commands as c
from domain.events import Accepted, Canceled, Fill
from domain.orders import CancelOrder, NewOrder, Side, TimeInForce
from domain.streams import OrderUpdate

RATE = 240
REST_EVERY = 8
SENT_PER_S_MIN = 40
SETTLE_S = 1.5
SHAPE = Shape(processes=(("router", "compliance"), (CONNECTION_ROLE,)), limits=True)


class Load:
    """Orders at twice the limit, cancels of some that work, and what became of both."""

    def __init__(self, world: SmallWorld) -> None:
        self._edge = world.edge
        self._tasks: set[asyncio.Task[None]] = set()
        self._canceled_at: dict[str, float] = {}
        self.counts: Counter[str] = Counter()
        self.cancels_us: list[int] = []
        world.edge.watch = self._heard

    async def run(self, seconds: int) -> None:
        """Asks for so many seconds, whatever is answered."""
        start = time.monotonic()
        for number in range(seconds * RATE):
            self._spawn(self._place(number))
            await asyncio.sleep(max(0.0, start + number / RATE - time.monotonic()))
        await asyncio.sleep(SETTLE_S)

    def _spawn(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _place(self, number: int) -> None:
        _, answer = await self._edge.say(c.Place(order=_order(number)))
        decided = answer.decided[0]
        self.counts[decided.error.code if decided.error else "taken"] += 1

    def _heard(self, update: OrderUpdate) -> None:
        name = update.client_order_id or ""
        if isinstance(update.event, Fill):
            self.counts["at the broker"] += 1
        elif isinstance(update.event, Accepted) and name.startswith("rests"):
            self.counts["at the broker"] += 1
            self._canceled_at[name] = time.monotonic()
            self._spawn(self._cancel(name))
        elif isinstance(update.event, Canceled) and name in self._canceled_at:
            took_s = time.monotonic() - self._canceled_at.pop(name)
            self.cancels_us.append(int(took_s * 1e6))

    async def _cancel(self, name: str) -> None:
        cancel = c.Cancel(cancel=CancelOrder(client_order_id=name))
        await self._edge.say(cancel)

    @property
    def hanging(self) -> list[str]:
        """Cancels of which nothing was heard."""
        return list(self._canceled_at)


def _order(number: int) -> NewOrder:
    """One in `REST_EVERY` rests; the others fill at once, and add up to nothing."""
    if number % REST_EVERY == 0:
        return order(f"rests-{number}", 1)
    return NewOrder(
        client_order_id=f"fills-{number}",
        instrument="EUR/USD",
        side=Side.BUY if number % 2 else Side.SELL,
        quantity=Decimal(1),
        time_in_force=TimeInForce.FOK,
    )


async def run(trials: int, seed: int) -> Tally:
    """`trials` seconds; a violation is a 429, a cancel unheard of, or orders that starve."""
    tally = Tally(trials=trials)
    async with small_world(SHAPE) as world:
        assert world.tap is not None
        load = Load(world)
        await load.run(trials)
        tally.counts = dict(load.counts) | {"429": world.tap.too_many}
        tally.samples_us["cancel"] = load.cancels_us
    found = []
    if tally.counts["429"]:
        found.append(f"{tally.counts['429']} times 429")
    if load.hanging:
        found.append(f"{len(load.hanging)} cancels without an end")
    if load.counts["at the broker"] < trials * SENT_PER_S_MIN:
        found.append(f"only {load.counts['at the broker']} orders got there in {trials} s")
    tally.violations = len(found)
    tally.details = [f"seed {seed}: {what}" for what in found]
    return tally


GOAL = Goal(
    id="R16",
    says="At twice the broker's rate limit it never answers 429, and a cancel ends in 0.1 s",
    unit="seconds",
    short=3,
    long=3_600,
    batch=120,
    run=run,
    bars_us={"cancel p99": 100_000},
)
