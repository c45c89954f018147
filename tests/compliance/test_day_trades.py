"""Counting day trades: the published examples, and that any batching counts the same."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from compliance.calendar import BusinessCalendar
from compliance.day_trades import CountMethod, DayCount, DayTrades, count_day_trades
from domain.history import Execution
from tests.compliance.stock_desk import MONDAY, new_york, noon_ns
from tests.shared_data import SHARED, requires_shared

VECTORS = SHARED / "tax_vectors" / "finra_rn_21_13_day_trade_examples.json"
METHODS = {
    "opening-transaction": CountMethod.OPENING,
    "closing-transaction": CountMethod.CLOSING,
    "direction change": CountMethod.DIRECTION,
    "Scottrade": CountMethod.OPENING,
}


def executed(rows: list[list[Any]], day: date = MONDAY) -> list[Execution]:
    return [
        Execution(
            at_ns=noon_ns(day) + number, id=f"e{number}", order_id=f"o{number}",
            instrument=symbol, sign=1 if side == "BUY" else -1, quantity=Decimal(quantity),
            price=Decimal(10),
        )
        for number, (_, side, quantity, symbol) in enumerate(rows)
    ]  # fmt: skip


@requires_shared
def test_finra_and_broker_examples_count_as_published() -> None:
    vectors = json.loads(VECTORS.read_text())
    for example in vectors["examples"]:
        found = count_day_trades({}, executed(example["executions"]))
        assert found.by(CountMethod.DIRECTION) == example["day_trades"], example["id"]
    for example in vectors["other_brokers"]:
        method = next(way for name, way in METHODS.items() if name in example["broker"])
        found = count_day_trades({}, executed(example["executions"]))
        assert found.by(method) == example["day_trades"], example["broker"]


def test_what_is_not_known_of_a_broker_is_counted_the_strictest_way() -> None:
    found = DayCount(direction=1, opening=2, closing=5)
    assert found.by(CountMethod.STRICTEST) == 2


def test_an_overnight_position_sold_after_a_new_purchase_is_a_day_trade() -> None:
    rows = [["", "BUY", 50, "ABC"], ["", "SELL", 100, "ABC"]]
    assert count_day_trades({"ABC": Decimal(100)}, executed(rows)).direction == 1
    assert count_day_trades({"ABC": Decimal(100)}, executed(rows[1:])).direction == 0


def test_partial_fills_of_one_opening_order_are_one_day_trade() -> None:
    first, second, closing = executed([["", "BUY", 50, "A"]] * 2 + [["", "SELL", 25, "A"]])
    same = [
        Execution(
            at_ns=each.at_ns, id=each.id, order_id="one", instrument="A", sign=1,
            quantity=each.quantity, price=each.price,
        )
        for each in (first, second)
    ]  # fmt: skip
    assert count_day_trades({}, [*same, closing]).opening == 1
    # What is bought on by an order that was sold from already cannot be a second one.
    again = [same[0], closing, same[1], closing]
    assert count_day_trades({}, again).opening == 1


def test_the_next_day_begins_with_what_was_held_overnight() -> None:
    trades = DayTrades(new_york(), {}, lambda _symbol: True)
    tuesday = MONDAY + timedelta(days=1)
    trades.advance(executed([["", "BUY", 100, "A"]])[0])
    assert trades.open_symbols == {"A"}
    assert (trades.untouched, trades.open_cost) == (1, 1000)
    trades.advance(executed([["", "SELL", 100, "A"]], tuesday)[0])
    assert trades.in_window(tuesday, 5) == DayCount(orders=2)
    assert (trades.open_symbols, trades.untouched, trades.open_cost) == (set(), 0, 0)
    trades.turn(MONDAY)
    assert trades.today == tuesday


def test_a_day_trade_leaves_the_window_after_five_business_days() -> None:
    trades = DayTrades(new_york(), {}, lambda _symbol: True)
    for each in executed([["", "BUY", 1, "A"], ["", "SELL", 1, "A"]]):
        trades.advance(each)
    friday, next_monday = MONDAY + timedelta(days=4), MONDAY + timedelta(days=7)
    assert trades.in_window(friday, 5).direction == 1
    assert trades.in_window(next_monday, 5).direction == 0
    trades.turn(friday)
    assert trades.in_window(friday, 5).direction == 1


def test_a_calendar_knows_no_more_than_its_sessions() -> None:
    assert not BusinessCalendar("X", "UTC", ()).covers(MONDAY)
    days = new_york()
    assert days.covers(MONDAY)
    assert not days.covers(days.sessions[0])
    assert not days.covers(days.sessions[-1])
    assert not days.is_session(days.sessions[-1] + timedelta(days=1))
    thanksgiving = date(2026, 11, 26)
    assert not days.is_session(thanksgiving)
    assert days.roll(thanksgiving) == date(2026, 11, 27)
    assert days.add(thanksgiving, 0) == date(2026, 11, 27)
    assert days.add(MONDAY, 1) == MONDAY + timedelta(days=1)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from("AB"),
        st.sampled_from([-1, 1]),
        st.integers(1, 4),
        st.integers(0, 5),
    ),
    max_size=40,
)


@given(STEPS)
def test_taken_one_by_one_they_count_as_each_day_does_alone(steps: list[tuple[Any, ...]]) -> None:
    executions = [
        Execution(
            at_ns=noon_ns(MONDAY + timedelta(days=day)) + number, id=f"e{number}",
            order_id=f"o{day}-{order}-{symbol}", instrument=symbol, sign=sign,
            quantity=Decimal(size), price=Decimal(size),
        )
        for number, (day, symbol, sign, size, order) in enumerate(steps)
    ]  # fmt: skip
    executions.sort(key=lambda each: each.at_ns)
    running = DayTrades(new_york(), {}, lambda _symbol: True)
    held: dict[str, Decimal] = {}
    for day in range(4):
        today = MONDAY + timedelta(days=day)
        of_day = [e for e in executions if new_york().trade_date(e.at_ns) == today]
        for each in of_day:
            running.advance(each)
        assert running.on(today) == count_day_trades(held, of_day)
        for each in of_day:
            held[each.instrument] = held.get(each.instrument, Decimal(0)) + (
                each.sign * each.quantity
            )
        check_open(running, of_day, today)


def check_open(running: DayTrades, of_day: list[Execution], today: date) -> None:
    """What is open of today's is at most what was traded today."""
    running.turn(today)
    assert running.open_symbols <= {each.instrument for each in of_day}
    assert 0 <= running.open_cost <= sum((e.quantity * e.price for e in of_day), Decimal(0))
    assert running.untouched <= len({each.order_id for each in of_day})


def account_days() -> DayTrades:
    return DayTrades(new_york(), {}, lambda _symbol: True)


def test_a_day_that_goes_on_is_counted_on_in_a_window_that_ends_later() -> None:
    days, tomorrow = account_days(), MONDAY + timedelta(days=1)
    bought, sold = executed([["", "BUY", 5, "ABC"], ["", "SELL", 5, "ABC"]])
    days.advance(bought)
    assert days.in_window(tomorrow, 5).direction == 0
    days.advance(sold)
    assert days.in_window(tomorrow, 5).direction == 1


def test_an_order_that_was_closed_is_untouched_no_more_and_costs_nothing() -> None:
    days = account_days()
    rows = [["", "BUY", 5, "ABC"], ["", "BUY", 5, "ABC"], ["", "SELL", 7, "ABC"]]
    first, second, sold = executed(rows)
    days.advance(first)
    days.advance(second)
    assert (days.untouched, days.open_cost) == (2, 100)
    days.advance(sold)
    assert (days.untouched, days.open_cost) == (0, 30)
    assert days.open_symbols == {"ABC"}
