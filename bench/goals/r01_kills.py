"""R1: kill -9 anywhere, at any moment, under load, with venues that are hostile all the while."""

from __future__ import annotations

from bench.goal import Goal, Tally
from bench.kills import Plan, main

RATE = 200
RATE_SHARE_MIN = 0.95
"""A load that came to less of its rate would not have tried what the goal says."""
US_PER_S = 1_000_000


async def kill(kills: int, seed: int, rate: int = RATE) -> Tally:
    """One deployment, so many kills, and the comparison of all logs at its end."""
    result = await main(Plan(kills=kills, rate=rate, seed=seed, calm=0))
    reached = result["rate_reached"]
    if reached < RATE_SHARE_MIN * rate:
        raise RuntimeError(f"seed {seed}: the load reached {reached} of {rate} orders a second")
    gaps = result["trading_again_s"]
    stuck = [role for role, waits in gaps.items() for wait in waits if wait < 0]
    counts = {name: result[name] for name in ("lost", "doubled", "unknown", "differences")}
    found = [*result["details"], *result["unheard"], *(f"{role} never traded on" for role in stuck)]
    return Tally(
        trials=kills,
        violations=sum(counts.values()) + len(stuck),
        details=[f"seed {seed}: {detail}" for detail in found],
        counts={"orders": result["orders"], "events": result["events"], **counts},
        samples_us={
            f"{role} trading again": [round(wait * US_PER_S) for wait in waits]
            for role, waits in gaps.items()
        },
    )


GOAL = Goal(
    id="R1",
    says=(
        "kill -9 of edge, router, compliance, connections and ledger under 200 orders/s at hostile"
        " venues (client ids not unique, replies lost, orders late, events repeated and swapped):"
        " 0 lost, 0 doubled, every event reaches the client exactly once"
    ),
    unit="kills",
    short=20,
    long=1_000,
    batch=25,
    run=kill,
)
