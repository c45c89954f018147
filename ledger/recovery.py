"""Starting is replaying: the newest usable snapshot, then every record after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct

from domain.lifecycle import Break
from ledger.journal import Journal
from ledger.projection import Books, UnreadableState
from ledger.reader import Progress
from ledger.snapshot import Snapshot


class Snapshotted(Protocol):
    """A journal, or a reader of one, as far as its snapshots go."""

    def snapshots(self) -> Iterator[Snapshot]:
        """Valid snapshots, newest first."""


class Restored(Struct, frozen=True, kw_only=True):
    """The books, the record their snapshot was taken after (0: none), and what did not fit."""

    books: Books
    snapshot: int
    breaks: tuple[Break, ...]


def restore(journal: Journal, on_progress: Progress | None = None) -> Restored:
    """The books as of the last durable record. Raises JournalCorrupt, JournalTooNew."""
    books = newest_books(journal)
    snapshot = books.number
    breaks: list[Break] = []
    for record in journal.replay(books.number, on_progress):
        breaks.extend(books.apply(record))
    return Restored(books=books, snapshot=snapshot, breaks=tuple(breaks))


def newest_books(journal: Snapshotted) -> Books:
    """The books of the newest snapshot that can be used; empty ones where there is none."""
    for snapshot in journal.snapshots():
        try:
            books = Books.from_bytes(snapshot.state)
        except UnreadableState:
            continue
        if books.number == snapshot.number:
            return books
    return Books()
