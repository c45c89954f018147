"""How long from a client's order to the broker's outcome, and how much more than bare HTTP?

    python -m bench.order_round_trip [--orders 2000] [--rate 500] [--seconds 10] [--runs 5]
                                     [--poisson] [--seed 1] [--journal local|postgres|URL]
                                     [--out bench/results] [--json]

Each run starts a whole deployment. Bare aiohttp, oandapyV20, alpaca-py, ccxt and Fillgate take
turns of 200 orders, one order at a time, so that the machine's moods hit all alike; then
Fillgate takes orders on a schedule. Journal, client and the broker's book are compared at the
end: a run with a difference, a refusal, or an order sent alone that took other than two records
is a failure. At a rate the broker's stream may overtake its answer, and tell the order in pieces.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import uvloop
from msgspec import Struct
from rich.console import Console

from bench import report
from bench.contender import OUTCOMES_S_MAX, Fillgate
from bench.histogram import Histogram
from bench.kills import compare_events
from bench.machine import describe
from bench.postgres_server import journal_url
from bench.processors import Meter, difference, total, us_per_order
from bench.report import OPEN_LOOP, SEQUENTIAL, RunFigures
from bench.rivals import RIVALS, Rival, Venue
from bench.segments import Trail, split, trails
from bench.stub import stub
from bench.workload import Ticket, arrivals, tickets
from bench.world import INSTRUMENTS, SPARE_ACCOUNT, World, WorldOptions, world
from brokers.registry import PAPER_TOKEN

WARM_UP = 300
TURN = 200
IDLE_S = 2.0
SETTLE_S = 0.5

console = Console(stderr=True)


class Plan(Struct, frozen=True, kw_only=True):
    """How much, how fast, how often, under which seed, over which journal."""

    orders: int = 2_000
    rate: int = 500
    seconds: int = 10
    runs: int = 1
    seed: int = 1
    poisson: bool = False
    journal: str = "local"


class Race:
    """One run: the contenders in a deployment, and what was measured so far."""

    def __init__(self, plan: Plan, deployment: World, stub_url: str) -> None:
        self._plan = plan
        self._deployment = deployment
        self.fillgate = Fillgate(deployment.url, deployment.token)
        venue = Venue(
            simulator_url=deployment.simulator_url,
            stub_url=stub_url,
            account=SPARE_ACCOUNT,
            token=PAPER_TOKEN,
        )
        self.contenders: list[Rival | Fillgate] = [rival(venue) for rival in RIVALS]
        self.contenders.append(self.fillgate)
        self.took: dict[str, list[int]] = {c.name: [] for c in self.contenders}
        self.names: dict[str, list[str]] = {SEQUENTIAL: [], OPEN_LOOP: []}
        self._supply = tickets(INSTRUMENTS, plan.seed)

    async def warm_up(self) -> None:
        """First orders, not timed: connections, caches, lazy imports; then a clean heap."""
        for contender in self.contenders:
            await contender.open()
            await contender.trade(self._take(WARM_UP))
        gc.collect()
        gc.freeze()

    async def idle(self, meter: Meter) -> dict[str, float]:
        """What each part uses per second while no order is under way, in ms."""
        before = meter.read()
        await asyncio.sleep(IDLE_S)
        use = difference(before, meter.read())
        return {part: round(ns / IDLE_S / 1e6, 2) for part, ns in sorted(use.items())}

    async def take_turns(self, meter: Meter) -> dict[str, float]:
        """One order at a time; returns Fillgate's processor time per order, in us."""
        uses: list[dict[str, int]] = []
        for number, count in enumerate(_turns(self._plan.orders)):
            # Another one begins each time: nobody always runs after the same neighbor.
            first = number % len(self.contenders)
            for contender in self.contenders[first:] + self.contenders[:first]:
                wanted = self._take(count)
                before = meter.read()
                self.took[contender.name] += await contender.trade(wanted)
                if contender is self.fillgate:
                    uses.append(difference(before, meter.read()))
                    self._note(SEQUENTIAL, wanted)
        return us_per_order(total(uses), self._plan.orders)

    async def run_open_loop(self, meter: Meter) -> dict[str, float]:
        """Orders on a schedule; returns Fillgate's processor time per order, in us."""
        plan = self._plan
        seed = plan.seed if plan.poisson else None
        due_ns = arrivals(plan.rate, plan.seconds, seed)
        wanted = self._take(len(due_ns))
        before = meter.read()
        async with asyncio.timeout(plan.seconds + OUTCOMES_S_MAX):
            took = await self.fillgate.trade_on_schedule(wanted, due_ns)
        use = difference(before, meter.read())
        self.took[OPEN_LOOP] = took
        self._note(OPEN_LOOP, wanted)
        return us_per_order(use, len(due_ns))

    async def check(self) -> dict[str, Any]:
        """Do journal, client and the broker's book agree, with two records for each order?"""
        await asyncio.sleep(SETTLE_S)
        agreement = await compare_events(self._deployment, self.fillgate.events)
        ways = trails(self._deployment.records())
        timed = [name for names in self.names.values() for name in names]
        alone = self.names[SEQUENTIAL]
        counts = report.count_outcomes(self.fillgate.events)
        return {
            "orders": len(timed),
            "filled": sum(name in counts.filled for name in timed),
            "refused": len(self.fillgate.refused),
            "denied": counts.denied,
            "rejected": counts.rejected,
            "one_at_a_time": len(alone),
            "two_records_each": sum(_is_plain(ways.get(name)) for name in alone),
            "more_records_at_rate": sum(
                not _is_plain(ways.get(name)) for name in self.names[OPEN_LOOP]
            ),
            "lost": len(agreement.lost),
            "doubled": len(agreement.doubled),
            "unknown": agreement.unknown,
            "differences": len(agreement.differences),
            "details": (agreement.lost + agreement.doubled + agreement.differences)[:10],
        }

    def segments(self) -> dict[str, Any]:
        """Time by segment, for each way of sending."""
        ways = trails(self._deployment.records())
        stamps = self.fillgate.stamps
        return {
            part: split([stamps[n] for n in names], [ways[n] for n in names])
            for part, names in self.names.items()
        }

    def _take(self, count: int) -> list[Ticket]:
        return list(islice(self._supply, count))

    def _note(self, part: str, wanted: list[Ticket]) -> None:
        self.names[part] += [f"{self.fillgate.name}-{ticket.number}" for ticket in wanted]


