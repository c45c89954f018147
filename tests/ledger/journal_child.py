"""A small writer that tests kill: opens a journal, commits, and says each time what is durable.

python journal_child.py <where> <commits>
python journal_child.py <where> hold     (takes the lock, says so, waits for its stdin)
python journal_child.py <where> go       (the same, then commits until it is refused, and says so)

<where> is a directory, or postgresql://...#schema
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from domain.records import Record, Settled
from ledger.faults import JournalFailed
from ledger.journal import Journal, JournalSettings
from ledger.places import Place, open_journal

SETTINGS = JournalSettings(segment_bytes=1280, reserve_bytes=256, prepare_in_background=False)


def say(word: object) -> None:
    os.write(1, f"{word}\n".encode())


def place_of(where: str) -> Place:
    url, _, schema = where.partition("#")
    if not schema:
        return Place(directory=Path(where), deployment_id="deployment-1", settings=SETTINGS)
    settings = JournalSettings(backend="postgres", schema=schema, lease_ms=1_000)
    return Place(directory=Path(), deployment_id="deployment-1", settings=settings, url=url)


def commit(journal: Journal) -> int:
    for _ in range(2):
        number = journal.last + 1
        cause = Settled(why=f"{number} nothing happened")
        journal.append(Record(number=number, epoch=1, at_ns=number, cause=cause))
    return journal.commit()


def go(journal: Journal) -> None:
    try:
        while True:
            say(commit(journal))
    except JournalFailed as refusal:
        say(f"refused {refusal}")


def main(where: str, what: str) -> None:
    journal = open_journal(place_of(where))
    say("open")
    if what in ("hold", "go"):
        sys.stdin.readline()
        if what == "go":
            go(journal)
        return
    for _ in range(int(what)):
        say(commit(journal))
        if journal.durable % 8 == 0:
            journal.write_snapshot(journal.durable, b"state")
    journal.close()
    say("closed")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
