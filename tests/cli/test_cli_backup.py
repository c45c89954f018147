"""`fillgate backup` and `fillgate restore`, as a person and as a program call them."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.paths import Paths
from tests.cli.cli_world import Story, call, call_json, make_home


@pytest.fixture
def paths(tmp_path: Path, small_segments: None, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = make_home(tmp_path)
    story = Story(made)
    story.place()
    story.close()
    return made


def test_a_backup_is_made_read_and_restored(paths: Paths, tmp_path: Path) -> None:
    kept, again = str(tmp_path / "kept"), tmp_path / "again"
    made = call(paths.home, "backup", kept)
    assert made.exit_code == 0, made.output
    assert "whole" in made.output
    assert "up to record 2" in made.output
    told = call(again, "restore", kept, "--verify")
    assert "deployment d-test up to record 2" in told.output
    assert not again.exists()
    restored = call(again, "restore", kept)
    assert restored.exit_code == 0, restored.output
    assert "1 orders of unknown outcome" in restored.output
    assert call_json(again, "journal", "verify")["last"] == 4


def test_programs_get_json(paths: Paths, tmp_path: Path) -> None:
    kept = str(tmp_path / "kept")
    assert call_json(paths.home, "backup", kept)["record"] == 2
    made = call_json(tmp_path / "again", "restore", kept)
    assert (made["backup_of"], made["unknown_orders"], made["record"]) == ("d-test", 1, 4)
    assert made["deployment"] != "d-test"


def test_what_is_wrong_is_said_with_the_fix(paths: Paths, tmp_path: Path) -> None:
    refused = call(paths.home, "restore", str(tmp_path / "nowhere"))
    assert refused.exit_code == 1
    assert "is not empty" in refused.output
    refused = call(tmp_path / "again", "restore", str(tmp_path / "nowhere"))
    assert refused.exit_code == 1
    assert "`fillgate backup` made" in refused.output
