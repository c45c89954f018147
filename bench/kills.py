"""Does an order survive kill -9 anywhere: 0 lost, 0 doubled, each event once?

    python -m bench.kills [--kills 20] [--rate 100] [--journal local|postgres|URL] [--json]

Edge, router, compliance and broker connection are killed in turn under a steady stream of
orders over several instruments; for the second half the venue loses replies and lands orders
late. Then three logs are compared: the client's, the journal's and the venue's own book.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct

from bench.postgres_server import journal_url
from bench.world import CONNECTION_ROLE, INSTRUMENTS, OWNER, World, WorldOptions, world
from domain.lifecycle import Status
from domain.orders import CancelOrder, NewOrder, OrderType, Side, TimeInForce
from domain.streams import OrderUpdate, StreamUpdate
from gateway import wire
from gateway.client import Client, ConnectionLostError, Refused
from gateway.client_book import OUTCOMES
from ledger.agreement import Agreement, compare_client, compare_venue, stream_of
from ledger.projection import Books

ROLES = ("edge-0", "router", "compliance", CONNECTION_ROLE)
KILL_EVERY_S = 3.0
CALM_S = 2.0
QUIET_S_MAX = 60.0
HOSTILE = {"lost_reply": 0.05, "late_landing": 0.05, "late_ms": [50, 700]}
CALM: dict[str, object] = {}


class Plan(Struct, frozen=True, kw_only=True):
    """How many kills, at which rate of orders, under which seed, over which journal."""

    kills: int = 20
    rate: int = 100
    seed: int = 1
    journal: str = "local"


class Load:
    """Orders at a steady rate, whatever becomes of them; remembers what it was told."""

    def __init__(self, client: Client, plan: Plan) -> None:
        self._client = client
        self._rate = plan.rate
        self._luck = Random(plan.seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self.number = 0
        self.durable: set[str] = set()
        self.refused: dict[str, int] = {}
        self.sent_at: dict[str, tuple[float, str]] = {}

    async def run(self) -> None:
        """Sends until canceled."""
        start = time.monotonic()
        while True:
            self.number += 1
            task = asyncio.create_task(self._one(self.number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(max(0.0, start + self.number / self._rate - time.monotonic()))

    async def settle(self) -> None:
        """Waits for the answers under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _one(self, number: int) -> None:
        order = self._order(number)
        self.sent_at[order.client_order_id] = (time.monotonic(), order.instrument)
        try:
            await self._client.place(order)
            self.durable.add(order.client_order_id)
        except Refused as refusal:
            code = refusal.error.code
            self.refused[code] = self.refused.get(code, 0) + 1
            return
        if order.type is OrderType.LIMIT:
            with contextlib.suppress(Refused, ConnectionLostError):
                await self._client.cancel(CancelOrder(client_order_id=order.client_order_id))

    def _order(self, number: int) -> NewOrder:
        instrument = INSTRUMENTS[number % len(INSTRUMENTS)]
        common: dict[str, Any] = {
            "client_order_id": f"k{number}",
            "instrument": instrument,
            "side": Side.BUY if self._luck.random() < 0.5 else Side.SELL,
            "quantity": Decimal(self._luck.randint(1, 900)),
            "valid_for_ms": 10_000,
        }
        if number % 4 == 0:
            price = Decimal("70.000") if instrument.endswith("JPY") else Decimal("0.50000")
            return NewOrder(
                **{**common, "side": Side.BUY},
                type=OrderType.LIMIT,
                limit_price=price,
                time_in_force=TimeInForce.GTC,
            )
        return NewOrder(**common, time_in_force=TimeInForce.FOK)


class Log:
    """What the client library applied, in its order."""

    def __init__(self) -> None:
        self.updates: list[StreamUpdate] = []
        self.outcomes: list[tuple[float, str, str]] = []

    def take(self, event: wire.Ev) -> None:
        """One event, as the client library applies it."""
        self.updates.append(
            StreamUpdate(stream=event.stream, seq=event.seq, at_ns=event.at_ns, body=event.body)
        )
        body = event.body
        if isinstance(body, OrderUpdate) and isinstance(body.event, OUTCOMES):
            name = body.client_order_id or ""
            self.outcomes.append((time.monotonic(), name, body.instrument or ""))


