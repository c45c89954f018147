"""A snapshot is made beside the router, from what is durable, and a failure stops nobody."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from actors import snapshot_maker
from actors.paths import Paths
from actors.settings import find_journal
from actors.snapshot_maker import ROOT, SnapshotMaker, make_snapshot
from ledger.places import reader_of
from ledger.recovery import restore
from tests.cli.cli_world import Story, make_home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    paths = make_home(tmp_path)
    story = Story(paths)
    for number in range(5):
        story.place(f"c-{number}")
    story.close()
    return paths


def test_a_snapshot_is_of_the_record_it_was_asked_for(home: Paths) -> None:
    reader = reader_of(find_journal(home))
    make_snapshot(home.home, 3)
    (made,) = reader.snapshots()
    assert made.number == 3
    make_snapshot(home.home, 5)
    assert [snapshot.number for snapshot in reader.snapshots()] == [5, 3]
    whole = restore(reader)
    assert (whole.snapshot, whole.books.number) == (5, 6)
    assert restore(reader, until=4).snapshot == 3


def test_the_command_makes_one_and_is_the_least_nice(home: Paths) -> None:
    words = [sys.executable, "-m", "actors.snapshot_maker", str(home.home), "4"]
    subprocess.run(words, cwd=ROOT, check=True)
    assert next(reader_of(find_journal(home)).snapshots()).number == 4


@pytest.fixture(autouse=True)
def told() -> None:
    """Here the log is what is looked at."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(0))


def settle(maker: SnapshotMaker) -> None:
    assert maker._thread is not None
    maker._thread.join(20)


def test_one_that_fails_is_told_and_the_next_is_tried(
    home: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = SnapshotMaker(home.home)
    fails = True

    def run(words: list[str], **_: Any) -> None:
        if fails:
            raise subprocess.CalledProcessError(1, words, stderr="Traceback\nOSError: no room\n")

    monkeypatch.setattr(snapshot_maker.subprocess, "run", run)
    with capture_logs() as logs:
        maker.begin(3)
        settle(maker)
        fails = False
        maker.begin(4)
        settle(maker)
    assert [line["log_level"] for line in logs] == ["error", "info"]
    assert logs[0]["why"] == "OSError: no room"


def test_one_at_a_time(home: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = SnapshotMaker(home.home)
    monkeypatch.setattr(snapshot_maker.subprocess, "run", lambda *_, **__: time.sleep(0.2))
    with capture_logs() as logs:
        maker.begin(3)
        maker.begin(4)
        settle(maker)
    assert "still under way" in logs[0]["event"]
