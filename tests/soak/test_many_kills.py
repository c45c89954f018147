"""The long form of the kill test: SOAK_KILLS of them (200) at SOAK_RATE orders a second (200)."""

from __future__ import annotations

import os

import pytest

from bench.kills import Plan, main

KILLS = int(os.environ.get("SOAK_KILLS", "200"))
RATE = int(os.environ.get("SOAK_RATE", "200"))


@pytest.mark.asyncio
async def test_hundreds_of_kills_lose_nothing_and_double_nothing() -> None:
    result = await main(Plan(kills=KILLS, rate=RATE, seed=KILLS))

    assert (result["lost"], result["doubled"], result["unknown"]) == (0, 0, 0), result
    assert result["differences"] == 0, result["details"]
