"""R10 in short: dead lines are noticed, and a slow reader costs itself alone."""

from __future__ import annotations

import pytest

from bench.goals.r10_half_open import GOAL, can_drop


@pytest.mark.asyncio
async def test_a_dead_line_is_noticed_at_both_ends_and_a_slow_reader_loses_nothing() -> None:
    tally = await GOAL.run(GOAL.short, 10)
    assert tally.violations == 0, tally.details
    assert tally.counts["proxied lines"] > 0
    assert not can_drop() or tally.counts["dropped lines"] > 0
