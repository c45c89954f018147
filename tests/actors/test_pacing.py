"""A login's budget: below the broker's limit in every window, and no lane starves another."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from connection_world import Wired
from hypothesis import given, settings
from hypothesis import strategies as st
from router_world import connection_settings
from virtual_time import in_virtual_time

from actors import messages as m
from actors.pacing import ARRIVAL_MS, MS, Budget, Lane, pace_of
from brokers.adapter import Pace

PACE = Pace(requests=20, per_ms=1_000)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.ns = 10**12

    def __call__(self) -> int:
        return self.ns

    def pass_ms(self, ms: int) -> None:
        self.ns += ms * MS


def use(budget: Budget, lane: Lane, most: int = 1_000) -> int:
    """Uses the lane until it has to wait; how often that was."""
    for count in range(most):
        if budget.wait_ms(lane):
            return count
        budget.take(lane)
    return most


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([*Lane, None]), st.integers(0, 400)), min_size=1, max_size=120
    )
)
def test_no_window_ever_holds_more_than_the_limit(
    steps: list[tuple[Lane | None, int]],
) -> None:
    clock = Clock()
    budget = Budget(PACE, clock)
    budget.begin()
    left: list[int] = []
    for lane, ms in steps:
        if lane is Lane.ORDER:
            if budget.spend():
                left.append(clock.ns)
        elif lane is None:
            budget.grant()
        elif not budget.wait_ms(lane):
            budget.take(lane)
            left.append(clock.ns)
        clock.pass_ms(ms)
    for first in left:
        window = [at for at in left if first <= at < first + PACE.per_ms * MS]
        assert len(window) <= PACE.requests


def test_a_cancel_may_use_whatever_is_left_and_others_leave_it_a_part() -> None:
    clock = Clock()
    budget = Budget(PACE, clock)
    used = use(budget, Lane.READ)
    assert 0 < used < PACE.requests
    assert use(budget, Lane.CANCEL) == PACE.requests - used


def test_reads_go_on_while_orders_use_all_they_may() -> None:
    clock = Clock()
    budget = Budget(PACE, clock)
    budget.begin()
    while budget.spend() or budget.grant():
        pass
    assert not budget.wait_ms(Lane.READ)
    assert not budget.wait_ms(Lane.CANCEL)


def test_what_is_used_up_is_free_again_after_the_window() -> None:
    clock = Clock()
    budget = Budget(PACE, clock)
    use(budget, Lane.CANCEL)
    wait_ms = budget.wait_ms(Lane.CANCEL)
    assert wait_ms == PACE.per_ms + ARRIVAL_MS
    clock.pass_ms(wait_ms - 1)
    assert budget.wait_ms(Lane.CANCEL) == 1
    clock.pass_ms(1)
    assert budget.wait_ms(Lane.CANCEL) == 0


def test_what_is_granted_ahead_is_bounded_and_kept_for_orders() -> None:
    clock = Clock()
    budget = Budget(PACE, clock)
    budget.begin()
    assert budget.granted == PACE.requests // 4
    assert not budget.grant()
    use(budget, Lane.CANCEL)
    assert [budget.spend() for _ in range(6)] == [True] * 5 + [False]


def test_a_new_router_starts_to_count_anew() -> None:
    clock = Clock()
    budget = Budget(PACE, clock)
    budget.begin()
    budget.spend()
    budget.begin()
    assert (budget.granted, budget.spent) == (PACE.requests // 4, 0)


def test_a_pause_stops_everything_and_takes_back_what_was_granted() -> None:
    clock = Clock()
    budget = Budget(PACE, clock)
    budget.begin()
    budget.pause(2_000)
    assert not budget.spend()
    assert not budget.grant()
    assert {budget.wait_ms(lane) for lane in Lane} == {2_000}
    assert budget.grant_wait_ms() == 2_000
    clock.pass_ms(2_000)
    assert budget.grant()
    assert budget.wait_ms(Lane.CANCEL) == 0


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    clock = Clock()
    budget = Budget(PACE, clock)
    budget.pause(2_000)
    budget.pause(10)
    assert budget.wait_ms(Lane.CANCEL) == 2_000


def test_where_the_broker_counts_more_than_we_do_its_count_holds() -> None:
    clock = Clock()
    budget = Budget(PACE, clock)
    budget.see_remaining(3)
    assert use(budget, Lane.CANCEL) == 3
    budget.see_remaining(19)
    assert budget.wait_ms(Lane.CANCEL)


def test_nothing_left_by_the_brokers_count_means_waiting() -> None:
    clock = Clock()
    budget = Budget(PACE, clock)
    budget.see_remaining(0)
    assert budget.wait_ms(Lane.CANCEL)


@pytest.mark.parametrize(
    ("own", "has_limits", "found"),
    [
        (None, True, PACE),
        (None, False, None),
        (0, True, None),
        (600, False, Pace(requests=600, per_ms=60_000)),
    ],
)
def test_the_settings_pace_comes_before_the_brokers(
    own: int | None, has_limits: bool, found: Pace | None
) -> None:
    assert pace_of(connection_settings(requests_per_minute=own), PACE, has_limits) == found


# -- in a connection

SLOW = Pace(requests=40, per_ms=1_000)


@in_virtual_time
async def test_without_a_credit_an_order_is_refused_and_another_comes_in_time(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path, pace=SLOW)
    link = await wired.up()
    granted = wired.told(m.Attached)[-1].granted
    assert granted == SLOW.requests // 4
    for intent in range(1, 40):
        wired.hear(link, wired.dispatch(intent))
    await asyncio.sleep(0.05)
    reasons = {item.reason for item in wired.items(m.GateRefused)}
    assert reasons == {"rate_limited"}
    assert len(wired.placed()) < SLOW.requests
    told = wired.told(m.Credits)
    assert told[-1].wait_ms > 0
    await asyncio.sleep(2)
    assert wired.told(m.Credits)[-1].granted > told[-1].granted
    await wired.stop()


@in_virtual_time
async def test_grants_rise_and_the_orders_that_use_them_stay_below_the_limit(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path, pace=SLOW)
    link = await wired.up()
    intent, end = 0, wired.clocks.boot_ns() + 5 * 10**9
    at: list[float] = []
    while wired.clocks.boot_ns() < end:
        told = [*wired.told(m.Attached), *wired.told(m.Credits)]
        if intent < told[-1].granted:
            intent += 1
            wired.hear(link, wired.dispatch(intent))
            at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.005)
    assert wired.items(m.GateRefused) == []
    assert all(sum(a <= b < a + 1 for b in at) <= SLOW.requests for a in at)
    assert len(at) > 5 * SLOW.requests * 0.6
    granted = [told.granted for told in wired.told(m.Credits)]
    assert all(a <= b for a, b in pairwise(granted))
    await wired.stop()


@in_virtual_time
async def test_a_cancel_does_not_wait_behind_orders(tmp_path: Path) -> None:
    wired = Wired(tmp_path, pace=SLOW)
    link = await wired.up()
    for intent in range(1, 40):
        wired.hear(link, wired.dispatch(intent))
    await asyncio.sleep(0.05)
    wired.hear(link, wired.cancel(1))
    await asyncio.sleep(0.05)
    assert [asked.what for asked in wired.venue.requests].count("cancel") == 1
    await wired.stop()


@in_virtual_time
async def test_when_the_broker_says_too_many_it_gets_its_pause(tmp_path: Path) -> None:
    wired = Wired(tmp_path, pace=SLOW)
    link = await wired.up()
    wired.venue.fates.append("too_many")
    wired.hear(link, wired.dispatch(1))
    await asyncio.sleep(0.05)
    taken_back = wired.told(m.Credits)[-1]
    assert (taken_back.granted, taken_back.wait_ms > 1_500) == (1, True)
    wired.hear(link, wired.dispatch(2))
    assert wired.items(m.GateRefused)[-1].reason == "rate_limited"
    await asyncio.sleep(2.5)
    assert wired.told(m.Credits)[-1].granted > 1
    await wired.stop()
