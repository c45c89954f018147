"""The reports that people see: table, picture, and the pace they were measured at."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.histogram import Histogram
from bench.machine import describe
from bench.pace import Pacer
from bench.report import OPEN_LOOP, SEQUENTIAL, RunFigures
from bench.segments import DURABLE, SEGMENTS, Split

MS = 1_000_000
CHECKS = {
    "orders": 100, "filled": 100, "one_at_a_time": 100, "two_records_each": 100, "refused": 0,
    "denied": 0, "rejected": 0, "lost": 0, "doubled": 0, "unknown": 0, "differences": 0,
    "details": [],
}  # fmt: skip


def run(slowness: int) -> RunFigures:
    segments = {name: Split(p50_us=100.0, p99_us=200.0) for name in (*SEGMENTS, DURABLE)}
    use = {"router": 50.0, "client": 20.0, "total": 70.0}
    took = [MS + n * slowness * 1_000 for n in range(100)]
    return RunFigures(
        histograms={name: Histogram(took) for name in (*report.NAMES, OPEN_LOOP)},
        segments={SEQUENTIAL: segments, OPEN_LOOP: segments},
        processors={SEQUENTIAL: use, OPEN_LOOP: use},
        idle={"router": 1.0},
        checks=dict(CHECKS),
    )


@pytest.fixture
def result(tmp_path: Path) -> dict[str, Any]:
    runs = [run(n) for n in (1, 2, 3)]
    result = report.summarize(runs, 500, describe(tmp_path))
    report.write(result, runs, tmp_path)
    return result


def test_the_result_has_the_keys_that_were_promised(result: dict[str, Any]) -> None:
    for name in ("raw_aiohttp", "oandapyV20", "alpaca_py", "ccxt_async", "fillgate"):
        assert {"p50_ms", "p99_ms", "p999_ms", "n"} <= result[name].keys()
    assert result[OPEN_LOOP]["rate"] == 500
    assert {"machine", "segments", "cpu_us_per_order", "checks"} <= result.keys()


def test_only_clients_of_the_same_simulator_have_a_ratio(result: dict[str, Any]) -> None:
    assert result["ratio_to_raw"] == {"raw_aiohttp": 1.0, "oandapyV20": 1.0, "fillgate": 1.0}


def test_the_table_says_who_faced_a_stub(result: dict[str, Any]) -> None:
    text = report.markdown(result)
    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines()}
    assert rows["alpaca_py"].endswith("an idle stub |")
    assert rows["fillgate"].endswith("the simulator that Fillgate trades at |")
    assert "Checks passed" in text


def test_table_picture_and_numbers_are_written(result: dict[str, Any], tmp_path: Path) -> None:
    del result
    assert (tmp_path / "order_round_trip.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "order_round_trip.md").read_text().startswith("# Order round trip")
    assert (tmp_path / "order_round_trip.json").stat().st_size > 0


@pytest.mark.asyncio
async def test_the_pacer_never_wakes_too_early() -> None:
    with Pacer() as pacer:
        for wait_ns in (0, 300_000, 2_000_000):
            due_ns = time.monotonic_ns() + wait_ns
            await asyncio.wait_for(pacer.until(due_ns), 5)
            assert time.monotonic_ns() >= due_ns
