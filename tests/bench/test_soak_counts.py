"""Counts of soaks: kept whole over stops, crashes and commits; and the page made from them."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from bench import counts as kept
from bench.counts import Batch, BeingRun, Counts, Form, alone, commit_of, merge
from bench.goal import Goal, Tally
from bench.goals import ASKED, discover
from bench.machine import Machine
from bench.reliability import REASONS, figure, page, rank
from bench.soak import INTERRUPTED, MISUSED, VIOLATED, Plan, Soak, list_goals, main, pick, soak

MACHINE = Machine(
    cpu="a processor", cores=2, memory_gib=8.0, kernel="6.1", filesystem="ext4", python="3.11.2",
    packages={}, load_before=0.5,
)  # fmt: skip
Run = Callable[[int, int], Awaitable[Tally]]


class Trials:
    """A goal's own work: what it was asked for, and what it shall find."""

    def __init__(self, violated_at: int | None = None, breaks_at: int | None = None) -> None:
        self.asked: list[tuple[int, int]] = []
        self._violated_at, self._breaks_at = violated_at, breaks_at

    async def run(self, trials: int, seed: int) -> Tally:
        self.asked.append((trials, seed))
        if self._breaks_at is not None and self._breaks_at < seed + trials:
            raise RuntimeError("the venue did not start")
        found = Tally(trials=trials, counts={"orders": 2 * trials}, samples_us={"reply": [seed]})
        if self._violated_at is not None and seed <= self._violated_at < seed + trials:
            found.violations, found.details = 1, [f"seed {self._violated_at}: lost"]
        return found


def goal(run: Run, id: str = "R1", **changes: object) -> Goal:
    made = Goal(id=id, says="Nothing | lost", unit="kills", short=2, long=10, batch=4, run=run)
    return replace(made, **changes)


def silent(goal: Goal, done: int, word: str) -> None:
    return


def batch(**changes: object) -> Batch:
    made = Batch(
        goal="R1", commit="aaa", form=Form.LONG, seed=1, at="2026-01-02T10:00:00+00:00", took_s=1.0,
        machine=MACHINE, tally=Tally(trials=10),
    )  # fmt: skip
    return replace(made, **changes)


def counts_of(folder: Path, *batches: Batch) -> Counts:
    found = Counts(folder)
    for one in batches:
        found.add(one)
    return found


def out() -> Console:
    return Console(record=True, force_terminal=False, soft_wrap=True, quiet=False)


def test_batches_go_on_until_the_long_count_and_no_seed_comes_twice(tmp_path: Path) -> None:
    trials = Trials()
    asyncio.run(Soak(Plan(goals=(goal(trials.run),)), tmp_path, "aaa", silent).run())
    assert trials.asked == [(4, 1), (4, 5), (2, 9)]


def test_a_second_soak_goes_on_where_the_first_was_stopped(tmp_path: Path) -> None:
    counts_of(tmp_path, batch(tally=Tally(trials=8)))
    trials = Trials()
    work = Soak(Plan(goals=(goal(trials.run),)), tmp_path, "aaa", silent)
    asyncio.run(work.run())
    assert trials.asked == [(2, 9)]
    assert work.tally(goal(trials.run)).trials == 10


def test_another_commit_counts_from_nothing_with_seeds_of_its_own(tmp_path: Path) -> None:
    counts_of(tmp_path, batch())
    trials = Trials()
    asyncio.run(Soak(Plan(goals=(goal(trials.run),)), tmp_path, "bbb", silent).run())
    assert trials.asked == [(4, 11), (4, 15), (2, 19)]


def test_goals_take_turns(tmp_path: Path) -> None:
    order: list[str] = []
    plan = Plan(goals=(goal(Trials().run), goal(Trials().run, id="R2")))
    tell = lambda goal, done, word: order.append(f"{goal.id} {done}")  # noqa: E731
    asyncio.run(Soak(plan, tmp_path, "aaa", tell).run())
    assert order == ["R1 4", "R2 4", "R1 8", "R2 8", "R1 10", "R2 10"]


def test_no_batch_starts_after_the_time_is_up(tmp_path: Path) -> None:
    trials = Trials()
    asyncio.run(Soak(Plan(goals=(goal(trials.run),), minutes=1e-9), tmp_path, "aaa", silent).run())
    assert trials.asked == []


def test_short_trials_are_counted_apart(tmp_path: Path) -> None:
    trials = Trials()
    plan = Plan(goals=(goal(trials.run),), form=Form.SHORT, seed=100)
    asyncio.run(Soak(plan, tmp_path, "aaa", silent).run())
    assert trials.asked == [(2, 100)]
    assert Counts(tmp_path).tally("R1", "aaa", Form.LONG).trials == 0


