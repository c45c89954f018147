"""R4, R6, R10, S1, S2 and S5 in short, one after the other on one deployment of bare processes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bench.bare_world import BareWorld, sharing
from bench.goal import Goal
from bench.goals import (
    r04_cuts,
    r06_guards,
    r10_half_open,
    s01_origins,
    s02_oversize,
    s05_revoked,
)

GOALS = [
    module.GOAL
    for module in (r04_cuts, r10_half_open, s01_origins, s02_oversize, s05_revoked, r06_guards)
]
"""The first reads the whole stream with every client, the last kills router and edge."""
LESS = "unsent_bytes_max = 524288\n"
"""A slow reader is closed sooner than by default: the flood is what costs most."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world() -> AsyncIterator[BareWorld]:
    async with sharing(LESS) as shared:
        yield shared


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.id)
async def test_the_short_form_holds(goal: Goal, world: BareWorld) -> None:
    tally = await goal.run(goal.short, 4)
    assert tally.violations == 0, tally.details
    assert tally.trials > 0
    assert tally.counts
