"""What a journal promises, wherever it is kept: each story is told over both backends."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.records import SCHEMA, Cause, Record
from ledger.faults import (
    JournalCorrupt,
    JournalExists,
    JournalFailed,
    JournalForeign,
    JournalLocked,
    JournalMissing,
    JournalTooNew,
)
from ledger.places import check, holder_of, init, is_made, open_journal, reader_of
from ledger.projection import Books
from ledger.recovery import restore
from tests.ledger.book_stories import Router
from tests.ledger.journal_backends import Backend
from tests.ledger.journal_stories import note, write_commits
from tests.ledger.record_builders import any_record

# A killed child would leave half a coverage file behind.
UNMEASURED = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}

GENTLE = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)


# -- round trip


@pytest.mark.parametrize("cause", get_args(Cause), ids=lambda kind: kind.__name__)
def test_a_record_of_every_cause_comes_back_as_it_was_written(backend: Backend, cause: type):
    journal = backend.make().open()
    written: list[Record] = []

    @GENTLE
    @given(data=st.data())
    def write(data: st.DataObject) -> None:
        written.append(data.draw(any_record(journal.last + 1, cause)))
        journal.append(written[-1])
        assert journal.commit() == len(written)

    write()
    journal.close()
    assert list(backend.reader().replay()) == written


def test_a_record_counts_as_durable_only_after_the_commit(backend: Backend):
    journal = backend.make().open()
    journal.append(note(1))
    journal.append(note(2))
    assert (journal.last, journal.durable) == (2, 0)
    assert list(journal.replay()) == []
    assert journal.commit() == 2
    assert list(journal.replay()) == [note(1), note(2)]
    journal.close()


def test_a_commit_of_nothing_writes_nothing(backend: Backend):
    journal = backend.make().open()
    assert journal.commit() == 0
    assert backend.reader().verify().records == 0
    journal.close()


def test_what_was_not_committed_is_dropped_at_the_close(backend: Backend):
    journal = backend.make().open()
    write_commits(journal, 1)
    journal.append(note(2))
    journal.close()
    journal = backend.open()
    assert (journal.last, journal.durable) == (1, 1)
    journal.close()


def test_a_record_out_of_turn_is_our_own_bug(backend: Backend):
    journal = backend.make().open()
    with pytest.raises(AssertionError):
        journal.append(note(2))
    journal.close()


def test_a_closed_journal_takes_nothing(backend: Backend):
    journal = backend.make().open()
    journal.close()
    journal.close()
    with pytest.raises(JournalFailed, match="closed"):
        journal.append(note(1))
    with pytest.raises(JournalFailed, match="closed"):
        journal.commit()


@pytest.mark.parametrize("after", [0, 1, 77, 199, 200])
def test_a_replay_begins_where_it_is_told(backend: Backend, after: int):
    journal = backend.make().open()
    write_commits(journal, 50, 4)
    journal.close()
    journal = backend.open()
    numbers = list(range(after + 1, 201))
    assert [record.number for record in journal.replay(after)] == numbers
    assert [record.number for record in backend.reader().replay(after)] == numbers
    journal.close()


def test_a_long_replay_tells_how_far_it_is(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ledger.reader.PROGRESS_RECORDS", 10)
    monkeypatch.setattr("ledger.postgres_reader.PROGRESS_RECORDS", 10)
    monkeypatch.setattr("ledger.postgres_reader.PAGE_RECORDS", 7)
    journal = backend.make().open()
    write_commits(journal, 5, 5)
    told: list[tuple[int, int]] = []
    assert len(list(journal.replay(on_progress=lambda done, last: told.append((done, last))))) == 25
    assert told == [(10, 25), (20, 25), (25, 25)]
    journal.close()


# -- start


def test_init_alone_makes_a_journal(backend: Backend):
    assert not is_made(backend.place)
    for look in (open_journal, check, holder_of):
        if look is not holder_of or not backend.place.is_local:
            with pytest.raises(JournalMissing, match="fillgate init"):
                look(backend.place)
    assert not is_made(backend.place)
    init(backend.place)
    assert is_made(backend.place)
    assert check(backend.place) == "deployment-1"


def test_init_leaves_a_journal_alone_that_is_there(backend: Backend):
    journal = backend.make().open()
    write_commits(journal, 3)
    journal.close()
    with pytest.raises(JournalExists):
        backend.make()
    assert backend.reader().verify().records == 3


def test_a_foreign_journal_is_refused(backend: Backend):
    backend.make()
    theirs = backend.of("other")
    for look in (open_journal, check):
        with pytest.raises(JournalForeign, match="'deployment-1', not 'other'"):
            look(theirs)
    with pytest.raises(JournalForeign):
        reader_of(theirs).follow()
    with pytest.raises(JournalForeign):
        list(reader_of(theirs).replay())
    assert "deployment-1" in reader_of(theirs).verify().faults[0]


def test_a_missing_journal_cannot_be_read(backend: Backend):
    with pytest.raises(JournalMissing):
        list(backend.reader().replay())
    with pytest.raises(JournalMissing):
        backend.reader().follow()
    assert "fillgate init" in backend.reader().verify().faults[0]


def test_a_start_that_fails_gives_the_lock_back(backend: Backend):
    backend.make()
    with pytest.raises(JournalForeign):
        open_journal(backend.of("other"))
    open_journal(backend.place).close()
    open_journal(backend.place).close()


def test_a_record_of_a_newer_release_is_refused_by_name(backend: Backend):
    journal = backend.make().open()
    write_commits(journal, 1)
    journal.close()
    backend.put(2, b"\x80", SCHEMA + 1)
    journal = backend.open()
    with pytest.raises(JournalTooNew, match=f"install a release that knows schema {SCHEMA + 1}"):
        list(journal.replay())
    journal.close()


def test_a_journal_has_one_writer_and_names_it(backend: Backend):
    backend.make()
    child = subprocess.Popen(
        backend.child("hold"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=UNMEASURED
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(JournalLocked, match=str(child.pid)) as caught:
            open_journal(backend.place)
        assert caught.value.holder == child.pid
        assert str(child.pid) in (holder_of(backend.place) or "")
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    backend.open().close()
    assert holder_of(backend.place) is None


# -- damage


def test_a_damaged_record_is_named_by_everyone_who_comes_upon_it(backend: Backend):
    journal = backend.make().open()
    write_commits(journal, 5)
    journal.close()
    backend.damage(2)
    with pytest.raises(JournalCorrupt) as caught:
        list(backend.reader().replay())
    assert caught.value.number == 2
    assert "record 2" in backend.reader().verify().faults[0]


def test_a_follower_stops_at_a_damaged_record(backend: Backend):
    journal = backend.make().open()
    write_commits(journal, 3)
    journal.close()
    backend.damage(2)
    follower = backend.reader().follow(1)
    with pytest.raises(JournalCorrupt) as caught:
        follower.read()
    assert caught.value.number == 2
    assert follower.position == 1
    follower.close()


# -- snapshots


@pytest.fixture
def kept(backend: Backend) -> Backend:
    """Snapshots after records 10, 20 and 30 of 35."""
    journal = backend.make().open()
    for number in (10, 20, 30):
        write_commits(journal, 10)
        journal.write_snapshot(number, f"state {number}".encode())
    write_commits(journal, 5)
    journal.close()
    return backend


def usable(backend: Backend) -> list[tuple[int, bytes]]:
    journal = backend.open()
    found = [(snapshot.number, snapshot.state) for snapshot in journal.snapshots()]
    journal.close()
    return found


def test_the_last_two_snapshots_are_kept_and_every_record(kept: Backend):
    assert usable(kept) == [(30, b"state 30"), (20, b"state 20")]
    assert kept.reader().verify().records == 35


def test_a_snapshot_may_be_taken_again(kept: Backend):
    journal = kept.open()
    journal.write_snapshot(30, b"state 30 again")
    journal.close()
    assert usable(kept) == [(30, b"state 30 again"), (20, b"state 20")]


@pytest.mark.parametrize("data", [b"", b"FGSNAPSH", b"x" * 200])
def test_a_damaged_snapshot_gives_way_to_the_one_before(kept: Backend, data: bytes):
    kept.replace_snapshot(30, data)
    assert usable(kept) == [(20, b"state 20")]
    assert "30" in kept.reader().verify().faults[0]


def test_a_snapshot_of_another_deployment_is_passed_over(kept: Backend):
    kept.foreign_snapshot(30)
    assert usable(kept) == [(20, b"state 20")]


def test_a_snapshot_ahead_of_the_journal_means_that_records_are_gone(kept: Backend):
    journal = kept.open()
    journal.write_snapshot(35, b"state 35")
    journal.close()
    kept.cut(35)
    with pytest.raises(JournalCorrupt, match="a snapshot was taken after record 35"):
        open_journal(kept.place)


def test_a_snapshot_of_records_not_yet_durable_is_our_own_bug(backend: Backend):
    journal = backend.make().open()
    with pytest.raises(AssertionError):
        journal.write_snapshot(1, b"")
    journal.close()


def test_a_start_needs_only_the_records_after_the_snapshot(backend: Backend):
    router = Router(4).live_on(120)
    journal, books = backend.make().open(), Books()
    for record in router.records:
        journal.append(record)
        books.apply(record)
        if record.number in (50, 100):
            journal.commit()
            journal.write_snapshot(record.number, books.to_bytes())
    journal.commit()
    journal.close()
    journal = backend.open()
    restored = restore(journal)
    assert (restored.snapshot, restored.breaks) == (100, ())
    assert restored.books.to_bytes() == books.to_bytes()
    journal.close()


# -- followers


def test_a_follower_sees_what_was_committed_since_it_last_looked(backend: Backend):
    journal = backend.make().open()
    follower = backend.reader().follow()
    assert follower.read() == []
    write_commits(journal, 2)
    assert follower.read() == [note(1), note(2)]
    journal.append(note(3))
    assert follower.read() == []
    journal.commit()
    assert follower.read() == [note(3)]
    assert follower.position == 3
    follower.close()
    follower.close()
    journal.close()


@pytest.mark.parametrize("after", [0, 1, 77, 199, 200])
def test_a_follower_starts_where_it_is_told(backend: Backend, after: int):
    journal = backend.make().open()
    write_commits(journal, 50, 4)
    follower = backend.reader().follow(after)
    numbers = []
    while records := follower.read(limit=7):
        assert len(records) <= 7
        numbers += [record.number for record in records]
    assert numbers == list(range(after + 1, 201))
    follower.close()
    journal.close()


def test_a_follower_that_knows_more_than_the_journal_is_told_so(backend: Backend):
    journal = backend.make().open()
    write_commits(journal, 3)
    with pytest.raises(JournalCorrupt, match="has seen record 4, but the journal ends before it"):
        backend.reader().follow(4)
    journal.close()


def test_a_follower_in_another_process_misses_nothing_while_a_writer_writes(backend: Backend):
    backend.make()
    child = subprocess.Popen(backend.child(300), stdout=subprocess.PIPE)
    follower = backend.reader().follow()
    numbers: list[int] = []
    told = 0
    assert child.stdout is not None
    for line in child.stdout:
        told = int(line) if line.strip().isdigit() else told
        numbers += [record.number for record in follower.read()]
        # What the writer was told is durable is there to be seen.
        assert told == 0 or numbers[-1] >= told
    child.wait()
    while records := follower.read():
        numbers += [record.number for record in records]
    assert told == 600
    assert numbers == list(range(1, 601))
    follower.close()


def test_verify_counts_what_is_there(backend: Backend):
    journal = backend.make().open()
    write_commits(journal, 50, 4)
    journal.close()
    report = backend.reader().verify()
    assert (report.faults, report.records, report.first, report.last) == ((), 200, 1, 200)
    assert report.deployment_id == "deployment-1"
    assert report.bytes > 200 * 36


# -- kill -9


@pytest.mark.parametrize("told_before", [0, 1, 2, 5, 9, 14])
def test_a_writer_killed_at_any_moment_loses_and_invents_nothing(
    backend: Backend, told_before: int
):
    backend.make()
    child = subprocess.Popen(backend.child(1000), stdout=subprocess.PIPE, env=UNMEASURED)
    assert child.stdout is not None
    said = [child.stdout.readline() for _ in range(told_before + 1)]
    child.send_signal(signal.SIGKILL)
    said += child.communicate()[0].splitlines()
    told = max((int(word) for word in said if word.strip().isdigit()), default=0)
    journal = backend.open()
    found = list(journal.replay())
    assert told <= len(found) <= told + 2
    assert found == [note(number) for number in range(1, len(found) + 1)]
    write_commits(journal, 1)
    journal.close()
