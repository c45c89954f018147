"""Does an order survive kill -9 anywhere: 0 lost, 0 doubled, each event once?

    python -m bench.kills [--kills 20] [--rate 100] [--only ROLE]
                          [--journal local|postgres|URL] [--json]

Edge, router, compliance, both broker connections and ledger are killed in turn under a steady
stream of orders: pairs at OANDA, shares and a coin at Alpaca. For the second half (or from the
start) both venues lose replies, land orders late, repeat and swap events, and take the same client
id twice. Then the logs are compared: the client's, the journal's and the venues' own books; and
the ledger's store with one made from the journal anew, row for row.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import psutil
from msgspec import Struct

from actors.paths import LEDGER_ROLE
from actors.settings import journal_place, load
from bench.load import Load
from bench.postgres_server import journal_url
from bench.world import (
    ALPACA_ROLE,
    CONNECTION_ROLE,
    OWNER,
    World,
    WorldOptions,
    world,
)
from domain.lifecycle import Status
from domain.streams import OrderUpdate, StreamUpdate
from gateway import wire
from gateway.client import Client, ConnectionLostError, Refused
from gateway.client_book import OUTCOMES
from ledger.agreement import Agreement, compare_client, compare_venue, stream_of
from ledger.places import reader_of
from ledger.projection import Books
from ledger.store import read_cursor
from ledger.store_database import Database, find_url
from ledger.store_faults import StoreFailed
from ledger.store_rebuild import verify_at_end

ROLES = ("edge-0", "router", "compliance", CONNECTION_ROLE, ALPACA_ROLE, LEDGER_ROLE)
KILL_EVERY_S = 3.0
READ_EVERY_S = 0.05
START_S_MAX = 30.0
CALM_S = 2.0
QUIET_S_MAX = 60.0
HOSTILE = {
    "lost_reply": 0.05,
    "late_landing": 0.05,
    "late_ms": [50, 700],
    "repeated_event": 0.05,
    "reordered_event": 0.05,
    "unique_client_ids": False,
}
CALM: dict[str, object] = {}


class Plan(Struct, frozen=True, kw_only=True):
    """How many kills of which roles, how often, at which rate of orders, under which seed.

    `calm` is how many of the kills come while the venues are still kind. `journal` is where it
    is kept: local, postgres (a server of the bench's own), or a URL.
    """

    kills: int = 20
    rate: int = 100
    seed: int = 1
    roles: tuple[str, ...] = ROLES
    every_s: float = KILL_EVERY_S
    calm: int | None = None
    """None: half of them."""
    journal: str = "local"


class Reading:
    """Lists asked for all the while: how many were answered, refused, or went back in time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.answered = self.backward = self.position = 0
        self.slowest_s = 0.0
        self.refused: dict[str, int] = {}

    async def run(self) -> None:
        """Asks until canceled."""
        while True:
            start = time.monotonic()
            try:
                res = await self._client.query(wire.OrdersList, status="all", limit=20)
            except (Refused, ConnectionLostError) as trouble:
                code = trouble.error.code if isinstance(trouble, Refused) else "connection_lost"
                self.refused[code] = self.refused.get(code, 0) + 1
            else:
                self._take(res.position or 0, time.monotonic() - start)
            await asyncio.sleep(READ_EVERY_S)

    def _take(self, position: int, took_s: float) -> None:
        self.answered += 1
        self.backward += position < self.position
        self.position = max(self.position, position)
        self.slowest_s = max(self.slowest_s, took_s)


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
    log, kills, luck = Log(), [], Random(plan.seed)
    stream = f"orders/{OWNER}"
    connect = Client.connect(deployment.url, deployment.token, "kills", on_event=log.take)
    async with connect as client:
        load, reading = Load(client, plan.rate, plan.seed), Reading(client)
        await load.until_priced()
        sending = asyncio.create_task(load.run())
        asking = asyncio.create_task(reading.run())
        await asyncio.sleep(CALM_S)
        for number in range(plan.kills):
            if number == (plan.kills // 2 if plan.calm is None else plan.calm):
                await _treat(deployment, HOSTILE)
            role = plan.roles[number % len(plan.roles)]
            await _until_up(deployment, role)
            if role == LEDGER_ROLE and number % 2:
                await _until_it_writes(deployment)
            deployment.kill(role)
            kills.append((time.monotonic(), role))
            # Sooner or later: also while it starts, and in the middle of its work.
            await asyncio.sleep(plan.every_s * (0.5 + luck.random()))
        await _treat(deployment, CALM)
        rate = load.rate_reached()
        sending.cancel()
        asking.cancel()
        await load.settle()
        await _quiet(client, log)
    agreement = await compare(deployment, log, stream)
    agreement.differences += await compare_store(deployment)
    result = report(plan, load, log, kills, agreement)
    return result | {
        "rate_reached": rate,
        "lists": reading.answered,
        "lists_refused": reading.refused,
        "lists_backward": reading.backward,
        "list_slowest_s": round(reading.slowest_s, 3),
    }


async def _treat(deployment: World, hostility: dict[str, Any]) -> None:
    """Both venues from now on."""
    for simulator in deployment.ready["simulators"]:
        await deployment.simulate("/sim/hostility", hostility, simulator)


async def _until_up(deployment: World, role: str) -> None:
    """Until the role has a process: one that is killed again while it starts counts once."""
    deadline = time.monotonic() + START_S_MAX
    while not psutil.pid_exists(deployment.pid(role)) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)


async def _until_it_writes(deployment: World) -> None:
    """Until the store grows: half of the kills shall come in the middle of the ledger's work."""
    deadline = time.monotonic() + START_S_MAX
    with closing(Database(find_url(None, deployment.paths.store))) as database:
        first = _position(database)
        while _position(database) == first and time.monotonic() < deadline:
            await asyncio.sleep(0.05)


def _position(database: Database) -> int:
    try:
        with database.read() as connection:
            return read_cursor(connection).position
    except StoreFailed:  # no tables yet
        return 0


async def compare_store(deployment: World) -> list[str]:
    """The ledger's store, once it is at the journal's end, against a second one made now."""
    settings = load(deployment.paths.settings)
    name = settings.deployment.id
    journal = reader_of(journal_place(deployment.paths, settings))
    pauses = int(QUIET_S_MAX / READ_EVERY_S)
    with closing(Database(find_url(None, deployment.paths.store))) as database:
        found = await asyncio.to_thread(
            verify_at_end, database, name, journal, lambda: time.sleep(READ_EVERY_S), pauses
        )
    return [f"store: {difference}" for difference in found.differences]


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
        for simulator in deployment.ready["simulators"]:
            book = await deployment.simulate("/sim/book", simulator=simulator)
            (keep / f"book-{simulator}.json").write_text(json.dumps(book))
        agreement.differences.append(f"the deployment is kept in {keep}")
    return agreement


async def compare_events(deployment: World, events: Iterable[wire.Ev]) -> Agreement:
    """The same, with what the one client of a bench heard."""
    log = Log()
    for event in events:
        log.take(event)
    return await compare(deployment, log, f"orders/{OWNER}")


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
        async with world(
            WorldOptions(horizon_ms=1_000, journal_url=url, with_alpaca=True)
        ) as deployment:
            return await run(plan, deployment)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=ROLES, help="kill no other role")
    parser.add_argument("--journal", default="local", help="local, postgres, or a URL")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    plan = Plan(
        kills=words.kills,
        rate=words.rate,
        seed=words.seed,
        roles=(words.only,) if words.only else ROLES,
        journal=words.journal,
    )
    result = asyncio.run(main(plan))
    print(json.dumps(result, indent=None if words.json else 2))
    sys.exit(1 if result["lost"] or result["doubled"] or result["differences"] else 0)
