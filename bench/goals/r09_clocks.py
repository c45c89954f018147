"""R9: the wall clock steps by an hour and drifts by 1 %, and nothing is the worse for it.

A client trades without a pause under both guards, its orders good for less than a second, while
the host's clock is stepped and bent under it. Its link breaks for moments shorter than the grace.
No guard may fire, no order may be called stale, and every number must follow the one before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from random import Random

from bench.dst.judge import judge
from bench.dst.story import Story, a_story
from bench.dst.trader import Trader
from bench.goal import Goal, Tally
from domain import events as ev
from domain.commands import SetGuard
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.records import GuardKind
from domain.streams import Notice, NoticeKind, OrderUpdate
from gateway import wire

HOUR_NS = 3_600_000_000_000
DRIFTS = (-0.01, 0.0, 0.01)
START_S = 0.6
PAUSE_S = 0.08
MOMENTS = 60
GRACE_MS = 2_000
VALID_MS = 900
STALE = ("stale", "price")
DETAILS_MAX = 20


async def run(trials: int, seed: int) -> Tally:
    """`trials` stories of 60 moments each."""
    tally = Tally(trials=trials, counts={"steps": 0, "drifts": 0, "cuts": 0, "orders": 0})
    for number in range(seed, seed + trials):
        found = list(_tell(number, tally.counts))
        if found:
            tally.violations += 1
            if len(tally.details) < DETAILS_MAX:
                tally.details.append(f"seed {number}: {found[0]}")
        await asyncio.sleep(0)
    return tally


def _tell(seed: int, counts: dict[str, int]) -> Iterator[str]:
    with a_story(seed) as story:
        story.begin()
        story.pass_s(START_S)
        _arm(story.trader)
        for moment in range(MOMENTS):
            _do(story, Random(f"{seed} {moment}"), moment, counts)
            story.pass_s(PAUSE_S)
        yield from _wrongs(story)
        yield from story.come_to_rest()
        yield from judge(story.deployment, story.trader)


def _arm(trader: Trader) -> None:
    for kind in GuardKind:
        guard = SetGuard(kind=kind, grace_ms=GRACE_MS)
        trader.say("guard", wire.GuardSet, guard=guard)


def _do(story: Story, luck: Random, moment: int, counts: dict[str, int]) -> None:
    """An order, and now and then something that happens to a clock or to the client's link."""
    host, trader = story.deployment.host, story.trader
    chance = luck.random()
    if chance < 0.2:
        counts["steps"] += 1
        host.step_ns += luck.choice((-1, 1)) * HOUR_NS
    elif chance < 0.3:
        counts["drifts"] += 1
        host.set_drift(luck.choice(DRIFTS))
    elif chance < 0.35:
        counts["cuts"] += 1
        story.deployment.network.cut(("client", "edge"))
    counts["orders"] += 1
    is_market = luck.random() < 0.5
    price = None if is_market else Decimal("1.09000")
    order = NewOrder(
        client_order_id=f"o-{moment}", instrument="EUR/USD", quantity=Decimal(100),
        side=luck.choice((Side.BUY, Side.SELL)) if is_market else Side.BUY,
        type=OrderType.MARKET if is_market else OrderType.LIMIT,
        time_in_force=TimeInForce.FOK if is_market else TimeInForce.GTC,
        limit_price=price, valid_for_ms=VALID_MS,
    )  # fmt: skip
    trader.place(order)


def _wrongs(story: Story) -> Iterator[str]:
    """Guards that fired, and orders that were called stale."""
    router = story.deployment.parts["router"]
    for record in router.journal.replay():
        for update in record.updates:
            body = update.body
            if isinstance(body, Notice) and body.kind is NoticeKind.GUARD_FIRED:
                yield body.message
            if isinstance(body, OrderUpdate) and isinstance(body.event, ev.Canceled | ev.Denied):
                yield f"{body.client_order_id}: {body.event}"
    for asked in story.trader.asked:
        for error in (asked.error, *(decided.error for decided in asked.decided)):
            if error is not None and any(word in error.code for word in STALE):
                yield f"{asked.what}: {error.code}: {error.message}"


GOAL = Goal(
    id="R9",
    says="clocks that step by an hour or drift by 1 % fire no guard and make no order stale",
    unit="stories",
    short=12,
    long=2_000,
    batch=200,
    run=run,
)
