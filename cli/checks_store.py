"""The doctor's look at the relational store."""

from __future__ import annotations

from contextlib import closing

from actors.paths import Paths
from actors.settings import Settings, journal_place, read_store_url
from cli.checks import Check, fail, ok, warn
from ledger.faults import JournalError
from ledger.places import reader_of
from ledger.store import Cursor, check_owner, read_cursor
from ledger.store_database import Database, find_url
from ledger.store_faults import StoreError, StoreOld
from ledger.store_rebuild import read_on
from ledger.store_schema import NEWEST, find_revision

BEHIND_RECORDS_MAX = 10_000
NAME = "store"


def check_store(paths: Paths, settings: Settings, is_running: bool) -> list[Check]:
    """Ours, of this release, and as far as the journal."""
    url = read_store_url(settings.store)
    if url is None and not paths.store.exists():
        return [ok(NAME, "not made yet; the first `fillgate up` makes it")]
    try:
        with closing(Database(find_url(url, paths.store))) as database:
            return [_look(database, paths, settings, is_running)]
    except StoreError as trouble:
        return [fail(NAME, str(trouble), "trading goes on; reads come from the router meanwhile")]


def _look(database: Database, paths: Paths, settings: Settings, is_running: bool) -> Check:
    with database.read() as connection:
        revision = find_revision(connection, database.place)
        if revision != NEWEST:
            return warn(NAME, str(StoreOld(database.place, revision)), "`fillgate up` does it, too")
        check_owner(connection, database.place, settings.deployment.id)
        cursor = read_cursor(connection)
    journal = reader_of(journal_place(paths, settings))
    try:
        read_on(journal, cursor).close()
        behind = journal.last() - cursor.position
    except StoreError as trouble:
        return fail(NAME, str(trouble), "restart the deployment, or `fillgate store rebuild`")
    except JournalError as trouble:
        return warn(NAME, f"the journal cannot be read beside it: {trouble}", "see journal")
    return _judge(cursor, behind, is_running)


def _judge(cursor: Cursor, behind: int, is_running: bool) -> Check:
    if is_running and behind > BEHIND_RECORDS_MAX:
        found = f"{behind} records behind the journal"
        return warn(NAME, found, "it catches up by itself; see logs/ledger.log if it does not")
    return ok(NAME, f"at record {cursor.position}, {max(behind, 0)} behind the journal")
