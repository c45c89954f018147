"""R14: what the journal adds to an order before its first byte leaves, at 200 orders a second."""

from __future__ import annotations

from bench.durable_intent import pay
from bench.goal import Goal, Tally

RATE = 200
RATE_SHARE_MIN = 0.95
NS_PER_US = 1_000
BAR_US = 1_000


async def write_down(orders: int, seed: int) -> Tally:
    """So many orders at the rate; raises where the rate was not reached."""
    paid = await pay(orders, RATE, seed)
    if paid.rate_reached < RATE_SHARE_MIN * RATE:
        raise RuntimeError(f"seed {seed}: only {paid.rate_reached} of {RATE} orders a second")
    faults = paid.faults
    if len(paid.waits) + paid.refused != orders:
        faults.append(f"{len(paid.waits)} intents of {orders} orders, {paid.refused} refused")
    return Tally(
        trials=len(paid.waits),
        violations=len(faults),
        details=[f"seed {seed}: {fault}" for fault in faults],
        counts={"refused": paid.refused},
        samples_us={
            "durable intent": [wait.whole_ns // NS_PER_US for wait in paid.waits],
            "without its sync": [(w.whole_ns - w.sync_ns) // NS_PER_US for w in paid.waits],
        },
    )


GOAL = Goal(
    id="R14",
    says="A durable intent adds at most 1 ms to 99 % of orders at 200 orders/s (local journal)",
    unit="orders",
    short=200,
    long=20_000,
    batch=2_000,
    run=write_down,
    bars_us={"durable intent p99": BAR_US},
)
