"""The short form of S10: from another network namespace no port of Ray's opens."""

from __future__ import annotations

import pytest

from bench.goals.s10_ray_ports import GOAL
from bench.namespaces import find_lack

LACK = find_lack()


@pytest.mark.asyncio
@pytest.mark.skipif(LACK is not None, reason=f"network namespaces: {LACK}")
async def test_ray_takes_no_stranger() -> None:
    tally = await GOAL.run(GOAL.short, 10)
    assert tally.violations == 0, tally.details
    assert tally.counts["open ports reached"] == 1  # the one that the trial opened itself
    assert tally.counts["clients refused"] == 2
