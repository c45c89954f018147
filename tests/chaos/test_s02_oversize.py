"""S2 in short: too much and too slow is refused, and costs nobody else anything."""

from __future__ import annotations

import pytest

from bench.goals.s02_oversize import GOAL


@pytest.mark.asyncio
async def test_too_much_and_too_slow_is_refused() -> None:
    tally = await GOAL.run(GOAL.short, 2)
    assert tally.violations == 0, tally.details
    assert tally.counts["slow handshakes"] == GOAL.short
