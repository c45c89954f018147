"""R3: orders of unknown outcome, by the thousand: evidence alone ends them, and soon."""

from __future__ import annotations

from bench.ambiguity import HORIZON_MS, try_doubts
from bench.goal import Goal, Tally

LONG_OUTAGE_FROM = 500
"""Batches this large also have an outage longer than an order may be UNKNOWN unalarmed."""
BAR_US = (HORIZON_MS + 1_000) * 1_000


async def doubt(orders: int, seed: int) -> Tally:
    """At least so many orders whose answer never came, in a deployment of their own."""
    found = await try_doubts(orders, seed, with_long_outage=orders >= LONG_OUTAGE_FROM)
    return Tally(
        trials=found.ambiguous,
        violations=len(found.faults),
        details=[f"seed {seed}: {fault}" for fault in found.faults],
        counts={"proved absent": found.not_placed, "alarms": found.alarms},
        samples_us={"resolved": found.resolved_us, "resolved after outage": found.after_outage_us},
    )


GOAL = Goal(
    id="R3",
    says=(
        "Answers lost, torn, 5xx though booked, booked late, venues stopped and gone on: no order"
        " ends without evidence in the journal, 99 % are resolved within the horizon and 1 s of"
        " the venue's answering again, none is UNKNOWN for 60 s without an alarm"
    ),
    unit="orders of unknown outcome",
    short=60,
    long=10_000,
    batch=1_000,
    run=doubt,
    bars_us={"resolved p99": BAR_US, "resolved after outage p99": BAR_US},
)
