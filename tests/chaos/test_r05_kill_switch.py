"""R5, its short form; the long one is `python -m bench.soak`."""

from __future__ import annotations

import pytest

from bench.goals.r05_kill_switch import GOAL


@pytest.mark.asyncio
async def test_after_the_kill_switch_is_answered_no_order_leaves() -> None:
    tally = await GOAL.run(GOAL.short, 5)

    assert tally.violations == 0, tally.details
