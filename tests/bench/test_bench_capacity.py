"""The page of capacity: what it makes of the figures it rests on."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from bench import capacity
from bench.machine import describe
from bench.results import Results
from bench.section import Figure, Section

FIGURES = {
    "many_orders": {
        "saturation, 100 under way": 3_000.0,
        "1000 orders/s for 10 s, from when due, p99": 5.5,
        "100 orders at once: the last one durable, p50 of 20": 42.0,
        "gateway's processor time at saturation": 290.0,
        "processor time at saturation: edge": 50.0,
        "processor time at saturation: ledger": 10.0,
        "processor time at saturation: router": 120.0,
        "processor time at saturation: compliance": 40.0,
        "processor time at saturation: connection": 80.0,
    },
    "one_core": {"saturation, 100 under way": 2_000.0},
    "quotes_50": {"what one core of the edge carries, by its processor time": 1_000_000.0},
    "life": {
        "an edge's memory per idle client, 500 of them": 20.0,
        "idle with two brokers, all of Fillgate and Ray": 800.0,
    },
}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    sections = [
        Section(
            name=name, question="?", command="c",
            figures=[Figure(name=one, value=value, unit="") for one, value in figures.items()],
        )
        for name, figures in FIGURES.items()
    ]  # fmt: skip
    machine = msgspec.structs.replace(describe(tmp_path), cores=2)
    return Results(
        date="2026-01-02", commit="abc", machine=machine, runs=1, is_long=False, took_s=1.0,
        sections=sections,
    )  # fmt: skip


def test_the_slowest_part_bounds_a_deployment(results: Results) -> None:
    text = capacity.page(results)
    assert text is not None
    assert "| router | 120 | 5,000 | none: one for a deployment |" in text
    # Two cores at 60 % over 300 µs an order; four would carry twice that, below the router's bound.
    assert re.search(r"about\s+4,000 orders", text)
    assert re.search(r"5,000 on four", text)


def test_a_second_core_is_measured_against_the_first(results: Results) -> None:
    assert "Each core after the first brought 50%" in (capacity.page(results) or "")
    alone = msgspec.structs.replace(
        results, machine=msgspec.structs.replace(results.machine, cores=1)
    )
    assert "was not measured" in (capacity.page(alone) or "")


def test_without_one_of_its_figures_no_page_is_written(results: Results) -> None:
    less = msgspec.structs.replace(results, sections=results.sections[1:])
    assert capacity.page(less) is None
