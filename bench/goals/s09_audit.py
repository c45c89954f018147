"""S9: is every change to an audit log seen, against the heads that left it?

Each trial copies a log of several segments, hurts the copy in one of six ways, and verifies it
against the heads; the unhurt log must verify. How fast a log is read is a sample: microseconds
for a thousand entries (20,000 is 50,000 entries a second).
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from bench.audit_copies import MUTATIONS, copy_of, digest_of, write_log
from bench.goal import Goal, Tally
from ledger.audit_verification import verify

ENTRIES = 60
SEGMENT_BYTES = 16 * 1024
READ_ENTRIES = 20_000
KIND = "per 1000 entries"


async def run(trials: int, seed: int) -> Tally:
    """Hurts so many copies, and reads one long log."""
    return await asyncio.to_thread(_run, trials, seed)


def _run(trials: int, seed: int) -> Tally:
    tally = Tally(trials=trials, counts=dict.fromkeys(MUTATIONS, 0), samples_us={KIND: []})
    with TemporaryDirectory(prefix="fg-audit-") as home:
        log, copy = Path(home) / "log", Path(home) / "copy"
        heads = write_log(log, ENTRIES, SEGMENT_BYTES)
        if faults := verify(log, heads).faults:
            _tell(tally, f"the log itself: {faults[0]}")
        whole = digest_of(log)
        for trial in range(seed, seed + trials):
            luck = Random(trial)
            kind = luck.choice(list(MUTATIONS))
            MUTATIONS[kind](copy_of(log, copy), luck)
            tally.counts[kind] += 1
            if not verify(copy, heads).faults:
                same = " (it is the same)" if digest_of(copy) == whole else ""
                _tell(tally, f"seed {trial}: {kind} was not seen{same}")
        _time_reading(Path(home) / "long", tally)
    return tally


def _tell(tally: Tally, what: str) -> None:
    tally.violations += 1
    tally.details.append(what)


def _time_reading(directory: Path, tally: Tally) -> None:
    heads = write_log(directory, READ_ENTRIES)
    began = time.perf_counter_ns()
    report = verify(directory, heads)
    took_us = (time.perf_counter_ns() - began) // 1000
    if report.faults or report.entries != READ_ENTRIES:
        _tell(tally, f"the long log: {report.faults}")
    tally.samples_us[KIND].append(took_us * 1000 // READ_ENTRIES)


GOAL = Goal(
    id="S9",
    says="10,000 mutated copies of an audit log are all told from it by the exported heads; "
    "50,000 entries are verified a second",
    unit="copies",
    short=150,
    long=10_000,
    batch=1_000,
    run=run,
    bars_us={f"{KIND} p50": 20_000},
)
