"""Kill -9 anywhere under load, half of it with a venue that loses replies and lands late."""

from __future__ import annotations

import pytest

from bench.kills import Plan, main


@pytest.mark.asyncio
async def test_twenty_kills_lose_nothing_and_double_nothing() -> None:
    result = await main(Plan(kills=20, rate=100, seed=11))

    assert (result["lost"], result["doubled"], result["unknown"]) == (0, 0, 0), result
    assert result["differences"] == 0, result["details"]
    assert result["durable"] > 1_000
    # After every kill an order that was sent later had its outcome.
    assert all(gap > 0 for gaps in result["trading_again_s"].values() for gap in gaps), result
