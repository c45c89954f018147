"""R8 in short: a full and a failing disk let nothing unwritten out, and cancels through."""

from __future__ import annotations

import pytest

from bench.disk_world import find_lack
from bench.goals.r08_disk_full import GOAL

LACK = find_lack()


@pytest.mark.asyncio
@pytest.mark.skipif(LACK is not None, reason=str(LACK))
async def test_a_full_or_failing_disk_sends_nothing_unwritten_and_heals() -> None:
    tally = await GOAL.run(GOAL.short, 8)
    assert tally.violations == 0, tally.details
    assert tally.counts["disks filled"] == 1
    assert tally.counts["orders refused"] > 0
