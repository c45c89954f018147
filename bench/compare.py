"""Has anything become slower than it was, by more than the machine's moods explain?

    python -m bench.compare BASELINE.json LATEST.json [--tolerance 0.15]

Both are what `python -m bench.suite` wrote. A time is compared as a multiple of its own section's
yardstick (raw aiohttp, timed beside it), so another machine or a busy hour says little; a rate as
the time of one. A figure may be worse by the tolerance, or by twice what the baseline's own runs
differed by, whichever is more. Exit code 1: a regression, a figure gone, or a check that failed;
2: a file that is not there.
"""

from __future__ import annotations

import argparse
import math
import sys
from enum import Enum
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from bench.results import Results, read
from bench.section import Better, Figure, Section

TOLERANCE = 0.15
NOISES = 2.0
MS = {"s": 1_000.0, "ms": 1.0, "µs": 0.001, "ns": 0.000_001}


class Verdict(Enum):
    """What became of a figure."""

    SAME = "same"
    BETTER = "better"
    WORSE = "WORSE"
    GONE = "GONE"
    NEW = "new"


class Row(Struct, frozen=True, kw_only=True):
    """One figure, then and now: `change` is how much worse, as a share; `allowed` how much may be.

    Values are multiples of the yardstick where they are times.
    """

    section: str
    name: str
    verdict: Verdict
    before: float | None = None
    after: float | None = None
    change: float = 0.0
    allowed: float = 0.0


def multiple(figure: Figure, yardstick_ms: float) -> float:
    """A time as a multiple of the yardstick, a rate as the multiple that one takes."""
    if not figure.is_time or not yardstick_ms:
        return figure.value
    if figure.better is Better.HIGHER:
        return MS["s"] / figure.value / yardstick_ms if figure.value else float("inf")
    unit = figure.unit.partition("/")[0]
    return figure.value * MS.get(unit, 1.0) / yardstick_ms


def compare(before: Results, after: Results, tolerance: float = TOLERANCE) -> list[Row]:
    """Every figure of every section that ran both times."""
    now = {section.name: section for section in after.sections}
    return [
        row
        for section in before.sections
        if section.name in now
        for row in _compare(section, now[section.name], tolerance)
    ]


def _compare(before: Section, after: Section, tolerance: float) -> list[Row]:
    then = {figure.name: figure for figure in before.figures}
    now = {figure.name: figure for figure in after.figures}
    rows = []
    for name in dict.fromkeys([*then, *now]):
        old, new = then.get(name), now.get(name)
        if old is None or new is None:
            verdict = Verdict.NEW if old is None else Verdict.GONE
            rows.append(Row(section=after.name, name=name, verdict=verdict))
            continue
        allowed = max(tolerance, NOISES * old.noise)
        was = multiple(old, before.yardstick_ms)
        is_now = multiple(new, after.yardstick_ms)
        is_same = abs(new.value - old.value) <= old.slack
        change = 0.0 if is_same else _worse_by(new, was, is_now)
        rows.append(
            Row(
                section=after.name,
                name=name,
                verdict=_judge(change, allowed),
                before=was,
                after=is_now,
                change=change,
                allowed=allowed,
            )
        )
    return rows


def _worse_by(figure: Figure, was: float, is_now: float) -> float:
    """0.2 where it costs a fifth more than before; below zero where it costs less."""
    if is_now == was:
        return 0.0
    is_cost = figure.is_time or figure.better is Better.LOWER
    more = is_now - was if is_cost else was - is_now
    return more / abs(was) if was else math.copysign(math.inf, more)


def _judge(change: float, allowed: float) -> Verdict:
    if change > allowed:
        return Verdict.WORSE
    return Verdict.BETTER if change < -allowed else Verdict.SAME


def show(rows: list[Row], console: Console) -> None:
    """The table."""
    table = Table("section", "figure", "before", "after", "worse by", "allowed", "")
    for row in rows:
        if row.before is None or row.after is None:
            table.add_row(row.section, row.name, "", "", "", "", row.verdict.value)
            continue
        values = (f"{row.before:.3g}", f"{row.after:.3g}", f"{row.change:+.0%}")
        table.add_row(row.section, row.name, *values, f"{row.allowed:.0%}", row.verdict.value)
    console.print(table)


def main(words: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("baseline", type=Path)
    parser.add_argument("latest", type=Path)
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    asked = parser.parse_args(words)
    console = Console()
    try:
        before, after = read(asked.baseline), read(asked.latest)
    except FileNotFoundError as missing:
        console.print(
            f"there is no {missing.filename}: python -m bench.suite makes both (see --help)"
        )
        return 2
    rows = compare(before, after, asked.tolerance)
    show(rows, console)
    bad = [row for row in rows if row.verdict in (Verdict.WORSE, Verdict.GONE)]
    for fault in after.faults:
        console.print(f"check failed: {fault}", markup=False)
    if not rows:
        console.print("no section ran both times")
    console.print(f"{len(rows)} figures, {len(bad)} regressions ({before.commit} → {after.commit})")
    return 1 if bad or after.faults or not rows else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
