"""The short form of R11: Ray's control service and its raylet die; nobody who trades notices."""

from __future__ import annotations

import pytest

from bench.goals.r11_ray import GOAL


@pytest.mark.asyncio
async def test_trading_outlives_gcs_and_raylet_and_every_actor_is_found_again() -> None:
    tally = await GOAL.run(GOAL.short, 11)
    assert tally.violations == 0, tally.details
    assert tally.counts["orders"] > 100
    assert len(tally.samples_us["addressable"]) == len(tally.samples_us["router after raylet"]) == 1
