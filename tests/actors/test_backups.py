"""A backup taken under way, and the deployment made of it, which trades on."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from actors import backups
from actors.backups import BackupError
from actors.marks import Marks
from actors.paths import Paths
from actors.settings import SettingsError
from domain import commands as c
from domain import ids
from domain.orders import CancelOrder, NewOrder, OrderType, Side, TimeInForce
from domain.records import HaltScope
from ledger.journal import JournalSettings
from ledger.places import Place, keep_snapshot, reader_of
from ledger.recovery import restore
from tests.actors.deployment_in_process import (
    ACCOUNT,
    OWNER,
    Deployment,
    deployment,
)  # fmt: skip
from tests.cli.cli_world import Story, make_home


def untold(_done: int, _total: int) -> None:
    """Nobody watches."""


def an_order(name: str, **words: object) -> NewOrder:
    plain = NewOrder(
        client_order_id=name, instrument="EUR/USD", side=Side.BUY, quantity=Decimal(100),
        type=OrderType.MARKET, time_in_force=TimeInForce.FOK,
    )  # fmt: skip
    return replace(plain, **words)


RESTING = {
    "type": OrderType.LIMIT,
    "time_in_force": TimeInForce.GTC,
    "limit_price": Decimal("1.00000"),
}


def books_of(home: Path):
    paths = Paths(home)
    settings = JournalSettings()
    place = Place(directory=paths.journal, settings=settings)
    return restore(reader_of(place)).books


@pytest.mark.asyncio
async def test_a_backup_taken_under_way_is_restored_halted_and_trades_on(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = short_folder / "backup"
    async with deployment(short_folder, monkeypatch) as first:
        for name, words in (("filled", {}), ("resting", RESTING), ("resting-2", RESTING)):
            answer = await first.edge.say(c.Place(order=an_order(name, **words)))
            assert answer.decided[0].error is None
        await first.rest()
        manifest = backups.back_up(first.paths, kept, 7, untold)
        assert manifest.record == first.router.journal.durable
        # What comes after the backup is the broker's to tell.
        await first.edge.say(c.Place(order=an_order("later")))
        await first.edge.say(c.Cancel(cancel=CancelOrder(client_order_id="resting-2")))
        await first.rest()
        await first.stop()
        second = restored(first, kept, short_folder / "second")
        await second.start()
        try:
            await check_it_trades(second)
        finally:
            await second.stop()


def restored(first: Deployment, kept: Path, folder: Path) -> Deployment:
    second = Deployment(folder, first.simulator)
    made = backups.bring_back(kept, second.paths, "test-2", 8, untold)
    assert (made.deployment, made.backup_of, made.unknown_orders) == ("test-2", "test", 0)
    facts = {"url": first.simulator.url, "stream_url": first.simulator.stream_url}
    (second.paths.runtime / "simulator-sim.json").write_text(json.dumps(facts))
    second.routers, second.transports = first.routers, first.transports
    return second


async def check_it_trades(second: Deployment) -> None:
    edge = second.edge
    refused = await edge.say(c.Place(order=an_order("early")))
    assert refused.decided[0].error.code in ("halted", "halt")
    assert (await edge.say(c.Place(order=an_order("filled")))).decided[0].dup
    assert (await edge.say(c.Cancel(cancel=CancelOrder(client_order_id="resting")))).error is None
    await second.rest()
    books = second.router.desk.books
    assert books.orders.of_client(OWNER, "resting-2").status.value == "canceled"
    # Both market orders are in the position, though the books know one of them alone.
    assert books.positions[ACCOUNT, "EUR/USD"].quantity == 200
    (halt,) = books.halts.values()
    word = ids.halt_word(halt.scope.value, halt.subject, halt.by, halt.reason)
    resume = c.Resume(scope=HaltScope.ALL, confirm=word)
    assert (await edge.say(resume)).decided[0].error is None
    answer = await edge.say(c.Place(order=an_order("new")))
    assert answer.decided[0].error is None
    await second.rest()
    assert books.positions[ACCOUNT, "EUR/USD"].quantity == 300


# -- on files alone


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    paths = make_home(tmp_path)
    story = Story(paths)
    sent = story.place("c-1")
    story.place("c-2")
    story.report((sent, story.fill(sent)))
    story.close()
    return paths


def make(home: Paths, tmp_path: Path) -> tuple[Path, Paths]:
    kept = tmp_path / "kept"
    backups.back_up(home, kept, 1, untold)
    return kept, Paths(tmp_path / "again")


def test_an_order_that_may_have_left_is_in_doubt_and_no_mark_says_otherwise(
    home: Paths, tmp_path: Path
) -> None:
    kept, again = make(home, tmp_path)
    made = backups.bring_back(kept, again, "d-2", 9, untold)
    assert made.unknown_orders == 1
    books = books_of(again.home)
    (order,) = books.orders.open.values()
    assert (order.client_order_id, order.status.value) == ("c-2", "unknown")
    assert len(books.halts) == 1
    connection = order.connection
    assert connection is not None
    marks = Marks(again.marks(connection))
    last = books.orders.last_intent(connection)
    assert last > 0
    marks.vouch_after(last)
    assert all(marks.has(intent) for intent in range(1, last + 1))
    assert not marks.has(last + 1)
    marks.close()


def test_what_is_restored_is_another_deployment(home: Paths, tmp_path: Path) -> None:
    kept, again = make(home, tmp_path)
    backups.bring_back(kept, again, "d-2", 9, untold)
    report = reader_of(Place(directory=again.journal, deployment_id="d-2")).verify()
    assert (report.faults, report.deployment_id) == ((), "d-2")
    assert 'id = "d-2"' in again.settings.read_text()
    assert again.tokens.exists() == home.tokens.exists()


def test_snapshots_are_kept(home: Paths, tmp_path: Path) -> None:
    books = books_of(home.home)
    place = Place(directory=home.journal, deployment_id="d-test")
    keep_snapshot(place, books.number, books.to_bytes())
    kept, again = make(home, tmp_path)
    backups.bring_back(kept, again, "d-2", 9, untold)
    restored = restore(reader_of(Place(directory=again.journal, deployment_id="d-2")))
    assert restored.snapshot == books.number


def test_a_backup_takes_no_room_for_zeros(home: Paths, tmp_path: Path) -> None:
    kept, _ = make(home, tmp_path)
    assert sum(path.stat().st_size for path in (kept / "journal").iterdir()) < 10_000


def test_nothing_is_overwritten(home: Paths, tmp_path: Path) -> None:
    kept, _ = make(home, tmp_path)
    with pytest.raises(BackupError, match="is not empty"):
        backups.back_up(home, kept, 1, untold)
    with pytest.raises(BackupError, match="is not empty"):
        backups.bring_back(kept, home, "d-2", 1, untold)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _turn(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("file", ["fillgate.toml", "journal/segment-00000001.log"])
@pytest.mark.parametrize("harm", [_cut, _turn, Path.unlink])
def test_a_backup_that_is_not_as_it_was_is_refused(
    home: Paths, tmp_path: Path, file: str, harm: Callable[[Path], None]
) -> None:
    kept, again = make(home, tmp_path)
    backups.check(kept)
    harm(kept / file)
    with pytest.raises(BackupError, match=r"damaged|gone"):
        backups.bring_back(kept, again, "d-2", 1, untold)
    assert not again.home.exists()


def test_a_directory_without_a_manifest_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="is no whole backup"):
        backups.check(tmp_path)
    (tmp_path / backups.MANIFEST).write_text("{}")
    with pytest.raises(BackupError, match="cannot be read"):
        backups.check(tmp_path)


def test_a_backup_of_a_later_release_is_refused(home: Paths, tmp_path: Path) -> None:
    kept, _ = make(home, tmp_path)
    manifest = json.loads((kept / backups.MANIFEST).read_text())
    (kept / backups.MANIFEST).write_text(json.dumps(manifest | {"format": 2}))
    with pytest.raises(BackupError, match="format 2"):
        backups.check(kept)


def test_a_restore_that_fails_leaves_nothing(
    home: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, again = make(home, tmp_path)
    monkeypatch.setattr(backups, "load", lambda _: _raise())
    with pytest.raises(SettingsError):
        backups.bring_back(kept, again, "d-2", 1, untold)
    assert not again.home.exists()


def _raise() -> None:
    raise SettingsError(["a token is missing"])


def test_a_journal_in_a_database_is_backed_up_there(
    home: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("URL", "postgresql://u@127.0.0.1/db")
    text = home.settings.read_text().replace('backend = "local"', 'backend = "postgres"')
    home.settings.write_text(text.replace('#url_env = "FILLGATE_JOURNAL_URL"', 'url_env = "URL"'))
    with pytest.raises(BackupError, match="pg_basebackup"):
        backups.back_up(home, tmp_path / "kept", 1, untold)


def test_settings_that_hide_the_id_are_told_so(home: Paths, tmp_path: Path) -> None:
    text = home.settings.read_text()
    home.settings.write_text(text.replace('id = "d-test"', '"id" = "d-test"'))
    kept, again = make(home, tmp_path)
    with pytest.raises(BackupError, match="on a line of its own"):
        backups.bring_back(kept, again, "d-2", 1, untold)
