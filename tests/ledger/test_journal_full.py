from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger import spare
from ledger.faults import JournalFailed, JournalFull
from ledger.journal import JournalSettings, LocalJournal
from ledger.segment import HEADER_BYTES
from tests.ledger.journal_stories import (
    FailingDisk,
    first_segment,
    frame_ends,
    make,
    note,
    open_journal,
    recovered,
    write_commits,
)


def fill_up(journal: LocalJournal) -> None:
    """Commits ordinary records, one at a time, while there is room for them."""
    for _ in range(10_000):
        if not journal.has_room():
            return
        write_commits(journal, 1)
    pytest.fail("the journal never became full")


def journal_files(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(directory.glob("segment-*"))]


def append_many(journal: LocalJournal, count: int) -> None:
    for _ in range(count):
        journal.append(note(journal.last + 1))


def fill_up_reserve(journal: LocalJournal) -> int:
    for count in range(10_000):
        try:
            journal.append(note(journal.last + 1, "cancel"))
        except JournalFull:
            return count
        journal.commit()
    pytest.fail("the reserve never ended")


def test_on_a_full_disk_the_reserve_is_kept_and_can_be_written_to_its_end(tmp_path: Path):
    disk = FailingDisk()
    journal = open_journal(make(tmp_path), disk=disk)
    disk.fill_up()
    fill_up(journal)
    ordinary = journal.durable
    cancels = fill_up_reserve(journal)
    assert cancels >= 3
    with pytest.raises(JournalFull, match="free disk space"):
        journal.append(note(journal.last + 1))
    assert not journal.has_room()
    journal.close()
    assert len(recovered(tmp_path)) == ordinary + cancels


def test_a_refused_record_leaves_no_trace(tmp_path: Path):
    disk = FailingDisk()
    journal = open_journal(make(tmp_path), disk=disk)
    disk.fill_up()
    fill_up(journal)
    fill_up_reserve(journal)
    last, before = journal.last, journal_files(tmp_path)
    with pytest.raises(JournalFull):
        journal.append(note(last + 1))
    assert journal.commit() == last
    assert journal_files(tmp_path) == before
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
    deadline = time.monotonic() + 5
    while not journal.has_room():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    journal.append(note(last + 1))
    assert journal.commit() == last + 1
    journal.close()
    assert len(recovered(tmp_path)) == last + 1


def test_a_segment_in_the_making_is_hurried_long_before_the_reserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(spare, "PAUSE_S", 3600)
    slow = JournalSettings(segment_bytes=4096, reserve_bytes=512)
    journal = open_journal(make(tmp_path), slow)
    following = tmp_path / "segment-00000002.log"
    deadline = time.monotonic() + 5
    while not following.exists():
        assert journal.has_room()
        assert time.monotonic() < deadline
        if journal.last < 20:
            write_commits(journal, 1)
        time.sleep(0.01)
    assert frame_ends(first_segment(tmp_path))[-1] < 3000
    journal.close()


def test_records_take_the_next_segment_where_there_is_one(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 199)
    journal.close()
    assert len(recovered(tmp_path)) == 199


def test_a_segment_is_used_to_its_end_while_the_next_one_is_there(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 199)
    journal.close()
    assert 4096 - frame_ends(first_segment(tmp_path))[-1] < 512


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


class NoHeader(FailingDisk):
    """Fails as often as told to write the header of a segment."""

    failures = 0

    def write(self, fd: int, data: bytes | bytearray, offset: int) -> None:
        if len(data) == HEADER_BYTES and self.failures:
            self.failures -= 1
            raise OSError(errno.EIO, "no header today")
        super().write(fd, data, offset)


def test_a_next_segment_whose_beginning_failed_is_begun_before_anything_else(tmp_path: Path):
    disk = NoHeader()
    journal = open_journal(make(tmp_path), disk=disk)
    disk.failures = 3
    with pytest.raises(JournalFailed, match="could not be begun"):
        append_many(journal, 200)
    for _ in range(2):
        with pytest.raises(JournalFailed, match="no header today"):
            journal.settle()
    journal.settle()
    append_many(journal, 200)
    last = journal.commit()
    journal.close()
    assert last > 200
    assert len(recovered(tmp_path)) == last


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
