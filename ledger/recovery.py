"""Starting is replaying: the newest usable snapshot, then every record after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct

from domain.lifecycle import Break
from domain.records import Record
from ledger.projection import Books, UnreadableState
from ledger.reader import Progress
from ledger.snapshot import Snapshot


class Restored(Struct, frozen=True, kw_only=True):
    """The books, the record their snapshot was taken after (0: none), and what did not fit."""

    books: Books
    snapshot: int
    breaks: tuple[Break, ...]


class Restorable(Protocol):
    """A journal, or a reader beside it."""

    def replay(self, after: int = 0, on_progress: Progress | None = None) -> Iterator[Record]:
        """The records after a number."""

    def snapshots(self) -> Iterator[Snapshot]:
        """Valid snapshots, newest first."""


def restore(
    journal: Restorable, on_progress: Progress | None = None, until: int | None = None
) -> Restored:
    """The books as of a record, or the last one. Raises JournalCorrupt, JournalTooNew."""
    books = newest_books(journal, until)
    snapshot = books.number
    breaks: list[Break] = []
    for record in journal.replay(books.number, on_progress):
        if until is not None and record.number > until:
            break
        breaks.extend(books.apply(record))
    return Restored(books=books, snapshot=snapshot, breaks=tuple(breaks))


def newest_books(journal: Restorable, until: int | None = None) -> Books:
    """The books of the newest snapshot that can be used; empty ones where there is none."""
    for snapshot in journal.snapshots():
        if until is not None and snapshot.number > until:
            continue
        try:
            books = Books.from_bytes(snapshot.state)
        except UnreadableState:
            continue
        if books.number == snapshot.number:
            return books
    return Books()
