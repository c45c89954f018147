"""How much later does an order reach the broker by a REST signal than by the WebSocket?

    python -m bench.signal_to_order [--orders 1000] [--runs 3] [--seed 1] [--json]

One deployment a run. The same kind of order goes by WebSocket and by `POST /api/v1/signals`
in turns of 50, one at a time, over connections kept open. Each is timed from before the client
library is called to the moment the broker books it (its clock is this machine's), and to its
outcome on the client's stream. Books, journal and client are compared at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import msgspec
import uvloop
from msgspec import Struct

from bench.histogram import Histogram
from bench.kills import compare_events
from bench.machine import describe
from bench.workload import Ticket, tickets
from bench.world import ACCOUNT, INSTRUMENTS, World, WorldOptions, world
from domain.events import Fill
from domain.orders import NewOrder, Side, TimeInForce
from domain.streams import OrderUpdate
from gateway import wire
from gateway.client import Client

WARM_UP = 200
TURN = 50
SETTLE_S = 0.5
OUTCOME_S_MAX = 10.0
GOAL_MS = 0.7
RULE = f"""
[[signals]]
name = "bench"
account = "{ACCOUNT}"
match = {{ strategy = "bench" }}
sizing = {{ by = "signal" }}
"""


class Times(Struct):
    """Of one way of sending, in ns: until the broker booked it, and until the client knew."""

    at_broker: list[int] = []
    outcome: list[int] = []


class Desk:
    """One client session that hears every outcome, and one kept HTTP connection."""

    def __init__(self, deployment: World) -> None:
        self.events: list[wire.Ev] = []
        self.fills: dict[str, tuple[Fill, str | None]] = {}
        self._heard: dict[str, asyncio.Event] = {}
        self._url = f"{deployment.ready['rest_url']}/api/v1/signals"
        self._headers = {"Authorization": f"Bearer {deployment.token}"}
        self.client = Client.connect(deployment.url, deployment.token, "bench", on_event=self._hear)

    async def open(self) -> None:
        """Connects both ways."""
        await self.client.__aenter__()
        self._http = aiohttp.ClientSession(
            headers=self._headers, connector=aiohttp.TCPConnector(limit=1)
        )

    async def close(self) -> None:
        """Hangs up."""
        await self._http.close()
        await self.client.close()

    def _hear(self, ev: wire.Ev) -> None:
        self.events.append(ev)
        body = ev.body
        if isinstance(body, OrderUpdate) and isinstance(body.event, Fill):
            name = body.client_order_id or ""
            self.fills[name] = (body.event, body.signal_id)
            if name in self._heard:
                self._heard[name].set()

    async def by_websocket(self, ticket: Ticket) -> None:
        """An order as a strategy sends it."""
        order = NewOrder(
            client_order_id=f"ws-{ticket.number}",
            instrument=ticket.instrument,
            side=Side.BUY if ticket.units > 0 else Side.SELL,
            quantity=Decimal(abs(ticket.units)),
            time_in_force=TimeInForce.FOK,
            account=ACCOUNT,
        )
        await self.client.place(order)

    async def by_signal(self, ticket: Ticket) -> None:
        """The same order as a signal."""
        signal = {
            "strategy": "bench",
            "id": f"rest-{ticket.number}",
            "symbol": ticket.instrument,
            "action": "buy" if ticket.units > 0 else "sell",
            "quantity": str(abs(ticket.units)),
        }
        async with self._http.post(self._url, json=signal) as answer:
            if answer.status != 201:
                raise RuntimeError(f"{answer.status}: {await answer.text()}")
            await answer.read()

    async def time(
        self, send: Callable[[Ticket], Awaitable[None]], name: str, ticket: Ticket, times: Times
    ) -> None:
        """Sends one order and waits for its fill."""
        heard = self._heard[name] = asyncio.Event()
        sent_ns, start_ns = time.time_ns(), time.monotonic_ns()
        await send(ticket)
        async with asyncio.timeout(OUTCOME_S_MAX):
            await heard.wait()
        times.outcome.append(time.monotonic_ns() - start_ns)
        times.at_broker.append(self.fills[name][0].at_ns - sent_ns)
        del self._heard[name]


async def run_once(orders: int, seed: int) -> tuple[dict[str, Times], dict[str, Any]]:
    """One deployment: both ways in turns, then the comparison of all books."""
    async with world(WorldOptions(extra=RULE)) as deployment:
        desk = Desk(deployment)
        await desk.open()
        try:
            supply = tickets(INSTRUMENTS, seed)
            await take_turns(desk, [list(islice(supply, TURN)) for _ in range(WARM_UP // TURN)])
            gc.collect()
            gc.freeze()
            turns = [list(islice(supply, TURN)) for _ in range(2 * orders // TURN)]
            times = await take_turns(desk, turns)
            gc.unfreeze()
            return times, await check(deployment, desk)
        finally:
            await desk.close()


async def take_turns(desk: Desk, turns: list[list[Ticket]]) -> dict[str, Times]:
    """Even turns by WebSocket, odd ones by signal."""
    times = {"ws": Times(), "rest": Times()}
    for number, wanted in enumerate(turns):
        way = "rest" if number % 2 else "ws"
        send = desk.by_signal if number % 2 else desk.by_websocket
        for ticket in wanted:
            await desk.time(send, f"{way}-{ticket.number}", ticket, times[way])
    return times


async def check(deployment: World, desk: Desk) -> dict[str, Any]:
    """Do all books agree, and does each fill of a signal carry its id?"""
    await asyncio.sleep(SETTLE_S)
    agreement = await compare_events(deployment, desk.events)
    strays = [
        name
        for name, (_, signal_id) in desk.fills.items()
        if signal_id != (name if name.startswith("rest-") else None)
    ]
    faults = agreement.lost + agreement.doubled + agreement.differences
    return {"filled": len(desk.fills), "differences": len(faults), "wrong_signal_ids": len(strays)}


def figures(runs: list[dict[str, Times]]) -> dict[str, Any]:
    """Percentiles of each way, and the median over runs of the difference of their p50."""
    found: dict[str, Any] = {}
    for part in ("at_broker", "outcome"):
        p50 = {
            way: [Histogram(getattr(run[way], part)).at_ms(50) for run in runs]
            for way in ("ws", "rest")
        }
        more = [rest - ws for ws, rest in zip(p50["ws"], p50["rest"], strict=True)]
        found[part] = {
            "ws_p50_ms": round(median(p50["ws"]), 3),
            "rest_p50_ms": round(median(p50["rest"]), 3),
            "more_p50_ms": round(median(more), 3),
            "ws_p99_ms": _p99(runs, "ws", part),
            "rest_p99_ms": _p99(runs, "rest", part),
        }
    return found


def _p99(runs: list[dict[str, Times]], way: str, part: str) -> float:
    return round(median(Histogram(getattr(run[way], part)).at_ms(99) for run in runs), 3)


async def main(orders: int, runs: int, seed: int) -> dict[str, Any]:
    """All runs; whether every one agreed and the goal is met stands in the result."""
    taken, checks = [], []
    for number in range(runs):
        times, checked = await run_once(orders, seed + number)
        taken.append(times)
        checks.append(checked)
    found = figures(taken)
    agree = all(not c["differences"] and not c["wrong_signal_ids"] for c in checks)
    return {
        "orders_each_way": orders,
        "runs": runs,
        **found,
        "goal_ms": GOAL_MS,
        "met": found["at_broker"]["more_p50_ms"] <= GOAL_MS,
        "agree": agree,
        "checks": checks,
        "machine": describe(Path.cwd()),
    }


def read_plan() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def show(result: dict[str, Any]) -> None:
    """The figures for people."""
    for part, name in (("at_broker", "at the broker"), ("outcome", "outcome at the client")):
        row = result[part]
        print(
            f"{name:22} p50 WebSocket {row['ws_p50_ms']} ms, signal {row['rest_p50_ms']} ms: "
            f"{row['more_p50_ms']} ms more; p99 {row['ws_p99_ms']} and {row['rest_p99_ms']} ms"
        )
    verdict = "met" if result["met"] else "missed"
    print(f"goal: at most {GOAL_MS} ms more at the broker: {verdict}")
    print(f"books, journal and client agree: {result['agree']}")


if __name__ == "__main__":
    plan = read_plan()
    answer = uvloop.run(main(plan.orders, plan.runs, plan.seed))
    if plan.json:
        print(json.dumps(msgspec.to_builtins(answer)))
    else:
        show(answer)
    sys.exit(0 if answer["agree"] else 1)
