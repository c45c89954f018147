"""What if many orders are under way: a hundred at once, a minute at 1,000/s, as fast as it goes?

    python -m bench.many_orders [--rate 1000] [--seconds 60] [--rounds 20] [--in-flight 100]
                                [--seed 1] [--json]

One deployment, everything on, journal durable. A hundred orders sent together, until the last
is durable and until the last has its outcome; then orders on a schedule, each timed from when it
was due; then so many under way all the time. The slowest orders of the schedule are attributed:
which part of their way took longer than usual. Client, journal and the broker's book must agree.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections import Counter
from itertools import islice

import msgspec
import uvloop
from msgspec import Struct

from bench.contender import Fillgate, Stamps
from bench.histogram import Histogram
from bench.kills import compare_events
from bench.processors import Meter, difference, us_per_order
from bench.section import Better, Figure, Section, show, times, yardstick
from bench.segments import SEGMENTS, Split, Trail, split, trails
from bench.workload import Ticket, arrivals, tickets
from bench.world import INSTRUMENTS, World, WorldOptions, world

WARM_UP = 500
AT_ONCE = 100
SETTLE_S = 1.0
OWN_PARTS = ("edge", "router", "compliance", "connection")
"""Whose processor time counts as the gateway's; the ledger and the client work beside it."""
PARTS = (*OWN_PARTS, "ledger")


class Plan(Struct, frozen=True, kw_only=True):
    """How many, how fast, for how long."""

    rounds: int = 20
    rate: int = 1_000
    seconds: int = 60
    in_flight: int = 100
    saturation_s: int = 10
    seed: int = 1


class Measured(Struct, kw_only=True):
    """What was timed, ns, and by which names the orders of the schedule are known."""

    acked: Histogram
    settled: Histogram
    due: Histogram
    took_ns: dict[str, int]
    per_second: float
    us_per_order: dict[str, float]


