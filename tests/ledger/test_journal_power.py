from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest

from bench.power import PowerCutDisk
from ledger.faults import JournalFailed, JournalLost
from ledger.segment import HEADER_BYTES
from tests.ledger.journal_stories import (
    FailingDisk,
    first_segment,
    frame_ends,
    make,
    note,
    open_journal,
    picks,
    recovered,
    write_commits,
)


class Blackout:
    """At every disk operation, looks at what a power cut would leave behind."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.disk = PowerCutDisk(self.strike)
        self.picks = picks(seed)
        self.acknowledged = 0
        self.appended = 0
        self.strikes = 0

    def strike(self) -> None:
        for keep in self.picks:
            image = self.disk.image(self.directory, self.directory.parent / "image", keep)
            found = recovered(image)
            assert self.acknowledged <= len(found) <= self.appended
            assert found == [note(number, WORDS) for number in range(1, len(found) + 1)]
            self.strikes += 1


WORDS = "spread over more than one sector " * 12


@pytest.mark.parametrize("seed", range(2))
def test_what_was_committed_survives_a_power_cut_at_any_moment(tmp_path: Path, seed: int):
    blackout = Blackout(make(tmp_path / "journal"), seed)
    journal = open_journal(blackout.directory, disk=blackout.disk)
    for _ in range(6):
        for _ in range(3):
            blackout.appended = journal.last + 1
            journal.append(note(blackout.appended, WORDS))
        blackout.acknowledged = journal.commit()
    blackout.strike()
    journal.close()
    assert journal.durable == 18
    assert blackout.strikes > 100


def test_a_commit_whose_sectors_landed_in_any_order_is_torn_not_corrupt(tmp_path: Path):
    directory = make(tmp_path)
    journal = open_journal(directory)
    write_commits(journal, 1, 2)
    write_commits(journal, 1, 4)
    journal.close()
    file = first_segment(directory)
    ends = frame_ends(file)
    data = bytearray(file.read_bytes())
    data[ends[3] : ends[4]] = bytes(ends[4] - ends[3])
    file.write_bytes(data)
    assert len(recovered(directory)) == 3


@pytest.mark.parametrize("operation", ["write", "sync"])
def test_after_a_failed_commit_nothing_is_taken_until_it_is_settled(tmp_path: Path, operation: str):
    disk = FailingDisk()
    journal = open_journal(make(tmp_path), disk=disk)
    write_commits(journal, 2)
    disk.failing = {operation: errno.EIO}
    journal.append(note(3))
    with pytest.raises(JournalFailed, match="Input/output error"):
        journal.commit()
    disk.failing = {}
    with pytest.raises(JournalFailed, match="open it again"):
        journal.commit()
    with pytest.raises(JournalFailed, match="settle it"):
        journal.append(note(4))
    assert journal.settle() == journal.durable == 3
    write_commits(journal, 1)
    journal.close()
    assert len(recovered(tmp_path)) == 4


def test_a_commit_is_settled_by_writing_it_again_never_by_syncing_again(tmp_path: Path):
    # After a failed fdatasync the kernel counts the pages as clean: a second one proves nothing.
    disk = WatchingDisk()
    journal = open_journal(make(tmp_path), disk=disk)
    write_commits(journal, 2)
    disk.failing = {"sync": errno.EIO}
    journal.append(note(3))
    with pytest.raises(JournalFailed):
        journal.commit()
    in_doubt = disk.written[-1]
    disk.failing, disk.written = {}, []
    journal.settle()
    assert disk.written == [in_doubt]
    journal.settle()
    assert disk.written == [in_doubt]
    journal.close()


def test_a_disk_that_does_not_hold_what_was_written_is_not_believed(tmp_path: Path):
    class Forgetful(FailingDisk):
        def read_back(self, fd: int, size: int, offset: int) -> bytes:
            return bytes(size)

    disk = Forgetful()
    journal = open_journal(make(tmp_path), disk=disk)
    disk.failing = {"sync": errno.EIO}
    journal.append(note(1))
    with pytest.raises(JournalFailed):
        journal.commit()
    disk.failing = {}
    for _ in range(2):
        with pytest.raises(JournalFailed, match="does not hold"):
            journal.settle()
    assert journal.durable == 0
    journal.close()


@pytest.mark.parametrize("operation", ["write", "sync"])
def test_a_commit_fails_as_often_as_the_disk_does_and_nothing_is_lost(
    tmp_path: Path, operation: str
):
    disk, luck = FailingDisk(), Random(7)
    journal = open_journal(make(tmp_path), disk=disk)
    failures = 0
    while journal.durable < 400:
        disk.failing = {operation: errno.EIO} if luck.random() < 0.2 else {}
        try:
            journal.settle()
            if journal.last == journal.durable:
                journal.append(note(journal.last + 1))
            journal.commit()
        except JournalFailed:
            failures += 1
    journal.close()
    assert failures > 40
    assert recovered(tmp_path) == [note(number) for number in range(1, 401)]


def test_a_closed_journal_cannot_be_settled(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    journal.close()
    with pytest.raises(JournalLost, match="closed"):
        journal.settle()


def test_opening_again_tells_whether_a_doubtful_commit_is_in(tmp_path: Path):
    disk = FailingDisk()
    make(tmp_path)
    for operation, is_in in (("write", False), ("sync", True)):
        journal = open_journal(tmp_path, disk=disk)
        before = journal.durable
        disk.failing = {operation: errno.EIO}
        journal.append(note(before + 1))
        with pytest.raises(JournalFailed):
            journal.commit()
        disk.failing = {}
        journal.close()
        journal = open_journal(tmp_path)
        assert (journal.durable == before + 1) is is_in
        journal.close()


class WatchingDisk(FailingDisk):
    """Notes where each write begins and ends."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[int, int]] = []

    def write(self, fd: int, data: bytes | bytearray, offset: int) -> None:
        self.written.append((offset, offset + len(data)))
        super().write(fd, data, offset)


