"""R15, its short form; the long one is `python -m bench.soak`."""

from __future__ import annotations

import pytest

from bench.goals.r15_wire_gate import GOAL


@pytest.mark.asyncio
async def test_whatever_a_broken_router_says_no_more_leaves_than_was_written_down() -> None:
    tally = await GOAL.run(GOAL.short, 15)

    assert tally.violations == 0, tally.details
