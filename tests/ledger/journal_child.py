"""A small writer that tests kill: opens a journal, commits, and says each time what is durable.

python journal_child.py <directory> <commits>
python journal_child.py <directory> hold     (takes the lock, says so, waits for its stdin)
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from domain.records import Record, Settled
from ledger.journal import JournalSettings, LocalJournal

SETTINGS = JournalSettings(segment_bytes=1536, reserve_bytes=256, prepare_in_background=False)


def say(word: object) -> None:
    os.write(1, f"{word}\n".encode())


def main(directory: Path, what: str) -> None:
    journal = LocalJournal(directory, "deployment-1", SETTINGS)
    say("open")
    if what == "hold":
        sys.stdin.readline()
        return
    for _ in range(int(what)):
        for _ in range(2):
            number = journal.last + 1
            cause = Settled(why=f"{number} nothing happened")
            journal.append(Record(number=number, epoch=1, at_ns=number, cause=cause))
        say(journal.commit())
        if journal.durable % 8 == 0:
            journal.write_snapshot(journal.durable, b"state")
    journal.close()
    say("closed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
