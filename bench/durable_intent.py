"""What does an order pay for being written down before it is sent, at a steady rate?

Market orders at the paper OANDA, by a client at the router's link, at fixed times whatever becomes
of them. For each the router's journal says how long encoding, writing and syncing its intent took;
without a journal none of it would be. At the end client, journal and venue are compared.
"""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from itertools import islice

from msgspec import Struct

from bench.pace import Pacer
from bench.plain import Plain, plain
from bench.stories import OANDA, market
from bench.three_logs import find_differences
from bench.timed_journal import Waited, read_waits
from bench.workload import NS, Ticket, tickets
from bench.world import INSTRUMENTS, WorldOptions
from domain import commands as c
from domain.orders import Side

WAITS = "waits"
QUOTE_EVERY_S = 1.0
PATIENCE_S = 30.0


class Paid(Struct, kw_only=True):
    """Each intent's wait, how fast the orders really came, and what was wrong.

    An order that was refused had no intent: a machine too busy to answer makes such.
    """

    waits: list[Waited]
    refused: int
    rate_reached: float
    faults: list[str]


async def pay(orders: int, rate: int, seed: int) -> Paid:
    """So many orders at so many a second, in a deployment of its own."""
    async with plain(WorldOptions(), timed=WAITS) as deployment:
        await deployment.until_ready()
        quoting = asyncio.create_task(_quote(deployment))
        rate_reached, refused = await _send(deployment, orders, rate, seed)
        async with asyncio.timeout(PATIENCE_S):
            await deployment.edge.rest()
        quoting.cancel()
        return Paid(
            waits=list(read_waits(deployment.paths.home / WAITS)),
            rate_reached=rate_reached,
            refused=refused,
            faults=await find_differences(deployment),
        )


async def _send(deployment: Plain, orders: int, rate: int, seed: int) -> tuple[float, int]:
    """Every order at its time: how many a second left, and how many were refused."""
    start_ns = time.monotonic_ns()
    asking = []
    with Pacer() as pacer:
        for number, ticket in enumerate(islice(tickets(INSTRUMENTS, seed), orders)):
            await pacer.until(start_ns + number * NS // rate)
            asking.append(asyncio.create_task(_ask(deployment, ticket)))
    reached = round(orders * NS / (time.monotonic_ns() - start_ns), 1)
    return reached, sum(await asyncio.gather(*asking))


async def _ask(deployment: Plain, ticket: Ticket) -> bool:
    """True where it was refused."""
    order = market(
        OANDA,
        f"w{ticket.number}",
        instrument=ticket.instrument,
        side=Side.BUY if ticket.units > 0 else Side.SELL,
        quantity=Decimal(abs(ticket.units)),
    )
    answer = await deployment.edge.say(order.client_order_id, c.Place(order=order))
    return answer.error is not None or answer.decided[0].error is not None


async def _quote(deployment: Plain) -> None:
    while True:
        await asyncio.sleep(QUOTE_EVERY_S)
        await deployment.quote()
