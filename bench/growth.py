"""What does an order cost when there is ten or a hundred times as much of everything else?

    python -m bench.growth [--long] [--out bench/results] [--json]

In one process, by processor time, so that a busy machine does not show: an order's whole way
through router and screen while accounts, open orders and instruments grow; a quote's fan-out while
clients grow (each one's write goes to /dev/null); the replay of a journal and a look-up in its
books while it grows. To each curve a power is fitted: cost ~ size^power. Near 0 it is flat, near 1
linear; a curve worse than linear fails the bench.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import uvloop
from msgspec import Struct

from bench.plots import GRID, INK, MUTED
from bench.recovery import OWNER, Writer
from bench.router_alone import MemoryJournal, RouterAlone, Scale, be_quiet
from bench.section import Figure, Section, finish, written, yardstick
from gateway.codec import MSGPACK
from gateway.fanout import QuoteFanout
from gateway.metrics import Counts
from ledger.projection import Books
from ledger.recovery import restore

FLAT_MAX, LINEAR_MAX = 0.15, 1.25
"""Powers up to which a curve counts as flat (doubled where all else is 100 times), as linear."""

LOOK_UPS = 2_000
PICTURE = "growth.png"


Sizes = tuple[int, ...]


class Plan(Struct, frozen=True, kw_only=True):
    """How much of each there is, step by step, and how many orders or quotes are timed."""

    accounts: Sizes = (1, 10, 100)
    open_orders: Sizes = (100, 1_000, 10_000)
    instruments: Sizes = (10, 100, 1_000)
    clients: Sizes = (10, 100, 1_000)
    journal: Sizes = (200, 2_000, 20_000)
    timed: int = 300


LONG = Plan(open_orders=(1_000, 10_000, 100_000), journal=(2_000, 20_000, 200_000), timed=1_000)
"""Ten times as far where making so much takes long."""


class Curve(Struct, frozen=True, kw_only=True):
    """What grows, what is counted, how it may grow with it, and what was seen, in µs by size."""

    grows: str
    cost: str
    may_be_linear: bool
    points: dict[int, float]

    @property
    def power(self) -> float:
        """Of the fit."""
        return fit_power(self.points)


def fit_power(points: dict[int, float]) -> float:
    """The slope of a straight line through the logarithms, by least squares."""
    xs = [math.log(size) for size in points]
    ys = [math.log(max(cost, 1e-9)) for cost in points.values()]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return above / sum((x - x_mean) ** 2 for x in xs)


def name_of(power: float) -> str:
    """Flat, linear, or worse."""
    if power <= FLAT_MAX:
        return "flat"
    return "linear" if power <= LINEAR_MAX else "worse than linear"


# ---------------------------------------------------------------- what grows


def _order_us(alone: RouterAlone, timed: int) -> float:
    """Processor time of an order's whole way through router and screen: the median."""
    alone.clock = time.thread_time_ns
    took = []
    for number in range(timed):
        order = alone.order(f"timed-{number}", number=number)
        took.append(
            alone.decide(order) + alone.screen() + alone.hear_verdict() + alone.hear_outcome(order)
        )
        alone.catch_up()
    return median(took) / 1_000


def _with_accounts(count: int, timed: int) -> float:
    return _order_us(RouterAlone(Scale(accounts=count)), timed)


def _with_instruments(count: int, timed: int) -> float:
    return _order_us(RouterAlone(Scale(instruments=count)), timed)


def _with_open_orders(count: int, timed: int) -> float:
    alone = RouterAlone()
    for number in range(count):
        order = alone.order(f"rests-{number}", rests=True, number=number)
        alone.decide(order)
        alone.screen()
        alone.hear_verdict()
        alone.hear_outcome(order)
        alone.catch_up()
    return _order_us(alone, timed)


def _with_clients(count: int, timed: int) -> float:
    fanout = QuoteFanout(Counts(), _ignore, _ignore)
    with Path(os.devnull).open("wb", buffering=0) as nowhere:

        def write(batch: Sequence[bytes]) -> None:
            nowhere.write(b"".join(batch))

        for _ in range(count):
            client: Any = _Client(write)
            fanout.watch(client, "EUR/USD", conflate=False)
        quote = RouterAlone().quote_of("EUR/USD")
        took = []
        for _ in range(timed):
            began = time.thread_time_ns()
            fanout.deliver((quote,))
            took.append(time.thread_time_ns() - began)
    return median(took) / 1_000


class _Client:
    """As far as the fan-out sees one."""

    codec = MSGPACK
    outbox = SimpleNamespace(is_paused=False)

    def __init__(self, write_quotes: Callable[[Sequence[bytes]], None]) -> None:
        self.write_quotes = write_quotes


def _ignore(_instrument: str) -> None:
    """Nobody is to be told what is watched."""


