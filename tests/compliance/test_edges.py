"""Where a rule begins and ends: what is exactly at its threshold, and the least beyond it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from compliance.holding import Fingerprint, RecentOrders
from compliance.settings import AccountFacts
from compliance.standing import count_missteps, frozen_until, settled_only_until, times_of
from domain.findings import FindingKind
from domain.history import AccountHistory, Close
from domain.lifecycle import Status
from domain.orders import Side
from tests.compliance import test_intraday as standing
from tests.compliance.cases_day_trading import traded
from tests.compliance.desk import (
    ACCOUNT,
    LOOSE,
    MS,
    NOW,
    Desk,
    limit_order,
    lots,
    new_order,
    order_update,
    position,
    rate,
    snapshot,
)
from tests.compliance.stock_desk import MONDAY
from tests.compliance.test_stock_rules import (
    LEGACY,
    buying_power_desk,
    cash_desk,
    code,
    margin_desk,
)
from tests.compliance.test_us_fx_fifo import close, desk_of

NEW_YORK = ZoneInfo("America/New_York")


# -- prices and days


@pytest.mark.parametrize(("age_ms", "told"), [(5000, "pass"), (5001, "no_reference_price")])
def test_a_quote_is_fresh_until_the_age_that_is_allowed(age_ms: int, told: str) -> None:
    assert Desk().code(new_order(1), rates=(rate(age_ms=age_ms),)) == told


def test_a_price_may_be_as_far_ahead_of_the_clock_as_it_may_be_behind() -> None:
    ahead = replace(rate(), received_ns=NOW + 5000 * MS)
    assert Desk().code(new_order(1), rates=(ahead,)) == "pass"
    further = replace(rate(), received_ns=NOW + 5000 * MS + 1)
    assert Desk().code(new_order(1), rates=(further,)) == "no_reference_price"


def test_a_plan_ends_with_its_day_and_what_lapses_with_it_refuses_from_midnight() -> None:
    midnight = int(datetime(2026, 11, 23, tzinfo=NEW_YORK).timestamp()) * 10**9
    desk = Desk(settings=replace(LOOSE, confirmation_days_max=1))
    for now_ns, told in (
        (midnight - 1, "pass"),
        (midnight, "rule_expired"),
        (midnight - 1, "pass"),
    ):
        fresh = replace(rate(), received_ns=now_ns)
        assert desk.code(new_order(1), rates=(fresh,), now_ns=now_ns, is_dry_run=True) == told


def test_an_amend_to_the_same_total_opens_nothing_and_one_more_unit_does() -> None:
    desk = Desk()
    assert desk.code(limit_order(1000), "o-1") == "pass"
    desk.tell(order_update("x-1", 1, status=Status.UNKNOWN))
    desk.tell(order_update("o-1", 1, filled=400, leaves=600), 2)
    assert desk.code(limit_order(1000), "o-1", replaces_order_id="o-1") == "pass"
    assert desk.code(limit_order(1001), "o-1", replaces_order_id="o-1") == "unknown_outcome"


# -- house limits


@pytest.mark.parametrize(("quantity", "told"), [(10, "pass"), (11, "max_notional")])
def test_a_value_may_be_the_limit(quantity: int, told: str) -> None:
    desk = Desk(settings=replace(LOOSE, max_notional=Decimal(11)))
    assert desk.code(new_order(quantity)) == told


@pytest.mark.parametrize(("after_ns", "told"), [(500 * MS, "duplicate"), (500 * MS + 1, "pass")])
def test_the_duplicate_window_has_its_end(after_ns: int, told: str) -> None:
    desk = Desk(settings=replace(LOOSE, duplicate_window_ms=500))
    assert desk.code(new_order(1)) == "pass"
    assert desk.code(new_order(1), now_ns=NOW + after_ns) == told


def test_of_two_orders_at_one_moment_the_later_is_the_one_that_is_named() -> None:
    recent, key = RecentOrders(), Fingerprint.of(new_order(1))
    recent.note(key, NOW, "o-1")
    recent.note(key, NOW, "o-2")
    assert recent.find(key) == (NOW, "o-2")


# -- forex


def test_an_order_that_closes_the_oldest_lot_whole_splits_none() -> None:
    desk = desk_of(10_000, 20_000)
    assert desk.code(close("T1", 10_000)) == "pass"
    assert desk.code(close("T2", 20_000)) == "pass"
    desk = desk_of(10_000, 20_000)
    assert desk.code(close("T1", 9_999)) == "pass"
    assert desk.code(close("T2", 20_000)) == "fifo_in_flight"


def test_what_closes_a_protected_position_whole_leaves_no_twin() -> None:
    desk = desk_of(10, 5, guarded="T1 T2")
    assert desk.code(new_order(-15)) == "pass"
    assert desk_of(10, 5, guarded="T1 T2").code(new_order(-5)) == "fifo_safeguard_partial_close"


def test_equity_that_is_just_too_much_to_add_up_is_not_known() -> None:
    for equity, told in (("1E18", "no_balances"), ("999999999999999999", "pass")):
        desk = Desk(snapshot(position(*lots(1)), equity=equity))
        assert desk.code(new_order(1)) == told


# -- day trading


def test_the_minimum_itself_is_enough_to_day_trade() -> None:
    executions = traded(3, 3)
    assert margin_desk(LEGACY, equity=25_000, executions=executions).ask(Side.BUY, 1) is None
    poor = margin_desk(LEGACY, equity=Decimal("24999.99"), executions=executions)
    assert code(poor.ask(Side.BUY, 1)) == "pattern_day_trade"


def test_a_third_day_trade_is_no_pattern() -> None:
    assert margin_desk(LEGACY, equity=20_000, executions=traded(2, 2)).ask(Side.BUY, 1) is None


def test_two_thousand_is_enough_to_borrow() -> None:
    assert margin_desk(equity=2000, cash=2000).ask(Side.BUY, 201) is None
    poor = margin_desk(equity=Decimal("1999.99"), cash=2000)
    assert code(poor.ask(Side.BUY, 201)) == "margin_minimum"


def test_buying_power_used_to_the_last_dollar_is_no_call() -> None:
    desk = buying_power_desk()
    desk.fill(Side.BUY, 10_000)
    assert desk.findings(FindingKind.DAY_TRADE_CALL) == []
    desk.fill(Side.BUY, 1)
    (call,) = desk.findings(FindingKind.DAY_TRADE_CALL)
    assert call.amount == Decimal("2.5")


def test_a_close_of_today_is_not_the_prior_close() -> None:
    words: dict[str, Any] = {"at_ns": 1, "equity": Decimal(30_000), "maintenance": Decimal(0)}
    for day, told in (("2026-11-15", "pass"), ("2026-11-16", "no_prior_close")):
        history = AccountHistory(account=ACCOUNT, closes=[Close(day=day, **words)])
        facts = AccountFacts(is_pattern_day_trader=True)
        desk = margin_desk(LEGACY, equity=30_000, history=history, facts=facts)
        assert code(desk.ask(Side.BUY, 1)) == told


def test_what_was_filled_at_the_moment_of_the_balances_is_in_them() -> None:
    for later_ns, cash in ((0, 1000), (1, 900)):
        desk = cash_desk(cash=1000, equity=1000)
        desk.tell_balances(cash=Decimal(1000))
        desk.fill(Side.BUY, 10, at_ns=desk.now_ns + later_ns)
        assert desk.trading().cash == cash


def test_a_missed_call_quarters_buying_power_to_the_ninetieth_day() -> None:
    call = standing.found(FindingKind.DAY_TRADE_CALL, MONDAY)
    last = date(2027, 2, 19)  # a Friday: the ninetieth day, 2027-02-21, is a Sunday
    assert times_of([call], [], standing.terms(day=last)) == 1
    assert times_of([call], [], standing.terms(day=date(2027, 2, 22))) == 4


def test_a_deficit_is_an_occasion_from_the_day_after_it_was_due() -> None:
    days = [date(2026, 10, day) for day in (5, 12, 19, 26)]
    findings = standing.by_id(*(standing.found(FindingKind.INTRADAY_DEFICIT, day) for day in days))
    careless = AccountFacts(assumes_practice=False)
    for day, is_frozen in ((date(2026, 11, 2), False), (date(2026, 11, 3), True)):
        terms = standing.terms(careless, broker="ibkr", day=day)
        assert (frozen_until(findings, terms) is not None) is is_frozen


def test_a_violation_of_today_counts_and_one_of_tomorrow_does_not() -> None:
    for ahead, counted in ((0, 1), (1, 0)):
        facts = AccountFacts(missteps=(date(2026, 11, 16 + ahead),))
        assert count_missteps([], standing.terms(facts)) == counted


def test_a_free_ride_paid_but_for_a_cent_still_restricts() -> None:
    ride = standing.found(FindingKind.FREE_RIDE, MONDAY)
    nearly = replace(ride, met=ride.amount - Decimal("0.01"))
    assert settled_only_until([nearly], standing.terms()) is not None
