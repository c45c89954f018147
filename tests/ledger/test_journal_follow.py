from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.codec import encode
from ledger.faults import JournalCorrupt, JournalForeign, JournalMissing
from ledger.reader import JournalReader
from ledger.segment import encode_frame
from tests.ledger.journal_child import SETTINGS
from tests.ledger.journal_stories import (
    first_segment,
    frame_ends,
    make,
    note,
    open_journal,
    write_commits,
)

CHILD = Path(__file__).with_name("journal_child.py")


def test_a_follower_goes_on_from_segment_to_segment(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    follower = JournalReader(tmp_path).follow()
    numbers = []
    for _ in range(50):
        write_commits(journal, 1, 4)
        # A commit may span two segments.
        numbers += [record.number for record in (*follower.read(), *follower.read())]
    assert numbers == list(range(1, 201))
    assert follower.position == 200
    follower.close()
    journal.close()


@pytest.mark.parametrize("after", [0, 1, 77, 199, 200])
def test_a_follower_starts_where_it_is_told(tmp_path: Path, after: int):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 50, 4)
    follower = JournalReader(tmp_path).follow(after)
    numbers = []
    while records := follower.read(limit=7):
        assert len(records) <= 7
        numbers += [record.number for record in records]
    assert numbers == list(range(after + 1, 201))
    follower.close()
    journal.close()


def test_a_follower_reads_a_record_larger_than_its_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ledger.follower.CHUNK_BYTES", 100)
    journal = open_journal(make(tmp_path))
    journal.append(note(1, "x" * 1000))
    journal.append(note(2))
    journal.commit()
    follower = JournalReader(tmp_path).follow()
    assert [*follower.read(), *follower.read()] == [note(1, "x" * 1000), note(2)]
    follower.close()
    journal.close()


def test_a_commit_half_written_is_not_there_yet(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 1)
    journal.close()
    file = first_segment(tmp_path)
    end = frame_ends(file)[-1]
    whole = file.read_bytes()
    frame = encode_frame(encode(note(2)), 2, 1, 1)
    follower = JournalReader(tmp_path).follow(1)
    for size in range(len(frame)):
        file.write_bytes(whole[:end] + frame[:size] + whole[end + size :])
        assert follower.read() == []
    file.write_bytes(whole[:end] + frame + whole[end + len(frame) :])
    assert follower.read() == [note(2)]
    follower.close()


def test_a_follower_stops_at_a_damaged_record(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 3)
    journal.close()
    file = first_segment(tmp_path)
    data = bytearray(file.read_bytes())
    data[frame_ends(file)[1] + 40] ^= 1
    file.write_bytes(data)
    follower = JournalReader(tmp_path).follow(1)
    with pytest.raises(JournalCorrupt) as caught:
        follower.read()
    assert caught.value.number == 2
    follower.close()


def test_a_follower_stops_where_a_sealed_segment_ends_too_soon(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 50, 4)
    journal.close()
    file = first_segment(tmp_path)
    ends = frame_ends(file)
    data = bytearray(file.read_bytes())
    data[ends[-2] :] = bytes(len(data) - ends[-2])
    file.write_bytes(data)
    follower = JournalReader(tmp_path).follow(len(ends) - 2)
    with pytest.raises(JournalCorrupt, match="it must go on to"):
        follower.read()
    follower.close()


def test_archived_records_cannot_be_followed(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 50, 4)
    journal.close()
    first_segment(tmp_path).unlink()
    with pytest.raises(JournalCorrupt, match="in no segment here"):
        JournalReader(tmp_path).follow()


def test_a_reader_refuses_a_foreign_or_missing_journal(tmp_path: Path):
    make(tmp_path / "journal")
    with pytest.raises(JournalForeign):
        JournalReader(tmp_path / "journal", "other").follow()
    with pytest.raises(JournalMissing):
        JournalReader(tmp_path / "nowhere").replay()
    assert "fillgate init" in JournalReader(tmp_path / "nowhere").verify().faults[0]


def test_a_follower_in_another_process_misses_nothing_while_a_writer_writes(tmp_path: Path):
    make(tmp_path, SETTINGS)
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(tmp_path), "300"], stdout=subprocess.PIPE
    )
    follower = JournalReader(tmp_path).follow()
    numbers: list[int] = []
    told = 0
    assert child.stdout is not None
    for line in child.stdout:
        told = int(line) if line.strip().isdigit() else told
        numbers += [record.number for record in follower.read()]
    child.wait()
    while records := follower.read():
        numbers += [record.number for record in records]
    assert told == 600
    assert numbers == list(range(1, 601))
    follower.close()


def test_verify_counts_what_is_there(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 50, 4)
    journal.close()
    report = JournalReader(tmp_path).verify()
    assert (report.faults, report.records, report.first, report.last) == ((), 200, 1, 200)
    assert report.deployment_id == "deployment-1"
    sizes = [
        frame_ends(file)[-1] - frame_ends(file)[0] for file in sorted(tmp_path.glob("segment-*"))
    ]
    assert report.bytes == sum(sizes)
    assert report.segments == len(sizes) - 1


class StaleEyes:
    """os.pread as a reader sees it that is overtaken: its first look is `behind` the writer."""

    def __init__(self, *behind: bytes) -> None:
        self.behind = list(behind)
        self.pread = os.pread

    def __call__(self, fd: int, size: int, offset: int) -> bytes:
        seen = self.pread(fd, size, offset)
        return self.behind.pop(0) if self.behind else seen


def test_what_a_segment_got_before_it_was_sealed_is_read_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 50, 4)
    journal.close()
    follower = JournalReader(tmp_path).follow()
    monkeypatch.setattr("ledger.follower.os.pread", StaleEyes(bytes(4000)))
    assert [record.number for record in follower.read(limit=2)] == [1, 2]
    follower.close()


def test_a_commit_that_lands_between_two_looks_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 2)
    journal.close()
    file = first_segment(tmp_path)
    ends = frame_ends(file)
    half = bytes(ends[1] - ends[0]) + file.read_bytes()[ends[1] :]
    follower = JournalReader(tmp_path).follow()
    monkeypatch.setattr("ledger.follower.os.pread", StaleEyes(half))
    assert follower.read() == []
    assert follower.read() == [note(1), note(2)]
    follower.close()


def test_a_record_wiped_to_zeros_is_damage_for_a_follower(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 3)
    journal.close()
    file = first_segment(tmp_path)
    ends = frame_ends(file)
    data = bytearray(file.read_bytes())
    data[ends[1] : ends[2]] = bytes(ends[2] - ends[1])
    file.write_bytes(data)
    follower = JournalReader(tmp_path).follow(1)
    with pytest.raises(JournalCorrupt, match="proves that it was durable"):
        follower.read()
    follower.close()
