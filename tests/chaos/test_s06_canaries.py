"""Planted secrets after a run with crashes; `make soak` does it ten times over."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest

from bench.goals import s06_canaries
from bench.goals.s06_canaries import GOAL, forms_of

CANARY = "canary/0123456789abcdef+0123"


@pytest.mark.world
@pytest.mark.asyncio
async def test_planted_secrets_turn_up_nowhere() -> None:
    tally = await GOAL.run(GOAL.short, 6)

    assert tally.violations == 0, tally.details
    assert tally.trials == GOAL.short
    assert tally.counts["places"] > 100
    assert tally.counts["bytes"] > 100_000_000


@pytest.mark.parametrize(
    "written",
    [
        CANARY.encode(),
        quote(CANARY, safe="").encode(),
        base64.b64encode(CANARY.encode()),
        base64.b64encode(b"x" + CANARY.encode() + b"yz"),
        base64.b64encode(b"xy" + CANARY.encode() + b"z"),
        b'{"headers": "Bearer ' + CANARY.encode() + b'"}',
    ],
)
def test_a_secret_is_found_however_it_is_written(written: bytes) -> None:
    assert any(form in written for form in forms_of(CANARY))
    assert not any(form in b"nothing of the kind" for form in forms_of(CANARY))


def test_a_secret_that_lies_across_two_pieces_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s06_canaries, "CHUNK_BYTES", 64)
    path = tmp_path / "core"
    path.write_bytes(b"." * 50 + CANARY.encode() + b"." * 300)
    pieces = list(s06_canaries._chunks(path))
    assert len(pieces) > 2
    assert any(CANARY.encode() in piece for piece in pieces)
