"""The short form of A1: a client is answered, whatever its broker does."""

from __future__ import annotations

import pytest

from bench.goals.a01_availability import GOAL


@pytest.mark.asyncio
async def test_a_client_is_answered_whatever_its_broker_does() -> None:
    tally = await GOAL.run(GOAL.short, 3)
    assert tally.violations == 0, tally.details
