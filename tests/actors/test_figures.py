"""Figures: what a process lays on its page is what a reader finds there."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from actors.figures import (
    BOUNDS_NS,
    PAGE_BYTES,
    FigurePage,
    Figures,
    Latency,
    publish,
    read_figures,
)

MS = 1_000_000


def test_a_reader_finds_what_was_laid_on_the_page_last(tmp_path: Path) -> None:
    page = FigurePage(tmp_path / "router.figures")
    for number in (1, 2):
        told = Figures()
        told.put("fillgate_halts", number)
        assert page.write(told)
    found = read_figures(tmp_path / "router.figures")
    assert found is not None
    assert found.pid == os.getpid()
    assert found.figures.values == {"fillgate_halts": {"": 2}}


def test_a_page_that_never_was_or_is_empty_tells_nothing(tmp_path: Path) -> None:
    assert read_figures(tmp_path / "none.figures") is None
    (tmp_path / "empty.figures").touch()
    assert read_figures(tmp_path / "empty.figures") is None
    FigurePage(tmp_path / "fresh.figures")
    assert read_figures(tmp_path / "fresh.figures") is None


def test_a_page_torn_by_its_writers_death_tells_nothing(tmp_path: Path) -> None:
    path = tmp_path / "torn.figures"
    page = FigurePage(path)
    page.write(Figures())
    with path.open("r+b") as file:
        file.seek(8)
        file.write((3).to_bytes(8, "little"))
    assert read_figures(path) is None
    # The next process of the role writes over it, and is read again.
    FigurePage(path).write(Figures())
    assert read_figures(path) is not None


def test_a_reader_never_sees_half_of_a_page(tmp_path: Path) -> None:
    path = tmp_path / "busy.figures"
    page = FigurePage(path)
    page.write(_all_at(0))
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            page.write(_all_at(number))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = 0
        for _ in range(500):
            found = read_figures(path)
            if found is not None:
                seen += 1
                assert len(set(found.figures.values["fillgate_orders"].values())) == 1
        assert seen > 0
    finally:
        stop.set()
        writer.join()


def _all_at(number: int) -> Figures:
    told = Figures()
    told.put_all("fillgate_orders", {f"state-{at}": number for at in range(200)})
    return told


def test_figures_too_many_for_the_page_leave_the_last_ones_there(tmp_path: Path) -> None:
    path = tmp_path / "full.figures"
    page = FigurePage(path)
    page.write(_all_at(1))
    told = Figures()
    told.put("fillgate_halts", 1, "x" * PAGE_BYTES)
    assert not page.write(told)
    found = read_figures(path)
    assert found is not None
    assert found.figures == _all_at(1)


def test_a_latency_counts_each_observation_in_the_bucket_it_fits() -> None:
    latency = Latency()
    for ns in (0, BOUNDS_NS[0], BOUNDS_NS[0] + 1, BOUNDS_NS[-1] + 1):
        latency.observe(ns)
    spread = latency.spread()
    assert (spread.counts[0], spread.counts[1], spread.counts[-1]) == (2, 1, 1)
    assert spread.total_ns == 2 * BOUNDS_NS[0] + 1 + BOUNDS_NS[-1] + 1


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, MS), (0.9, MS), (0.91, 100 * MS), (0.99, 100 * MS)]
)
def test_a_quantile_is_the_end_of_its_bucket(share: float, expected: int) -> None:
    latency = Latency()
    for _ in range(90):
        latency.observe(MS)
    for _ in range(10):
        latency.observe(60 * MS)
    assert latency.spread().quantile_ns(share) == expected


def test_a_quantile_of_nothing_is_none_and_beyond_the_last_bound_is_that() -> None:
    latency = Latency()
    assert latency.spread().quantile_ns(0.5) is None
    latency.observe(BOUNDS_NS[-1] * 2)
    assert latency.spread().quantile_ns(0.5) == BOUNDS_NS[-1]


def test_what_came_since_is_all_of_it_after_a_restart() -> None:
    before, now = Latency(), Latency()
    for _ in range(3):
        before.observe(MS)
    now.observe(MS)
    assert sum(now.spread().since(before.spread()).counts) == 1
    for _ in range(4):
        now.observe(MS)
    assert sum(now.spread().since(before.spread()).counts) == 2
    assert now.spread().since(None) == now.spread()


@pytest.mark.asyncio
async def test_figures_are_published_at_once_and_again(tmp_path: Path) -> None:
    path = tmp_path / "x.figures"
    task = asyncio.get_running_loop().create_task(publish(FigurePage(path), Figures))
    await asyncio.sleep(0)
    assert read_figures(path) is not None
    task.cancel()
