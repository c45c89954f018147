"""Reconciling where nothing moved writes nothing; restarts change no id."""

from __future__ import annotations

import pytest

from actors.router import reports
from bench.dst.storage import Disk
from bench.goals.r18_reconcile import GOAL
from domain.streams import BalancesUpdate

SEED_WITH_MARKS = 5
"""Its last power cut leaves the send marks there."""


@pytest.mark.asyncio
async def test_reconciling_again_writes_nothing_and_keeps_every_id() -> None:
    tally = await GOAL.run(GOAL.short, 0)
    assert tally.details == []
    assert tally.violations == 0
    assert min(tally.counts.values()) > 0


@pytest.mark.asyncio
async def test_the_goal_sees_money_that_is_told_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def tell_always(_books: object, snapshot: object, _now_ns: int) -> BalancesUpdate:
        return BalancesUpdate(balances=snapshot.balances)  # type: ignore[attr-defined]

    monkeypatch.setattr(reports, "find_news", tell_always)
    assert (await GOAL.run(5, 0)).violations > 0


@pytest.mark.asyncio
async def test_the_goal_sees_a_new_beginning_that_never_comes_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Marks that name a newer epoch than the journal: their connection serves no router."""

    def lose_the_journal_alone(disk: Disk) -> None:
        disk.records, disk.snapshots = [], []

    monkeypatch.setattr(Disk, "replace", lose_the_journal_alone)
    tally = await GOAL.run(5, SEED_WITH_MARKS)
    assert tally.details == [
        f"seed {SEED_WITH_MARKS}: a new beginning never got in step with the broker"
    ]
