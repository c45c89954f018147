"""R4 in short: cut lines lose and double nothing."""

from __future__ import annotations

import pytest

from bench.goals.r04_cuts import GOAL


@pytest.mark.asyncio
async def test_each_client_s_log_is_the_journal_s_however_often_the_line_is_cut() -> None:
    tally = await GOAL.run(GOAL.short, 4)
    assert tally.violations == 0, tally.details
    assert tally.counts["cuts"] >= GOAL.short
    assert tally.counts["events"] > 0
