"""What a ledger needs of a journal, wherever that is kept: to read on in it as it grows."""

from __future__ import annotations

from typing import Protocol

from domain.records import Record


class Tail(Protocol):
    """A cursor in a journal that another process writes. It never waits: poll it."""

    position: int
    """The last record it has given."""

    def read(self, limit: int = ...) -> list[Record]:
        """The next records, at most `limit`; none where there are no more yet."""

    def close(self) -> None:
        """Ends the reading; twice does no harm."""


class Followable(Protocol):
    """A journal that can be read on in."""

    def follow(self, after: int = 0) -> Tail:
        """A cursor after record `after`. Raises JournalError, also where that is not there."""

    def last(self) -> int:
        """The number of the last record there is now. Raises JournalError."""


def read_batch(tail: Tail, limit: int) -> list[Record]:
    """The next records, `limit` of them unless the journal ends before."""
    records = tail.read(limit)
    while records and len(records) < limit:
        more = tail.read(limit - len(records))
        if not more:
            break
        records += more
    return records
