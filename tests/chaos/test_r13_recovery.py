"""The short form of R13: a killed broker connection is back, where one waits."""

from __future__ import annotations

import pytest

from bench.goals.r13_recovery import GOAL


@pytest.mark.asyncio
async def test_a_killed_connection_is_back_where_one_waits() -> None:
    tally = await GOAL.run(GOAL.short, 13)
    assert tally.violations == 0, tally.details
    assert len(tally.samples_us["warm"]) == GOAL.short