def _journal(orders: int) -> MemoryJournal:
    writer, journal = Writer(), MemoryJournal()
    while writer.orders < orders:
        for record in writer.next_order():
            journal.append(record)
    journal.commit()
    return journal


def _replayed(orders: int) -> tuple[float, float]:
    """µs to replay a journal of so many orders, and to find one of them in its books."""
    journal = _journal(orders)
    began = time.thread_time_ns()
    books = restore(journal).books
    took_us = (time.thread_time_ns() - began) / 1_000
    assert books.number == 2 * orders
    return took_us, _look_up_us(books, orders)


def _look_up_us(books: Books, orders: int) -> float:
    names = [f"r{1 + number * 7919 % orders}" for number in range(LOOK_UPS)]
    began = time.thread_time_ns()
    for name in names:
        assert books.orders.of_client(OWNER, name) is not None
    return (time.thread_time_ns() - began) / 1_000 / LOOK_UPS


# ---------------------------------------------------------------- the bench


def measure(plan: Plan) -> list[Curve]:
    """Every curve."""

    def curve(grows: str, sizes: Sizes, cost_us: Callable[[int, int], float]) -> Curve:
        points = {size: cost_us(size, plan.timed) for size in sizes}
        order = "an order through router and screen"
        return Curve(grows=grows, cost=order, may_be_linear=False, points=points)

    replayed = {size: _replayed(size) for size in plan.journal}
    return [
        curve("accounts", plan.accounts, _with_accounts),
        curve("open orders", plan.open_orders, _with_open_orders),
        curve("instruments", plan.instruments, _with_instruments),
        Curve(
            grows="clients",
            cost="a quote handed to all of them",
            may_be_linear=True,
            points={size: _with_clients(size, plan.timed) for size in plan.clients},
        ),
        Curve(
            grows="orders in the journal",
            cost="replaying it without a snapshot",
            may_be_linear=True,
            points={size: both[0] for size, both in replayed.items()},
        ),
        Curve(
            grows="orders in the books",
            cost="finding one of them",
            may_be_linear=False,
            points={size: both[1] for size, both in replayed.items()},
        ),
    ]


def figures_of(curve: Curve) -> list[Figure]:
    """The cost at the largest size, and the power."""
    largest = max(curve.points)
    title = f"{curve.cost}, as {curve.grows} grow to {largest:,}"
    return [
        Figure(name=title, value=round(curve.points[largest], 2), unit="µs"),
        Figure(
            name=f"{curve.grows}: power of growth",
            value=round(curve.power, 2),
            unit=name_of(curve.power),
            bar=LINEAR_MAX if curve.may_be_linear else FLAT_MAX,
            is_time=False,
            slack=0.1,
        ),
    ]


async def run(plan: Plan, out: Path) -> Section:
    """Every curve, drawn; the section, faults included."""
    section = Section(
        name="growth",
        question="What does it cost when there is ten or a hundred times as much of everything?",
        command="python -m bench.growth",
        figures=[],
        picture=PICTURE,
    )
    async with yardstick(section):
        curves = measure(plan)
    section.figures = [figure for curve in curves for figure in figures_of(curve)]
    section.notes = [
        f"{curve.grows}: "
        + ", ".join(f"{n:,} → {written(us)} µs" for n, us in curve.points.items())
        for curve in curves
    ]
    section.faults = [
        f"{curve.cost} grows worse than linearly with {curve.grows}: power {curve.power:.2f}"
        for curve in curves
        if curve.power > LINEAR_MAX
    ]
    out.mkdir(parents=True, exist_ok=True)
    draw(curves, out / PICTURE)
    return section


def draw(curves: Sequence[Curve], path: Path) -> None:
    """One panel a curve, both axes in powers of ten."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK}):
        canvas = Canvas(figsize=(12, 6.4), facecolor="white", layout="constrained")
        for axes, curve in zip(canvas.subplots(2, 3).flat, curves, strict=True):
            sizes, costs = list(curve.points), list(curve.points.values())
            steepest = [costs[0] * size / sizes[0] for size in sizes]
            axes.plot(sizes, steepest, color=GRID, linewidth=2, label="linear")
            axes.plot(sizes, costs, color="#2456d6", marker="o", linewidth=2, label="seen")
            axes.set(xscale="log", yscale="log", xlabel=f"as {curve.grows} grow", ylabel="µs")
            axes.set_ylim(min(costs) / 5, max(*steepest, *costs) * 3)
            axes.set_title(f"{curve.cost} ({name_of(curve.power)})", loc="left", fontsize=10)
            axes.tick_params(colors=MUTED, which="both", length=0)
            axes.grid(color=GRID, linewidth=0.6)
            axes.spines[:].set_visible(False)
            axes.legend(frameon=False, fontsize=8)
        canvas.savefig(path, dpi=120)


def main(words: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(words)
    be_quiet()
    return finish(uvloop.run(run(LONG if asked.long else Plan(), asked.out)), asked.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
