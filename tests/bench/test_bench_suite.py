"""The suite, and its benches in forms so short that nothing of theirs is a figure."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench import growth, life, parts, soak_latency, suite
from bench.chapters import CHAPTERS, quote_figures
from bench.growth import Curve, draw, figures_of, fit_power, name_of
from bench.histogram import Histogram
from bench.report import OPEN_LOOP, SEQUENTIAL
from bench.results import read
from bench.round_trip_section import RIVALS, section_of
from bench.router_alone import RouterAlone, Scale
from bench.section import Figure, Section
from bench.segments import SEGMENTS
from domain.lifecycle import Status

MS = 1_000_000


def section(name: str, *faults: str, picture: str | None = None) -> Section:
    figure = Figure(name="p50", value=1.0, unit="ms")
    return Section(
        name=name, question=f"{name}?", command="c", figures=[figure], faults=list(faults),
        picture=picture,
    )  # fmt: skip


def _plays(monkeypatch: pytest.MonkeyPatch, faults: dict[str, list[str]] | None = None) -> None:
    def play(name: str, is_long: bool, out: Path) -> Section:
        (out / "x.png").write_bytes(b"PNG")
        return section(name, *(faults or {}).get(name, ()), picture="x.png")

    monkeypatch.setattr(suite, "run_chapter", play)


def _run(folder: Path, *words: str) -> int:
    places = ["--out", str(folder / "out"), "--page", str(folder / "page.md")]
    return suite.main([*places, *words])


def test_a_whole_run_writes_figures_page_and_pictures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _plays(monkeypatch)
    assert _run(tmp_path, "--runs", "2") == 0
    found = read(tmp_path / "out" / "latest.json")
    assert [one.name for one in found.sections] == list(CHAPTERS)
    assert found.runs == 2
    assert found.commit != "unknown"
    assert "### parts?" in (tmp_path / "page.md").read_text()
    assert (tmp_path / "x.png").read_bytes() == b"PNG"


def test_a_run_of_some_leaves_the_page_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _plays(monkeypatch)
    assert _run(tmp_path, "--only", "parts", "life") == 0
    assert [one.name for one in read(tmp_path / "out" / "latest.json").sections] == [
        "parts",
        "life",
    ]
    assert not (tmp_path / "page.md").exists()


def test_a_failed_check_fails_the_suite_and_writes_no_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _plays(monkeypatch, {"parts": ["an order was lost"]})
    assert _run(tmp_path) == 1
    assert read(tmp_path / "out" / "latest.json").faults == ["parts: an order was lost"]
    assert not (tmp_path / "page.md").exists()


def test_what_failed_runs_again_and_the_page_is_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(suite, "commit_of", lambda _: "abc")
    _plays(monkeypatch, {"parts": ["an order was lost"]})
    assert _run(tmp_path) == 1
    ran: list[str] = []
    monkeypatch.setattr(suite, "run_chapter", lambda name, *_: ran.append(name) or section(name))
    assert _run(tmp_path, "--again") == 0
    assert ran == ["parts"]
    assert [one.name for one in read(tmp_path / "out" / "latest.json").sections] == list(CHAPTERS)
    assert (tmp_path / "page.md").exists()
    monkeypatch.setattr(suite, "commit_of", lambda _: "other")
    assert _run(tmp_path, "--again", "--only", "life") == 0
    assert ran == ["parts", "life"]


def test_the_baseline_is_kept_where_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _plays(monkeypatch)
    monkeypatch.setattr(suite, "BASELINE", tmp_path / "baseline.json")
    assert _run(tmp_path, "--baseline") == 0
    assert read(tmp_path / "baseline.json") == read(tmp_path / "out" / "latest.json")


@pytest.mark.parametrize("last_words", ["", "sys.exit(3)", "print('no section')"])
def test_a_bench_that_dies_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, last_words: str
) -> None:
    program = tmp_path / "dies.sh"
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "import sys; {last_words or "pass"}"\n'
    )
    program.chmod(0o700)
    monkeypatch.setattr(suite.sys, "executable", str(program))
    (found,) = suite.run_all(["parts"], 1, False, tmp_path)
    assert found.name == "parts"
    assert len(found.faults) == 1


def test_a_bench_prints_its_section_as_the_last_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "bench.parts", "--times", "20", "--batches", "2", "--json"],
        cwd=suite.ROOT, capture_output=True, check=True,
    )  # fmt: skip
    found = msgspec.json.decode(ended.stdout.splitlines()[-1], type=Section)
    assert found.faults == []
    assert found.yardstick_ms > 0


def test_every_section_is_explained() -> None:
    text = (suite.ROOT / "docs" / "benchmarking.md").read_text()
    assert [name for name in CHAPTERS if f"`{name}`" not in text] == []


# ---------------------------------------------------------------- the router alone


def test_an_order_goes_its_whole_way_through_the_router_alone() -> None:
    alone = RouterAlone(Scale(accounts=2, instruments=2))
    for number in range(8):
        order = alone.order(f"o-{number}", number=number, rests=number >= 6)
        alone.decide(order)
        alone.screen()
        alone.hear_verdict()
        assert alone.order_of(order).status is Status.SENDING
        alone.hear_outcome(order)
        alone.catch_up()
        wanted = Status.LIVE if number >= 6 else Status.FILLED
        assert alone.order_of(order).status is wanted
    assert alone.journal.durable == alone.router.desk.books.number


def test_a_router_that_loses_an_order_fails_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RouterAlone, "hear_outcome", lambda *_: 1_000)
    found = section("parts")
    parts.time_router(parts.Plan(times=3), found)
    assert found.faults == ["router: 0 of 303 orders filled"]


# ---------------------------------------------------------------- growth


@pytest.mark.parametrize(
    ("costs", "name"),
    [
        ((5, 5.2, 5.1), "flat"),
        ((5, 51, 498), "linear"),
        ((5, 500, 50_000), "worse than linear"),
        ((5, 80, 1_500), "linear"),
    ],
)
def test_a_curve_is_called_by_the_power_that_fits_it(costs: tuple[float, ...], name: str) -> None:
    assert name_of(fit_power(dict(zip((10, 100, 1_000), costs, strict=True)))) == name


def test_a_lookup_that_grows_misses_its_aim(tmp_path: Path) -> None:
    curves = [
        Curve(grows=f"{n}", cost="x", may_be_linear=n == 1, points={1: 1.0, 10: 10.0, 100: 100.0})
        for n in range(6)
    ]
    assert [figure.is_met for figure in figures_of(curves[0])] == [None, False]
    assert [figure.is_met for figure in figures_of(curves[1])] == [None, True]
    draw(curves, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_every_curve_is_measured_and_drawn(tmp_path: Path) -> None:
    few = (1, 2, 4)
    plan = growth.Plan(
        accounts=few, open_orders=few, instruments=few, clients=few, journal=few, timed=4
    )
    found = asyncio.run(growth.run(plan, tmp_path))
    assert len(found.notes) == 6
    assert all(figure.value > 0 for figure in found.figures if figure.unit == "µs")
    assert (tmp_path / growth.PICTURE).exists()


# ---------------------------------------------------------------- what others found, as sections


def test_a_race_becomes_figures_with_their_aims() -> None:
    row = {"p50_ms": 0.9, "p99_ms": 3.0, "p999_ms": 4.0}
    use = {"router": 100.0, "client": 90.0, "total": 190.0}
    result = {
        **dict.fromkeys(("fillgate", *RIVALS), row),
        OPEN_LOOP: row | {"rate": 500},
        "ratio_to_raw": {"fillgate": 3.0},
        "cpu_us_per_order": {SEQUENTIAL: use, OPEN_LOOP: use},
        "segments": {SEQUENTIAL: {name: {"p50_us": 10.0} for name in SEGMENTS}},
        "checks": {
            "passed": False, "orders": 2, "filled": 1, "one_at_a_time": 1, "two_records_each": 1,
            "differences": 1,
        },
    }  # fmt: skip
    found = section_of(section("order_round_trip"), result)
    met = {figure.name: figure.is_met for figure in found.figures}
    assert met["Fillgate, one at a time, p50"] is True
    assert met["Fillgate, one at a time, p99"] is False
    assert met["Fillgate's p50 as a multiple of raw aiohttp's"] is True
    (alone,) = (one.value for one in found.figures if "one order at a time" in one.name)
    assert alone == 100.0
    assert len(found.faults) == 1


@pytest.mark.parametrize(("clients", "aims"), [(50, 3), (500, 0)])
def test_quotes_have_aims_for_fifty_clients(clients: int, aims: int) -> None:
    row = {"p50_ms": 0.2, "p99_ms": 3.0, "cpu_us_per_message": 2.0, "messages_per_s": 90_000}
    middle = dict.fromkeys(("alone", "beside_slow", "full_speed"), row)
    found = quote_figures({"plan": {"clients": clients, "rate": 2_000}, "median": middle})
    assert sum(figure.bar is not None for figure in found) == aims
    core = next(figure for figure in found if "one core" in figure.name)
    assert core.value == 500_000


def test_a_soak_tells_the_first_the_last_and_the_worst_slice(tmp_path: Path) -> None:
    slices = [
        soak_latency.Slice(
            took=Histogram([ms * MS] * 100), mib={"router": 100 + 10 * n, "edge": 50.0}
        )
        for n, ms in enumerate((1, 9, 2))
    ]
    plan = soak_latency.Plan(seconds=6, rate=100)
    found = {figure.name: figure.value for figure in soak_latency.figures_of(slices, plan)}
    assert found["100 orders/s: p50 of the last slice"] == pytest.approx(2, rel=1e-2)
    assert found["p99 of the worst slice"] == pytest.approx(9, rel=1e-2)
    assert found["router: memory more for each order"] == pytest.approx(20 * 1024 / 200, rel=1e-2)
    assert found["edge: memory more for each order"] == 0
    soak_latency.draw(slices, plan, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
    assert [soak_latency.Plan(seconds=s).slice_s for s in (3_600, 60, 3)] == [60, 10, 1]


def test_memory_is_read_of_those_that_live() -> None:
    assert life.memory_mib(os.getpid()) > 1
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert life.memory_mib(ended.pid) == 0.0


def test_a_short_journal_is_recovered_whole() -> None:
    start, memory = life.time_recovery(300)
    assert start.value >= 0
    assert start.bar is None
    assert memory.value > 10
