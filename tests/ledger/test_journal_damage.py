from __future__ import annotations

from pathlib import Path

import pytest

from ledger.codec import encode
from ledger.faults import JournalCorrupt
from ledger.reader import JournalReader
from ledger.segment import HEADER_BYTES, encode_frame
from tests.ledger.journal_stories import (
    copy_of,
    first_segment,
    frame_ends,
    make,
    note,
    open_journal,
    recovered,
    write_commits,
)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Four commits of two records each."""
    journal = open_journal(make(tmp_path / "written"))
    write_commits(journal, 4, 2)
    journal.close()
    return tmp_path / "written"


@pytest.mark.parametrize("how", ["truncated", "zeroed"])
def test_a_crash_at_any_byte_leaves_exactly_the_records_before_it(written: Path, how: str):
    ends = frame_ends(first_segment(written))
    whole = first_segment(written).read_bytes()
    for offset in range(ends[5], ends[8]):
        directory = copy_of(written, written.parent / "crashed")
        kept = whole[:offset]
        rest = b"" if how == "truncated" else bytes(len(whole) - offset)
        first_segment(directory).write_bytes(kept + rest)
        expected = sum(offset >= end for end in ends[1:])
        assert recovered(directory) == [note(number) for number in range(1, expected + 1)]


def test_after_a_cut_the_journal_goes_on_where_the_whole_records_end(written: Path):
    file = first_segment(written)
    ends = frame_ends(file)
    data = bytearray(file.read_bytes())
    data[ends[8] - 3 : ends[8]] = bytes(3)
    file.write_bytes(data)
    journal = open_journal(written)
    assert (journal.last, journal.torn_bytes) == (7, ends[8] - 3 - ends[7])
    assert not any(file.read_bytes()[ends[7] :])
    write_commits(journal, 3)
    journal.close()
    assert recovered(written) == [note(number) for number in range(1, 11)]


def test_every_flipped_bit_in_a_durable_record_stops_the_start(written: Path):
    file = first_segment(written)
    ends = frame_ends(file)
    whole = file.read_bytes()
    for offset in range(ends[0], ends[6]):
        data = bytearray(whole)
        data[offset] ^= 1 << (offset % 8)
        file.write_bytes(data)
        with pytest.raises(JournalCorrupt) as caught:
            open_journal(written)
        at = max(index for index, end in enumerate(ends) if end <= offset)
        assert (caught.value.offset, caught.value.number) == (ends[at], at + 1)
        assert str(file) in str(caught.value)
        assert "fillgate journal verify" in str(caught.value)


def test_every_flipped_bit_in_the_file_header_stops_the_start(written: Path):
    file = first_segment(written)
    whole = file.read_bytes()
    for offset in range(HEADER_BYTES):
        data = bytearray(whole)
        data[offset] ^= 1 << (offset % 8)
        file.write_bytes(data)
        with pytest.raises(JournalCorrupt, match="header"):
            open_journal(written)


def test_a_flipped_bit_in_the_last_commit_never_makes_up_a_record(written: Path):
    # Nothing after it proves that it was ever durable: it is told from a torn write by nothing.
    ends = frame_ends(first_segment(written))
    whole = first_segment(written).read_bytes()
    for offset in range(ends[6], ends[8]):
        directory = copy_of(written, written.parent / "flipped")
        data = bytearray(whole)
        data[offset] ^= 1 << (offset % 8)
        first_segment(directory).write_bytes(data)
        left = 6 if offset < ends[7] else 7
        assert recovered(directory) == [note(number) for number in range(1, left + 1)]


def test_noise_behind_the_last_record_is_cut_off(written: Path):
    file = first_segment(written)
    data = bytearray(file.read_bytes())
    data[3000:3004] = b"\xf8FG\xff"
    file.write_bytes(data)
    assert JournalReader(written).verify().torn_bytes > 0
    assert len(recovered(written)) == 8


def test_a_missing_number_stops_the_start(written: Path):
    file = first_segment(written)
    end = frame_ends(file)[-1]
    data = bytearray(file.read_bytes())
    frame = encode_frame(b"x", 10, 8, 1)
    data[end : end + len(frame)] = frame
    file.write_bytes(data)
    with pytest.raises(JournalCorrupt, match="found record 10 in its place") as caught:
        open_journal(written)
    assert caught.value.number == 9


def test_a_whole_frame_that_is_no_record_is_named(written: Path):
    file = first_segment(written)
    end = frame_ends(file)[-1]
    data = bytearray(file.read_bytes())
    frame = encode_frame(b"\x80", 9, 8, 1)
    data[end : end + len(frame)] = frame
    file.write_bytes(data)
    journal = open_journal(written)
    with pytest.raises(JournalCorrupt, match="whole, but no record"):
        list(journal.replay())
    journal.close()


def test_a_frame_that_holds_another_number_is_named(written: Path):
    file = first_segment(written)
    data = bytearray(file.read_bytes())
    ends = frame_ends(file)
    frame = encode_frame(encode(note(4)), 9, 8, 1)
    data[ends[-1] : ends[-1] + len(frame)] = frame
    file.write_bytes(data)
    journal = open_journal(written)
    with pytest.raises(JournalCorrupt, match="holds record 4"):
        list(journal.replay())
    journal.close()


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """Several segments."""
    journal = open_journal(make(tmp_path / "long"))
    write_commits(journal, 40, 4)
    journal.close()
    return tmp_path / "long"


def test_damage_at_the_end_of_a_sealed_segment_is_no_torn_tail(long: Path):
    file = first_segment(long)
    ends = frame_ends(file)
    data = bytearray(file.read_bytes())
    data[ends[-1] - 1] ^= 1
    file.write_bytes(data)
    journal = open_journal(long)
    with pytest.raises(JournalCorrupt, match="it must go on to"):
        list(journal.replay())
    journal.close()
    assert "it must go on to" in JournalReader(long).verify().faults[0]


def test_noise_behind_a_sealed_segment_is_a_fault_for_verify(long: Path):
    file = first_segment(long)
    data = bytearray(file.read_bytes())
    data[-1] = 7
    file.write_bytes(data)
    assert len(JournalReader(long).verify().faults) == 1


def test_a_segment_that_is_gone_stops_the_start(long: Path):
    (long / "segment-00000002.log").unlink()
    with pytest.raises(JournalCorrupt, match="segment 3 where segment 2 must be"):
        open_journal(long)


def test_a_header_wiped_in_the_middle_stops_the_start(long: Path):
    file = long / "segment-00000002.log"
    file.write_bytes(bytes(HEADER_BYTES) + file.read_bytes()[HEADER_BYTES:])
    with pytest.raises(JournalCorrupt, match="header is damaged"):
        open_journal(long)


def test_verify_goes_on_behind_a_fault_and_lists_them_all(long: Path):
    for number in (1, 3):
        file = long / f"segment-{number:08d}.log"
        data = bytearray(file.read_bytes())
        data[HEADER_BYTES + 40] ^= 1
        file.write_bytes(data)
    report = JournalReader(long).verify()
    assert len(report.faults) == 2
    assert report.last == 160


def test_a_torn_header_of_a_segment_never_used_is_written_anew(long: Path):
    spare = max(long.glob("segment-*.log"))
    data = bytearray(spare.read_bytes())
    assert not any(data)
    data[:20] = b"FGJOURNL" + bytes(range(12))
    spare.write_bytes(data)
    journal = open_journal(long)
    write_commits(journal, 40, 4)
    journal.close()
    assert len(recovered(long)) == 320


def test_a_first_segment_cut_into_its_header_stops_the_start(written: Path):
    file = first_segment(written)
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(JournalCorrupt, match="header"):
        open_journal(written)
