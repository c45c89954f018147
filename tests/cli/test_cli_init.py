"""`fillgate init` makes a deployment, once."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from actors.paths import Paths
from actors.settings import load
from gateway.tokens import read_tokens
from ledger.reader import JournalReader
from tests.cli.cli_world import call, call_json

pytestmark = pytest.mark.usefixtures("small_segments")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_init_makes_settings_journal_and_a_token(tmp_path: Path) -> None:
    home = tmp_path / "home"
    result = call(home, "init")
    paths = Paths(home)
    assert result.exit_code == 0, result.output
    report = JournalReader(paths.journal, load(paths.settings).deployment.id).verify()
    assert not report.faults
    assert paths.first_token.read_text().startswith("fg_")
    assert "fillgate --home" in result.output


def test_what_init_makes_is_for_this_user_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    call(home, "init")
    paths = Paths(home)
    assert mode(home) == 0o700
    assert mode(paths.first_token) == mode(paths.tokens) == mode(paths.settings) == 0o600


def test_the_first_token_may_trade_read_and_administer(tmp_path: Path) -> None:
    made = call_json(tmp_path / "home", "init")
    (token,) = read_tokens(Paths(tmp_path / "home").tokens)
    assert {scope.value for scope in token.scopes} == {"trade", "read", "admin"}
    assert token.owner == made["owner"]


def test_init_leaves_a_deployment_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = call_json(home, "init")
    again = call(home, "init")
    assert again.exit_code == 1
    assert "already holds a deployment" in again.stderr
    assert load(Paths(home).settings).deployment.id == first["deployment"]


def test_init_keeps_settings_that_were_written_by_hand(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "home")
    call(paths.home, "init")
    for file in paths.journal.iterdir():
        file.unlink()
    before = paths.settings.read_text()
    assert call(paths.home, "init").exit_code == 0
    assert paths.settings.read_text() == before


def test_two_deployments_have_names_of_their_own(tmp_path: Path) -> None:
    one, two = (call_json(tmp_path / name, "init") for name in ("a", "b"))
    assert one["deployment"] != two["deployment"]
    assert one["owner"] != two["owner"]
