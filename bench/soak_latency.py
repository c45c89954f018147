"""Does it stay as fast, and as small, for an hour?

    python -m bench.soak_latency [--seconds 3600] [--rate 200] [--seed 1] [--out bench/results]
                                 [--json]

One deployment, everything on; orders on a schedule, each timed from when it was due. By slice of
time (a minute, or a sixth of a shorter run): p50 and p99, and the memory of every process. Books
keep what they must, so some memory is each order's; more than that would be a leak. Client, journal
and the broker's book must agree at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from itertools import islice
from pathlib import Path

import psutil
import uvloop
from msgspec import Struct

from bench.contender import Fillgate
from bench.histogram import Histogram
from bench.kills import compare_events
from bench.plots import GRID, INK, MUTED, PART_COLORS
from bench.processors import ROLES, part_of
from bench.section import Figure, Section, finish, yardstick
from bench.workload import arrivals, tickets
from bench.world import INSTRUMENTS, World, WorldOptions, world

WARM_UP = 500
SETTLE_S = 1.0
SLICES_MIN = 6
SLICE_S_MAX = 60
MIB = 2**20
PICTURE = "soak-latency.png"


class Plan(Struct, frozen=True, kw_only=True):
    """How long, how fast, under which seed."""

    seconds: int = 3_600
    rate: int = 200
    seed: int = 1

    @property
    def slice_s(self) -> int:
        """How long a slice is."""
        return max(1, min(SLICE_S_MAX, self.seconds // SLICES_MIN))


class Slice(Struct, kw_only=True):
    """A slice of time: its orders' latencies, and MiB by part at its end."""

    took: Histogram
    mib: dict[str, float]


class Scale:
    """Weighs every process of a deployment by part."""

    def __init__(self, deployment: World) -> None:
        named = {deployment.pid(role): part for role, part in ROLES.items()}
        self._parts = [
            (process, named.get(process.pid) or part_of(process.cmdline()))
            for process in deployment.descendants()
        ]

    def weigh(self) -> dict[str, float]:
        """Resident MiB by part; a process that ended weighs nothing."""
        found: dict[str, float] = {}
        for process, part in self._parts:
            try:
                mib = process.memory_info().rss / MIB
            except psutil.NoSuchProcess:
                continue
            found[part] = found.get(part, 0.0) + mib
        return found


async def soak(deployment: World, fillgate: Fillgate, plan: Plan) -> list[Slice]:
    """Slice after slice."""
    supply = tickets(INSTRUMENTS, plan.seed)
    await fillgate.trade(list(islice(supply, WARM_UP)))
    scale = Scale(deployment)
    slices = []
    end = time.monotonic() + plan.seconds
    while time.monotonic() < end:
        due_ns = arrivals(plan.rate, plan.slice_s, None)
        took = await fillgate.trade_on_schedule(list(islice(supply, len(due_ns))), due_ns)
        slices.append(Slice(took=Histogram(took), mib=scale.weigh()))
    return slices


async def find_faults(deployment: World, fillgate: Fillgate) -> list[str]:
    """What is wrong with the orders themselves."""
    await asyncio.sleep(SETTLE_S)
    agreement = await compare_events(deployment, fillgate.events)
    found = [*fillgate.refused, *agreement.lost, *agreement.doubled, *agreement.differences]
    return found[:10]


def figures_of(slices: list[Slice], plan: Plan) -> list[Figure]:
    """The first slice and the worst, and what memory each order took."""
    p99 = [one.took.at_ms(99) for one in slices]
    orders = sum(one.took.n for one in slices[1:])
    figures = [
        Figure(name=f"{plan.rate} orders/s: p50 of the first slice", unit="ms",
               value=slices[0].took.at_ms(50)),
        Figure(name=f"{plan.rate} orders/s: p50 of the last slice", unit="ms",
               value=slices[-1].took.at_ms(50)),
        Figure(name="p99 of the middle slice", unit="ms", value=sorted(p99)[len(p99) // 2]),
        Figure(name="p99 of the worst slice", unit="ms", value=max(p99)),
    ]  # fmt: skip
    if orders:
        figures += [
            Figure(
                name=f"{part}: memory more for each order",
                value=round((slices[-1].mib[part] - slices[0].mib[part]) * 1024 / orders, 3),
                unit="KiB",
                is_time=False,
                slack=1.0,
            )
            for part in ("edge", "router", "compliance", "connection")
            if part in slices[0].mib and part in slices[-1].mib
        ]
    return figures


async def run(plan: Plan, out: Path) -> Section:
    """One deployment; the section, faults included."""
    section = Section(
        name="soak_latency",
        question="Does it stay as fast, and as small, as time goes by?",
        command="python -m bench.soak_latency",
        figures=[],
        picture=PICTURE,
    )
    async with yardstick(section), world(WorldOptions()) as deployment:
        fillgate = Fillgate(deployment.url, deployment.token)
        await fillgate.open()
        try:
            slices = await soak(deployment, fillgate, plan)
            section.faults = await find_faults(deployment, fillgate)
        finally:
            await fillgate.close()
    section.figures = figures_of(slices, plan)
    section.notes = [
        f"{len(slices)} slices of {plan.slice_s} s, {sum(one.took.n for one in slices):,} orders"
    ]
    out.mkdir(parents=True, exist_ok=True)
    draw(slices, plan, out / PICTURE)
    return section


def draw(slices: list[Slice], plan: Plan, path: Path) -> None:
    """Latency above, memory below, over the same time."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    minutes = [(number + 1) * plan.slice_s / 60 for number in range(len(slices))]
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 10, "text.color": INK}):
        canvas = Canvas(figsize=(12, 6.4), facecolor="white", layout="constrained")
        above, below = canvas.subplots(2, 1, sharex=True)
        for at, color in ((50, "#2456d6"), (99, "#e0a030")):
            above.plot(minutes, [s.took.at_ms(at) for s in slices], color=color, label=f"p{at}")
        above.set(ylabel="ms")
        above.set_ylim(bottom=0)
        above.set_title(f"Client → outcome at {plan.rate} orders/s", loc="left", fontsize=11)
        for part, color in PART_COLORS.items():
            if part in slices[0].mib:
                mib = [one.mib.get(part, 0.0) for one in slices]
                below.plot(minutes, mib, color=color, label=part)
        below.set(xlabel="minutes", ylabel="resident MiB")
        below.set_title("Memory by process", loc="left", fontsize=11)
        for axes in (above, below):
            axes.tick_params(colors=MUTED, which="both", length=0)
            axes.grid(color=GRID, linewidth=0.6)
            axes.spines[:].set_visible(False)
            axes.legend(frameon=False, fontsize=8, ncols=4)
        canvas.savefig(path, dpi=120)


def main(words: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    plain = Plan()
    for name in Plan.__struct_fields__:
        parser.add_argument(f"--{name}", type=int, default=getattr(plain, name))
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(words)
    plan = Plan(**{name: getattr(asked, name) for name in Plan.__struct_fields__})
    return finish(uvloop.run(run(plan, asked.out)), asked.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
