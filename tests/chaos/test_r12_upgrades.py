"""The short form of R12: every process is replaced under orders; none is lost or doubled."""

from __future__ import annotations

import pytest

from bench.goals.r12_upgrades import GOAL


@pytest.mark.asyncio
async def test_a_rolling_replacement_loses_nothing_and_doubles_nothing() -> None:
    tally = await GOAL.run(GOAL.short, 12)
    assert tally.violations == 0, tally.details
    assert tally.counts["orders"] > 100
    assert len(tally.samples_us["pause"]) == GOAL.short
