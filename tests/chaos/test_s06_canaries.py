"""Planted secrets after a run with crashes; `make soak` does it ten times over."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from bench.goals import s06_canaries
from bench.goals.s06_canaries import GOAL, forms_of
from bench.world import World

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


def test_a_secret_in_a_log_an_answer_or_an_environment_is_a_violation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    deployment = World(tmp_path / "home", "t")
    deployment.paths.make()
    (deployment.paths.logs / "router.log").write_text(f"Bearer {CANARY}-1")
    code = "import time; print(flush=True); time.sleep(60)"
    environment = {**os.environ, "TOKEN": f"{CANARY}-2"}
    child = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        monkeypatch.setattr(World, "descendants", lambda _: [psutil.Process(child.pid)])
        monkeypatch.setattr(s06_canaries, "_with_cores", lambda _: ["router"])
        kinds = {"client": [f"{CANARY}-{number}" for number in range(5)]}
        tally = s06_canaries._search(deployment, kinds, [b"{}", f"{CANARY}-3".encode()], 7)
    finally:
        child.kill()
        child.wait()
    assert tally.trials == 5
    log = deployment.paths.logs / "router.log"
    places = (f"client 1 in {log}", "client 2 in /proc/", "client 3 in answer 1")
    assert all(any(place in one for one in tally.details) for place in places), tally.details
    assert "seed 7: router may leave a core" in tally.details
    assert tally.violations == len(tally.details) == 4
