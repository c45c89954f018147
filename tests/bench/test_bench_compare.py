"""The comparison with a baseline, on files made up here."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.compare import Verdict, compare, main, multiple
from bench.machine import Machine
from bench.results import Results, keep, page, read
from bench.section import Better, Figure, Section, combine, table

MACHINE = Machine(
    cpu="a cpu", cores=2, memory_gib=8.0, kernel="6.1", filesystem="ext4", python="3.11.2",
    packages={"ray": "2"}, load_before=0.1,
)  # fmt: skip


def ms(value: float, name: str = "p50", **words: object) -> Figure:
    return Figure(name=name, value=value, unit="ms", **words)  # type: ignore[arg-type]


def section(
    *figures: Figure, yardstick: float = 0.25, name: str = "orders", **more: object
) -> Section:
    return Section(
        name=name, question="How long?", command="python -m bench.orders", figures=list(figures),
        yardstick_ms=yardstick, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def results(*sections: Section) -> Results:
    return Results(
        date="2026-01-02 03:04 UTC", commit="abc", machine=MACHINE, runs=3, is_long=False,
        took_s=60.0, sections=list(sections),
    )  # fmt: skip


def verdicts(before: Section, after: Section) -> list[Verdict]:
    return [row.verdict for row in compare(results(before), results(after))]


def test_a_machine_twice_as_slow_is_no_regression() -> None:
    assert verdicts(section(ms(1.0)), section(ms(2.0), yardstick=0.5)) == [Verdict.SAME]


def test_slower_by_more_than_the_tolerance_is_a_regression() -> None:
    assert verdicts(section(ms(1.0)), section(ms(1.2))) == [Verdict.WORSE]
    assert verdicts(section(ms(1.0)), section(ms(1.14))) == [Verdict.SAME]
    assert verdicts(section(ms(1.0)), section(ms(0.8))) == [Verdict.BETTER]


def test_what_the_baseline_s_own_runs_differed_by_is_allowed_twice() -> None:
    noisy = section(ms(1.0, noise=0.2))
    assert verdicts(noisy, section(ms(1.39))) == [Verdict.SAME]
    assert verdicts(noisy, section(ms(1.41))) == [Verdict.WORSE]


def test_a_rate_is_compared_as_the_time_of_one() -> None:
    rate = Figure(name="saturation", value=4_000, unit="orders/s", better=Better.HIGHER)
    assert multiple(rate, 0.25) == pytest.approx(1.0)
    slower = Figure(name="saturation", value=3_000, unit="orders/s", better=Better.HIGHER)
    assert verdicts(section(rate), section(slower)) == [Verdict.WORSE]
    assert verdicts(section(rate), section(slower, yardstick=0.33)) == [Verdict.SAME]
    stopped = Figure(name="saturation", value=0, unit="orders/s", better=Better.HIGHER)
    assert verdicts(section(rate), section(stopped)) == [Verdict.WORSE]


@pytest.mark.parametrize(("value", "unit"), [(1.0, "ms"), (1_000.0, "µs/order"), (0.001, "s")])
def test_units_of_time_are_one(value: float, unit: str) -> None:
    assert multiple(Figure(name="x", value=value, unit=unit), 0.25) == pytest.approx(4.0)


def test_memory_does_not_depend_on_the_yardstick() -> None:
    small = Figure(name="memory", value=100, unit="MiB", is_time=False)
    large = Figure(name="memory", value=130, unit="MiB", is_time=False)
    assert verdicts(section(small), section(small, yardstick=9.0)) == [Verdict.SAME]
    assert verdicts(section(small), section(large, yardstick=9.0)) == [Verdict.WORSE]
    nothing = Figure(name="memory", value=0, unit="MiB", is_time=False)
    assert verdicts(section(nothing), section(small)) == [Verdict.WORSE]


def test_a_large_share_of_next_to_nothing_is_no_regression() -> None:
    flat, still = (
        Figure(name="power", value=value, unit="", is_time=False, slack=0.1)
        for value in (-0.01, 0.06)
    )
    steep = Figure(name="power", value=0.3, unit="", is_time=False, slack=0.1)
    assert verdicts(section(flat), section(still)) == [Verdict.SAME]
    assert verdicts(section(flat), section(steep)) == [Verdict.WORSE]
    assert verdicts(section(steep), section(flat)) == [Verdict.BETTER]


def test_a_share_that_should_be_high_may_not_fall() -> None:
    high = Figure(name="share", value=90, unit="%", better=Better.HIGHER, is_time=False)
    low = Figure(name="share", value=60, unit="%", better=Better.HIGHER, is_time=False)
    assert verdicts(section(high), section(low)) == [Verdict.WORSE]
    assert verdicts(section(low), section(high)) == [Verdict.BETTER]


def test_a_figure_that_is_gone_fails_and_a_new_one_does_not(tmp_path: Path) -> None:
    before, after = section(ms(1.0)), section(ms(1.0, name="p99"))
    assert verdicts(before, after) == [Verdict.GONE, Verdict.NEW]
    assert _exit_code(tmp_path, results(before), results(after)) == 1
    assert _exit_code(tmp_path, results(before), results(section(ms(1.0), ms(1.0, "new")))) == 0


def _exit_code(folder: Path, before: Results, after: Results, *words: str) -> int:
    keep(before, folder / "before.json")
    keep(after, folder / "after.json")
    return main([str(folder / "before.json"), str(folder / "after.json"), *words])


def test_the_exit_code_tells_a_regression_and_the_table_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = results(section(ms(1.0))), results(section(ms(1.3)))
    assert _exit_code(tmp_path, before, before) == 0
    assert _exit_code(tmp_path, before, after) == 1
    shown = capsys.readouterr().out
    assert "WORSE" in shown
    assert "+30%" in shown
    assert _exit_code(tmp_path, before, after, "--tolerance", "0.5") == 0


def test_a_check_that_failed_fails_the_comparison(tmp_path: Path) -> None:
    wrong = results(section(ms(1.0), faults=["an order was lost"]))
    assert _exit_code(tmp_path, results(section(ms(1.0))), wrong) == 1


def test_without_a_baseline_it_says_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none.json"), str(tmp_path / "none.json")]) == 2
    assert "bench.suite makes both" in capsys.readouterr().out


def test_results_with_nothing_in_common_prove_nothing(tmp_path: Path) -> None:
    other = results(section(ms(1.0), name="quotes"))
    assert _exit_code(tmp_path, results(section(ms(1.0))), other) == 1


def test_several_runs_become_their_median_and_its_noise() -> None:
    runs = [
        section(ms(value), yardstick=yard) for value, yard in ((1, 0.2), (1.4, 0.4), (1.2, 0.3))
    ]
    runs[1].faults = ["lost"]
    found = combine(runs)
    assert found.figures[0].value == 1.2
    assert found.figures[0].noise == pytest.approx(0.2 / 1.2, abs=1e-4)
    assert found.yardstick_ms == 0.3
    assert found.faults == ["lost"]


def test_kept_results_are_read_as_they_were(tmp_path: Path) -> None:
    kept = results(section(ms(1.0, bar=2.0), notes=["a note"], picture="a.png"))
    keep(kept, tmp_path / "deep" / "latest.json")
    assert read(tmp_path / "deep" / "latest.json") == kept


def test_the_page_says_what_was_missed_where_and_when() -> None:
    text = page(results(section(ms(1.0, bar=2.0), ms(3.0, "p99", bar=2.5), picture="a.png")))
    assert "**1 of 2 aims are met.**" in text
    assert "* missed: p99 (orders): 3 ms, aimed for 2.5" in text
    assert "2026-01-02 03:04 UTC, commit `abc`" in text
    assert "a cpu, 2 cores" in text
    assert "![How long?](a.png)" in text
    assert "Every check held." in text


def test_the_page_and_the_table_say_that_a_check_failed() -> None:
    wrong = section(ms(1.0), faults=["an order was lost"])
    assert "Checks failed: 1" in page(results(wrong))
    assert any("an order was lost" in line for line in table(wrong))
