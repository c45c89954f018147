"""What one bench found, in a form that all share: figures, their bars, and the yardstick.

A figure of time means little on another machine, or on this one an hour later. So each bench
also times bare aiohttp against an idle stub, before and after: `bench.compare` judges figures
in multiples of that.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from statistics import median

import aiohttp
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.markdown import Markdown

from bench.histogram import Histogram
from bench.stub import stub

YARDSTICK_CALLS = 400
WARM_UP_CALLS = 100


class Better(Enum):
    """Which way a figure should go."""

    LOWER = "lower"
    HIGHER = "higher"


class Figure(Struct, frozen=True, kw_only=True):
    """One number. `bar` is what was aimed for; `is_time` says that the machine's speed is in it.

    `noise` is half of what several runs differed by, as a share of their median; a difference up
    to `slack` is none, where a share of next to nothing would say much of little.
    """

    name: str
    value: float
    unit: str
    bar: float | None = None
    better: Better = Better.LOWER
    is_time: bool = True
    noise: float = 0.0
    slack: float = 0.0

    @property
    def is_met(self) -> bool | None:
        """Whether the aim is reached; None without one."""
        if self.bar is None:
            return None
        return self.value <= self.bar if self.better is Better.LOWER else self.value >= self.bar


class Section(Struct, kw_only=True):
    """One bench: its question, the command for the long form, what was seen, and whether it holds.

    `faults` says what was wrong with the orders or records themselves; with any of them the
    figures mean nothing. `picture` is a PNG beside the page.
    """

    name: str
    question: str
    command: str
    figures: list[Figure]
    faults: list[str] = []
    notes: list[str] = []
    yardstick_ms: float = 0.0
    picture: str | None = None


def combine(runs: list[Section]) -> Section:
    """One section out of several runs: each figure's median and noise, and every run's faults."""
    last = runs[-1]
    return msgspec.structs.replace(
        last,
        figures=[
            _middle([figure for run in runs for figure in run.figures if figure.name == wanted])
            for wanted in (figure.name for figure in last.figures)
        ],
        faults=[fault for run in runs for fault in run.faults],
        yardstick_ms=median(run.yardstick_ms for run in runs),
    )


def _middle(seen: list[Figure]) -> Figure:
    values = [figure.value for figure in seen]
    middle = median(values)
    noise = (max(values) - min(values)) / 2 / abs(middle) if middle else 0.0
    return msgspec.structs.replace(seen[-1], value=middle, noise=round(noise, 4))


def times(name: str, histogram: Histogram, bars: dict[str, float] | None = None) -> list[Figure]:
    """p50, p99 and p99.9 in ms; p99.9 only where a thousand were timed."""
    bars = bars or {}
    wanted = {"p50": 50.0, "p99": 99.0} | ({"p99.9": 99.9} if histogram.n >= 1_000 else {})
    return [
        Figure(name=f"{name}, {at}", value=histogram.at_ms(percent), unit="ms", bar=bars.get(at))
        for at, percent in wanted.items()
    ]


def table(section: Section) -> list[str]:
    """The section as Markdown."""
    lines = [f"### {section.question}", "", f"`{section.command}`", ""]
    lines += ["| | seen | aim | |", "|---|---:|---:|---|"]
    for figure in section.figures:
        sign = "≤" if figure.better is Better.LOWER else "≥"
        aim = "" if figure.bar is None else f"{sign} {written(figure.bar)}"
        met = {None: "", True: "met", False: "**missed**"}[figure.is_met]
        lines.append(f"| {figure.name} | {written(figure.value)} {figure.unit} | {aim} | {met} |")
    lines += ["", *(f"{note}.  " for note in section.notes)]
    if section.picture is not None:
        lines += ["", f"![{section.question}]({section.picture})"]
    if section.faults:
        lines += ["", f"**The check failed, so these figures mean nothing: {section.faults[:5]}**"]
    return lines


def written(value: float) -> str:
    """Three digits, or all that stand before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def show(section: Section) -> None:
    """On the terminal."""
    Console().print(Markdown("\n".join(table(section))))


def finish(section: Section, is_json: bool) -> int:
    """Prints the section for a program or for people; the exit code."""
    if is_json:
        print(msgspec.json.encode(section).decode())
    else:
        show(section)
    return 1 if section.faults else 0


async def measure_yardstick() -> float:
    """p50 of a POST by aiohttp to an idle stub, in ms."""
    async with stub() as url, aiohttp.ClientSession() as session:
        took: list[int] = []
        for _ in range(WARM_UP_CALLS + YARDSTICK_CALLS):
            start = time.perf_counter_ns()
            async with session.post(f"{url}/v2/orders", data=b"{}") as answer:
                await answer.read()
            took.append(time.perf_counter_ns() - start)
    return Histogram(took[WARM_UP_CALLS:]).at_ms(50)


@asynccontextmanager
async def yardstick(section: Section) -> AsyncIterator[Section]:
    """Measures the yardstick before and after; the section gets the middle of both."""
    before = await measure_yardstick()
    yield section
    section.yardstick_ms = round(median((before, await measure_yardstick())), 4)
