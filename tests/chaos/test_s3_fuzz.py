"""Bent bytes are understood or refused in order, at every place that strangers reach."""

from __future__ import annotations

from random import Random

import pytest
from msgspec import MsgspecError

from bench.fuzz import bend
from bench.goals import s3_fuzz
from bench.goals.s3_fuzz import GOAL
from brokers import oanda


@pytest.mark.asyncio
async def test_no_bytes_raise_what_their_reader_does_not_expect() -> None:
    tally = await GOAL.run(GOAL.short, 0)
    assert tally.details == []
    assert tally.violations == 0
    assert min(tally.counts.values()) > 0


@pytest.mark.asyncio
async def test_a_reader_that_expects_too_little_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oanda, "NOT_JSON", MsgspecError)
    tally = await GOAL.run(GOAL.short, 0)
    assert tally.violations > 0
    assert "UnicodeDecodeError" in tally.details[0]
    monkeypatch.setattr(s3_fuzz, "DETAILS_MAX", 0)
    assert (await GOAL.run(5_000, 0)).details == []


def test_bent_bytes_differ_and_come_from_the_seed_alone() -> None:
    corpus = [b'{"a":[1,2,{"b":"c"}]}', b"\x81\xa1a\x01"]
    bent = [bend(Random(seed), corpus, ("word",)) for seed in range(500)]
    assert bent == [bend(Random(seed), corpus, ("word",)) for seed in range(500)]
    assert len(set(bent)) > 200
    assert any(b"word" in data for data in bent)
    assert any(data in corpus for data in bent)
