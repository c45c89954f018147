"""The disk: a journal and send marks in memory that lose what was not synced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from actors.marks import Marks
from domain.records import Record
from ledger.codec import decode, encode
from ledger.snapshot import Snapshot

MARKS_BYTES = 16 * 512 + 32
CRASHES = ("before", "torn", "after")


class Crash(Exception):
    """The process ends here, in the middle of a system call."""


class Disk:
    """What is on the platter, and what of it a power cut would take.

    `crash` says how the next commit ends its process: before anything is written, with a part of
    its batch, or after all of it, which nobody is told any more.
    """

    def __init__(self, luck: Random, on_crash: Callable[[], None]) -> None:
        self.records: list[bytes] = []
        self.snapshots: list[Snapshot] = []
        self.marks = bytearray(MARKS_BYTES)
        self._older_marks = bytearray(MARKS_BYTES)
        self.crash: str | None = None
        self.commits = 0
        self._luck = luck
        self._on_crash = on_crash

    def write(self, batch: list[bytes]) -> None:
        """Writes and syncs a batch; a crash may leave any part of it that begins it."""
        crash, self.crash = self.crash, None
        if crash == "torn":
            self.records += batch[: self._luck.randrange(len(batch) + 1)]
        elif crash != "before":
            self.records += batch
        self.commits += 1
        if crash is not None:
            self._on_crash()
            raise Crash

    def lose_power(self) -> None:
        """Marks are never synced: the file keeps some old state of itself, or none."""
        self.marks = self._luck.choice((self.marks, self._older_marks, bytearray(MARKS_BYTES)))
        self._older_marks = bytearray(self.marks)

    def replace(self) -> None:
        """Another disk: nothing of before is on it, neither the journal nor the marks."""
        self.records, self.snapshots = [], []
        self.marks, self._older_marks = bytearray(MARKS_BYTES), bytearray(MARKS_BYTES)


class SimJournal:
    """One process's open journal: `commit` makes durable, all at once or not."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.last = self.durable = len(disk.records)
        self.is_remote = False
        self._waiting: list[bytes] = []

    def has_room(self) -> bool:
        """There is always room."""
        return True

    def settle(self) -> int:
        """Nothing is ever in doubt: a commit is whole, or the process ends in it."""
        return self.durable

    def append(self, record: Record) -> None:
        """Adds to the batch."""
        assert record.number == self.last + 1
        self._waiting.append(encode(record))
        self.last = record.number

    def commit(self) -> int:
        """Makes the batch durable, or ends the process in it."""
        batch, self._waiting = self._waiting, []
        self._disk.write(batch)
        self.durable = self.last
        return self.durable

    def replay(self, after: int = 0, on_progress: Any = None) -> Iterator[Record]:
        """The durable records after a number."""
        for number, data in enumerate(self._disk.records[after:], start=after + 1):
            yield decode(data, 1, number, "memory")

    def snapshots(self) -> Iterator[Snapshot]:
        """Newest first."""
        return iter(tuple(reversed(self._disk.snapshots)))

    def write_snapshot(self, number: int, state: bytes) -> None:
        """Keeps the state as of a durable record, and the one before."""
        assert number <= self.durable
        self._disk.snapshots = [*self._disk.snapshots[-1:], Snapshot(number=number, state=state)]

    def close(self) -> None:
        """Drops what was not committed."""
        self._waiting.clear()


class SimMarks(Marks):
    """The send marks of the one login, in memory: they survive a process, and not the machine."""

    def __init__(self, disk: Disk, boot: int) -> None:
        self._disk = disk
        super().__init__(Path("none"), f"boot-{boot}")

    def _open(self, path: Path) -> bytearray:
        return self._disk.marks
