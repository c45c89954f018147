"""The commands over a journal that is kept in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.paths import Paths
from cli.template import Names, render
from tests.cli.cli_world import Story, call, call_json
from tests.postgres_server import PostgresServer, fresh_schema


@pytest.fixture
def paths(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Paths]:
    """Settings written by hand, before `fillgate init`."""
    paths = Paths(tmp_path / "home")
    paths.make()
    secret = tmp_path / "journal.url"
    secret.write_text(postgres_server.url())
    text = render(Names(deployment="d-test", owner="o-test"))
    for before, after in (
        ('backend = "local"', 'backend = "postgres"'),
        ('#url_file = "/run/secrets/journal_url"', f'url_file = "{secret}"'),
        ('schema = "fillgate_journal"', f'schema = "{fresh_schema()}"'),
        ("port = 8765", "port = 0"),
        ("port = 8766", "port = 0"),
    ):
        assert before in text
        text = text.replace(before, after)
    paths.settings.write_text(text)
    yield paths
    for file in paths.runtime.glob("*"):
        file.unlink()
    paths.runtime.rmdir()


def test_init_makes_the_journal_in_the_database_and_no_file(paths: Paths) -> None:
    assert call(paths.home, "journal", "verify").exit_code == 1
    made = call(paths.home, "init")
    assert made.exit_code == 0, made.output
    assert "of postgres at" in made.stdout
    assert not paths.journal.exists()
    verified = call(paths.home, "journal", "verify")
    assert "0 records, 0 bytes, deployment d-test" in verified.stdout
    again = call(paths.home, "init")
    assert again.exit_code == 1
    assert "already holds a deployment" in again.stderr


def test_an_order_is_shown_and_explained_from_the_database(paths: Paths) -> None:
    call(paths.home, "init")
    story = Story(paths)
    story.place("c-1")
    story.close()
    assert "#2" in call(paths.home, "journal", "show").stdout
    assert call_json(paths.home, "order", "explain", "c-1")["story"]
    assert call_json(paths.home, "journal", "verify")["records"] == 2


def test_doctor_looks_into_the_database(paths: Paths) -> None:
    assert lines_of(paths, "journal")[0][0] == "fail"
    assert "fillgate init" in lines_of(paths, "journal")[0][2]
    call(paths.home, "init")
    assert lines_of(paths, "journal lock") == [("ok", "free", "")]
    story = Story(paths)
    ((level, found, _),) = lines_of(paths, "journal")
    assert (level, "1 records in schema" in found) == ("ok", True)
    assert "held by process" in lines_of(paths, "journal lock")[0][1]
    story.close()


def test_a_start_without_the_journal_in_the_database_is_refused(paths: Paths) -> None:
    paths.tokens.write_text("{}")
    refused = call(paths.home, "up")
    assert refused.exit_code == 1
    assert "fillgate init" in refused.stderr


def test_a_server_that_is_away_is_said_plainly(paths: Paths) -> None:
    text = paths.settings.read_text()
    (paths.home.parent / "journal.url").write_text("postgresql://u:hunter2@127.0.0.1:1/db")
    assert text == paths.settings.read_text()
    for words in (("init",), ("up",), ("journal", "show"), ("journal", "verify"), ("doctor",)):
        told = call(paths.home, *words)
        assert told.exit_code == 1
        assert "cannot be reached" in told.output.replace("\n", " ")
        assert "hunter2" not in told.output


def lines_of(paths: Paths, name: str) -> list[tuple[str, str, str]]:
    found = call_json(paths.home, "doctor")["checks"]
    return [(c["level"], c["found"], c["fix"]) for c in found if c["name"] == name]
