"""The store's tables are made by migrations alone, and only a known store of ours is opened."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from msgspec.structs import replace
from sqlalchemy import URL, delete, insert, inspect, select, update

from domain.records import EpochStarted
from ledger import store_schema
from ledger import store_tables as t
from ledger.faults import JournalCorrupt, JournalForeign
from ledger.reader import JournalReader
from ledger.store import Cursor, Store
from ledger.store_database import Database, find_url
from ledger.store_faults import StoreAstray, StoreFailed, StoreForeign, StoreOld, StoreTooNew
from ledger.store_opening import open_store
from ledger.store_rebuild import catch_up, count_rows, read_on, verify
from ledger.store_schema import MIGRATIONS, NEWEST, REVISIONS, VERSION_TABLE, migrate
from ledger.store_settings import StoreSettings, find_faults
from tests.ledger import store_stories as stories
from tests.ledger.store_stories import DEPLOYMENT, a_life, append, write_journal

POSTGRESQL = "postgresql://fillgate@db/fillgate"


def test_the_migrations_make_exactly_the_tables_of_the_code(database: Database):
    assert migrate(database) == (None, NEWEST)
    with database.read() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, t.metadata) == []
        names = set(inspect(connection).get_table_names())
    assert names == {VERSION_TABLE, *t.metadata.tables}


def test_the_revisions_known_are_those_there_are():
    scripts = reversed(list(ScriptDirectory(str(MIGRATIONS)).walk_revisions()))
    assert tuple(script.revision for script in scripts) == REVISIONS


def test_a_store_of_this_release_is_left_as_it_is(database: Database):
    stories.open_store(database).apply(a_life(1, 30))
    assert migrate(database) == (NEWEST, NEWEST)
    with database.read() as connection:
        assert count_rows(connection)["events"] > 0


def test_rows_of_the_first_tables_are_kept_when_fills_get_another_key(
    database: Database, tmp_path: Path
):
    records = a_life(1, 120)
    with closing(Database(find_url(None, tmp_path / "beside"))) as beside:
        stories.open_store(beside).apply(records[:80])
        with database.write() as old, beside.read() as made:
            if not database.is_sqlite:
                old.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {t.SCHEMA}")
            store_schema._upgrade(old, "0001")
            for table in t.metadata.sorted_tables:
                if rows := [dict(row) for row in made.execute(select(table)).mappings()]:
                    old.execute(insert(table), rows)
        assert migrate(database) == ("0001", NEWEST)
        assert stories.differences(beside, database) == []
        with database.read() as connection:
            key = inspect(connection).get_pk_constraint("fills")
        assert key["constrained_columns"] == ["stream", "seq"]
    Store(database, DEPLOYMENT).apply(records)
    stories.check_books(database, records)


def test_tables_that_are_not_made_are_not_guessed(database: Database):
    with pytest.raises(StoreOld, match="fillgate store migrate"):
        Store(database, DEPLOYMENT)


def test_a_store_of_a_later_release_is_refused(database: Database):
    migrate(database)
    with database.write() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    for opens in (lambda: migrate(database), lambda: Store(database, DEPLOYMENT)):
        with pytest.raises(StoreTooNew, match="revision 9999, which this release does not know"):
            opens()


def test_the_store_of_another_deployment_is_refused(database: Database):
    stories.open_store(database)
    with pytest.raises(StoreForeign, match="'deployment-1', not 'another'"):
        Store(database, "another")


def test_opening_makes_the_tables_and_lets_go_of_what_it_refuses(tmp_path: Path):
    file = tmp_path / "a" / "store.sqlite"
    open_store(None, file, DEPLOYMENT).close()
    with pytest.raises(StoreForeign):
        open_store(None, file, "another")
    assert file.parent.stat().st_mode & 0o077 == 0


def test_a_database_that_cannot_be_reached_says_so_without_its_password():
    url = "postgresql://ann:secret@127.0.0.1:1/fillgate"
    with (
        closing(Database(find_url(url, Path()))) as database,
        pytest.raises(StoreFailed) as caught,
    ):
        migrate(database)
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("lost", ["ahead", "replaced"])
def test_a_store_that_the_journal_disowns_is_noticed(lost: str, database: Database, tmp_path: Path):
    records = a_life(1, 30)
    store = stories.open_store(database)
    store.apply(records)
    kept = records[:-1] if lost == "ahead" else [*records[:-1], replace(records[-1], epoch=2)]
    journal = JournalReader(write_journal(tmp_path / "journal", kept))
    with pytest.raises(StoreAstray, match=f"record {len(records)}, which is not in the journal"):
        read_on(journal, store.cursor)


def test_reading_on_begins_after_the_store_s_last_record(database: Database, tmp_path: Path):
    records = a_life(1, 30)
    directory = write_journal(tmp_path / "journal", records)
    store = stories.open_store(database)
    catch_up(store, JournalReader(directory))
    last = records[-1]
    more = replace(
        last, number=last.number + 1, cause=EpochStarted(boot_id="b", incarnation="i"), updates=()
    )
    append(directory, [more])
    with closing(read_on(JournalReader(directory), store.cursor)) as tail:
        assert tail.read(10) == [more]
    assert store.cursor == Cursor(position=last.number, epoch=last.epoch, at_ns=last.at_ns)


def test_a_damaged_journal_does_not_make_the_store_wrong(database: Database, tmp_path: Path):
    directory = write_journal(tmp_path / "journal", a_life(1, 60))
    store = stories.open_store(database)
    catch_up(store, JournalReader(directory))
    segment = next(directory.glob("segment-*.log"))
    data = bytearray(segment.read_bytes())
    data[6_000] ^= 0xFF
    segment.write_bytes(data)
    with pytest.raises(JournalCorrupt):
        read_on(JournalReader(directory), store.cursor)


def test_a_foreign_journal_is_not_followed(database: Database, tmp_path: Path):
    journal = write_journal(tmp_path / "journal", a_life(1, 30))
    with pytest.raises(JournalForeign):
        read_on(JournalReader(journal, "another"), Cursor())


def test_verify_names_each_row_that_is_not_what_the_journal_says(
    database: Database, tmp_path: Path
):
    journal = JournalReader(write_journal(tmp_path / "journal", a_life(1, 90)))
    store = stories.open_store(database)
    catch_up(store, journal)
    orders = stories.rows(database, t.orders)
    changed, gone, other = (row["order_id"] for row in orders[:3])
    c = t.orders.c
    with database.write() as connection:
        connection.execute(update(t.orders).where(c.order_id == changed).values(reason="edited"))
        connection.execute(delete(t.orders).where(c.order_id == gone))
        connection.execute(update(t.orders).where(c.order_id == other).values(order_id="zzz"))
    found = verify(database, DEPLOYMENT, journal)
    assert found.position == journal.last()
    assert sorted(found.differences) == sorted(
        [
            f"orders {changed} reason: {orders[0]['reason']!r} in the journal, 'edited' here",
            f"orders {gone}: in the journal, not in the store",
            f"orders {other}: in the journal, not in the store",
            "orders zzz: in the store, not in the journal",
        ]
    )


def test_verify_stops_naming_differences_at_its_limit(database: Database, tmp_path: Path):
    journal = JournalReader(write_journal(tmp_path / "journal", a_life(1, 300)))
    store = stories.open_store(database)
    catch_up(store, journal)
    with database.write() as connection:
        connection.execute(delete(t.events))
        connection.execute(update(t.orders).values(reason="edited"))
    assert len(verify(database, DEPLOYMENT, journal).differences) == 100


@pytest.mark.parametrize(
    ("words", "environment", "fault"),
    [
        ({}, None, None),
        ({"url": "sqlite:///store.sqlite"}, None, None),
        ({"url": POSTGRESQL}, None, None),
        ({"url_env": "URL"}, "postgresql://a:secret@db/f", None),
        ({"url_env": "URL"}, None, "variable URL is not set"),
        ({"url": POSTGRESQL, "url_env": "URL"}, POSTGRESQL, "keep one of them"),
        ({"url": "postgresql://a:secret@db/f"}, None, "holds a password"),
        ({"url": "mysql://db/f"}, None, "use a URL such as"),
        ({"url": "postgresql://[db/f"}, None, "cannot be read"),
    ],
)
def test_a_url_is_checked_before_anything_starts(
    words: dict[str, str], environment: str | None, fault: str | None
):
    found = find_faults(StoreSettings(**words), environment)  # type: ignore[arg-type]
    assert len(found) == (fault is not None)
    assert fault is None or fault in found[0]
    assert "secret" not in str(found)


def test_a_url_names_the_driver_we_have():
    assert find_url(POSTGRESQL, Path()).drivername == "postgresql+psycopg"
    assert find_url("sqlite:///a.sqlite", Path()) == URL.create("sqlite", database="a.sqlite")
