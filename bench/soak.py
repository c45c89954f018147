"""Do the goals of reliability hold over their long forms? Resumable: stop it, start it again.

    python -m bench.soak [--only R1,R8] [--minutes N] [--short] [--seed N] [--list] [--table]

Goals take turns, a batch each, until each has had the trials it asks for at this commit or the
time is up. Counts are kept in bench/results/soak/ after every batch. `--table` writes
docs/reliability.md from what is kept. Exit code 1 tells of a violation or of a goal that broke.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import reliability
from bench.counts import FOLDER, Batch, BeingRun, Counts, Form, alone, commit_of
from bench.goal import Goal, Tally
from bench.goals import discover
from bench.machine import describe

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
VIOLATED = 1
MISUSED = 2
INTERRUPTED = 130

Tell = Callable[[Goal, int, str], None]
"""How many trials of a goal are done, and a word on the last batch."""


class Plan(Struct, frozen=True, kw_only=True):
    """What is run: which goals, in which form, until when, from which seed on."""

    goals: tuple[Goal, ...]
    form: Form = Form.LONG
    minutes: float | None = None
    seed: int = 1

    def asks(self, goal: Goal) -> int:
        """How many trials it needs in this form."""
        return goal.long if self.form is Form.LONG else goal.short


class Soak:
    """Runs batches in turn and keeps what they find."""

    def __init__(self, plan: Plan, folder: Path, commit: str, tell: Tell) -> None:
        self._plan, self._folder, self._commit, self._tell = plan, folder, commit, tell
        self._counts = Counts(folder)
        self._end = time.monotonic() + plan.minutes * 60 if plan.minutes else None
        self.broken: dict[str, str] = {}
        """What a goal itself failed with, by id; it gets no further batch in this run."""

    async def run(self) -> None:
        """Until every goal has its trials, or the time is up."""
        with ExitStack() as held:
            for goal in self._plan.goals:
                held.enter_context(alone(self._folder, goal.id))
            while waiting := [goal for goal in self._plan.goals if self._left(goal)]:
                if not await self._turn(waiting):
                    return

    async def _turn(self, waiting: list[Goal]) -> bool:
        """A batch of each; False once the time is up."""
        for goal in waiting:
            if self._end is not None and time.monotonic() >= self._end:
                return False
            await self._batch(goal)
        return True

    def tally(self, goal: Goal) -> Tally:
        """What this commit has so far."""
        return self._counts.tally(goal.id, self._commit, self._plan.form)

    def is_violated(self) -> bool:
        """Whether any of the goals was violated at this commit, or could not be run."""
        return bool(self.broken) or any(self.tally(goal).violations for goal in self._plan.goals)

    def _left(self, goal: Goal) -> int:
        if goal.id in self.broken:
            return 0
        return max(0, self._plan.asks(goal) - self.tally(goal).trials)

    async def _batch(self, goal: Goal) -> None:
        seed = self._counts.next_seed(goal.id, self._plan.seed)
        machine, start = describe(self._folder), time.monotonic()
        try:
            tally = await goal.run(min(goal.batch, self._left(goal)), seed)
            assert tally.trials > 0, f"{goal.id} ran a batch of no trials"
        except Exception:  # the goal's trouble, shown whole at the end; the others go on
            self.broken[goal.id] = f"seed {seed}\n{traceback.format_exc()}"
            self._tell(goal, self.tally(goal).trials, f"broke at seed {seed}")
            return
        took_s = round(time.monotonic() - start, 3)
        batch = Batch(
            goal=goal.id,
            commit=self._commit,
            form=self._plan.form,
            seed=seed,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            took_s=took_s,
            machine=machine,
            tally=tally,
        )
        self._counts.add(batch)
        word = f"{tally.violations} violations" if tally.violations else f"{took_s:.1f} s a batch"
        self._tell(goal, self.tally(goal).trials, word)


def pick(only: str | None, goals: dict[str, Goal]) -> tuple[Goal, ...]:
    """The goals named, or all."""
    if only is None:
        return tuple(goals.values())
    names = [name.strip().upper() for name in only.split(",") if name.strip()]
    if strange := [name for name in names if name not in goals]:
        raise SystemExit(f"--only: no goal file for {', '.join(strange)}; see --list")
    return tuple(goals[name] for name in names)


def list_goals(goals: Iterable[Goal], counts: Counts, commit: str, out: Console) -> None:
    """Each goal, and how far this commit has come."""
    table = Table("id", "goal", "short", "batch", "long", "done", title=f"at {commit}")
    for goal in goals:
        done = counts.tally(goal.id, commit, Form.LONG)
        word = f"{done.trials:,}" + (f", {done.violations} violations" if done.violations else "")
        table.add_row(
            goal.id, goal.says, f"{goal.short:,}", f"{goal.batch:,}", f"{goal.long:,}", word
        )
    out.print(table)


def soak(plan: Plan, folder: Path, commit: str, out: Console) -> int:
    """Runs it with a bar for each goal, or a line for each batch where there is no terminal."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[word]}"),
    )  # fmt: skip
    with Progress(*columns, console=out, disable=not out.is_terminal) as bar:
        tasks = {goal.id: bar.add_task(f"{goal.id} {goal.unit}", word="") for goal in plan.goals}

        def tell(goal: Goal, done: int, word: str) -> None:
            bar.update(tasks[goal.id], completed=done, total=plan.asks(goal), word=word)
            if not out.is_terminal:
                out.print(f"{goal.id} {done:,} of {plan.asks(goal):,} {goal.unit}: {word}")

        work = Soak(plan, folder, commit, tell)
        for goal in plan.goals:
            bar.update(
                tasks[goal.id], completed=work.tally(goal).trials, total=plan.asks(goal), word=""
            )
        try:
            asyncio.run(work.run())
        except KeyboardInterrupt:
            out.print("stopped; what was counted is kept, the same command goes on from there")
            return INTERRUPTED
        except BeingRun as trouble:
            out.print(str(trouble))
            return MISUSED
    conclude(work, plan, out)
    return VIOLATED if work.is_violated() else 0