def test_a_violation_is_told_and_fails_the_command_also_when_nothing_is_left_to_run(
    tmp_path: Path,
) -> None:
    plan = Plan(goals=(goal(Trials(violated_at=6).run),))
    for _ in range(2):
        console = out()
        assert soak(plan, tmp_path, "aaa", console) == VIOLATED
        assert "seed 6: lost" in console.export_text()


def test_a_goal_that_breaks_does_not_stop_the_others_and_uses_up_no_seed(tmp_path: Path) -> None:
    breaking, other = Trials(breaks_at=5), Trials()
    plan = Plan(goals=(goal(breaking.run), goal(other.run, id="R2")))
    console = out()
    assert soak(plan, tmp_path, "aaa", console) == VIOLATED
    assert "R1 could not be run: seed 5" in (text := console.export_text())
    assert "the venue did not start" in text
    assert Counts(tmp_path).tally("R2", "aaa", Form.LONG).trials == 10
    assert Counts(tmp_path).next_seed("R1", 1) == 5


def test_all_held_is_success(tmp_path: Path) -> None:
    console = out()
    assert soak(Plan(goals=(goal(Trials().run),)), tmp_path, "aaa", console) == 0
    assert "R1: Held: 10 of 10 kills, 0 violations, 20 orders" in console.export_text()


def test_ctrl_c_keeps_what_was_counted(tmp_path: Path) -> None:
    async def interrupted(trials: int, seed: int) -> Tally:
        if seed > 1:
            raise KeyboardInterrupt
        return Tally(trials=trials)

    assert soak(Plan(goals=(goal(interrupted),)), tmp_path, "aaa", out()) == INTERRUPTED
    assert Counts(tmp_path).tally("R1", "aaa", Form.LONG).trials == 4


def test_two_soaks_do_not_run_one_goal_at_once(tmp_path: Path) -> None:
    with alone(tmp_path, "R1"):
        assert soak(Plan(goals=(goal(Trials().run),)), tmp_path, "aaa", out()) == MISUSED
        with pytest.raises(BeingRun, match="R1"), alone(tmp_path, "R1"):
            pass


def test_a_line_torn_by_a_crash_spoils_no_other(tmp_path: Path) -> None:
    counts_of(tmp_path, batch())
    path = tmp_path / "aaa.jsonl"
    path.write_bytes(path.read_bytes() + path.read_bytes()[:40])
    counts_of(tmp_path, batch(seed=11))
    assert Counts(tmp_path).tally("R1", "aaa", Form.LONG).trials == 20


def test_merging_adds_counts_and_keeps_every_sample() -> None:
    one = Tally(trials=1, violations=1, details=["a"], counts={"x": 1}, samples_us={"t": [1]})
    two = Tally(trials=2, violations=1, details=["b"], counts={"x": 2}, samples_us={"t": [2, 3]})
    whole = merge([one, two])
    assert (whole.trials, whole.violations, whole.details) == (3, 2, ["a", "b"])
    assert (whole.counts, whole.samples_us) == ({"x": 3}, {"t": [1, 2, 3]})
    assert one.samples_us == {"t": [1]}


