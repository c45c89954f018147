"""Does the journal keep its word when the power goes? Unsynced writes are dropped, or torn.

A disk below the journal (the seam of ledger/disk.py) knows what would be on the platter: what was
synced, and any of the sectors written since. The power goes ahead of any of its operations, with
segments so small that some cuts come between two of them. What is left is then opened as after a
start: every record acknowledged must be there, and none that was not appended.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from msgspec import Struct

from domain.records import Record, Settled
from ledger.disk import Disk
from ledger.faults import JournalError
from ledger.journal import JournalSettings, LocalJournal, init
from ledger.reader import JournalReader

DEPLOYMENT = "power"
SECTOR_BYTES = 512
SEGMENTS = JournalSettings(segment_bytes=4096, reserve_bytes=512, prepare_in_background=False)
MEMORY = Path("/dev/shm")  # noqa: S108 - its folder is private
COMMITS = 8
RECORDS_A_COMMIT_MAX = 4
WORDS_MAX = 1_000
"""So that a record may lie in one sector, or over three."""


class Cuts(Struct, kw_only=True):
    """How many cuts, and what was wrong after them."""

    trials: int = 0
    faults: list[str] = []


class PowerCutDisk(Disk):
    """Knows what would be on the platter: synced bytes, and any of the sectors since.

    `before` is called ahead of every operation: the moment at which the power may go.
    """

    def __init__(self, before: Callable[[], None]) -> None:
        self._before = before
        self._synced: dict[int, bytearray] = {}
        self._unsynced: dict[int, list[tuple[int, bytes]]] = {}

    def write(self, fd: int, data: bytes | bytearray, offset: int) -> None:
        """Reaches the page cache; the sectors may reach the platter at any time."""
        self._before()
        inode = os.fstat(fd).st_ino
        if inode not in self._synced:
            self._synced[inode] = bytearray(os.pread(fd, os.fstat(fd).st_size, 0))
        super().write(fd, data, offset)
        self._unsynced.setdefault(inode, []).extend(_sectors(bytes(data), offset))

    def sync(self, fd: int) -> None:
        """All that was written is on the platter."""
        self._before()
        inode = os.fstat(fd).st_ino
        for offset, data in self._unsynced.pop(inode, []):
            _lay(self._synced[inode], offset, data)
        super().sync(fd)

    def image(self, directory: Path, to: Path, keep: Callable[[], bool]) -> Path:
        """The directory as a power cut leaves it, with those unsynced sectors that `keep` picks."""
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir()
        for path in directory.iterdir():
            inode = path.stat().st_ino
            data = bytearray(self._synced.get(inode, path.read_bytes()))
            for offset, sector in self._unsynced.get(inode, []):
                if keep():
                    _lay(data, offset, sector)
            (to / path.name).write_bytes(data)
        return to


def _sectors(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        size = SECTOR_BYTES - (offset + at) % SECTOR_BYTES
        yield offset + at, data[at : at + size]
        at += size


def _lay(data: bytearray, offset: int, piece: bytes) -> None:
    if len(data) < offset + len(piece):
        data.extend(bytes(offset + len(piece) - len(data)))
    data[offset : offset + len(piece)] = piece


class Life:
    """One journal from its first record to its last, and the power cuts that strike it."""

    def __init__(self, folder: Path, luck: Random, strikes: int) -> None:
        self.directory = folder / "journal"
        self.faults: list[str] = []
        self.strikes_left = strikes
        self._image = folder / "image"
        self._luck = luck
        self._acknowledged = 0
        self._appended: list[Record] = []
        self._disk = PowerCutDisk(self._strike)

    def live(self) -> None:
        """Commits, until there were enough or no strike is left."""
        init(self.directory, DEPLOYMENT, SEGMENTS)
        journal = LocalJournal(self.directory, DEPLOYMENT, SEGMENTS, self._disk)
        for _ in range(COMMITS):
            for _ in range(self._luck.randint(1, RECORDS_A_COMMIT_MAX)):
                self._appended.append(self._record(journal.last + 1))
                journal.append(self._appended[-1])
            self._acknowledged = journal.commit()
        journal.close()

    def _record(self, number: int) -> Record:
        words = "w" * self._luck.randint(0, WORDS_MAX)
        return Record(number=number, epoch=1, at_ns=number, cause=Settled(why=words))

    def _strike(self) -> None:
        if self.strikes_left <= 0:
            return
        self.strikes_left -= 1
        share = self._luck.choice((0.0, 1.0, 0.5, self._luck.random()))
        image = self._disk.image(self.directory, self._image, lambda: self._luck.random() < share)
        fault = self._look_at(image)
        if fault is not None:
            self.faults.append(f"after {self._acknowledged} records, share {share:.2f}: {fault}")

    def _look_at(self, image: Path) -> str | None:
        """What a start finds wrong, or a second one; None where the journal kept its word."""
        try:
            found = _recover(image)
            again = _recover(image)
        except JournalError as trouble:
            return f"it does not open: {trouble}"
        report = JournalReader(image).verify()
        if len(found) < self._acknowledged:
            return f"{self._acknowledged - len(found)} acknowledged records are gone"
        if found != self._appended[: len(found)]:
            return "a record that was never appended, or is another"
        if again != found or report.faults or report.torn_bytes:
            return f"a second start finds another journal: {report.faults}"
        return None


def _recover(image: Path) -> list[Record]:
    journal = LocalJournal(image, DEPLOYMENT, SEGMENTS)
    try:
        return list(journal.replay())
    finally:
        journal.close()


def cut_power(cuts: int, seed: int) -> Cuts:
    """So many power cuts over as many lives as it takes."""
    found, luck = Cuts(), Random(seed)
    while found.trials < cuts:
        with tempfile.TemporaryDirectory(prefix="fgp-power-", dir=_memory()) as folder:
            left = cuts - found.trials
            life = Life(Path(folder), luck, left)
            life.live()
            found.trials += left - life.strikes_left
            found.faults += life.faults
    return found


def _memory() -> str | None:
    """A file system in memory, where there is one: the platter is the shim's own anyway."""
    return str(MEMORY) if os.access(MEMORY, os.W_OK) else None
