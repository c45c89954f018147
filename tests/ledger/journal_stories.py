"""Builders for the journal's tests: small journals, plain records, and disks that misbehave."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from domain.records import Record, Settled
from ledger.disk import Disk
from ledger.journal import JournalSettings, LocalJournal, init
from ledger.reader import JournalReader
from ledger.segment import HEADER_BYTES, read_frame

DEPLOYMENT = "deployment-1"
SMALL = JournalSettings(segment_bytes=4096, reserve_bytes=512, prepare_in_background=False)


def note(number: int, words: str = "nothing happened") -> Record:
    return Record(number=number, epoch=1, at_ns=number, cause=Settled(why=f"{number} {words}"))


def make(directory: Path, settings: JournalSettings = SMALL) -> Path:
    init(directory, DEPLOYMENT, settings)
    return directory


def open_journal(
    directory: Path, settings: JournalSettings = SMALL, disk: Disk | None = None
) -> LocalJournal:
    return LocalJournal(directory, DEPLOYMENT, settings, disk)


def write_commits(journal: LocalJournal, commits: int, records_each: int = 1) -> None:
    for _ in range(commits):
        for _ in range(records_each):
            journal.append(note(journal.last + 1))
        journal.commit()


def recovered(directory: Path) -> list[Record]:
    """What a start finds, and that a second start finds the same and nothing torn."""
    journal = open_journal(directory)
    records = list(journal.replay())
    assert journal.durable == len(records)
    journal.close()
    report = JournalReader(directory).verify()
    assert (report.faults, report.torn_bytes, report.last) == ((), 0, len(records))
    return records


def frame_ends(file: Path) -> list[int]:
    """Where each frame of a segment ends, the header's end first."""
    data = file.read_bytes()
    ends = [HEADER_BYTES]
    while (frame := read_frame(data, ends[-1])) is not None:
        ends.append(frame[4])
    return ends


def first_segment(directory: Path) -> Path:
    return directory / "segment-00000001.log"


def copy_of(directory: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(directory, to)
    return to


class FailingDisk(Disk):
    """Fails when told to: by operation name, with an errno."""

    def __init__(self) -> None:
        self.failing: dict[str, int] = {}

    def _maybe_fail(self, operation: str) -> None:
        if operation in self.failing:
            code = self.failing[operation]
            raise OSError(code, os.strerror(code))

    def write(self, fd: int, data: bytes | bytearray, offset: int) -> None:
        self._maybe_fail("write")
        super().write(fd, data, offset)

    def sync(self, fd: int) -> None:
        self._maybe_fail("sync")
        super().sync(fd)

    def reserve(self, fd: int, size: int) -> None:
        self._maybe_fail("reserve")
        super().reserve(fd, size)

    def fill_up(self) -> None:
        self.failing = {"reserve": errno.ENOSPC}


def picks(seed: int) -> list[Callable[[], bool]]:
    """Ways to lose sectors: all, none, and some by chance."""
    luck = Random(seed)
    return [lambda: False, lambda: True, *[lambda: luck.random() < 0.5] * 4]
