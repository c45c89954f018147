"""The crash-point sweep: a writer is killed at every system call to the disk or the database."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from domain.records import Record
from tests.ledger.journal_backends import PostgresBackend
from tests.ledger.journal_child import SETTINGS
from tests.ledger.journal_stories import copy_of, make, note, recovered
from tests.postgres_server import PostgresServer, fresh_schema

CHILD = Path(__file__).with_name("journal_child.py")
CALLS = ("pwrite64", "fdatasync", "fsync", "rename")
SERVER_CALLS = ("sendto", "recvfrom")
COMMITS = 12
# A killed child would leave half a coverage file behind.
UNMEASURED = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
POINTS_MIN = 60
POINTS_MAX = 200


Look = Callable[[], list[Record]]


def killed_at(where: str, look: Look, call: str, point: int) -> tuple[bool, int, int]:
    """(whether the run ended by itself, records it was told are durable, records found)."""
    ran = subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"),
            *("-e", f"inject={call}:signal=SIGKILL:when={point}"),
            *(sys.executable, str(CHILD), where, str(COMMITS)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=UNMEASURED,
    )
    said = ran.stdout.split()
    told = max((int(word) for word in said if word.isdigit()), default=0)
    found = look()
    assert found == [note(number) for number in range(1, len(found) + 1)]
    return "closed" in said, told, len(found)


@pytest.fixture
def strace() -> None:
    """Skips where processes cannot be traced."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: the crash-point sweep needs it")
    tried = subprocess.run(["strace", "-qq", "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"strace may not trace here: {tried.stderr.strip()[:100]}")


Fresh = Callable[[str], tuple[str, Look]]
"""Makes a journal for one run: where it is, and how to look at it afterwards."""


def sweep(fresh: Fresh, call: str) -> int:
    """Kills a run at the first, second, third ... such call, until one ends by itself."""
    for point in range(1, POINTS_MAX):
        where, look = fresh(f"{call}-{point}")
        ended, told, found = killed_at(where, look, call, point)
        assert told <= found <= told + 2
        if ended:
            return point - 1
    pytest.fail(f"more than {POINTS_MAX} calls of {call}")


def sweep_all(fresh: Fresh, calls: tuple[str, ...]) -> dict[str, int]:
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(calls, pool.map(lambda call: sweep(fresh, call), calls), strict=True))


@pytest.mark.usefixtures("strace")
def test_a_writer_killed_at_any_disk_call_loses_and_invents_nothing(tmp_path: Path):
    written = make(tmp_path / "written", SETTINGS)

    def fresh(name: str) -> tuple[str, Look]:
        directory = copy_of(written, tmp_path / name)
        return str(directory), lambda: recovered(directory)

    points = sweep_all(fresh, CALLS)
    assert min(points.values()) >= 3, points
    assert sum(points.values()) >= POINTS_MIN, points


@pytest.mark.usefixtures("strace")
def test_a_writer_killed_at_any_word_to_postgresql_loses_and_invents_nothing(
    postgres_server: PostgresServer,
):
    def fresh(_name: str) -> tuple[str, Look]:
        stored = PostgresBackend(postgres_server, fresh_schema()).make()
        return stored.where, lambda: recovered_from(stored)

    points = sweep_all(fresh, SERVER_CALLS)
    assert min(points.values()) >= COMMITS, points
    assert sum(points.values()) >= POINTS_MIN, points


def recovered_from(stored: PostgresBackend) -> list[Record]:
    journal = stored.open()
    records = list(journal.replay())
    assert journal.durable == len(records)
    journal.close()
    report = stored.reader().verify()
    assert (report.faults, report.last) == ((), len(records))
    return records
