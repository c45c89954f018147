"""Books that follow a journal which another process writes, to take it over with little to read.

A router that waits for its turn replays all there is and reads on. When the journal becomes its
own, only what came since the last look is left. A shadow that cannot read, or that has seen more
than the journal now holds, is thrown away: starting from the journal alone is always right.
"""

from __future__ import annotations

from contextlib import suppress

from ledger.faults import JournalError
from ledger.following import Tail
from ledger.journal import Journal
from ledger.places import Reader
from ledger.projection import Books
from ledger.recovery import newest_books, restore


class Shadow:
    """The books of a journal that is not ours yet."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._books: Books | None = None
        self._tail: Tail | None = None

    def follow(self) -> bool:
        """Reads on a little; False where there is nothing new now. Raises JournalError."""
        try:
            return self._read()
        except JournalError:
            self.drop()
            raise

    def _read(self) -> bool:
        if self._books is None or self._tail is None:
            self._books = newest_books(self._reader)
            self._tail = self._reader.follow(self._books.number)
        records = self._tail.read()
        for record in records:
            self._books.apply(record)
        return bool(records)

    def take_over(self, journal: Journal) -> Books:
        """The books as of the journal's end. Raises JournalError."""
        books = self._books
        self.drop()
        if books is None or books.number > journal.durable:
            return restore(journal).books
        for record in journal.replay(books.number):
            books.apply(record)
        return books

    def drop(self) -> None:
        """Forgets all it has read."""
        self._books = None
        if self._tail is not None:
            with suppress(JournalError):
                self._tail.close()
            self._tail = None