async def run(plan: Plan, deployment: World) -> dict[str, Any]:
    """Kills, waits until all is quiet, compares; the report."""
    log, kills = Log(), []
    stream = f"orders/{OWNER}"
    connect = Client.connect(deployment.url, deployment.token, "kills", on_event=log.take)
    async with connect as client:
        load = Load(client, plan)
        sending = asyncio.create_task(load.run())
        await asyncio.sleep(CALM_S)
        for number in range(plan.kills):
            if number == plan.kills // 2:
                await deployment.simulate("/sim/hostility", HOSTILE)
            role = ROLES[number % len(ROLES)]
            deployment.kill(role)
            kills.append((time.monotonic(), role))
            await asyncio.sleep(KILL_EVERY_S)
        await deployment.simulate("/sim/hostility", CALM)
        sending.cancel()
        await load.settle()
        await _quiet(client, log)
    agreement = await compare(deployment, log, stream)
    return report(plan, load, log, kills, agreement)


async def _quiet(client: Client, log: Log) -> None:
    """Until nothing is under way: no order sending or unknown, no cancel pending."""
    deadline = time.monotonic() + QUIET_S_MAX
    while time.monotonic() < deadline:
        moving = [
            order
            for order in client.orders.open()
            if order.status in (Status.SENDING, Status.UNKNOWN, Status.READY) or order.pending
        ]
        seen = len(log.updates)
        await asyncio.sleep(1.0)
        if not moving and len(log.updates) == seen:
            return


async def compare(deployment: World, log: Log, stream: str) -> Agreement:
    """The three logs against each other."""
    records = deployment.records()
    books = Books()
    for record in records:
        books.apply(record)
    journaled = stream_of(records, stream)
    found = (books.orders.get(name) for name in books.orders.all_ids())
    agreement = compare_venue(
        (order for order in found if order is not None), journaled, await deployment.book()
    )
    received = [update for update in log.updates if update.stream == stream]
    agreement.differences += compare_client(journaled, received)
    if not agreement.is_clean:
        keep = Path(tempfile.mkdtemp(prefix="fg-kills-"))
        shutil.copytree(deployment.home, keep / "home", dirs_exist_ok=True)
        book = await deployment.simulate("/sim/book")
        (keep / "book.json").write_text(json.dumps(book))
        agreement.differences.append(f"the deployment is kept in {keep}")
    return agreement


def report(
    plan: Plan, load: Load, log: Log, kills: list[tuple[float, str]], agreement: Agreement
) -> dict[str, Any]:
    """Counts, and for each kill how long until an order sent after it had its outcome."""
    unheard = load.durable - {name for _, name, _ in log.outcomes}
    gaps: dict[str, list[float]] = {}
    for at, role in kills:
        after = [
            when - at
            for when, name, _ in log.outcomes
            if name in load.sent_at and load.sent_at[name][0] > at
        ]
        gaps.setdefault(role, []).append(round(min(after, default=-1.0), 3))
    return {
        "kills": plan.kills,
        "orders": load.number,
        "durable": len(load.durable),
        "refused": load.refused,
        "events": len(log.updates),
        "lost": len(agreement.lost) + len(unheard),
        "doubled": len(agreement.doubled),
        "unknown": agreement.unknown,
        "differences": len(agreement.differences),
        "details": (agreement.lost + agreement.doubled + agreement.differences)[:20],
        "unheard": sorted(unheard)[:20],
        "trading_again_s": gaps,
    }


async def main(plan: Plan) -> dict[str, Any]:
    """The bench in a deployment of its own."""
    with journal_url(plan.journal) as url:
        async with world(WorldOptions(horizon_ms=1_000, journal_url=url)) as deployment:
            return await run(plan, deployment)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--journal", default="local", help="local, postgres, or a URL")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    given = {name: getattr(words, name) for name in Plan.__struct_fields__}
    result = asyncio.run(main(Plan(**given)))
    print(json.dumps(result, indent=None if words.json else 2))
    sys.exit(1 if result["lost"] or result["doubled"] or result["differences"] else 0)
