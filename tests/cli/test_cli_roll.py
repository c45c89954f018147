"""`fillgate roll`: asks the supervisor, waits for the end, and says what went wrong."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from cli_world import call, call_json, make_home

from actors.legacy import write_json
from actors.paths import Paths
from actors.rolling import Rolled
from actors.supervisor import Running
from cli import roll as roll_module


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return make_home(tmp_path)


def run(paths: Paths, pid: int) -> None:
    """A deployment that says it runs, under that supervisor."""
    write_json(paths.ready, Running(pid=pid, url="", health_url="", ray_address=""))


@pytest.fixture
def rolls(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A supervisor that answers at once: with the trouble that the test puts in here, or well."""
    troubles: list[Any] = []

    def kill(pid: int, number: signal.Signals) -> None:
        assert (pid, number) == (os.getpid(), signal.SIGUSR2)
        trouble = troubles.pop() if troubles else ""
        if trouble is not None:
            write_json(paths.rolled, Rolled(pid=pid, trouble=trouble))

    run(paths, os.getpid())
    monkeypatch.setattr(roll_module.os, "kill", kill)
    return troubles


def test_a_replacement_that_went_well_says_so(paths: Paths, rolls: list[Any]) -> None:
    told = call_json(paths.home, "roll")
    assert told["rolled"] is True
    assert "replaced" in call(paths.home, "roll").stdout


def test_trouble_is_told_with_what_to_do(paths: Paths, rolls: list[Any]) -> None:
    rolls.append("actors.roll failed; see roll.log")
    told = call(paths.home, "roll")
    assert told.exit_code == 1
    assert "roll.log" in told.output
    assert "trading goes on" in told.output


def test_where_nothing_runs_there_is_nothing_to_replace(paths: Paths) -> None:
    told = call(paths.home, "roll")
    assert told.exit_code == 1
    assert "fillgate up" in told.output


def test_without_a_supervisor_the_fix_is_to_start_one(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_pid: int, _number: signal.Signals) -> None:
        raise ProcessLookupError

    run(paths, os.getpid())
    monkeypatch.setattr(roll_module.os, "kill", gone)
    told = call(paths.home, "roll")
    assert told.exit_code == 1
    assert "takes over" in told.output


def test_an_end_that_never_comes_is_not_waited_for(
    paths: Paths, rolls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rolls.append(None)
    monkeypatch.setattr(roll_module, "ROLL_S_MAX", 0.15)
    assert "no end of it" in call(paths.home, "roll").output
