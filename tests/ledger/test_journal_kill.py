"""The crash-point sweep: a writer is killed at every system call that touches the disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.ledger.journal_child import SETTINGS
from tests.ledger.journal_stories import copy_of, make, note, recovered

CHILD = Path(__file__).with_name("journal_child.py")
CALLS = ("pwrite64", "fdatasync", "fsync", "rename")
COMMITS = 12
# A killed child would leave half a coverage file behind.
UNMEASURED = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
POINTS_MIN = 60
POINTS_MAX = 200


def killed_at(written: Path, call: str, point: int) -> tuple[bool, int, int]:
    """(whether the run ended by itself, records it was told are durable, records found)."""
    directory = copy_of(written, written.parent / f"{call}-{point}")
    ran = subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"),
            *("-e", f"inject={call}:signal=SIGKILL:when={point}"),
            *(sys.executable, str(CHILD), str(directory), str(COMMITS)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=UNMEASURED,
    )
    said = ran.stdout.split()
    told = max((int(word) for word in said if word.isdigit()), default=0)
    found = recovered(directory)
    assert found == [note(number) for number in range(1, len(found) + 1)]
    shutil.rmtree(directory)
    return "closed" in said, told, len(found)


@pytest.fixture
def strace() -> None:
    """Skips where processes cannot be traced."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: the crash-point sweep needs it")
    tried = subprocess.run(["strace", "-qq", "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"strace may not trace here: {tried.stderr.strip()[:100]}")


def sweep(written: Path, call: str) -> int:
    """Kills a run at the first, second, third ... such call, until one ends by itself."""
    for point in range(1, POINTS_MAX):
        ended, told, found = killed_at(written, call, point)
        assert told <= found <= told + 2
        if ended:
            return point - 1
    pytest.fail(f"more than {POINTS_MAX} calls of {call}")


@pytest.mark.usefixtures("strace")
def test_a_writer_killed_at_any_disk_call_loses_and_invents_nothing(tmp_path: Path):
    written = make(tmp_path / "written", SETTINGS)
    with ThreadPoolExecutor(2) as pool:
        points = dict(zip(CALLS, pool.map(lambda call: sweep(written, call), CALLS), strict=True))
    assert min(points.values()) >= 3, points
    assert sum(points.values()) >= POINTS_MIN, points
