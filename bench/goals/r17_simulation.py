"""R17: any story at all, from its seed, ends in agreement; the same seed tells the same story."""

from __future__ import annotations

import asyncio

from bench.dst.story import Verdict, run_story
from bench.goal import Goal, Tally

DETAILS_MAX = 20
AGAIN_EVERY = 50


async def run(trials: int, seed: int) -> Tally:
    """Tells `trials` stories; every fiftieth a second time, which must leave the same trace."""
    tally = Tally(trials=trials, counts=dict.fromkeys(("commands", "faults", "orders", "fills"), 0))
    for number in range(seed, seed + trials):
        verdict = run_story(number)
        wrong = list(verdict.violations)
        if number % AGAIN_EVERY == 0 and run_story(number).trace != verdict.trace:
            wrong.append("told twice, it was another story")
        _count(tally, verdict, wrong)
        await asyncio.sleep(0)
    return tally


def _count(tally: Tally, verdict: Verdict, wrong: list[str]) -> None:
    for name in tally.counts:
        tally.counts[name] += getattr(verdict, name)
    if wrong:
        tally.violations += 1
        if len(tally.details) < DETAILS_MAX:
            tally.details.append(f"python -m bench.dst {verdict.seed} --trace: {wrong[0]}")


GOAL = Goal(
    id="R17",
    says="a simulated deployment under seeded faults loses nothing, doubles nothing, and repeats",
    unit="seeds",
    short=200,
    long=100_000,
    batch=2_000,
    run=run,
)
