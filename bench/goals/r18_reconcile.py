"""R18: reconciling with a broker where nothing moved writes nothing, and every id stays the same.

A story is told until it rests. Then one process after another is killed and started, power cuts
included, and the streams are cut: each time the account is read and compared again. The journal
may gain epochs and the state of connections, nothing else. At last the disk is lost: two
deployments that begin anew at the same broker must give its orders and fills the same ids.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from random import Random

from bench.dst.deployment import CONNECTION, Deployment
from bench.dst.story import Story, at_rest
from bench.goal import Goal, Tally
from domain import events as ev
from domain.commands import SetGuard
from domain.streams import ConnectionUpdate, Notice, NoticeKind, OrderUpdate, StreamUpdate
from gateway import wire

RESTARTS_A_STORY = 25
EXPIRY_S = 8.0
"""By then every order that ends by itself has ended."""
WORDS_MAX = 300
DETAILS_MAX = 20
WAYS = ("router", "connection", "compliance", "streams", "router and connection", "power")


async def run(trials: int, seed: int) -> Tally:
    """`trials` restarts, 25 in each story."""
    tally = Tally(trials=trials, counts={"stories": 0, "anew": 0} | dict.fromkeys(WAYS, 0))
    left, number = trials, seed
    while left > 0:
        restarts = min(left, RESTARTS_A_STORY)
        for wrong in _tell(number, restarts, tally.counts):
            tally.violations += 1
            if len(tally.details) < DETAILS_MAX:
                tally.details.append(f"seed {number}: {wrong}")
        left, number = left - restarts, number + 1
        await asyncio.sleep(0)
    return tally


def _tell(seed: int, restarts: int, counts: dict[str, int]) -> Iterator[str]:
    luck = Random(seed)
    with at_rest(seed) as (story, unrest):
        story.pass_s(EXPIRY_S)
        _lift_guards(story)
        yield from unrest or story.come_to_rest()
        counts["stories"] += 1
        # The first reconciliation may find news: money that only the account itself tells.
        deque(_reconcile(story, "streams"), maxlen=0)
        for _ in range(restarts):
            way = luck.choice(WAYS)
            counts[way] += 1
            yield from _reconcile(story, way)
        counts["anew"] += 1
        first, second = _begin_anew(story), _begin_anew(story)
        if first is None or second is None:
            yield "a new beginning never got in step with the broker"
        elif first != second:
            yield f"ids of a new beginning differ: {sorted(first ^ second)[:3]}"


def _lift_guards(story: Story) -> None:
    """A guard would rightly fire for a session that a restart keeps away."""
    for guard in story.deployment.parts["router"].desk.books.guards.values():
        lifted = SetGuard(
            kind=guard.kind, armed=False, tag=guard.tag, instrument=guard.instrument,
            account=guard.account,
        )  # fmt: skip
        story.trader.say("guard", wire.GuardSet, guard=lifted)


def _reconcile(story: Story, way: str) -> Iterator[str]:
    """Has the account read again, and tells what that wrote down."""
    deployment = story.deployment
    router = deployment.parts["router"]
    before, orders = len(deployment.disk.records), _ids(_updates(deployment, 0))
    snapshot = router.desk.books.orders.all_ids()
    _disturb(deployment, way)
    story.pass_s(0.03)
    deployment.start_all()
    for what in story.come_to_rest():
        yield f"after {way}: {what}"
    for update in _updates(deployment, before):
        if not _is_of_a_return(update):
            yield f"after {way}: {update.stream} gained {update.body}"[:WORDS_MAX]
    after = deployment.parts["router"].desk.books.orders.all_ids()
    if set(after) != set(snapshot) or _ids(_updates(deployment, 0)) != orders:
        yield f"after {way}: other ids"


def _is_of_a_return(update: StreamUpdate) -> bool:
    """A connection's state, or that a session logged in again: that did happen."""
    body = update.body
    is_login = isinstance(body, Notice) and body.kind is NoticeKind.AUDIT
    return is_login or isinstance(body, ConnectionUpdate)


def _disturb(deployment: Deployment, way: str) -> None:
    match way:
        case "streams":
            deployment.venue.cut()
        case "power":
            deployment.cut_power()
        case "router and connection":
            deployment.kill("router")
            deployment.kill("connection")
        case _:
            deployment.kill(way)


def _begin_anew(story: Story) -> set[tuple[str, ...]] | None:
    """What a deployment without a past calls the broker's orders and fills; None if never up."""
    deployment = story.deployment
    deployment.cut_power()
    deployment.disk.replace()
    story.trader.log.clear()
    story.trader.kill()
    deployment.start_all()
    for _ in range(100):
        story.pass_s(0.1)
        router = deployment.parts.get("router")
        if router is not None and router.desk.venues[CONNECTION].is_up:
            story.pass_s(0.1)
            return _ids(_updates(deployment, 0))
    return None


def _updates(deployment: Deployment, after: int) -> list[StreamUpdate]:
    journal = deployment.parts["router"].journal
    return [update for record in journal.replay(after) for update in record.updates]


def _ids(updates: list[StreamUpdate]) -> set[tuple[str, ...]]:
    """Orders with all they are called, and fills."""
    found: set[tuple[str, ...]] = set()
    for update in updates:
        if isinstance(update.body, OrderUpdate):
            event = update.body.event
            found.add((update.body.order_id, str(getattr(event, "broker_order_id", None))))
            if isinstance(event, ev.Fill):
                found.add((update.body.order_id, event.execution_id))
    return found


GOAL = Goal(
    id="R18",
    says="reconciling again where nothing moved writes 0 events, and ids stay over restarts",
    unit="restarts",
    short=75,
    long=1_000,
    batch=250,
    run=run,
)