class Crowd:
    """One session that sends many orders together."""

    def __init__(self, deployment: World, plan: Plan) -> None:
        self._plan = plan
        self._deployment = deployment
        self.fillgate = Fillgate(deployment.url, deployment.token)
        self._supply = tickets(INSTRUMENTS, plan.seed)

    def _take(self, count: int) -> list[Ticket]:
        return list(islice(self._supply, count))

    def _stamps(self, wanted: list[Ticket]) -> list[Stamps]:
        return [self.fillgate.stamps[f"{self.fillgate.name}-{t.number}"] for t in wanted]

    async def measure(self) -> Measured:
        """Everything, in turn."""
        await self.fillgate.open()
        await self.fillgate.trade(self._take(WARM_UP))
        gc.collect()
        gc.freeze()
        acked, settled = await self._at_once()
        due, took = await self._on_schedule()
        meter = Meter(self._deployment)
        before = meter.read()
        orders, took_s = await self._saturate()
        return Measured(
            acked=acked,
            settled=settled,
            due=due,
            took_ns=took,
            per_second=orders / took_s,
            us_per_order=us_per_order(difference(before, meter.read()), orders),
        )

    async def _at_once(self) -> tuple[Histogram, Histogram]:
        acked, settled = [], []
        for _ in range(self._plan.rounds):
            wanted = self._take(AT_ONCE)
            start_ns = time.time_ns()
            await asyncio.gather(*(self.fillgate.trade([ticket]) for ticket in wanted))
            stamps = self._stamps(wanted)
            acked.append(max(stamp.durable_ns for stamp in stamps) - start_ns)
            settled.append(max(stamp.outcome_ns for stamp in stamps) - start_ns)
        return Histogram(acked), Histogram(settled)

    async def _on_schedule(self) -> tuple[Histogram, dict[str, int]]:
        due_ns = arrivals(self._plan.rate, self._plan.seconds, None)
        wanted = self._take(len(due_ns))
        took = await self.fillgate.trade_on_schedule(wanted, due_ns)
        names = [f"{self.fillgate.name}-{ticket.number}" for ticket in wanted]
        return Histogram(took), dict(zip(names, took, strict=True))

    async def _saturate(self) -> tuple[int, float]:
        """So many under way all the time; how many orders in how many seconds."""
        done = 0
        start = time.monotonic()
        end = start + self._plan.saturation_s

        async def keep_one_under_way() -> None:
            nonlocal done
            while time.monotonic() < end:
                await self.fillgate.trade(self._take(1))
                done += 1

        await asyncio.gather(*(keep_one_under_way() for _ in range(self._plan.in_flight)))
        return done, time.monotonic() - start

    async def check(self) -> list[str]:
        """What is wrong with the orders themselves."""
        await asyncio.sleep(SETTLE_S)
        agreement = await compare_events(self._deployment, self.fillgate.events)
        unknown = [f"{agreement.unknown} unknown"] if agreement.unknown else []
        return [
            *self.fillgate.refused[:5], *agreement.lost[:5], *agreement.doubled[:5],
            *agreement.differences[:5], *unknown,
        ]  # fmt: skip

    def attribute(self, took_ns: dict[str, int]) -> list[str]:
        """Of the slowest thousandth: in which part of their way the time was lost."""
        ways = trails(self._deployment.records())
        known = {name: took for name, took in took_ns.items() if name in ways}
        slowest = sorted(known, key=known.__getitem__)[-max(1, len(known) // 1_000) :]
        usual = split([self.fillgate.stamps[n] for n in known], [ways[n] for n in known])
        blamed = Counter(
            _blame(self.fillgate.stamps[name], ways[name], took_ns[name], usual) for name in slowest
        )
        ms = sorted(took_ns[name] // 1_000_000 for name in slowest)
        words = [f"{count} × {part}" for part, count in blamed.most_common()]
        return [
            f"the slowest {len(slowest)} of {len(known)} took {ms[0]} to {ms[-1]} ms, "
            f"most of it lost in: {', '.join(words)}"
        ]


def _blame(stamps: Stamps, way: Trail, took_ns: int, usual: dict[str, Split]) -> str:
    """Where this order lost most against the median order."""
    one = split([stamps], [way])
    late = {part: one[part].p50_us - usual[part].p50_us for part in SEGMENTS}
    late["the client before it sent"] = (took_ns - stamps.outcome_ns + stamps.sent_ns) / 1_000
    worst = max(late, key=late.__getitem__)
    return SEGMENTS.get(worst, worst)


async def run(plan: Plan) -> Section:
    """One deployment; the section, faults included."""
    section = Section(
        name="many_orders",
        question="What if many orders are under way?",
        command="python -m bench.many_orders",
        figures=[],
    )
    async with yardstick(section), world(WorldOptions()) as deployment:
        crowd = Crowd(deployment, plan)
        try:
            found = await crowd.measure()
            section.faults = await crowd.check()
            section.notes = crowd.attribute(found.took_ns)
        finally:
            gc.unfreeze()
            await crowd.fillgate.close()
    section.figures = figures_of(plan, found)
    parts = ", ".join(f"{part} {us:.0f}" for part, us in found.us_per_order.items())
    section.notes.append(f"processor time at saturation, µs/order: {parts}")
    return section


def figures_of(plan: Plan, found: Measured) -> list[Figure]:
    """All that was measured, beside its aims."""
    own = sum(found.us_per_order.get(part, 0.0) for part in OWN_PARTS)
    rate = f"{plan.rate} orders/s for {plan.seconds} s"
    return [
        Figure(
            name=f"{AT_ONCE} orders at once: the last one durable, p50 of {plan.rounds}",
            value=found.acked.at_ms(50),
            unit="ms",
            bar=60.0,
        ),
        Figure(
            name=f"{AT_ONCE} orders at once: the last outcome, p50 of {plan.rounds}",
            value=found.settled.at_ms(50),
            unit="ms",
        ),
        *times(f"{rate}, from when due", found.due, {"p99": 6.0, "p99.9": 25.0}),
        Figure(
            name=f"saturation, {plan.in_flight} under way",
            value=round(found.per_second),
            unit="orders/s",
            bar=3_500.0,
            better=Better.HIGHER,
        ),
        Figure(
            name="gateway's processor time at saturation",
            value=round(own, 1),
            unit="µs/order",
            bar=250.0,
        ),
        *(
            Figure(
                name=f"processor time at saturation: {part}",
                value=found.us_per_order.get(part, 0.0),
                unit="µs/order",
            )
            for part in PARTS
        ),
    ]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    plain = Plan()
    for name in Plan.__struct_fields__:
        default = getattr(plain, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    plan = Plan(**{name: getattr(words, name) for name in Plan.__struct_fields__})
    section = uvloop.run(run(plan))
    if words.json:
        print(json.dumps(msgspec.to_builtins(section)))
    else:
        show(section)
    return 1 if section.faults else 0


if __name__ == "__main__":
    sys.exit(main())