def conclude(work: Soak, plan: Plan, out: Console) -> None:
    """A line for each goal, then what went wrong."""
    for goal in plan.goals:
        tally = work.tally(goal)
        out.print(f"{goal.id}: {reliability.figure(goal, tally, plan.asks(goal))}", markup=False)
        for detail in tally.details if tally.violations else []:
            out.print(f"  {detail}", markup=False)
    for name, trouble in work.broken.items():
        out.print(f"{name} could not be run: {trouble}", markup=False)


def main(words: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--only", help="ids, with commas")
    parser.add_argument("--minutes", type=float, help="start no batch after so many")
    parser.add_argument("--short", action="store_true", help="the trials CI runs, counted apart")
    parser.add_argument("--seed", type=int, default=1, help="use no seed below this one")
    parser.add_argument("--list", action="store_true", help="say what there is and how far it is")
    parser.add_argument("--table", action="store_true", help="write docs/reliability.md")
    given = parser.parse_args(words)
    out, goals, commit = Console(soft_wrap=True), discover(), commit_of(ROOT)
    if given.table:
        PAGE.write_text(reliability.page(goals, Counts(FOLDER), reliability.REASONS))
        out.print(f"wrote {PAGE.relative_to(ROOT)}")
        return 0
    # Ended politely it cleans up, as with Ctrl-C (which a shell's background jobs ignore).
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    chosen = pick(given.only, goals)
    if given.list:
        list_goals(chosen, Counts(FOLDER), commit, out)
        return 0
    form = Form.SHORT if given.short else Form.LONG
    plan = Plan(goals=chosen, form=form, minutes=given.minutes, seed=given.seed)
    return soak(plan, FOLDER, commit, out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
