"""No traceback ever reaches a user: a sentence, the fix, and an exit code."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from actors.cluster import ClusterError
from actors.paths import Paths
from actors.settings import SettingsError
from actors.supervisor import AlreadyRunning, StartFailed
from cli import trouble as troubles
from cli.trouble import Trouble, explain, write_down
from gateway.tokens import TokenError
from ledger.faults import JournalLocked
from tests.cli.cli_world import call, call_json, make_home
from tests.shared_data import ROOT

KNOWN = [
    (SettingsError(["a is wrong", "b is wrong"]), "b is wrong"),
    (AlreadyRunning("a supervisor already runs"), "already runs"),
    (StartFailed("not ready after 60 s"), "not ready"),
    (ClusterError("many lines\nno such port"), "no such port"),
    (ClusterError(""), "no reason given"),
    (JournalLocked("journal", 7), "process 7"),
    (TokenError("no token x"), "no token x"),
    (OSError(errno.EADDRINUSE, "Address in use"), "Address in use"),
    (FileNotFoundError(errno.ENOENT, "No such file", "ticks"), "ticks"),
    (ExceptionGroup("two", [Trouble("first"), Trouble("second")]), "first"),
]


@pytest.mark.parametrize(("raised", "words"), KNOWN, ids=lambda value: type(value).__name__)
def test_a_known_trouble_is_put_in_words(raised: Exception, words: str) -> None:
    known = explain(raised)
    assert known is not None
    assert words in known.message


def test_what_nobody_foresaw_is_not_explained_away() -> None:
    assert explain(ZeroDivisionError()) is None
    assert explain(ExceptionGroup("one", [ZeroDivisionError()])) is None


def test_a_port_that_is_taken_says_where_to_choose_another() -> None:
    known = explain(OSError(errno.EADDRINUSE, "Address in use"))
    assert known is not None
    assert "[deployment]" in known.fix


def test_what_nobody_foresaw_is_logged_under_a_reference(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "cli.log"
    told = write_down(ZeroDivisionError("by naught"), log)
    reference = told.fix.rsplit(" ", 1)[1].rstrip(")")
    assert reference in log.read_text()
    assert "by naught" in log.read_text()
    assert "by naught" not in told.message


def test_a_log_that_cannot_be_written_does_not_hide_the_trouble(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    told = write_down(ZeroDivisionError(), tmp_path / "logs" / "cli.log")
    assert "no log could be written" in told.fix


def test_a_log_that_grew_too_long_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(troubles, "LOG_BYTES_MAX", 10)
    log = tmp_path / "cli.log"
    write_down(ZeroDivisionError("first"), log)
    write_down(ZeroDivisionError("second"), log)
    assert "first" not in log.read_text()


def test_a_bug_in_a_command_is_a_sentence_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Paths) -> None:
        raise ZeroDivisionError("by naught")

    monkeypatch.setattr("cli.init.make_deployment", broken)
    result = call(tmp_path / "home", "init")
    assert result.exit_code == 1
    assert "this should not have happened: ZeroDivisionError" in result.stderr
    assert "Traceback" not in result.output
    assert "by naught" in (tmp_path / "home" / "logs" / "cli.log").read_text()


def test_a_program_gets_the_trouble_as_json_on_stdout(tmp_path: Path) -> None:
    error = call_json(tmp_path / "home", "orders")["error"]
    assert error["code"] == "not_running"
    assert "fillgate up" in error["fix"]


def test_json_may_be_asked_for_before_the_command(tmp_path: Path) -> None:
    result = call(tmp_path / "home", "--json", "orders")
    assert json.loads(result.stdout)["error"]["code"] == "not_running"


def test_wrong_words_are_exit_code_2(tmp_path: Path) -> None:
    assert call(tmp_path, "order", "place", "EUR/USD").exit_code == 2
    assert call(tmp_path, "nonsense").exit_code == 2
    assert call(tmp_path, "orders", "--status", "nonsense").exit_code == 2


@pytest.mark.parametrize("words", [("up",), ("token", "create")])
def test_settings_that_are_wrong_are_told_whole(tmp_path: Path, words: tuple[str, ...]) -> None:
    paths = make_home(tmp_path)
    text = paths.settings.read_text()
    paths.settings.write_text(text.replace("edges = 1", "edges = 99").replace("oanda", "nobody"))
    result = call(paths.home, *words)
    assert result.exit_code == 1
    assert "edges" in result.stderr
    assert "fillgate.example.toml" in result.stderr


def test_the_home_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_home(tmp_path)
    monkeypatch.setenv("FILLGATE_HOME", str(paths.home))
    from typer.testing import CliRunner

    from cli.main import app

    result = CliRunner().invoke(app, ["journal", "verify", "--json"])
    assert json.loads(result.stdout)["deployment_id"] == "d-test"


def test_the_home_may_be_named_after_the_command(tmp_path: Path) -> None:
    paths = make_home(tmp_path)
    result = call(tmp_path / "elsewhere", "journal", "verify", "--home", str(paths.home))
    assert result.exit_code == 0


def test_a_package_that_is_missing_is_a_sentence_too() -> None:
    code = "import sys; sys.modules['structlog'] = None; import cli.main"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "the package structlog is not installed" in done.stderr
    assert "Traceback" not in done.stderr
