"""C1, the short form: real processes, compliance killed and stopped."""

from __future__ import annotations

import pytest

from bench.goals.c01_compliance_down import GOAL


@pytest.mark.asyncio
async def test_nothing_is_screened_by_a_compliance_actor_that_is_gone() -> None:
    tally = await GOAL.run(GOAL.short, 1)
    assert tally.violations == 0, tally.details
