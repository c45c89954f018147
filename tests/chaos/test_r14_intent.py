"""A second's worth of orders: each is written down once, and that takes no age."""

from __future__ import annotations

from statistics import median

import pytest

from bench.goals.r14_intent import BAR_US, GOAL

HANG_GUARD = 10
"""On a machine that does other things as well."""


@pytest.mark.asyncio
async def test_every_order_waits_once_for_its_intent_and_not_for_long() -> None:
    tally = await GOAL.run(GOAL.short, 11)

    assert tally.violations == 0, tally.details
    waits, without = tally.samples_us["durable intent"], tally.samples_us["without its sync"]
    assert len(waits) == GOAL.short
    assert median(waits) <= HANG_GUARD * BAR_US
    # The sync does happen, and is most of it.
    assert median(without) < median(waits) / 2
