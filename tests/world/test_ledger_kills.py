"""The ledger dies over and over while orders flow: nobody waits, and its store is the journal's.

The long form is `python -m bench.kills --only ledger`; tests/ledger kills at every statement.
"""

from __future__ import annotations

import pytest

from actors.paths import LEDGER_ROLE
from bench.kills import Plan, main

KILLS = 6


@pytest.mark.asyncio
async def test_a_ledger_killed_again_and_again_keeps_a_store_equal_to_a_rebuild() -> None:
    plan = Plan(kills=KILLS, rate=100, seed=5, roles=(LEDGER_ROLE,), every_s=2.0)
    result = await main(plan)

    assert (result["lost"], result["doubled"], result["unknown"]) == (0, 0, 0), result
    assert result["differences"] == 0, result["details"]
    gaps = result["trading_again_s"][LEDGER_ROLE]
    assert len(gaps) == KILLS
    # Orders had their outcomes as if nothing had died.
    assert all(0 < gap < 1.0 for gap in gaps), gaps
    # Lists were answered all the while, by the router where the ledger was dead.
    assert (result["lists_refused"], result["lists_backward"]) == ({}, 0)
    assert result["lists"] > 50
    # The hostile venue's doing.
    assert result["refused"].keys() <= {"unknown_outstanding"}
