"""Some of the crash points of R2, and some power cuts; `make soak` tries them all."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from bench.goals.r02_crash_points import CUTS_A_POINT, GOAL


def find_hindrance() -> str | None:
    if shutil.which("strace") is None:
        return "strace is not installed (apt-get install strace)"
    tried = subprocess.run(["strace", "-qq", "true"], capture_output=True, text=True, check=False)
    return f"strace may not trace here: {tried.stderr[:100]}" if tried.returncode else None


@pytest.mark.asyncio
async def test_a_crash_at_any_call_and_a_power_cut_lose_and_double_nothing() -> None:
    hindrance = find_hindrance()
    if hindrance is not None:
        pytest.skip(hindrance)

    tally = await GOAL.run(GOAL.short, 11)

    assert tally.violations == 0, tally.details
    # Each point was reached: the process did die there.
    assert tally.trials == GOAL.short
    assert tally.counts["power cuts"] == CUTS_A_POINT * GOAL.short