def test_a_doubtful_commit_is_written_again_before_it_is_believed(tmp_path: Path):
    # After a failed fsync the page cache may show what the disk has not got.
    journal = open_journal(make(tmp_path))
    write_commits(journal, 2, 2)
    journal.close()
    ends = frame_ends(first_segment(tmp_path))
    disk = WatchingDisk()
    open_journal(tmp_path, disk=disk).close()
    assert disk.written == [(ends[2], ends[4])]


def test_a_header_no_record_proves_durable_is_written_again_too(tmp_path: Path):
    open_journal(make(tmp_path)).close()
    disk = WatchingDisk()
    open_journal(tmp_path, disk=disk).close()
    assert disk.written == [(0, HEADER_BYTES)]


def test_a_commit_that_spans_segments_is_doubtful_from_its_first_record_in_the_last(
    tmp_path: Path,
):
    journal = open_journal(make(tmp_path))
    while journal.durable == 0:
        journal.append(note(journal.last + 1))
    journal.append(note(journal.last + 1))
    journal.commit()
    journal.close()
    end = frame_ends(tmp_path / "segment-00000002.log")[2]
    disk = WatchingDisk()
    open_journal(tmp_path, disk=disk).close()
    assert disk.written == [(0, end)]


def test_a_start_whose_doubtful_commit_cannot_be_written_refuses(tmp_path: Path):
    make(tmp_path)
    disk = FailingDisk()
    disk.failing = {"sync": errno.EIO}
    with pytest.raises(JournalFailed):
        open_journal(tmp_path, disk=disk)
    open_journal(tmp_path).close()


def test_an_interrupt_in_the_middle_of_a_commit_leaves_it_in_doubt(tmp_path: Path):
    class Interrupted(FailingDisk):
        armed = False

        def sync(self, fd: int) -> None:
            if self.armed:
                raise KeyboardInterrupt
            super().sync(fd)

    disk = Interrupted()
    journal = open_journal(make(tmp_path), disk=disk)
    disk.armed = True
    journal.append(note(1))
    with pytest.raises(KeyboardInterrupt):
        journal.commit()
    with pytest.raises(JournalFailed, match="did not end"):
        journal.commit()
    journal.close()
