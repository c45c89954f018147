"""The breaker of a connection: when it opens, what passes meanwhile, and how it closes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from connection_world import Wired
from paper_venue import Asked, Told
from router_world import FakeLink, new_order
from virtual_time import in_virtual_time

from actors import messages as m
from actors.breaker import Breaker
from brokers.adapter import BrokerError
from domain import events as ev
from domain.accounts import BreakerState

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def a_breaker(failures: int = 3) -> tuple[Breaker, list[BreakerState]]:
    seen: list[BreakerState] = []
    return Breaker(failures, lambda state, _why: seen.append(state)), seen


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed("no answer")


def test_it_opens_after_so_many_troubles_in_a_row_and_not_before() -> None:
    breaker, seen = a_breaker()
    fail(breaker, 2)
    assert breaker.takes_orders
    fail(breaker, 1)
    assert not breaker.takes_orders
    assert seen == [OPEN]


def test_an_answer_in_between_starts_the_count_anew() -> None:
    breaker, seen = a_breaker()
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)
    assert seen == []


def test_while_it_is_open_neither_troubles_nor_answers_count() -> None:
    breaker, seen = a_breaker()
    fail(breaker, 5)
    breaker.succeeded()
    breaker.end_trial(None)
    assert (breaker.state, seen) == (OPEN, [OPEN])


@pytest.mark.parametrize(("trouble", "after"), [(None, CLOSED), ("no answer", OPEN)])
def test_a_trial_closes_it_or_opens_it_again(trouble: str | None, after: BreakerState) -> None:
    breaker, seen = a_breaker()
    fail(breaker, 3)
    assert breaker.begin_trial()
    assert not breaker.takes_orders
    breaker.end_trial(trouble)
    assert seen == [OPEN, HALF_OPEN, after]


def test_a_trial_is_begun_only_where_it_is_open() -> None:
    breaker, _ = a_breaker()
    assert not breaker.begin_trial()
    fail(breaker, 3)
    assert breaker.begin_trial()
    assert not breaker.begin_trial()


def test_an_operator_closes_it_from_any_state_and_the_count_starts_anew() -> None:
    breaker, seen = a_breaker()
    fail(breaker, 3)
    breaker.reset()
    fail(breaker, 2)
    assert (breaker.state, seen) == (CLOSED, [OPEN, CLOSED])


# -- in a connection


def breakers_told(wired: Wired) -> list[BreakerState]:
    return [told.state.breaker for told in wired.items(m.StateChanged)]


async def opened(tmp_path: Path) -> tuple[Wired, FakeLink]:
    """A connection whose broker answered nothing five times."""
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.venue.fates.extend(["broken", "dropped", "lost", "broken", "lost"])
    for intent in range(1, 6):
        wired.hear(link, wired.dispatch(intent))
        await asyncio.sleep(0.05)
    assert breakers_told(wired)[-1] is OPEN
    return wired, link


@in_virtual_time
async def test_five_orders_without_an_answer_and_the_connection_takes_no_more(
    tmp_path: Path,
) -> None:
    wired, link = await opened(tmp_path)
    before = len(wired.placed())
    wired.hear(link, wired.dispatch(6))
    assert [(r.intent, r.reason) for r in wired.items(m.GateRefused)] == [(6, "venue_unavailable")]
    assert len(wired.placed()) == before
    assert not wired.marks.has(6)
    await wired.stop()


@in_virtual_time
async def test_cancels_pass_while_it_is_open(tmp_path: Path) -> None:
    wired, link = await opened(tmp_path)
    kept = wired.venue.book(new_order("x"), "someone")
    cancel = wired.cancel(1, broker_order_id=kept.broker_order_id)
    wired.hear(link, cancel)
    await asyncio.sleep(0.1)
    assert not kept.is_working
    assert wired.connection.breaker.state is OPEN
    await wired.stop()


@in_virtual_time
async def test_after_a_minute_something_harmless_is_tried_and_it_closes(tmp_path: Path) -> None:
    wired, link = await opened(tmp_path)
    writes = len([asked for asked in wired.venue.requests if asked.what == "place"])
    await asyncio.sleep(59)
    assert breakers_told(wired)[-1] is OPEN
    await asyncio.sleep(2)
    assert breakers_told(wired)[-2:] == [HALF_OPEN, CLOSED]
    assert writes == len([asked for asked in wired.venue.requests if asked.what == "place"])
    wired.hear(link, wired.dispatch(7))
    await asyncio.sleep(0.05)
    assert any(item.intent == 7 for item in wired.items(m.Told))
    await wired.stop()


@in_virtual_time
async def test_a_trial_that_fails_is_made_again_a_minute_later(tmp_path: Path) -> None:
    wired, _ = await opened(tmp_path)
    tried: list[float] = []
    account = wired.venue.answer

    def fails(asked: Asked) -> Told:
        if asked.what == "account":
            tried.append(asyncio.get_running_loop().time())
            raise BrokerError("still nothing")
        return account(asked)

    wired.venue.answer = fails  # type: ignore[method-assign]
    await asyncio.sleep(125)
    assert len(tried) == 2
    assert tried[1] - tried[0] == pytest.approx(60, abs=0.5)
    assert wired.connection.breaker.state is OPEN
    await wired.stop()


@in_virtual_time
async def test_an_operator_lets_it_trade_at_once(tmp_path: Path) -> None:
    wired, link = await opened(tmp_path)
    wired.hear(link, m.ResetBreaker(epoch=1))
    assert breakers_told(wired)[-1] is CLOSED
    wired.hear(link, wired.dispatch(6))
    await asyncio.sleep(0.05)
    assert any(item.intent == 6 for item in wired.items(m.Told))
    await asyncio.sleep(120)
    assert breakers_told(wired)[-1] is CLOSED
    await wired.stop()


@in_virtual_time
async def test_what_the_broker_refuses_is_no_trouble(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    for intent in range(1, 9):
        wired.hear(link, wired.dispatch(intent, new_order(f"o-{intent}", tag="refuse")))
        await asyncio.sleep(0.05)
    assert [type(event) for event in wired.events()] == [ev.Rejected] * 8
    assert wired.connection.breaker.takes_orders
    await wired.stop()


@in_virtual_time
async def test_a_new_router_learns_that_it_is_open(tmp_path: Path) -> None:
    wired, _ = await opened(tmp_path)
    wired.attach(wired.link("second"), epoch=2, last_intent=5)
    (attached,) = wired.told(m.Attached, "second")
    assert attached.breaker is OPEN
    await wired.stop()
