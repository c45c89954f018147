"""The short form of R7's node half: the machine that trades dies, and the other one goes on."""

from __future__ import annotations

import pytest

from bench.goals.r07_node_lost import GOAL
from bench.namespaces import find_lack
from bench.postgres_server import find_programs

LACK = find_lack() or (None if find_programs() else "needs postgresql")


@pytest.mark.asyncio
@pytest.mark.skipif(LACK is not None, reason=f"two machines: {LACK}")
async def test_a_machine_that_dies_is_replaced_by_another() -> None:
    tally = await GOAL.run(GOAL.short, 7)
    assert tally.violations == 0, tally.details
    assert len(tally.samples_us["dead"]) == 1
