"""S1: a foreign page gets in by no trick, and a ticket works once, in time, from its own origin."""

from __future__ import annotations

import asyncio
from random import Random

from bench.bare_world import OTHER_ORIGIN, BareWorld, bare_world
from bench.goal import Goal, Tally
from bench.origin_tricks import ALLOWED, TRICKS
from bench.raw_websocket import call, raw
from gateway.rest_operations import PREFIX
from gateway.tickets import SUBPROTOCOL, VALID_MS

TICKETS_EVERY = 10
EXPIRED_FROM = 100
"""So many trials and more also wait for tickets to expire."""
TICKETS_EXPIRED = 5


async def run(trials: int, seed: int) -> Tally:
    """Tricks, each at both doors, then tickets used in every wrong way."""
    tally = Tally(trials=trials)
    luck = Random(seed)
    tickets = trials // TICKETS_EVERY
    tricks = luck.sample(TRICKS, min(trials - tickets, len(TRICKS)))
    async with bare_world() as world:
        for trick in tricks:
            await _try_trick(world, trick, tally)
        for number in range(tickets):
            await _try_ticket(world, WRONG[number % len(WRONG)], tally)
        if trials >= EXPIRED_FROM:
            await _try_expired(world, tally)
    tally.trials = len(tricks) + tickets
    tally.counts |= {"tricks": len(tricks), "tickets": tickets}
    tally.violations = len(tally.details)
    tally.details = [f"seed {seed}: {detail}" for detail in tally.details[:10]]
    return tally


async def _try_trick(world: BareWorld, origin: str, tally: Tally) -> None:
    async with raw(world.port) as line:
        status = await line.upgrade(world.token, ("Origin", origin))
    headers = {"Authorization": f"Bearer {world.token}", "Origin": origin}
    reply = await call(world.rest_port, "GET", f"{PREFIX}/orders", headers)
    if (status, reply.status) != (403, 403):
        tally.details.append(f"{origin!r}: upgrade {status}, REST {reply.status}")


async def _make(world: BareWorld) -> str:
    headers = {"Authorization": f"Bearer {world.token}", "Origin": ALLOWED}
    reply = await call(world.rest_port, "POST", f"{PREFIX}/tickets", headers)
    assert reply.status == 201, reply
    return str(reply.body["ticket"])


async def _use(world: BareWorld, ticket: str, origin: str | None) -> int:
    headers = () if origin is None else (("Origin", origin),)
    async with raw(world.port) as line:
        return await line.upgrade(None, *headers, offer=SUBPROTOCOL + ticket)


WRONG = ("twice", "from another origin", "from no origin", "changed", "both at once")


async def _try_ticket(world: BareWorld, way: str, tally: Tally) -> None:
    """The wrong use is refused; where it names the ticket, it has used it up."""
    ticket = await _make(world)
    if way == "twice":
        first = await _use(world, ticket, ALLOWED)
        statuses = [await _use(world, ticket, ALLOWED)]
        if first != 101:
            tally.details.append(f"a good ticket got {first}")
    elif way == "both at once":
        both = await asyncio.gather(*(_use(world, ticket, ALLOWED) for _ in range(2)))
        statuses = sorted(both)[1:]
        if sorted(both) != [101, 401]:
            tally.details.append(f"a ticket used twice at once got {both}")
    elif way == "from another origin":
        statuses = [await _use(world, ticket, OTHER_ORIGIN), await _use(world, ticket, ALLOWED)]
    elif way == "from no origin":
        statuses = [await _use(world, ticket, None)]
    else:
        statuses = [await _use(world, ticket[:-1] + ("A" if ticket[-1] != "A" else "B"), ALLOWED)]
    if set(statuses) != {401}:
        tally.details.append(f"a ticket used {way} got {statuses}")


async def _try_expired(world: BareWorld, tally: Tally) -> None:
    tickets = [await _make(world) for _ in range(TICKETS_EXPIRED)]
    await asyncio.sleep(VALID_MS / 1000 + 0.5)
    statuses = [await _use(world, ticket, ALLOWED) for ticket in tickets]
    if set(statuses) != {401}:
        tally.details.append(f"expired tickets got {statuses}")
    tally.counts["expired tickets"] = len(tickets)


GOAL = Goal(
    id="S1",
    says="foreign origins are refused in 100 % of the tricks, and tickets of every wrong use",
    unit="tricks",
    short=60,
    long=250,
    batch=250,
    run=run,
)
