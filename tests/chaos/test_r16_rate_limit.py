"""R16, its short form; the long one is `python -m bench.soak`."""

from __future__ import annotations

import pytest

from bench.goals.r16_rate_limit import GOAL


@pytest.mark.asyncio
async def test_at_twice_the_brokers_limit_it_never_has_to_refuse_and_cancels_pass() -> None:
    tally = await GOAL.run(GOAL.short, 16)

    assert tally.violations == 0, tally.details
