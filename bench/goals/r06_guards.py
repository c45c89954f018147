"""R6: a guard fires when its client stays away, on time, and never for one that came back.

Of a batch's trials a quarter are clients that stay away (cancel on disconnect) or fall silent
(dead man), the rest are reconnects inside the grace. Then router and edge are killed while guards
are armed, and started again: sessions that do not come back count as silent from the restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from decimal import Decimal
from random import Random

from msgspec import Struct

from bench.bare_world import BareWorld, bare_world
from bench.chaos_proxy import ChaosProxy, chaos_proxy
from bench.goal import Goal, Tally
from bench.stream_log import until, until_priced
from domain.commands import SetGuard
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.records import EpochStarted, GuardKind, Record
from domain.streams import Notice, NoticeKind
from gateway import wire
from gateway.client import Client, ClientOptions

NS_PER_MS = 1_000_000
LATE_MS_MAX = 100
AFTER_RESTART_MS_MAX = 1_000
GRACES_MS = (300, 900)
RESTART_GRACES_MS = (0, 500)
LONG_GRACE_MS = 3_000
"""Of those that come back: long enough for a slow machine, and never over by chance."""
RETURNING = 20
AWAY_EVERY = 4
RESTARTED = 6
SLACK_S = 0.5
FIRED = re.compile(r"of session (\S+) fired$")


class Away(Struct, kw_only=True):
    """A session whose guard should fire: how, after what, and from when its client was silent."""

    session: str
    kind: GuardKind
    grace_ms: int
    since_ns: int = 0


async def run(trials: int, seed: int) -> Tally:
    """Those that stay away, those that come back, and a restart with guards armed."""
    tally = Tally(trials=trials)
    luck = Random(seed)
    away = [_an_away(number, luck) for number in range(max(2, trials // AWAY_EVERY))]
    async with bare_world() as world:
        await until_priced(world)
        target = ("127.0.0.1", world.port)
        async with chaos_proxy(target) as proxy:
            await _go_away(world, proxy, away)
        _judge_fires(world.records(), away, tally)
        async with chaos_proxy(target) as proxy:
            await _come_back(world, proxy, trials - len(away), tally)
        await _restart(world, luck, tally)
        await _judge_orders(world, tally)
    tally.details = [f"seed {seed}: {detail}" for detail in tally.details]
    tally.violations = len(tally.details)
    return tally


def _an_away(number: int, luck: Random) -> Away:
    kind = luck.choice(tuple(GuardKind))
    return Away(session=f"away-{number}", kind=kind, grace_ms=luck.randint(*GRACES_MS))


def a_resting_order(name: str) -> NewOrder:
    """A limit far away: it rests until somebody cancels it."""
    return NewOrder(
        client_order_id=name, instrument="EUR/USD", side=Side.BUY, quantity=Decimal(1),
        type=OrderType.LIMIT, limit_price=Decimal("0.50000"), time_in_force=TimeInForce.GTC,
    )  # fmt: skip


# -- those that stay away


async def _go_away(world: BareWorld, proxy: ChaosProxy, away: list[Away]) -> None:
    """All log in, arm and place; then the dead men say nothing, and the others lose their line."""
    url = f"ws://127.0.0.1:{proxy.port}"
    clients = [Client.connect(url, world.token, one.session, resume=False) for one in away]
    async with contextlib.AsyncExitStack() as stack:
        for client, one in zip(clients, away, strict=True):
            await stack.enter_async_context(client)
            await client.place(a_resting_order(one.session))
        for client, one in zip(clients, away, strict=True):
            await client.set_guard(SetGuard(kind=one.kind, grace_ms=one.grace_ms))
            one.since_ns = time.time_ns()
        leaving = [one for one in away if one.kind is GuardKind.CANCEL_ON_DISCONNECT]
        now_ns = time.time_ns()
        for one in leaving:
            one.since_ns = now_ns
        proxy.cut()
        await asyncio.sleep(GRACES_MS[1] / 1000 + SLACK_S)


def fires(records: list[Record]) -> dict[str, list[int]]:
    """When the guards of each session fired."""
    found: dict[str, list[int]] = {}
    for record in records:
        for update in record.updates:
            body = update.body
            if isinstance(body, Notice) and body.kind is NoticeKind.GUARD_FIRED:
                name = FIRED.search(body.message)
                assert name is not None, body.message
                found.setdefault(name[1], []).append(update.at_ns)
    return found


def _judge_fires(records: list[Record], away: list[Away], tally: Tally) -> None:
    fired = fires(records)
    samples = tally.samples_us.setdefault("off the grace", [])
    for one in away:
        times = fired.get(one.session, [])
        if len(times) != 1:
            tally.details.append(f"{one.kind.value} {one.session} fired {len(times)} times")
            continue
        off_ms = (times[0] - one.since_ns) / NS_PER_MS - one.grace_ms
        samples.append(int(abs(off_ms) * 1_000))
        if abs(off_ms) > LATE_MS_MAX:
            words = f"{one.kind.value} fired {off_ms:+.0f} ms off its grace of {one.grace_ms} ms"
            tally.details.append(words)
    tally.counts["fires"] = len(away)


# -- those that come back


async def _come_back(world: BareWorld, proxy: ChaosProxy, count: int, tally: Tally) -> None:
    """Cut, and back before the grace is over, again and again."""
    url = f"ws://127.0.0.1:{proxy.port}"
    guard = SetGuard(kind=GuardKind.CANCEL_ON_DISCONNECT, grace_ms=LONG_GRACE_MS)
    options = ClientOptions(guard=guard)
    clients = [
        Client.connect(url, world.token, f"back-{number}", options=options)
        for number in range(min(RETURNING, count))
    ]
    done = 0
    async with contextlib.AsyncExitStack() as stack:
        for number, client in enumerate(clients):
            await stack.enter_async_context(client)
            await client.place(a_resting_order(f"back-{number}"))
        while done < count:
            wanted = [client.reconnects + 1 for client in clients]
            began = time.monotonic()
            proxy.cut()

            async def are_back(wanted: list[int] = wanted) -> bool:
                pairs = zip(clients, wanted, strict=True)
                return all(one.reconnects >= least and one.is_open for one, least in pairs)

            await until(are_back)
            if time.monotonic() - began < LONG_GRACE_MS / 1000:
                done += len(clients)
        await asyncio.sleep(LONG_GRACE_MS / 1000 + SLACK_S)
        false = [name for name in fires(world.records()) if name.startswith("back-")]
        tally.details += [f"{name} came back, and its guard fired" for name in false]
        for client in clients:
            await client.set_guard(SetGuard(kind=guard.kind, armed=False))
    tally.counts |= {"reconnects": done, "clients that came back": len(clients)}


# -- a restart with guards armed


async def _restart(world: BareWorld, luck: Random, tally: Tally) -> None:
    """Everybody is connected when router and edge are killed, and nobody comes back."""
    graces = {f"gone-{n}": luck.randint(*RESTART_GRACES_MS) for n in range(RESTARTED)}
    async with contextlib.AsyncExitStack() as stack:
        for name, grace_ms in graces.items():
            client = Client.connect(world.url, world.token, name, resume=False)
            await stack.enter_async_context(client)
            await client.place(a_resting_order(name))
            guard = SetGuard(kind=GuardKind.CANCEL_ON_DISCONNECT, grace_ms=grace_ms)
            await client.set_guard(guard)
        await world.end("router")
        await world.end("edge-0")
    await world.start_role("router")
    await world.start_role("edge-0")
    await world.ready()
    await asyncio.sleep((AFTER_RESTART_MS_MAX + RESTART_GRACES_MS[1]) / 1000)
    records = world.records()
    fired = fires(records)
    restart_ns = max(r.at_ns for r in records if isinstance(r.cause, EpochStarted))
    samples = tally.samples_us.setdefault("fired after the restart", [])
    for name, grace_ms in graces.items():
        times = fired.get(name, [])
        if len(times) != 1:
            tally.details.append(f"{name}: fired {len(times)} times around the restart")
            continue
        after_ms = (times[0] - restart_ns) / NS_PER_MS
        samples.append(int(after_ms * 1_000))
        if not grace_ms <= after_ms <= AFTER_RESTART_MS_MAX:
            words = f"{name}: fired {after_ms:.0f} ms after the restart, grace {grace_ms} ms"
            tally.details.append(words)
    tally.counts["restarts"] = 1


async def _judge_orders(world: BareWorld, tally: Tally) -> None:
    """Fired: its order is canceled. Came back: its order still works."""
    rows: dict[str, str] = {}

    async def are_settled() -> bool:
        answer = await client.query(wire.OrdersList, status="open")
        rows.clear()
        rows.update({row["client_order_id"]: row["status"] for row in answer.body})
        return all(name.startswith("back-") for name in rows)

    async with Client.connect(world.url, world.token, "last") as client:
        with contextlib.suppress(TimeoutError):
            await until(are_settled, 10.0)
    tally.details += [f"{name} still works" for name in rows if not name.startswith("back-")]
    missing = tally.counts["clients that came back"] - sum(n.startswith("back-") for n in rows)
    if missing:
        tally.details.append(f"{missing} orders of clients that came back are gone")


GOAL = Goal(
    id="R6",
    says="guards fire at grace +-100 ms, never inside it, and within 1 s of a restart",
    unit="guards",
    short=60,
    long=1_400,
    batch=350,
    run=run,
    bars_us={"off the grace max": 100_000, "fired after the restart max": 1_000_000},
)
