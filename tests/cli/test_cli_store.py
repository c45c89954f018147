"""`fillgate store` on a real journal and a real store; nothing else runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from actors.link import PathLock
from actors.paths import LEDGER_ROLE, Paths
from actors.settings import load
from cli import checks_store, demo_report
from cli.checks import Check, Level
from cli.checks_store import check_store
from domain import events as ev
from domain.orders import Side
from ledger.reader import JournalReader
from ledger.store_opening import open_store
from ledger.store_rebuild import catch_up
from ledger.store_schema import NEWEST
from tests.cli.cli_world import Story, call, call_json, make_home


@pytest.fixture
def paths(tmp_path: Path, small_segments: None) -> Iterator[Paths]:
    made = make_home(tmp_path)
    story = Story(made)
    order = story.place()
    fill = ev.Fill(
        at_ns=1, execution_id="e", broker_execution_id="x", broker_order_id="b",
        instrument="EUR/USD", side=Side.BUY, quantity=Decimal(1), price=Decimal("1.1"),
    )  # fmt: skip
    story.report((order, ev.Accepted(at_ns=1, broker_order_id="b")), (order, fill))
    story.close()
    yield made
    for file in made.runtime.glob("*"):
        file.unlink()
    made.runtime.rmdir()


def fill_store(paths: Paths) -> None:
    with closing(open_store(None, paths.store, "d-test")) as store:
        catch_up(store, JournalReader(paths.journal))


def edit(paths: Paths, statement: str) -> None:
    with closing(sqlite3.connect(paths.store)) as connection, connection:
        connection.execute(statement)


def test_a_store_that_is_not_made_yet_says_how(paths: Paths) -> None:
    result = call(paths.home, "store", "status")
    assert result.exit_code == 1
    assert "fillgate store migrate" in result.stderr


def test_migrate_makes_the_tables_once(paths: Paths) -> None:
    assert call_json(paths.home, "store", "migrate") == {"before": None, "after": NEWEST}
    assert "already" in call(paths.home, "store", "migrate").stdout
    assert call_json(paths.home, "store", "status")["position"] == 0


def test_migrate_says_from_where_to_where(paths: Paths) -> None:
    assert f"from nothing to revision {NEWEST}" in call(paths.home, "store", "migrate").stdout


def test_rebuild_makes_it_from_the_journal_and_verify_agrees(paths: Paths) -> None:
    last = JournalReader(paths.journal).last()
    assert call_json(paths.home, "store", "rebuild") == {"position": last}
    told = call_json(paths.home, "store", "status")
    assert (told["position"], told["journal"], told["rows"]["orders"]) == (last, last, 1)
    assert "row for row" in call(paths.home, "store", "verify").stdout
    assert call_json(paths.home, "store", "verify")["differences"] == []
    assert f"made again from {last} records" in call(paths.home, "store", "rebuild").stdout
    assert f"at record {last} of {last}" in call(paths.home, "store", "status").stdout


def test_verify_prints_each_difference(paths: Paths) -> None:
    fill_store(paths)
    edit(paths, "UPDATE orders SET reason = 'edited'")
    result = call(paths.home, "store", "verify")
    assert result.exit_code == 1
    assert "'edited' here" in result.stdout
    assert "fillgate store rebuild" in result.stdout


def test_a_store_in_use_is_not_rebuilt(paths: Paths) -> None:
    fill_store(paths)
    lock = PathLock(paths.socket(LEDGER_ROLE).with_suffix(".lock"))
    assert lock.try_take()
    try:
        result = call(paths.home, "store", "rebuild")
    finally:
        lock.release()
    assert result.exit_code == 1
    assert "stop the deployment first" in result.stderr


def test_another_deployment_s_store_is_refused(paths: Paths) -> None:
    open_store(None, paths.store, "another").close()
    for command in ("rebuild", "status", "verify"):
        result = call(paths.home, "store", command)
        assert result.exit_code == 1
        assert "belongs to deployment 'another'" in result.stderr


def test_a_store_without_tables_is_not_verified(paths: Paths) -> None:
    assert "fillgate store migrate" in call(paths.home, "store", "verify").stderr


def test_the_demo_finds_a_store_that_is_not_the_journal_s(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_report, "PAUSES_MAX", 2)
    monkeypatch.setattr(demo_report, "PAUSE_S", 0)
    call(paths.home, "store", "migrate")
    assert "ends at record 0, the journal at 3" in demo_report.store_differences(paths)[-1]
    fill_store(paths)
    assert demo_report.store_differences(paths) == ()


# -- the doctor


def look(paths: Paths, is_running: bool = True) -> Check:
    (check,) = check_store(paths, load(paths.settings), is_running)
    return check


def test_the_doctor_knows_a_store_that_is_well_and_one_not_made_yet(paths: Paths) -> None:
    assert (look(paths).level, "not made yet" in look(paths).found) == (Level.OK, True)
    fill_store(paths)
    assert (look(paths).level, "0 behind" in look(paths).found) == (Level.OK, True)


def test_the_doctor_names_what_is_wrong_with_a_store(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_store(paths)
    monkeypatch.setattr(checks_store, "BEHIND_RECORDS_MAX", -1)
    assert (look(paths).level, look(paths, is_running=False).level) == (Level.WARN, Level.OK)
    settings = load(paths.settings)
    foreign = replace(settings, deployment=replace(settings.deployment, id="another"))
    (check,) = check_store(paths, foreign, is_running=True)
    assert (check.level, "belongs to deployment" in check.found) == (Level.FAIL, True)
    edit(paths, "UPDATE store SET epoch = 9")
    assert (look(paths).level, "not in the journal" in look(paths).found) == (Level.FAIL, True)
    edit(paths, "DELETE FROM store_version")
    assert (look(paths).level, "no tables" in look(paths).found) == (Level.WARN, True)
    edit(paths, "INSERT INTO store_version VALUES ('9999')")
    assert (look(paths).level, "9999" in look(paths).found) == (Level.FAIL, True)
