"""docs/reliability.md: a line for every goal, from the counts that soaks kept.

What is shown of a goal is the newest commit that has counts of it. A figure below its goal says
so, and why, where `bench/goals/reasons.toml` knows.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from bench.counts import Batch, Counts, Form
from bench.goal import Goal, Tally
from bench.goals import ASKED, place_of
from bench.machine import Machine

REASONS = Path(__file__).parent / "goals" / "reasons.toml"
WITH_THE_CREDENTIAL_STORE = {
    "S7": "Keys are rotated under load: every record is rewrapped, no read fails",
    "S8": "The secret store is away for an hour: no order fails on a live connection",
    "S11": "A refresh token used twice revokes its family; a crash loses no grant",
}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
US_PER_MS = 1_000

HEAD = """\
# Reliability

What must hold when things break, how each is tried, and the figure reached. Written by
`make reliability` from counts that `make soak` keeps; do not edit it.

A *short* form runs in every `make test`; a *long* form is what the goal asks for, and may take
hours: `make soak` goes on where it stopped. Each figure names the day, the commit (`-dirty`: with
changes on top) and the machine it was reached on. **Below the goal** is said where it is so. Times
are of a small machine that also ran the load, the venue and the client. No line here proves
anything of a real broker: the venues are Fillgate's own simulators, made hostile.

| id | goal | command | short form | long form |
|---|---|---|---|---|
"""
MACHINES = """
## Machines

| | processor | cores | memory | system | file system | Python |
|---|---|---|---|---|---|---|
"""


class Place(Struct, frozen=True):
    """What of a machine tells it from another."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    filesystem: str
    python: str


class Machines:
    """A letter for each machine, in the order of the page."""

    def __init__(self) -> None:
        self._known: list[Place] = []

    def letter(self, machine: Machine) -> str:
        """Its letter; the same for the same hardware, system and Python."""
        place = Place(
            machine.cpu, machine.cores, machine.memory_gib, machine.kernel, machine.filesystem,
            machine.python,
        )  # fmt: skip
        if place not in self._known:
            self._known.append(place)
        return LETTERS[self._known.index(place) % len(LETTERS)]

    def lines(self) -> Iterator[str]:
        """The table below the goals."""
        for letter, place in zip(LETTERS, self._known, strict=False):
            yield (
                f"| {letter} | {place.cpu} | {place.cores} | {place.memory_gib} GiB"
                f" | Linux {place.kernel} | {place.filesystem} | {place.python} |"
            )


def page(goals: dict[str, Goal], counts: Counts, reasons: Path) -> str:
    """The whole page; `reasons` says why goals are not reached, where the file is there."""
    machines, why = Machines(), read_reasons(reasons)
    ids = sorted({*ASKED, *goals}, key=place_of)
    assert set(why) <= set(ids), f"{reasons.name}: no goal has the id {set(why) - set(ids)}"
    lines = [_line(id, goals.get(id), counts, machines, why.get(id)) for id in ids]
    text = HEAD + "".join(f"{line}\n" for line in lines)
    known = list(machines.lines())
    return text + (MACHINES + "".join(f"{line}\n" for line in known) if known else "")


def read_reasons(path: Path) -> dict[str, str]:
    """Why a goal is not reached, by id."""
    return tomllib.loads(path.read_text()) if path.exists() else {}


def _line(
    id: str, goal: Goal | None, counts: Counts, machines: Machines, reason: str | None
) -> str:
    if goal is None:
        says = WITH_THE_CREDENTIAL_STORE.get(id, "")
        word = "comes with the credential store" if says else reason or "no goal file yet"
        return f"| {id} | {says} | | | open: {_escape(word)} |"
    short = _cell(goal, Form.SHORT, counts, machines)
    long = _cell(goal, Form.LONG, counts, machines)
    if reason is not None and "Below the goal" in long:
        long += f" Why: {reason}"
    command = f"`python -m bench.soak --only {id}`"
    return f"| {id} | {_escape(goal.says)} | {command} | {short} | {_escape(long)} |"


def _cell(goal: Goal, form: Form, counts: Counts, machines: Machines) -> str:
    last = counts.newest(goal.id, form)
    asked = goal.long if form is Form.LONG else goal.short
    if last is None:
        not_run = f"not run yet: 0 of {asked:,} {goal.unit}"
        return f"**Below the goal**: {not_run}." if form is Form.LONG else not_run
    tally = counts.tally(goal.id, last.commit, form)
    return f"{figure(goal, tally, asked, mark='**')}. {_where(last, machines)}"


def _where(last: Batch, machines: Machines) -> str:
    return f"{last.at[:10]}, `{last.commit}`, machine {machines.letter(last.machine)}."


def figure(goal: Goal, tally: Tally, asked: int, mark: str = "") -> str:
    """How many trials of how many, violations, percentiles against their bars."""
    parts = [f"{tally.trials:,} of {asked:,} {goal.unit}", f"{tally.violations} violations"]
    parts += [f"{count:,} {name}" for name, count in sorted(tally.counts.items())]
    missed = [bar for bar in goal.bars_us if not _meets(goal, tally, bar)]
    parts += [_against(goal, tally, bar) for bar in goal.bars_us]
    is_below = tally.violations or tally.trials < asked or missed
    word = "Below the goal" if is_below else "Held"
    return f"{mark}{word}{mark}: {', '.join(parts)}"


def _meets(goal: Goal, tally: Tally, bar: str) -> bool:
    value = _value(tally, bar)
    return value is not None and value <= goal.bars_us[bar]


def _against(goal: Goal, tally: Tally, bar: str) -> str:
    value = _value(tally, bar)
    limit = f"at most {_ms(goal.bars_us[bar])}"
    return f"{bar} {'not measured' if value is None else _ms(value)} ({limit})"


def _value(tally: Tally, bar: str) -> int | None:
    name, _, which = bar.rpartition(" ")
    samples = sorted(tally.samples_us.get(name, []))
    return samples[rank(len(samples), which)] if samples else None


def rank(count: int, which: str) -> int:
    """Where `p99`, `p99.9` or `max` stands in sorted samples: so many percent do not exceed it."""
    share = 100.0 if which == "max" else float(which.removeprefix("p"))
    return max(0, math.ceil(count * share / 100) - 1)


def _ms(us: int) -> str:
    return f"{us / US_PER_MS:,.3g} ms" if us < 100 * US_PER_MS else f"{us / US_PER_MS:,.0f} ms"


def _escape(text: str) -> str:
    return text.replace("|", "\\|")
