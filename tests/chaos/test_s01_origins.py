"""S1 in short, at a real edge's own doors."""

from __future__ import annotations

import pytest

from bench.goals.s01_origins import GOAL


@pytest.mark.asyncio
async def test_no_trick_and_no_used_ticket_opens_a_door() -> None:
    tally = await GOAL.run(GOAL.short, 1)
    assert tally.violations == 0, tally.details
    assert tally.counts["tickets"] > 0
