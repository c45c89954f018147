from __future__ import annotations

from pathlib import Path

import pytest

from domain.records import Record
from ledger.journal import JournalSettings, LocalJournal, init
from ledger.projection import Books
from ledger.recovery import restore
from tests.ledger.book_stories import Router
from tests.ledger.journal_stories import DEPLOYMENT, make
from tests.ledger.journal_stories import open_journal as open_small


def fold(records: list[Record]) -> Books:
    books = Books()
    for record in records:
        assert books.apply(record) == ()
    return books


@pytest.fixture
def journaled(tmp_path: Path) -> tuple[Path, Router]:
    settings = JournalSettings(segment_bytes=32768, reserve_bytes=512, prepare_in_background=False)
    init(tmp_path, DEPLOYMENT, settings)
    router = Router(4).live_on(300)
    journal = LocalJournal(tmp_path, DEPLOYMENT, settings)
    books = Books()
    for record in router.records:
        journal.append(record)
        books.apply(record)
        if record.number in (100, 200):
            journal.commit()
            journal.write_snapshot(record.number, books.to_bytes())
    journal.commit()
    journal.close()
    return tmp_path, router


def test_a_start_needs_only_the_records_after_the_snapshot(journaled: tuple[Path, Router]):
    directory, router = journaled
    journal = open_small(directory)
    restored = restore(journal)
    assert (restored.snapshot, restored.breaks) == (200, ())
    assert restored.books.to_bytes() == fold(router.records).to_bytes()
    journal.close()


@pytest.mark.parametrize(("spoiled", "used"), [(1, 100), (2, 0)])
def test_a_start_without_a_good_snapshot_comes_to_the_same_books(
    journaled: tuple[Path, Router], spoiled: int, used: int
):
    directory, router = journaled
    for path in sorted(directory.glob("snapshot-*"), reverse=True)[:spoiled]:
        path.write_bytes(path.read_bytes()[:-1])
    journal = open_small(directory)
    restored = restore(journal)
    assert restored.snapshot == used
    assert restored.books.to_bytes() == fold(router.records).to_bytes()
    journal.close()


@pytest.mark.parametrize("state", [b"of another release", Books().to_bytes()])
def test_a_snapshot_this_release_cannot_read_is_passed_over(
    journaled: tuple[Path, Router], state: bytes
):
    directory, router = journaled
    journal = open_small(directory)
    journal.write_snapshot(journal.durable, state)
    restored = restore(journal)
    assert restored.snapshot == 200
    assert restored.books == fold(router.records)
    journal.close()


def test_a_new_journal_restores_to_empty_books(tmp_path: Path):
    journal = open_small(make(tmp_path))
    assert restore(journal).books == Books()
    journal.close()
