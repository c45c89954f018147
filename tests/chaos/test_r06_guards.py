"""R6 in short: guards fire on time, and only for those that stay away."""

from __future__ import annotations

import pytest

from bench.goals.r06_guards import GOAL


@pytest.mark.asyncio
async def test_guards_fire_for_those_that_stay_away_and_for_nobody_else() -> None:
    tally = await GOAL.run(GOAL.short, 6)
    assert tally.violations == 0, tally.details
    assert tally.counts["fires"] + tally.counts["reconnects"] >= GOAL.short
