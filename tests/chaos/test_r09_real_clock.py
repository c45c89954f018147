"""One real process whose wall clock is set by an hour, forth and back, while it trades."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
STEPS = ("+3600", "+0", "-3600", "+0")
STEP_S = 1.0


@pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime: Debian package faketime")
def test_a_process_whose_clock_is_set_by_an_hour_trades_on() -> None:
    folder = Path(tempfile.mkdtemp(prefix="fg-clock-"))
    offset = folder / "offset"
    offset.write_text("+0")
    paths = (HERE.parents[1], HERE.parent / "actors", HERE)
    environment = os.environ | {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": ":".join(map(str, paths)),
    }
    try:
        child = subprocess.Popen(
            [sys.executable, str(HERE / "clock_child.py"), str(folder)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        for step in STEPS * 20:
            if child.poll() is not None:
                break
            time.sleep(STEP_S)
            offset.write_text(step)
        said, trouble = child.communicate(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert child.returncode == 0, trouble
    assert said.splitlines()[-1] == "wrong: []"
    assert "the wall clock was set" in said
    assert "hours between the clocks: 3" in trouble
