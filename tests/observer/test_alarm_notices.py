"""Notices: told once, told again while it stands, told when it is over."""

from __future__ import annotations

from actors.observer.alarms import Severity
from actors.observer.judge import Standing
from actors.observer.notices import CALM_S, Known, Notices, NoticeState, OperatorNotice, to_text

S = 1_000_000_000
REPEATS = {Severity.CRITICAL: 900, Severity.WARNING: 0}


def standing(name: str = "unknown_order", severity: Severity = Severity.CRITICAL) -> Standing:
    return Standing(id=name, role="router", label="", severity=severity, since_ns=S, value=31.0)


def states(due: list[OperatorNotice]) -> list[NoticeState]:
    return [notice.state for notice in due]


def test_an_alarm_is_told_once_however_often_it_is_judged() -> None:
    notices = Notices(REPEATS)
    due = notices.due([standing()], S)
    assert states(due) == [NoticeState.BEGUN]
    notices.told(due, S)
    assert notices.due([standing()], 2 * S) == []


def test_what_could_not_be_told_stays_due() -> None:
    notices = Notices(REPEATS)
    notices.due([standing()], S)
    assert states(notices.due([standing()], 2 * S)) == [NoticeState.BEGUN]


def test_a_critical_one_is_told_again_at_its_interval_and_a_warning_here_never() -> None:
    notices = Notices(REPEATS)
    both = [standing(), standing("halted", Severity.WARNING)]
    notices.told(notices.due(both, S), S)
    assert notices.due(both, 900 * S) == []
    due = notices.due(both, 901 * S)
    assert [(n.state, n.standing.id) for n in due] == [(NoticeState.STANDS, "unknown_order")]


def test_the_end_is_told_once_and_the_next_time_is_a_new_one() -> None:
    notices = Notices(REPEATS)
    notices.told(notices.due([standing()], S), S)
    end = (1 + CALM_S) * S
    assert notices.due([], end - 1) == []
    due = notices.due([], end)
    assert states(due) == [NoticeState.OVER]
    notices.told(due, end)
    assert notices.due([], end + S) == []
    assert states(notices.due([standing()], end + 2 * S)) == [NoticeState.BEGUN]


def test_an_alarm_that_flaps_is_one_alarm() -> None:
    notices = Notices(REPEATS)
    notices.told(notices.due([standing()], S), S)
    for second in range(2, 60):
        assert notices.due([standing()] if second % 5 == 0 else [], second * S) == []


def test_one_that_was_over_before_it_could_be_told_is_never_told() -> None:
    notices = Notices(REPEATS)
    notices.due([standing()], S)
    assert notices.due([], (2 + CALM_S) * S) == []
    assert notices.known == ()


def test_the_next_observer_tells_nobody_twice() -> None:
    first = Notices(REPEATS)
    first.told(first.due([standing()], S), S)
    again = Notices(REPEATS, first.known)
    assert again.due([standing()], 2 * S) == []


def test_an_alarm_that_left_the_catalogue_is_forgotten() -> None:
    old = Known(standing=standing("no_such_alarm"), told_ns=S)
    assert Notices(REPEATS, (old,)).known == ()


def test_a_message_says_what_it_means_for_money_and_where_its_runbook_is() -> None:
    notice = OperatorNotice(NoticeState.BEGUN, standing())
    title, body = to_text([notice, notice], "d-1")
    assert title == "Fillgate d-1: [critical] unknown_order and 1 more"
    assert "stays reserved" in body
    assert "docs/operating/runbooks.md#unknown_order" in body
    title, _ = to_text([OperatorNotice(NoticeState.OVER, standing())], "d-1")
    assert title == "Fillgate d-1: [over] unknown_order"
