"""Trades for a while in a process of its own, whose wall clock its parent sets.

Real roles, real sockets, the OANDA simulator, all in this process. Run as a program with the
tests' folders on the path: `clock_child.py FOLDER`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
from deployment_in_process import deployment

from domain import commands as c
from domain.lifecycle import Status
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.records import GuardKind
from domain.streams import NoticeKind

ORDERS = 30
PAUSE_S = 0.1
GRACE_MS = 2_000


async def trade(folder: Path) -> list[str]:
    """The orders that were not taken and the guards that fired; the clock's span goes to stderr."""
    patch = pytest.MonkeyPatch()
    seen = set()
    found: list[str] = []
    async with deployment(folder, patch) as running:
        edge = running.edge
        await edge.ask(lambda ref: c.Login(ref=ref, owner="alice", session="s-1", generation=1))
        await edge.say(c.SetGuard(kind=GuardKind.DEAD_MAN, grace_ms=GRACE_MS))
        for number in range(ORDERS):
            order = NewOrder(
                client_order_id=f"o-{number}", instrument="EUR/USD", side=Side.BUY,
                quantity=Decimal(100), type=OrderType.LIMIT, time_in_force=TimeInForce.GTC,
                limit_price=Decimal("1.08000"),
            )  # fmt: skip
            answer = await edge.say(c.Place(order=order))
            error = answer.error or answer.decided[0].error
            found += [f"o-{number}: {error.code}: {error.message}"] if error else []
            seen.add(round((time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)) / 3_600))
            await asyncio.sleep(PAUSE_S)
        await running.rest()
        books = running.router.desk.books
        found += [f"{o.client_order_id}: {o.status.value}" for o in books.orders.open.values()
                  if o.status is not Status.LIVE]  # fmt: skip
        notices = [update.body for update in running.edge.published]
        found += [n.message for n in notices if getattr(n, "kind", 0) is NoticeKind.GUARD_FIRED]
    patch.undo()
    print(f"hours between the clocks: {len(seen)}", file=sys.stderr)
    return found


if __name__ == "__main__":
    print("wrong:", asyncio.run(trade(Path(sys.argv[1]))))
