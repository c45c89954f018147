"""Judging: when an alarm stands, and when it no longer does."""

from __future__ import annotations

from typing import Any

from actors.figures import Figures
from actors.observer.alarms import ALARMS, Alarm, Beyond, Severity
from actors.observer.judge import Judge, Standing
from actors.observer.metrics import BY_NAME, Node

S = 1_000_000_000


def alarm(**words: Any) -> Alarm:
    plain: dict[str, Any] = {
        "id": "halted", "severity": Severity.WARNING, "metric": "fillgate_halts",
        "when": Beyond.ABOVE, "limit": 0, "says": "a halt", "money": "none",
    }  # fmt: skip
    return Alarm(**(plain | words))


def node(value: float, metric: str = "fillgate_halts", label: str = "", role: str = "r") -> Node:
    told = Figures()
    told.put(metric, value, label)
    return {role: told}


def ids(standing: list[Standing]) -> list[str]:
    return [one.id for one in standing]


def test_a_level_beyond_its_limit_stands_at_once_and_falls_at_once() -> None:
    judge = Judge([alarm()])
    assert ids(judge.judge(node(1), 10 * S)) == ["halted"]
    assert ids(judge.judge(node(0), 11 * S)) == []


def test_a_level_below_its_limit_stands() -> None:
    judge = Judge([alarm(when=Beyond.BELOW, limit=1)])
    assert ids(judge.judge(node(1), 10 * S)) == []
    assert ids(judge.judge(node(0), 11 * S)) == ["halted"]


def test_a_condition_must_hold_for_its_time_without_a_break() -> None:
    judge = Judge([alarm(for_s=10)])
    assert judge.judge(node(1), 0) == []
    assert judge.judge(node(1), 9 * S) == []
    assert judge.judge(node(0), 9 * S + 1) == []
    assert judge.judge(node(1), 12 * S) == []
    (standing,) = judge.judge(node(1), 22 * S)
    assert standing.since_ns == 12 * S


def test_each_series_is_an_alarm_of_its_own() -> None:
    judge = Judge([alarm()])
    both = {**node(1, role="a"), **node(2, role="b")}
    assert [(one.role, one.value) for one in judge.judge(both, S)] == [("a", 1), ("b", 2)]


def test_only_the_series_of_its_label_counts() -> None:
    judge = Judge([alarm(metric="fillgate_orders", label="unknown")])
    assert judge.judge(node(5, "fillgate_orders", "live"), S) == []
    assert ids(judge.judge(node(1, "fillgate_orders", "unknown"), S)) == ["halted"]


def rises() -> Alarm:
    return alarm(metric="fillgate_notices_total", label="break", when=Beyond.RISES_BY, within_s=60)


def test_a_counter_that_rises_stands_for_its_time() -> None:
    judge = Judge([rises()])
    assert judge.judge(node(7, "fillgate_notices_total", "break"), 0) == []
    (standing,) = judge.judge(node(8, "fillgate_notices_total", "break"), S)
    assert standing.value == 1
    assert judge.judge(node(8, "fillgate_notices_total", "break"), 61 * S) != []
    assert judge.judge(node(8, "fillgate_notices_total", "break"), 62 * S) == []


def test_a_counter_that_starts_anew_rose_by_what_it_shows() -> None:
    judge = Judge([rises()])
    judge.judge(node(7, "fillgate_notices_total", "break"), 0)
    assert judge.judge(node(0, "fillgate_notices_total", "break"), S) == []
    (standing,) = judge.judge(node(2, "fillgate_notices_total", "break"), 2 * S)
    assert standing.value == 2


def test_a_rise_is_remembered_while_its_process_is_away() -> None:
    judge = Judge([rises()])
    judge.judge(node(7, "fillgate_notices_total", "break"), 0)
    judge.judge({}, 5 * S)
    assert ids(judge.judge(node(9, "fillgate_notices_total", "break"), 10 * S)) == ["halted"]
    assert judge.judge({}, 200 * S) == []
    assert judge.judge(node(9, "fillgate_notices_total", "break"), 300 * S) == []


def test_a_level_that_nobody_tells_any_more_holds_no_more() -> None:
    judge = Judge([alarm(for_s=10)])
    judge.judge(node(1), 0)
    judge.judge({}, 5 * S)
    assert judge.judge(node(1), 10 * S) == []


def test_the_next_judge_goes_on_with_what_stood() -> None:
    first = Judge([alarm(for_s=10)])
    first.judge(node(1), 0)
    standing = first.judge(node(1), 10 * S)
    again = Judge([alarm(for_s=10)], standing)
    assert again.judge(node(1), 11 * S) == standing


def test_critical_ones_come_first() -> None:
    grave = alarm(id="grave", severity=Severity.CRITICAL, for_s=1)
    judge = Judge([alarm(), grave])
    judge.judge(node(1), 0)
    assert ids(judge.judge(node(1), 2 * S)) == ["grave", "halted"]


def test_every_alarm_of_the_catalogue_can_stand_and_fall() -> None:
    for one in ALARMS:
        label = one.label or ("x" if BY_NAME[one.metric].label else "")
        is_rise = one.when is Beyond.RISES_BY
        calm = one.limit if one.when is not Beyond.BELOW else one.limit + 1
        bad = one.limit - 1 if one.when is Beyond.BELOW else one.limit + 1 + calm * is_rise
        judge = Judge([one])
        at = 0
        assert judge.judge(node(calm, one.metric, label), at) == [], one.id
        judge.judge(node(bad, one.metric, label), at + S)
        at += (2 + one.for_s) * S
        assert ids(judge.judge(node(bad, one.metric, label), at)) == [one.id]
        after = bad if is_rise else calm
        at += (one.within_s + 2) * S
        assert judge.judge(node(after, one.metric, label), at) == [], one.id


def test_a_rise_asks_for_its_time_and_a_level_has_none() -> None:
    for one in ALARMS:
        assert (one.within_s > 0) == (one.when is Beyond.RISES_BY), one.id
        assert BY_NAME[one.metric].is_counter == (one.when is Beyond.RISES_BY), one.id
