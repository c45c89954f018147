"""Makes a snapshot of the books in a process of its own, from what is durable.

    python -m actors.snapshot_maker HOME NUMBER

The router's loop never waits for it: it does not lend its books, and its memory is not shared.
The maker begins with the snapshot before, folds what came since, and gives way to everyone: least
nice, and first to go when memory runs out. Without its work a start is slower, never wrong.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import structlog

from actors.paths import Paths
from actors.settings import find_journal
from ledger.places import keep_snapshot, reader_of
from ledger.recovery import restore

NICENESS = 19
OOM_SCORE = "1000"
ROOT = Path(__file__).parents[1]

log = structlog.get_logger()


class SnapshotMaker:
    """The router's side: one maker at a time, looked after by a thread."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._thread: threading.Thread | None = None

    def begin(self, number: int) -> None:
        """Has a snapshot made as of a durable record; returns at once."""
        if self._thread is not None and self._thread.is_alive():
            log.warning("no snapshot is made: the one before is still under way", record=number)
            return
        self._thread = threading.Thread(
            target=self._run, args=(number,), name="snapshot", daemon=True
        )
        self._thread.start()

    def _run(self, number: int) -> None:
        words = [sys.executable, "-m", "actors.snapshot_maker", str(self._home), str(number)]
        try:
            subprocess.run(  # noqa: S603 - ourselves
                words, cwd=ROOT, check=True, capture_output=True, text=True
            )
        except (OSError, subprocess.CalledProcessError) as trouble:
            why = (getattr(trouble, "stderr", "") or str(trouble)).strip().splitlines()[-1]
            log.error("no snapshot was made: a start will take longer", record=number, why=why)
        else:
            log.info("snapshot", record=number)


def make_snapshot(home: Path, number: int) -> None:
    """Folds the journal up to a durable record, and keeps that. Raises JournalError, OSError."""
    place = find_journal(Paths(home))
    restored = restore(reader_of(place), until=number)
    assert restored.books.number == number
    assert restored.breaks == (), restored.breaks[:1]
    keep_snapshot(place, number, restored.books.to_bytes())


if __name__ == "__main__":
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    make_snapshot(Path(sys.argv[1]), int(sys.argv[2]))
