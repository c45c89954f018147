"""One journal for all who follow it in a process: each record is read and decoded once.

They share a cursor, moved by whoever has come to it, and the records behind it that some of them
have not had yet. One who is not there (he starts elsewhere, or fell too far behind) reads alone,
up to the cursor or until it reaches him. They may be in different threads.
"""

from __future__ import annotations

from threading import Lock

from domain.records import Record
from ledger.following import Followable, Tail

KEPT_MAX = 10_000
"""So many records wait for the slowest; beyond, the oldest go and he reads alone."""
READ_RECORDS = 1_000


class SharedJournal:
    """A journal whose followers read it together."""

    def __init__(self, journal: Followable, kept_max: int = KEPT_MAX) -> None:
        self._journal = journal
        self._kept_max = kept_max
        self._lock = Lock()
        self._cursor: Tail | None = None
        self._kept: list[Record] = []
        self._followers: set[SharedTail] = set()

    def follow(self, after: int = 0) -> SharedTail:
        """A cursor after record `after`. Raises JournalError, also where that is not there."""
        found = self._journal.follow(after)
        with self._lock:
            follower = SharedTail(self, after)
            if self._cursor is None:
                self._cursor = found
            else:
                follower.alone = found
            self._followers.add(follower)
            return follower

    def last(self) -> int:
        """The number of the last record there is now. Raises JournalError."""
        return self._journal.last()

    def read(self, follower: SharedTail, limit: int) -> list[Record]:
        """The follower's next records. Raises JournalError."""
        with self._lock:
            cursor = self._cursor
            assert cursor is not None
            behind = cursor.position - follower.position
            if 0 <= behind <= len(self._kept):
                follower.rest()
                records = self._read_here(cursor, behind, limit)
            else:
                records = self._read_alone(follower, min(limit, behind) if behind > 0 else limit)
            if records:
                follower.position = records[-1].number
                self._drop(cursor.position)
            return records

    def leave(self, follower: SharedTail) -> None:
        """The follower reads no more; twice does no harm."""
        with self._lock:
            follower.rest()
            self._followers.discard(follower)
            if not self._followers and self._cursor is not None:
                self._cursor.close()
                self._cursor, self._kept = None, []

    def _read_here(self, cursor: Tail, behind: int, limit: int) -> list[Record]:
        if behind:
            start = len(self._kept) - behind
            return self._kept[start : start + limit]
        records = cursor.read(limit)
        self._kept += records
        return records

    def _read_alone(self, follower: SharedTail, limit: int) -> list[Record]:
        if follower.alone is None:
            follower.alone = self._journal.follow(follower.position)
        return follower.alone.read(limit)

    def _drop(self, last: int) -> None:
        """What all who are here have had, and what is too much."""
        first = last - len(self._kept)
        needed = min((f.position for f in self._followers if f.position >= first), default=last)
        keep = min(max(last - needed, 0), self._kept_max)
        del self._kept[: len(self._kept) - keep]


class SharedTail:
    """A cursor of one who reads with others; `alone` is his own where he is not with them."""

    def __init__(self, journal: SharedJournal, position: int) -> None:
        self._journal = journal
        self.position = position
        self.alone: Tail | None = None

    def read(self, limit: int = READ_RECORDS) -> list[Record]:
        """The next records, at most `limit`; none where there are no more yet."""
        return self._journal.read(self, limit)

    def close(self) -> None:
        """Ends the reading; twice does no harm."""
        self._journal.leave(self)

    def rest(self) -> None:
        """He is with the others: what he read with alone is not needed."""
        if self.alone is not None:
            self.alone.close()
            self.alone = None
