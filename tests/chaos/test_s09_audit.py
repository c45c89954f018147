"""S9, the short form."""

from __future__ import annotations

import asyncio

from bench.goals.s09_audit import GOAL


def test_every_mutated_copy_of_an_audit_log_is_told_by_the_heads() -> None:
    tally = asyncio.run(GOAL.run(GOAL.short, 1))
    assert tally.violations == 0, tally.details
    assert all(tally.counts.values())
