"""A shadow reads on in a journal that another writes, and takes it over where that ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.records import EpochStarted, Record
from ledger.faults import JournalError
from ledger.journal import JournalSettings, LocalJournal, init
from ledger.projection import Books
from ledger.reader import JournalReader
from ledger.recovery import restore
from ledger.shadow import Shadow

SETTINGS = JournalSettings(
    segment_bytes=1024 * 1024, reserve_bytes=65_536, prepare_in_background=False
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    init(tmp_path / "journal", "d", SETTINGS)
    return tmp_path / "journal"


def write(journal: LocalJournal, count: int) -> None:
    for _ in range(count):
        number = journal.last + 1
        cause = EpochStarted(boot_id="b", incarnation=f"i{number}")
        journal.append(Record(number=number, epoch=number, at_ns=number, cause=cause, updates=()))
    journal.commit()


def open_journal(directory: Path) -> LocalJournal:
    return LocalJournal(directory, "d", SETTINGS)


def test_what_was_read_ahead_and_what_came_last_are_the_books(directory: Path) -> None:
    holder = open_journal(directory)
    write(holder, 3)
    shadow = Shadow(JournalReader(directory, "d"))
    assert shadow.follow()
    assert not shadow.follow()
    write(holder, 2)
    assert shadow.follow()
    write(holder, 1)  # not read ahead any more
    holder.close()
    journal = open_journal(directory)
    books = shadow.take_over(journal)
    assert books.number == journal.durable == 6
    assert books.to_bytes() == restore(journal).books.to_bytes()
    journal.close()


def test_a_shadow_begins_at_the_newest_snapshot(directory: Path) -> None:
    holder = open_journal(directory)
    write(holder, 3)
    holder.write_snapshot(3, restore(holder).books.to_bytes())
    write(holder, 1)
    shadow = Shadow(JournalReader(directory, "d"))
    shadow.follow()
    holder.close()
    journal = open_journal(directory)
    assert shadow.take_over(journal).number == 4
    journal.close()


def test_without_anything_read_the_journal_alone_is_replayed(directory: Path) -> None:
    journal = open_journal(directory)
    write(journal, 2)
    assert Shadow(JournalReader(directory, "d")).take_over(journal).number == 2
    journal.close()


def test_a_shadow_that_saw_more_than_the_journal_has_is_thrown_away(directory: Path) -> None:
    journal = open_journal(directory)
    write(journal, 2)
    shadow = Shadow(JournalReader(directory, "d"))
    shadow.follow()
    shadow._books = Books(number=9)  # records that a power cut took away again
    assert shadow.take_over(journal).number == 2
    journal.close()


def test_a_journal_that_cannot_be_read_is_told_and_read_anew_later(tmp_path: Path) -> None:
    shadow = Shadow(JournalReader(tmp_path / "journal", "d"))
    with pytest.raises(JournalError):
        shadow.follow()
    init(tmp_path / "journal", "d", SETTINGS)
    journal = open_journal(tmp_path / "journal")
    write(journal, 1)
    assert shadow.follow()
    assert shadow.take_over(journal).number == 1
    journal.close()
