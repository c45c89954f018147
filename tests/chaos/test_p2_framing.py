"""The ported RFC 6455 case list, whole, byte by byte and cut anywhere."""

from __future__ import annotations

import pytest

from bench.goals import p2_framing
from bench.goals.p2_framing import GOAL, WAYS


@pytest.mark.asyncio
async def test_every_rule_of_the_websocket_is_kept() -> None:
    tally = await GOAL.run(GOAL.short, 0)
    assert tally.details == []
    assert tally.violations == 0
    assert tally.trials == tally.counts["cases"] * len(WAYS)


@pytest.mark.asyncio
async def test_a_wrong_code_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    name, data, code = p2_framing.CASES[0]
    assert code is not None
    monkeypatch.setattr(p2_framing, "CASES", ((name, data, code + 1),))
    assert (await GOAL.run(3, 0)).violations == 3
