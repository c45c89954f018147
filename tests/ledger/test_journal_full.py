from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.faults import JournalFailed, JournalFull
from ledger.journal import JournalSettings, LocalJournal
from tests.ledger.journal_stories import (
    FailingDisk,
    first_segment,
    make,
    note,
    open_journal,
    recovered,
)


def fill_up(journal: LocalJournal) -> None:
    """Commits ordinary records, one at a time, until one is refused."""
    for _ in range(10_000):
        try:
            journal.append(note(journal.last + 1))
        except JournalFull:
            return
        journal.commit()
    pytest.fail("the journal never became full")


def append_many(journal: LocalJournal, count: int) -> None:
    for _ in range(count):
        journal.append(note(journal.last + 1))


def fill_up_reserve(journal: LocalJournal) -> int:
    for count in range(10_000):
        try:
            journal.append(note(journal.last + 1, "cancel"), from_reserve=True)
        except JournalFull:
            return count
        journal.commit()
    pytest.fail("the reserve never ended")


def test_on_a_full_disk_cancels_alone_are_written(tmp_path: Path):
    disk = FailingDisk()
    journal = open_journal(make(tmp_path), disk=disk)
    disk.fill_up()
    fill_up(journal)
    ordinary = journal.durable
    with pytest.raises(JournalFull, match="free disk space"):
        journal.append(note(ordinary + 1))
    cancels = fill_up_reserve(journal)
    assert cancels >= 3
    journal.close()
    assert len(recovered(tmp_path)) == ordinary + cancels


def test_a_refused_record_leaves_no_trace(tmp_path: Path):
    disk = FailingDisk()
    journal = open_journal(make(tmp_path), disk=disk)
    disk.fill_up()
    fill_up(journal)
    last, before = journal.last, first_segment(tmp_path).read_bytes()
    with pytest.raises(JournalFull):
        journal.append(note(last + 1))
    assert journal.commit() == last
    assert first_segment(tmp_path).read_bytes() == before
    journal.close()


@pytest.mark.parametrize("in_background", [False, True])
def test_a_disk_that_has_room_again_is_noticed_by_itself(tmp_path: Path, in_background: bool):
    disk = FailingDisk()
    small = JournalSettings(
        segment_bytes=4096, reserve_bytes=512, prepare_in_background=in_background
    )
    journal = open_journal(make(tmp_path), small, disk)
    disk.fill_up()
    fill_up(journal)
    last = journal.last
    disk.failing = {}
    accepted = False
    for _ in range(3):  # the attempt that was refused, its answer, and the next attempt
        try:
            journal.append(note(last + 1))
            accepted = True
            break
        except JournalFull:
            continue
    assert accepted
    assert journal.commit() == last + 1
    journal.close()
    assert len(recovered(tmp_path)) == last + 1


def test_a_cancel_takes_the_next_segment_where_there_is_one(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    for number in range(1, 200):
        journal.append(note(number), from_reserve=True)
        journal.commit()
    journal.close()
    assert len(recovered(tmp_path)) == 199


def test_a_segment_that_cannot_be_made_leaves_no_file_behind(tmp_path: Path):
    disk = FailingDisk()
    disk.fill_up()
    journal = open_journal(make(tmp_path), disk=disk)
    assert sorted(path.name for path in tmp_path.glob("segment-*")) == ["segment-00000001.log"]
    journal.close()


def test_a_failure_while_going_on_to_the_next_segment_is_a_failed_commit(tmp_path: Path):
    disk = FailingDisk()
    journal = open_journal(make(tmp_path), disk=disk)
    journal.append(note(1))
    disk.failing = {"sync": errno.EIO}
    with pytest.raises(JournalFailed):
        append_many(journal, 200)
    journal.close()


def test_a_spare_that_has_gone_is_a_failed_commit(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    (tmp_path / "segment-00000002.log").unlink()
    with pytest.raises(JournalFailed, match="next segment"):
        append_many(journal, 200)
    journal.close()


def test_a_spare_smaller_than_the_record_is_passed_over(tmp_path: Path):
    open_journal(make(tmp_path)).close()
    bigger = JournalSettings(segment_bytes=65536, reserve_bytes=512, prepare_in_background=False)
    journal = open_journal(tmp_path, bigger)
    journal.append(note(1, "x" * 10_000))
    assert journal.commit() == 1
    journal.close()
    assert len(recovered(tmp_path)) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_really_full_disk_takes_cancels_and_heals(small_disk: Path):
    settings = JournalSettings(segment_bytes=65536, reserve_bytes=4096, prepare_in_background=False)
    directory = make(small_disk / "journal", settings)
    journal = open_journal(directory, settings)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(110 * 1024))
    fill_up(journal)
    assert fill_up_reserve(journal) > 20
    ballast.unlink()
    last = journal.last
    journal.append(note(last + 1))
    assert journal.commit() == last + 1
    journal.close()
    journal = open_journal(directory, settings)
    assert journal.durable == last + 1
    journal.close()
