"""What soaks found, kept: one file of lines for each commit, a line for each batch.

A line is written whole once its batch is done, so a soak may be stopped at any moment: the batch
under way is not counted, all others are. A line torn by a crash is not counted either. No seed
is used twice: the next one follows the trials that were ever run of a goal, at whatever commit.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.goal import Tally
from bench.machine import Machine

FOLDER = Path(__file__).parent / "results" / "soak"
DETAILS_MAX = 20
UNKNOWN = "unknown"
COMMIT_CHARACTERS = 12


class Form(StrEnum):
    """How many trials were asked for."""

    SHORT = "short"
    LONG = "long"


class Batch(Struct, frozen=True, kw_only=True):
    """One batch of one goal as it is kept. `at` is its end, in UTC."""

    goal: str
    commit: str
    form: Form
    seed: int
    at: str
    took_s: float
    machine: Machine
    tally: Tally


class BeingRun(Exception):
    """Another soak runs this goal now."""


class Counts:
    """All batches kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._batches = list(_read(folder))

    def add(self, batch: Batch) -> None:
        """Writes one batch down."""
        with (self._folder / f"{batch.commit}.jsonl").open("ab") as file:
            # A line that a crash tore must not spoil this one.
            start = b"\n" if file.tell() else b""
            file.write(start + msgspec.json.encode(batch) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._batches.append(batch)

    def next_seed(self, goal: str, first: int) -> int:
        """The first seed that no trial of the goal had."""
        used = (batch.seed + batch.tally.trials for batch in self._of(goal))
        return max([first, *used])

    def tally(self, goal: str, commit: str, form: Form) -> Tally:
        """What a commit's batches found, added up."""
        return merge(
            batch.tally for batch in self._of(goal) if (batch.commit, batch.form) == (commit, form)
        )

    def newest(self, goal: str, form: Form) -> Batch | None:
        """The batch that was done last: it names the commit whose counts are shown."""
        found = (batch for batch in self._of(goal) if batch.form is form)
        return max(found, key=lambda batch: batch.at, default=None)

    def _of(self, goal: str) -> Iterator[Batch]:
        return (batch for batch in self._batches if batch.goal == goal)


@contextmanager
def alone(folder: Path, goal: str) -> Iterator[None]:
    """While it is held no other soak runs the goal; else two would use the same seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{goal}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BeingRun(f"{goal} is being run by another soak; wait for it") from None
        yield


def merge(tallies: Iterable[Tally]) -> Tally:
    """Sums and all samples; the first details."""
    whole, counts = Tally(trials=0), Counter[str]()
    samples: dict[str, list[int]] = {}
    for tally in tallies:
        whole.trials += tally.trials
        whole.violations += tally.violations
        whole.details = (whole.details + tally.details)[:DETAILS_MAX]
        counts.update(tally.counts)
        for name, values in tally.samples_us.items():
            samples.setdefault(name, []).extend(values)
    whole.counts, whole.samples_us = dict(counts), samples
    return whole


def _read(folder: Path) -> Iterator[Batch]:
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                yield msgspec.json.decode(line, type=Batch)
            except msgspec.DecodeError:  # torn by a crash, or the empty line after one
                continue


def commit_of(root: Path) -> str:
    """What is checked out there; `-dirty` where the code differs from it."""
    try:
        name = _git(root, "rev-parse", "HEAD").strip()[:COMMIT_CHARACTERS]
        changed = _git(root, "status", "--porcelain", "--", ".", ":(exclude)docs")
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    return f"{name}-dirty" if changed else name


def _git(root: Path, *words: str) -> str:
    command = ("git", *words)
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout  # noqa: S603
