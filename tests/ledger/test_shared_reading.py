"""Those who follow one journal in a process see all of it, and it is read once for all of them."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from domain.records import Record
from ledger.faults import JournalCorrupt, JournalError
from ledger.following import Tail
from ledger.reader import JournalReader
from ledger.shared_reading import SharedJournal, SharedTail
from tests.ledger.journal_stories import make, open_journal, write_commits


class Counted:
    """A journal that counts what is read of it, and can be made to fail."""

    def __init__(self, directory: Path) -> None:
        self.reader = JournalReader(directory)
        self.read = 0
        self.open = 0
        self.trouble: JournalError | None = None

    def follow(self, after: int = 0) -> Tail:
        self.open += 1
        return CountedTail(self, self.reader.follow(after))

    def last(self) -> int:
        return self.reader.last()


class CountedTail:
    def __init__(self, journal: Counted, tail: Tail) -> None:
        self._journal = journal
        self._tail = tail

    @property
    def position(self) -> int:
        return self._tail.position

    def read(self, limit: int = 1_000) -> list[Record]:
        if self._journal.trouble is not None:
            raise self._journal.trouble
        records = self._tail.read(limit)
        self._journal.read += len(records)
        return records

    def close(self) -> None:
        self._journal.open -= 1
        self._tail.close()


def numbers(tail: SharedTail, limit: int = 1_000) -> list[int]:
    return [record.number for record in tail.read(limit)]


def test_two_who_read_in_turns_have_each_record_read_once(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    counted = Counted(tmp_path)
    shared = SharedJournal(counted)
    one, other = shared.follow(), shared.follow()
    seen: list[int] = []
    for _ in range(10):
        write_commits(journal, 1, 4)
        assert len(numbers(one)) == 4
        seen += numbers(other, 3)
    seen += numbers(other)
    assert seen == list(range(1, 41))
    assert (counted.read, counted.open, shared.last()) == (40, 1, 40)
    assert shared._kept == []
    one.close()
    other.close()
    other.close()
    assert counted.open == 0
    journal.close()


@pytest.mark.parametrize("starts", [(0, 60), (60, 0), (30, 30), (0, 100)])
def test_those_who_start_apart_come_together(tmp_path: Path, starts: tuple[int, int]):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 25, 4)
    counted = Counted(tmp_path)
    shared = SharedJournal(counted)
    tails = [shared.follow(after) for after in starts]
    for tail, after in zip(tails, starts, strict=True):
        seen: list[int] = []
        while found := numbers(tail, 7):
            seen += found
        assert seen == list(range(after + 1, 101))
    counted.read = 0
    for _ in range(5):
        write_commits(journal, 1, 4)
        assert [len(numbers(tail)) for tail in tails] == [4, 4]
    assert counted.read == 20
    for tail in tails:
        tail.close()
    assert counted.open == 0
    journal.close()


def test_one_too_far_behind_reads_alone_until_he_is_there(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 25, 4)
    counted = Counted(tmp_path)
    shared = SharedJournal(counted, kept_max=10)
    quick, slow = shared.follow(), shared.follow()
    while numbers(quick, 5):
        pass
    assert len(shared._kept) == 0
    seen: list[int] = []
    while found := numbers(slow, 8):
        seen += found
    assert seen == list(range(1, 101))
    write_commits(journal, 2, 4)
    assert numbers(quick) == numbers(slow) == list(range(101, 109))
    assert counted.open == 1
    quick.close()
    slow.close()
    journal.close()


def test_trouble_reaches_each_and_those_who_begin_again_miss_nothing(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 1, 4)
    counted = Counted(tmp_path)
    shared = SharedJournal(counted)
    tails = [shared.follow(), shared.follow()]
    assert [numbers(tail) for tail in tails] == [[1, 2, 3, 4]] * 2
    write_commits(journal, 1, 4)
    counted.trouble = JournalCorrupt("file", 1, 5, "damaged")
    for tail in tails:
        with pytest.raises(JournalCorrupt):
            tail.read()
        tail.close()
    counted.trouble = None
    again = shared.follow(4)
    assert numbers(again) == [5, 6, 7, 8]
    again.close()
    journal.close()


def test_followers_in_threads_see_every_record_in_order(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    shared = SharedJournal(JournalReader(tmp_path), kept_max=50)
    seen: list[list[int]] = [[], [], []]

    def follow(mine: list[int], luck: random.Random) -> None:
        tail = shared.follow()
        while len(mine) < 400:
            mine += numbers(tail, luck.randint(1, 40))
        tail.close()

    threads = [
        threading.Thread(target=follow, args=(mine, random.Random(seed)))
        for seed, mine in enumerate(seen)
    ]
    for thread in threads:
        thread.start()
    for _ in range(100):
        write_commits(journal, 1, 4)
    for thread in threads:
        thread.join(20)
    assert seen == [list(range(1, 401))] * 3
    journal.close()
