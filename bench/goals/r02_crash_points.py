"""R2: every system call of submit, amend and cancel as a moment to die; and the power going."""

from __future__ import annotations

from random import Random

from bench.crash_points import sweep_all, sweep_some
from bench.goal import Goal, Tally
from bench.power import cut_power

LONG = 300
CUTS_A_POINT = 20
"""Power cuts cost a thousandth of a crash: so many are tried for each point."""


async def crash(points: int, seed: int) -> Tally:
    """The whole sweep where as many points are asked for as the goal names, else some of it."""
    whole = points >= LONG
    found = await (sweep_all() if whole else sweep_some(points, Random(seed)))
    cuts = cut_power(CUTS_A_POINT * found.crashes, seed)
    details = [f"seed {seed}: {fault}" for fault in (*found.faults, *cuts.faults)]
    return Tally(
        trials=found.crashes,
        violations=len(details),
        details=details,
        counts={"power cuts": cuts.trials},
    )


GOAL = Goal(
    id="R2",
    says=(
        "SIGKILL at every write, sync and send of submit, amend, cancel and recovery, at two"
        " venues, and power cuts that drop or tear unsynced writes: nothing lost, nothing doubled,"
        " no order left UNKNOWN, no acknowledged record gone"
    ),
    unit="crash points",
    short=12,
    long=LONG,
    batch=LONG,
    run=crash,
)
