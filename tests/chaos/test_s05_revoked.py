"""S5 in short: who lost his token trades no more."""

from __future__ import annotations

import pytest

from bench.goals.s05_revoked import GOAL


@pytest.mark.asyncio
async def test_a_token_that_ended_trades_no_more_within_a_second() -> None:
    tally = await GOAL.run(GOAL.short, 5)
    assert tally.violations == 0, tally.details
    assert tally.counts == {"revoked": GOAL.short // 2, "expired": GOAL.short // 2}
