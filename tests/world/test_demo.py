"""The demo, end to end: real processes, real ticks, three books that must agree."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from brokers.oanda import CAPABILITIES
from tests.shared_data import ROOT, SHARED, requires_shared

WAIT_S = 240


def demo(*words: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "cli.main", "--home", str(folder / "none"), "demo", *words]


def leftovers(folder: Path) -> list[str]:
    """Processes that still name the demo's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if str(folder) in line:
            found.append(line)
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the demo makes its own; short, for paths of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="fgd-") as name:
        yield Path(name)


@requires_shared
def test_the_demo_trades_every_type_and_its_three_books_agree(tmp_path: Path, folder: Path) -> None:
    command = demo("--orders", "60", "--json", "--ticks", str(SHARED / "ticks"), folder=tmp_path)
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["orders"] >= 60
    assert report["fills"] > 0
    assert report["differences"] == []
    assert 0 < report["p50_ms"] <= report["p99_ms"]
    names = " ".join(report["order_types"])
    assert all(kind.value in names for kind in CAPABILITIES.order_types)
    assert leftovers(folder) == []
    assert list(folder.glob("fillgate-demo-*")) == []
    assert list(folder.glob("fg-*")) == []


def test_a_demo_that_is_told_to_end_leaves_nothing_behind(tmp_path: Path, folder: Path) -> None:
    process = subprocess.Popen(
        demo("--orders", "100000", "--json", folder=tmp_path),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + WAIT_S
    while not list(folder.glob("fg-*/ready.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert json.loads(out)["error"]["code"] == "ended"
    assert errors == b""
    assert leftovers(folder) == []
    assert list(folder.iterdir()) == []
