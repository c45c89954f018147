"""Kill -9 anywhere under load, with venues that lose replies, land late and repeat themselves."""

from __future__ import annotations

import pytest

from bench.goals.r01_kills import GOAL, kill


@pytest.mark.asyncio
async def test_twenty_kills_lose_nothing_and_double_nothing() -> None:
    tally = await kill(GOAL.short, seed=11, rate=100)

    # None lost, none doubled, none left unknown, every log the same, trading again after each.
    assert tally.violations == 0, tally.details
    assert tally.counts["orders"] > 1_000
    assert sum(len(waits) for waits in tally.samples_us.values()) == GOAL.short
