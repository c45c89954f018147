from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ledger.faults import JournalCorrupt
from ledger.reader import JournalReader
from tests.ledger.journal_stories import (
    FailingDisk,
    first_segment,
    make,
    open_journal,
    write_commits,
)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Snapshots after records 10, 20 and 30 of 35."""
    journal = open_journal(make(tmp_path))
    for number in (10, 20, 30):
        write_commits(journal, 10)
        journal.write_snapshot(number, f"state {number}".encode())
    write_commits(journal, 5)
    journal.close()
    return tmp_path


def usable(directory: Path) -> list[tuple[int, bytes]]:
    journal = open_journal(directory)
    found = [(snapshot.number, snapshot.state) for snapshot in journal.snapshots()]
    journal.close()
    return found


def newest(directory: Path) -> Path:
    return max(directory.glob("snapshot-*.state"))


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied"])
def test_a_damaged_snapshot_gives_way_to_the_one_before(kept: Path, damage: str):
    data = bytearray(newest(kept).read_bytes())
    data[-1] ^= 1
    newest(kept).write_bytes({"flipped": data, "cut": data[:-1], "emptied": b""}[damage])
    assert usable(kept) == [(20, b"state 20")]
    assert newest(kept).name in JournalReader(kept).verify().faults[0]


def test_every_flipped_bit_of_a_snapshot_is_seen(kept: Path):
    whole = newest(kept).read_bytes()
    journal = open_journal(kept)
    for offset in range(len(whole)):
        data = bytearray(whole)
        data[offset] ^= 1 << (offset % 8)
        newest(kept).write_bytes(data)
        assert next(journal.snapshots()).number == 20
    journal.close()


def test_a_snapshot_that_cannot_be_read_gives_way_too(kept: Path):
    name = newest(kept)
    name.unlink()
    name.mkdir()
    assert usable(kept) == [(20, b"state 20")]


def test_a_snapshot_that_could_not_be_written_leaves_the_others(kept: Path):
    disk = FailingDisk()
    journal = open_journal(kept, disk=disk)
    disk.failing = {"sync": errno.EIO}
    with pytest.raises(OSError, match="Input/output"):
        journal.write_snapshot(35, b"state 35")
    disk.failing = {}
    write_commits(journal, 1)
    journal.close()
    assert usable(kept) == [(30, b"state 30"), (20, b"state 20")]


def test_segments_before_the_snapshot_may_live_in_an_archive(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 50)
    journal.write_snapshot(50, b"state 50")
    write_commits(journal, 2)
    journal.close()
    first_segment(tmp_path).unlink()
    journal = open_journal(tmp_path)
    assert next(journal.snapshots()).number == 50
    assert [record.number for record in journal.replay(after=50)] == [51, 52]
    with pytest.raises(JournalCorrupt, match="are in no segment here"):
        list(journal.replay())
    journal.close()