def _git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_changed_code_marks_the_commit_and_a_changed_page_does_not(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == kept.UNKNOWN
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("1")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-q", "-m", "one")
    clean = commit_of(tmp_path)
    assert len(clean) == kept.COMMIT_CHARACTERS
    (tmp_path / "docs" / "page.md").write_text("2")
    assert commit_of(tmp_path) == clean
    (tmp_path / "code.py").write_text("1")
    assert commit_of(tmp_path) == f"{clean}-dirty"


def test_a_name_that_is_no_goal_is_refused() -> None:
    goals = {"R1": goal(Trials().run)}
    assert pick("r1,", goals) == pick(None, goals) == (goals["R1"],)
    with pytest.raises(SystemExit, match="no goal file for R9"):
        pick("R1,R9", goals)


def test_the_list_says_how_far_a_commit_has_come(tmp_path: Path) -> None:
    console = out()
    found = counts_of(tmp_path, batch(tally=Tally(trials=4, violations=1)))
    list_goals([goal(Trials().run)], found, "aaa", console)
    assert "4, 1 violations" in console.export_text()


def test_every_goal_file_holds_its_own_goal_and_the_command_lists_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    goals = discover()
    assert all(made.batch > 0 and made.long >= made.short > 0 for made in goals.values())
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert {id for id in goals if id not in listed} == set()


def _lines(text: str) -> dict[str, str]:
    found = (line.split("|") for line in text.splitlines() if line.startswith("| "))
    return {cells[1].strip(): "|".join(cells) for cells in found}


def test_the_page_has_a_line_for_every_goal_in_order(tmp_path: Path) -> None:
    text = page({"R1": goal(Trials().run)}, Counts(tmp_path), tmp_path / "none")
    places = [text.index(f"\n| {id} |") for id in ASKED]
    assert places == sorted(places)
    lines = _lines(text)
    assert "**Below the goal**: not run yet: 0 of 10 kills" in lines["R1"]
    assert "Nothing \\| lost" in lines["R1"]
    assert "open: no goal file yet" in lines["R2"]
    assert all("comes with the credential store" in lines[id] for id in ("S7", "S8", "S11"))


def test_a_part_of_a_goal_stands_after_it_and_what_nobody_asked_for_last(tmp_path: Path) -> None:
    goals = {id: goal(Trials().run, id=id) for id in ("C1", "R7-node")}
    ids = list(_lines(page(goals, Counts(tmp_path), tmp_path / "none")))
    assert ids.index("R7-node") == ids.index("R7") + 1
    assert ids.index("C1") == ids.index("S11") + 1


def test_the_page_shows_the_newest_commit_that_has_counts(tmp_path: Path) -> None:
    found = counts_of(
        tmp_path,
        batch(),
        batch(commit="bbb", at="2026-01-03T10:00:00+00:00", tally=Tally(trials=4), seed=11),
        batch(commit="bbb", form=Form.SHORT, tally=Tally(trials=2), seed=15),
    )
    line = _lines(page({"R1": goal(Trials().run)}, found, tmp_path / "none"))["R1"]
    assert "**Held**: 2 of 2 kills, 0 violations. 2026-01-02, `bbb`, machine A." in line
    assert "**Below the goal**: 4 of 10 kills, 0 violations. 2026-01-03, `bbb`, machine A." in line


def test_the_page_says_why_a_figure_is_below_its_goal_and_only_then(tmp_path: Path) -> None:
    reasons = tmp_path / "reasons.toml"
    reasons.write_text('R1 = "An hour of restarts."\nR2 = "Later."\nR3 = "Never mind."\n')
    found = counts_of(tmp_path, batch(tally=Tally(trials=4)), batch(goal="R3"))
    goals = {id: goal(Trials().run, id=id) for id in ("R1", "R3")}
    lines = _lines(page(goals, found, reasons))
    assert "Why: An hour of restarts." in lines["R1"]
    assert "open: Later." in lines["R2"]
    assert "Why" not in lines["R3"]


def test_the_reasons_that_are_kept_are_of_goals_there_are(tmp_path: Path) -> None:
    page(discover(), Counts(tmp_path), REASONS)
    with pytest.raises(AssertionError, match="no goal has the id"):
        page({}, Counts(tmp_path), _strange(tmp_path))


def _strange(folder: Path) -> Path:
    reasons = folder / "reasons.toml"
    reasons.write_text('R99 = "Nobody asked."\n')
    return reasons


def test_machines_are_told_apart(tmp_path: Path) -> None:
    other = replace(MACHINE, cpu="another", load_before=9.0)
    found = counts_of(
        tmp_path,
        batch(machine=replace(MACHINE, load_before=3.0)),
        batch(goal="R2", machine=other),
        batch(goal="R3"),
    )
    text = page(
        {id: goal(Trials().run, id=id) for id in ("R1", "R2", "R3")}, found, tmp_path / "none"
    )
    assert "machine A" in _lines(text)["R3"]
    assert "| B | another | 2 | 8.0 GiB | Linux 6.1 | ext4 | 3.11.2 |" in text


def test_a_percentile_over_its_bar_is_below_the_goal() -> None:
    made = goal(Trials().run, bars_us={"reply p99": 990, "reply max": 2_000})
    tally = Tally(trials=10, samples_us={"reply": [*range(1, 1000), 1500]})
    assert figure(made, tally, 10) == (
        "Held: 10 of 10 kills, 0 violations,"
        " reply p99 0.99 ms (at most 0.99 ms), reply max 1.5 ms (at most 2 ms)"
    )
    assert figure(replace(made, bars_us={"reply p99": 989}), tally, 10).startswith("Below")
    assert "not measured" in figure(made, Tally(trials=10), 10)


def test_ranks_are_those_that_so_many_percent_do_not_exceed() -> None:
    assert [rank(100, which) for which in ("p50", "p99", "p99.9", "max")] == [49, 98, 99, 99]
    assert rank(1, "p50") == 0
