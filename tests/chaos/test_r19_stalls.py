"""R19 in short: syncs of 5 s end nobody, and hold back no cancel."""

from __future__ import annotations

import pytest

from bench.disk_world import find_lack
from bench.goals.r19_stalls import GOAL

LACK = find_lack()


@pytest.mark.asyncio
@pytest.mark.skipif(LACK is not None, reason=str(LACK))
async def test_a_stalled_disk_kills_nobody_and_lets_cancels_through() -> None:
    tally = await GOAL.run(GOAL.short, 19)
    assert tally.violations == 0, tally.details
    assert tally.counts["orders refused"] > 0
