"""R7, its short form; the long one is `python -m bench.soak`."""

from __future__ import annotations

import pytest

from bench.goals.r07_zombie import GOAL


@pytest.mark.asyncio
async def test_a_sender_that_was_stopped_sends_nothing_when_it_wakes() -> None:
    tally = await GOAL.run(GOAL.short, 7)

    assert tally.violations == 0, tally.details