def _turns(orders: int) -> Iterator[int]:
    for done in range(0, orders, TURN):
        yield min(TURN, orders - done)


def _is_plain(way: Trail | None) -> bool:
    """One record of the order and one of its outcome: two commits, and nothing else."""
    return way is not None and (way.ordered, way.reported, way.settled) == (1, 1, 0)


async def run_once(plan: Plan, say: Any) -> RunFigures:
    """One deployment, one race, one verdict."""
    async with AsyncExitStack() as stack:
        say("starting a deployment")
        url = stack.enter_context(journal_url(plan.journal))
        deployment = await stack.enter_async_context(world(WorldOptions(journal_url=url)))
        race = Race(plan, deployment, await stack.enter_async_context(stub()))
        for contender in race.contenders:
            stack.push_async_callback(contender.close)
        await race.warm_up()
        meter = Meter(deployment)
        idle = await race.idle(meter)
        say(f"{plan.orders} orders one at a time, in turns")
        processors = {SEQUENTIAL: await race.take_turns(meter)}
        say(f"{plan.rate} orders/s for {plan.seconds} s")
        processors[OPEN_LOOP] = await race.run_open_loop(meter)
        say("comparing the books")
        return RunFigures(
            histograms={name: Histogram(took) for name, took in race.took.items()},
            segments=race.segments(),
            processors=processors,
            idle=idle,
            checks=await race.check(),
        )


async def main(plan: Plan, out: Path) -> dict[str, Any]:
    """All runs; writes the results and returns them."""
    machine = describe(Path.cwd())
    runs = []
    with console.status("") as status:
        for number in range(1, plan.runs + 1):
            started = time.monotonic()
            runs.append(
                await run_once(
                    plan, lambda text, n=number: status.update(f"run {n}/{plan.runs}: {text}")
                )
            )
            gc.unfreeze()
            console.print(
                f"run {number}/{plan.runs}: {time.monotonic() - started:.0f} s", style="dim"
            )
    result = report.summarize(runs, plan.rate, machine)
    result["journal"] = "local" if plan.journal == "local" else "postgres"
    report.write(result, runs, out)
    return result


def read_plan() -> tuple[Plan, Path, bool]:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("orders", 2_000), ("rate", 500), ("seconds", 10), ("runs", 1)):
        parser.add_argument(f"--{name}", type=_positive, default=default)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--poisson", action="store_true", help="random instead of even arrivals")
    parser.add_argument("--journal", default="local", help="local, postgres, or a URL")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    given = {name: getattr(words, name) for name in Plan.__struct_fields__}
    return Plan(**given), words.out, words.json


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def stay_on_loopback() -> None:
    """A proxy of the environment must not stand between a rival and loopback."""
    if urllib.request.getproxies():
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


if __name__ == "__main__":
    asked, folder, is_json = read_plan()
    stay_on_loopback()
    answer = uvloop.run(main(asked, folder))
    if is_json:
        print(json.dumps(answer))
    else:
        report.show(answer, folder)
    sys.exit(0 if answer["checks"]["passed"] else 1)
