"""The store's rows are what the journal says: in any batches, however often, on any database."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, Engine, event

from domain import events as ev
from domain.accounts import AccountBalances
from domain.records import Reported, Settled
from domain.streams import BalancesUpdate, order_update
from ledger import store_tables as t
from ledger.reader import JournalReader
from ledger.store import Store
from ledger.store_database import Database, find_url
from ledger.store_faults import StoreFailed, StoreMoved
from ledger.store_rebuild import catch_up, rebuild, verify
from tests.ledger.book_stories import BRACKET, Router
from tests.ledger.store_stories import (
    DEPLOYMENT,
    a_life,
    check_books,
    differences,
    lay_down,
    open_store,
    rows,
    write_journal,
)

KILLS = 20
forked = multiprocessing.get_context("fork")


@contextmanager
def beside() -> Iterator[Database]:
    """A SQLite store for one comparison."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Database(find_url(None, Path(folder) / "store.sqlite"))) as database,
    ):
        yield database


@pytest.mark.parametrize("seed", range(4))
def test_the_rows_say_what_the_fold_of_the_books_says(seed: int, database: Database):
    records = a_life(seed)
    lay_down(open_store(database), records, [7])
    check_books(database, records)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_any_batches_leave_the_same_rows(seed: int, batches: list[int]):
    records = a_life(seed, 60)
    with beside() as one, beside() as other:
        lay_down(open_store(one), records, [len(records)])
        lay_down(open_store(other), records, batches)
        assert differences(one, other) == []
        check_books(other, records)


def test_any_batches_leave_the_same_rows_on_every_database(database: Database):
    records = a_life(5)
    lay_down(open_store(database), records, [3, 50, 1, 9])
    with beside() as other:
        lay_down(open_store(other), records, [len(records)])
        assert differences(other, database) == []


def test_a_record_applied_twice_changes_nothing(database: Database):
    records = a_life(2)
    store = lay_down(open_store(database), records, [40])
    before = {table.name: rows(database, table) for table in t.FOLDED}
    for at in range(0, len(records), 30):
        assert store.apply(records[at : at + 30]) == 0
    assert {table.name: rows(database, table) for table in t.FOLDED} == before


def test_a_batch_that_overlaps_the_last_one_adds_what_is_new(database: Database):
    records = a_life(2, 60)
    store = open_store(database)
    store.apply(records[:30])
    assert store.apply(records[20:]) == len(records) - 30
    check_books(database, records)


def _die_at(url: URL, journal: Path, statement: int) -> None:
    """Reads on in a process of its own that dies right before so many statements are done."""
    left = statement

    def count(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    database = Database(url)
    store = Store(database, DEPLOYMENT)
    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)
    while store.cursor.position < JournalReader(journal).last():
        catch_up(store, JournalReader(journal), store.cursor.position + 7)
    os._exit(0)


def test_killed_at_any_statement_the_store_resumes_and_equals_a_rebuild(
    store_url: URL, tmp_path: Path
):
    records = a_life(9, 900)
    journal = write_journal(tmp_path / "journal", records)
    with closing(Database(store_url)) as database:
        open_store(database)
    luck = Random(1)
    for _ in range(KILLS):
        child = forked.Process(target=_die_at, args=(store_url, journal, luck.randint(1, 60)))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    with closing(Database(store_url)) as database:
        store = Store(database, DEPLOYMENT)
        assert 0 < store.cursor.position < len(records)
        catch_up(store, JournalReader(journal))
        assert verify(database, DEPLOYMENT, JournalReader(journal)).differences == []
        check_books(database, records)


def test_a_rebuild_is_the_same_store(database: Database, tmp_path: Path):
    journal = JournalReader(write_journal(tmp_path / "journal", a_life(3)))
    store = open_store(database)
    catch_up(store, journal)
    seen: list[int] = []
    rebuild(store, journal, seen.append)
    assert seen[-1] == store.cursor.position == journal.last()
    assert verify(database, DEPLOYMENT, journal).differences == []


def test_a_second_writer_keeps_nothing(database: Database):
    records = a_life(1, 60)
    one, other = open_store(database), open_store(database)
    one.apply(records[:10])
    with pytest.raises(StoreMoved):
        other.apply(records[:20])
    assert Store(database, DEPLOYMENT).cursor.position == 10
    one.apply(records)
    check_books(database, records)


def test_what_the_database_refuses_leaves_the_store_as_it_was(database: Database):
    records = a_life(1, 60)
    store = open_store(database)
    store.apply(records[:10])
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE events RENAME TO gone")
    with pytest.raises(StoreFailed):
        store.apply(records[:20])
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO events")
    store.apply(records)
    check_books(database, records)


@pytest.mark.parametrize(
    "digits", ["0", "0.00", "-1E+3", "123456789012345.123456789012", "1E-12", "0.1000"]
)
def test_decimals_come_back_exact(digits: str, database: Database):
    router = Router()
    money = AccountBalances(
        account="a", currency="USD", cash=Decimal(digits), equity=Decimal(digits)
    )
    router.write(Settled(why="so"), BalancesUpdate(balances=money))
    open_store(database).apply(router.records)
    (row,) = rows(database, t.balances)
    assert (row["cash"], row["available"]) == (Decimal(digits), None)
    assert isinstance(row["cash"], Decimal)


def test_an_event_that_cannot_be_changes_no_order(database: Database):
    router = Router()
    order = router.discover()
    body = order_update(order, ev.Readied(at_ns=1))
    strange = order_update(order, ev.Accepted(at_ns=1, broker_order_id="b"))
    router.write(Settled(why="x"), body)
    router.write(Settled(why="x"), type(strange)(**{**_fields(strange), "order_id": "nobody's"}))
    open_store(database).apply(router.records)
    assert [row["status"] for row in rows(database, t.orders)] == ["live"]
    assert len(rows(database, t.events)) == 3


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_child_names_its_entry_also_where_that_was_told_long_before(cut: int, database: Database):
    router = Router()
    entry = router.order(bracket=BRACKET)
    fill = router.event(entry, ev.Fill)
    assert isinstance(fill, ev.Fill)
    router.report(entry, fill)
    child = router.discover(parent_execution=fill.broker_execution_id)
    stranger = router.discover(parent_execution="nobody's")
    lay_down(open_store(database), router.records, [cut])
    parents = {row["order_id"]: row["parent_order_id"] for row in rows(database, t.orders)}
    assert parents[child.order_id] == entry.order_id
    assert parents[stranger.order_id] is None
    check_books(database, router.records)


def test_a_fill_told_twice_is_one_row(database: Database):
    router = Router()
    order = router.discover()
    fill = router.event(order, ev.Fill)
    router.report(order, fill)
    again = order_update(router.orders[order.order_id], fill)
    cause = Reported(connection="oanda-1", incarnation="i1", first=99, last=99)
    router.write(cause, again)
    lay_down(open_store(database), router.records, [1])
    assert len(rows(database, t.fills)) == len(rows(database, t.transactions)) == 1
