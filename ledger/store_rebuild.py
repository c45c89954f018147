"""From the journal to the store: reading on, making it again, and proving it the same.

A store that a power cut left ahead of its journal, or that holds a record the journal has
replaced since, is found when it is opened: its cursor names the last record by number, epoch
and time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import Struct
from sqlalchemy import URL, Connection, Table, Text, collate, func, select

from domain.records import Record
from ledger.following import Followable, Tail, read_batch
from ledger.store import Cursor, Store, check_owner, read_cursor
from ledger.store_database import Database
from ledger.store_faults import StoreAstray, StoreOld
from ledger.store_schema import NEWEST, find_revision, migrate
from ledger.store_tables import FOLDED

BATCH_RECORDS = 1_000
DIFFERENCES_MAX = 100

Progress = Callable[[int], None]
"""Called with the store's position after each batch."""


def read_on(journal: Followable, cursor: Cursor) -> Tail:
    """A cursor in the journal after the store's own. Raises StoreAstray, JournalError.

    A journal that cannot be read says nothing of the store: that is never taken for astray.
    """
    if cursor.position == 0:
        return journal.follow(0)
    if journal.last() < cursor.position:
        raise StoreAstray(cursor.position)
    tail = journal.follow(cursor.position - 1)
    found = tail.read(1)
    if not found or not _is_same(found[0], cursor):
        tail.close()
        raise StoreAstray(cursor.position)
    return tail


def _is_same(record: Record, cursor: Cursor) -> bool:
    return (record.number, record.epoch, record.at_ns) == (
        cursor.position,
        cursor.epoch,
        cursor.at_ns,
    )


def catch_up(
    store: Store, journal: Followable, until: int | None = None, on_progress: Progress | None = None
) -> None:
    """Applies what the journal has beyond the store, to its end now or to record `until`."""
    with closing(read_on(journal, store.cursor)) as tail:
        while until is None or store.cursor.position < until:
            left = BATCH_RECORDS if until is None else until - store.cursor.position
            records = read_batch(tail, min(left, BATCH_RECORDS))
            if not records:
                return
            store.apply(records)
            if on_progress is not None:
                on_progress(store.cursor.position)


def rebuild(store: Store, journal: Followable, on_progress: Progress | None = None) -> None:
    """Empties the store and makes it again."""
    store.clear()
    catch_up(store, journal, on_progress=on_progress)


class Comparison(Struct, kw_only=True):
    """The store against one made from the journal now; no difference means it is the same."""

    position: int
    rows: dict[str, int] = {}
    differences: list[str] = []


def verify(
    database: Database,
    deployment_id: str,
    journal: Followable,
    on_progress: Progress | None = None,
) -> Comparison:
    """Makes a second store beside, as far as this one goes, and compares them row for row."""
    with tempfile.TemporaryDirectory(prefix="fillgate-verify-") as folder:
        beside = Database(URL.create("sqlite", database=str(Path(folder) / "store.sqlite")))
        with closing(beside), database.read() as found:
            migrate(beside)
            if (revision := find_revision(found, database.place)) != NEWEST:
                raise StoreOld(database.place, revision)
            check_owner(found, database.place, deployment_id)
            cursor = read_cursor(found)
            made = Store(beside, deployment_id)
            catch_up(made, journal, cursor.position, on_progress)
            with beside.read() as wanted:
                return compare(wanted, found)


def verify_at_end(
    database: Database,
    deployment_id: str,
    journal: Followable,
    pause: Callable[[], None],
    pauses_max: int,
) -> Comparison:
    """Verifies once the store has all that the journal has now; not having it is a difference."""
    last = journal.last()
    for _ in range(pauses_max):
        if _position(database) >= last:
            break
        pause()
    found = verify(database, deployment_id, journal)
    if found.position < last:
        found.differences.append(f"ends at record {found.position}, the journal at {last}")
    return found


def _position(database: Database) -> int:
    """How far the store is; 0 while it has no tables."""
    with database.read() as connection:
        is_made = find_revision(connection, database.place) == NEWEST
        return read_cursor(connection).position if is_made else 0


def compare(wanted: Connection, found: Connection) -> Comparison:
    """Every row of both, in the order of their keys."""
    comparison = Comparison(position=read_cursor(found).position)
    cursors = read_cursor(wanted), read_cursor(found)
    if cursors[0] != cursors[1]:
        comparison.differences.append(f"cursor: {cursors[0]} made, {cursors[1]} found")
    for table in FOLDED:
        rows, differences = _compare_table(table, wanted, found)
        comparison.rows[table.name] = rows
        room = DIFFERENCES_MAX - len(comparison.differences)
        comparison.differences += differences[:room]
    return comparison


def _compare_table(table: Table, wanted: Connection, found: Connection) -> tuple[int, list[str]]:
    rows = 0
    differences: list[str] = []
    ours, theirs = _rows(table, wanted), _rows(table, found)
    one, other = next(ours, None), next(theirs, None)
    while (one is not None or other is not None) and len(differences) < DIFFERENCES_MAX:
        rows += 1
        if one is None or (other is not None and other[0] < one[0]):
            assert other is not None
            differences.append(f"{table.name} {_say(other[0])}: in the store, not in the journal")
            other = next(theirs, None)
        elif other is None or one[0] < other[0]:
            differences.append(f"{table.name} {_say(one[0])}: in the journal, not in the store")
            one = next(ours, None)
        else:
            differences += _differences(table, one, other)
            one, other = next(ours, None), next(theirs, None)
    return rows, differences


_Keyed = tuple[tuple[Any, ...], dict[str, Any]]


def _rows(table: Table, connection: Connection) -> Iterator[_Keyed]:
    """The rows by their key, in an order that every database shares."""
    keys = list(table.primary_key)
    plain = "BINARY" if connection.dialect.name == "sqlite" else "C"
    order = [collate(c, plain) if isinstance(c.type, Text) else c for c in keys]
    asked = select(table).order_by(*order).execution_options(yield_per=1_000)
    for row in connection.execute(asked).mappings():
        yield tuple(row[key.name] for key in keys), dict(row)


def _differences(table: Table, one: _Keyed, other: _Keyed) -> list[str]:
    return [
        f"{table.name} {_say(one[0])} {name}: {value!r} in the journal, {other[1][name]!r} here"
        for name, value in one[1].items()
        if value != other[1][name]
    ]


def _say(key: tuple[Any, ...]) -> str:
    return "/".join(str(part) for part in key)


def count_rows(connection: Connection) -> dict[str, int]:
    """How many rows each table has."""
    return {
        table.name: connection.scalar(select(func.count()).select_from(table)) or 0
        for table in FOLDED
    }
