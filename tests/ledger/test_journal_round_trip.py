from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.events import OrderEvent
from domain.records import Record, Settled
from domain.streams import OrderUpdate, StreamUpdate, UpdateBody
from ledger.codec import decode, encode
from ledger.faults import RecordTooLarge
from ledger.reader import JournalReader
from ledger.segment import RECORD_BYTES_MAX, encode_frame
from tests.ledger.journal_stories import SMALL, make, note, open_journal, write_commits
from tests.ledger.record_builders import any_struct

GENTLE = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("body", get_args(UpdateBody), ids=lambda kind: kind.__name__)
@GENTLE
@given(data=st.data())
def test_every_kind_of_update_comes_back_as_it_was_written(body: type, data: st.DataObject):
    update = data.draw(any_struct(StreamUpdate, body=any_struct(body)))
    record = Record(number=1, epoch=1, at_ns=1, cause=Settled(why="x"), updates=(update,))
    assert decode(encode(record), 1, 1, "file") == record


@pytest.mark.parametrize("event", get_args(OrderEvent), ids=lambda kind: kind.__name__)
@GENTLE
@given(data=st.data())
def test_every_order_event_comes_back_as_it_was_written(event: type, data: st.DataObject):
    body = data.draw(any_struct(OrderUpdate, event=any_struct(event)))
    update = StreamUpdate(stream="orders/a", seq=1, at_ns=1, body=body)
    record = Record(number=1, epoch=1, at_ns=1, cause=Settled(why="x"), updates=(update,))
    assert decode(encode(record), 1, 1, "file") == record


def test_a_record_larger_than_a_segment_is_refused_and_the_next_fits(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    with pytest.raises(RecordTooLarge):
        journal.append(note(1, "x" * 4000))
    journal.append(note(1))
    assert journal.commit() == 1
    journal.close()


def test_records_go_on_over_many_segments(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 60, 5)
    live = [record.number for record in journal.replay()]
    journal.close()
    journal = open_journal(tmp_path)
    assert [record.number for record in journal.replay()] == live == list(range(1, 301))
    assert [record.number for record in journal.replay(after=200)] == list(range(201, 301))
    assert JournalReader(tmp_path).verify().segments > 5
    write_commits(journal, 1)
    assert journal.durable == 301
    journal.close()


def wait_until(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.001)
    return is_so()


def test_the_next_segment_is_made_beside_the_work(tmp_path: Path):
    threaded = type(SMALL)(segment_bytes=4096, reserve_bytes=512)
    journal = open_journal(make(tmp_path, threaded), threaded)
    while journal.last < 300:
        if wait_until(journal.has_room):
            write_commits(journal, 1, 3)
    assert [record.number for record in journal.replay()] == list(range(1, 301))
    journal.close()
    journal = open_journal(tmp_path, threaded)
    assert journal.durable == 300
    journal.close()


def test_one_long_commit_may_span_segments(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    for number in range(1, 201):
        journal.append(note(number))
    assert journal.durable > 0
    assert journal.commit() == 200
    journal.close()
    assert JournalReader(tmp_path).verify().last == 200


def test_files_are_for_their_owner_alone(tmp_path: Path):
    directory = make(tmp_path / "journal")
    journal = open_journal(directory)
    write_commits(journal, 1)
    journal.write_snapshot(1, b"state")
    journal.close()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}


def test_segments_are_made_of_zeros_that_take_their_space_at_once(tmp_path: Path):
    make(tmp_path, type(SMALL)(segment_bytes=1024 * 1024, reserve_bytes=65536))
    status = (tmp_path / "segment-00000001.log").stat()
    assert status.st_size == 1024 * 1024
    assert status.st_blocks * 512 >= status.st_size


def test_a_record_beyond_every_limit_is_refused():
    with pytest.raises(RecordTooLarge, match="record 7 has"):
        encode_frame(bytes(RECORD_BYTES_MAX + 1), 7, 6, 1)


def test_a_write_the_kernel_takes_in_pieces_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pwrite = os.pwrite
    monkeypatch.setattr(
        "ledger.disk.os.pwrite", lambda fd, data, offset: pwrite(fd, data[:7], offset)
    )
    journal = open_journal(make(tmp_path))
    write_commits(journal, 2, 3)
    journal.close()
    assert list(JournalReader(tmp_path).replay()) == [note(number) for number in range(1, 7)]
