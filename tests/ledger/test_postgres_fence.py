"""One holder at a time: whoever was replaced writes nothing more, whatever it was just doing."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from random import Random

import pytest

from domain.records import Record
from ledger.faults import JournalFailed, JournalLocked
from ledger.journal import Journal
from ledger.places import open_journal
from tests.ledger.journal_backends import PostgresBackend
from tests.ledger.journal_stories import note, write_commits
from tests.ledger.test_journal_backends import UNMEASURED

ZOMBIES = 25
FIGHT_S = 4.0


def expire(stored: PostgresBackend) -> None:
    """As if the holder had not been heard of for long."""
    stored.sql("UPDATE {}.lease SET expires = '-infinity'")


def take_over(stored: PostgresBackend) -> Journal:
    """Expires the lease until we have it; a commit under way or a renewal comes first."""
    for _ in range(500):
        expire(stored)
        try:
            return open_journal(stored.place)
        except JournalLocked:
            time.sleep(0.002)
    pytest.fail("the lease could not be taken")


def records(stored: PostgresBackend) -> list[Record]:
    assert stored.reader().verify().faults == ()
    return list(stored.reader().replay())


def test_a_holder_replaced_while_it_slept_commits_nothing(stored: PostgresBackend):
    old = stored.make().open()
    write_commits(old, 3)
    new = take_over(stored)
    assert new.durable == 3
    old.append(note(4, "of the old"))
    with pytest.raises(JournalFailed, match="taken it over"):
        old.commit()
    with pytest.raises(JournalFailed, match="open it again"):
        old.append(note(5, "of the old"))
    new.append(note(4, "of the new"))
    assert new.commit() == 4
    old.close()
    assert records(stored)[3] == note(4, "of the new")
    write_commits(new, 1)
    new.close()


@pytest.mark.parametrize("seed", range(ZOMBIES))
def test_a_stopped_process_is_replaced_and_its_next_commit_is_refused(
    stored: PostgresBackend, seed: int
):
    stored.make()
    zombie = subprocess.Popen(
        stored.child("go"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=UNMEASURED
    )
    assert zombie.stdout is not None
    assert zombie.stdin is not None
    assert zombie.stdout.readline() == b"open\n"
    zombie.stdin.write(b"go\n")
    zombie.stdin.flush()
    for _ in range(3):
        zombie.stdout.readline()
    time.sleep(Random(seed).uniform(0, 0.003))
    zombie.send_signal(signal.SIGSTOP)
    new = take_over(stored)
    taken_at = new.durable
    new.append(note(taken_at + 1, "of the new"))
    new.commit()
    zombie.send_signal(signal.SIGCONT)
    said = zombie.communicate(timeout=30)[0].decode().splitlines()
    new.append(note(taken_at + 2, "of the new"))
    new.commit()
    new.close()
    found = records(stored)
    assert said[-1].startswith("refused")
    assert max((int(word) for word in said if word.isdigit()), default=0) <= taken_at
    assert found[:taken_at] == [note(number) for number in range(1, taken_at + 1)]
    assert found[taken_at:] == [
        note(number, "of the new") for number in (taken_at + 1, taken_at + 2)
    ]


def test_a_holder_that_is_stopped_is_replaced_after_lease_and_skew(stored: PostgresBackend):
    stored.make()
    zombie = subprocess.Popen(
        stored.child("hold"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=UNMEASURED
    )
    assert zombie.stdout is not None
    assert zombie.stdout.readline() == b"open\n"
    time.sleep(1.5)
    with pytest.raises(JournalLocked):  # it lives, and renews a lease of one second
        open_journal(stored.place)
    os.kill(zombie.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        stored.open().close()
    finally:
        zombie.kill()
        zombie.communicate()
    assert 1.5 < time.monotonic() - stopped < 4.0


def test_an_idle_holder_learns_that_it_was_replaced(stored: PostgresBackend):
    old = stored.make().open()
    new = take_over(stored)
    deadline = time.monotonic() + 5
    while not old._lease.is_lost:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with pytest.raises(JournalFailed, match="taken it over"):
        old.commit()
    old.close()
    new.close()


def test_a_commit_that_waits_for_a_take_over_is_refused(stored: PostgresBackend):
    old = stored.make().open()
    write_commits(old, 1)
    old.append(note(2, "of the old"))
    caught: list[BaseException] = []
    with stored.database.connect("test") as session:
        session.execute("BEGIN")
        session.execute(stored.database.text("SELECT FROM {lease} FOR UPDATE"))
        waiting = threading.Thread(target=lambda: caught.append(_failure(old)))
        waiting.start()
        time.sleep(0.1)
        session.execute(stored.database.text("UPDATE {lease} SET fence = fence + 1, holder = 'x'"))
        session.execute("COMMIT")
        waiting.join(10)
    assert isinstance(caught[0], JournalFailed)
    old.close()
    assert records(stored) == [note(1)]


def test_nobody_takes_over_in_the_middle_of_a_commit(stored: PostgresBackend):
    old = stored.make().open()
    write_commits(old, 1)
    old.append(note(2))
    with stored.database.connect("test") as session:
        session.execute("BEGIN")
        # The same key, not committed yet: the holder's insert waits, its hand on the lease.
        session.execute(stored.database.text("INSERT INTO {record} VALUES (2, 'x')"))
        committing = threading.Thread(target=old.commit)
        committing.start()
        time.sleep(0.1)
        with pytest.raises(JournalLocked):
            open_journal(stored.place)
        session.execute("ROLLBACK")
        committing.join(10)
    assert old.durable == 2
    new = take_over(stored)
    assert new.durable == 2
    new.close()
    old.close()


def test_the_database_itself_refuses_a_hole_and_a_record_twice(stored: PostgresBackend):
    journal = stored.make().open()
    write_commits(journal, 3)
    for wrong in (2, 4):
        journal.durable = journal.last = wrong
        journal.append(note(wrong + 1))
        with pytest.raises(JournalFailed):
            journal.commit()
        journal.close()
        journal = stored.open()
    assert records(stored) == [note(number) for number in (1, 2, 3)]
    journal.close()


class Fighter(threading.Thread):
    """Takes the journal whenever it can, and writes its name until it is thrown out."""

    def __init__(self, name: str, stored: PostgresBackend, until: float) -> None:
        super().__init__(name=name)
        self.stored = stored
        self.until = until
        self.told: dict[int, str] = {}
        self.wins = 0

    def run(self) -> None:
        while time.monotonic() < self.until:
            try:
                journal = open_journal(self.stored.place)
            except JournalLocked:
                time.sleep(0.005)
                continue
            self.wins += 1
            try:
                while time.monotonic() < self.until:
                    journal.append(note(journal.last + 1, self.name))
                    self.told[journal.commit()] = self.name
            except JournalFailed:
                pass
            finally:
                journal.close()


def test_of_routers_that_fight_for_the_lease_one_writes_at_a_time(stored: PostgresBackend):
    stored.make()
    until = time.monotonic() + FIGHT_S
    fighters = [Fighter(name, stored, until) for name in ("one", "two", "three")]
    for fighter in fighters:
        fighter.start()
    while time.monotonic() < until:
        time.sleep(0.05)
        expire(stored)
    for fighter in fighters:
        fighter.join(20)
    found = {record.number: record for record in records(stored)}
    told = {number: name for fighter in fighters for number, name in fighter.told.items()}
    assert sum(len(fighter.told) for fighter in fighters) == len(told) > 100
    assert sum(fighter.wins for fighter in fighters) > 10
    assert all(found[number] == note(number, name) for number, name in told.items())


def _failure(journal: Journal) -> BaseException:
    try:
        journal.commit()
    except JournalFailed as failed:
        return failed
    raise AssertionError
