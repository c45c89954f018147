"""Deficits of the intraday margin level, their deadlines, and what they bring."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from compliance.day_trades import CountMethod
from compliance.finra_4210 import DayTrading, day_trading_of, policy_of
from compliance.intraday import (
    Activity,
    DayLevel,
    Deficit,
    deficit_of_day,
    due_on,
    expires_on,
    freeze_of,
    is_outstanding,
    is_small,
    pay,
)
from compliance.settings import AccountFacts
from compliance.standing import (
    count_missteps,
    frozen_until,
    is_designated,
    settled_only_until,
    times_of,
)
from compliance.trading_terms import TradingTerms, make_terms
from domain.findings import Finding, FindingKind
from domain.history import Movement
from tests.compliance.cases_day_trading import INTRADAY_TABLE, calendar
from tests.compliance.desk import ACCOUNT, LOOSE, broker_account
from tests.compliance.stock_desk import MONDAY, noon_ns

JUNE_8 = date(2026, 6, 8)


def deficit(amount: int = 2000, equity: int = 10_000, **words: Any) -> Deficit:
    return Deficit(day=JUNE_8, amount=Decimal(amount), equity=Decimal(equity), **words)


def test_deadlines_pass_over_juneteenth_and_weekends() -> None:
    assert due_on(deficit(), INTRADAY_TABLE, calendar()) == date(2026, 6, 15)
    assert expires_on(deficit(), INTRADAY_TABLE, calendar()) == date(2026, 6, 30)
    assert is_outstanding(deficit(), date(2026, 6, 30), INTRADAY_TABLE, calendar())
    assert not is_outstanding(deficit(), date(2026, 7, 1), INTRADAY_TABLE, calendar())
    met = deficit(met=Decimal(2000))
    assert not is_outstanding(met, JUNE_8, INTRADAY_TABLE, calendar())


@pytest.mark.parametrize(
    ("amount", "equity", "small"),
    [
        (500, 10_000, True),
        (501, 10_000, False),
        (1000, 40_000, True),
        (1001, 40_000, False),
        (1, -5, False),
        (0, -5, True),
    ],
)
def test_five_percent_or_a_thousand_is_small_and_so_is_equality(
    amount: int, equity: int, *, small: bool
) -> None:
    assert is_small(Decimal(amount), Decimal(equity), INTRADAY_TABLE) is small


def test_a_freeze_needs_a_practice_and_ends_when_the_deficit_is_met() -> None:
    words: dict[str, Any] = {"table": INTRADAY_TABLE, "calendar": calendar()}
    freeze = freeze_of(deficit(), is_practice=True, **words)
    assert freeze is not None
    assert (freeze.since, freeze.until) == (date(2026, 6, 16), date(2026, 9, 13))
    assert freeze_of(deficit(), is_practice=False, **words) is None
    assert freeze_of(deficit(met=Decimal(2000)), is_practice=True, **words) is None


def test_money_pays_the_oldest_deficit_first() -> None:
    first, second = pay([deficit(100), deficit(300)], Decimal(250))
    assert (first.owed, second.owed) == (0, 150)
    assert pay([deficit(100)], Decimal(-5)) == [deficit(100)]


def test_buying_before_selling_doubles_the_exposure_for_a_moment() -> None:
    sold, bought = Activity(Decimal(7500), 1), Activity(Decimal(-7500), 2)
    start = Decimal(2500)
    assert deficit_of_day(start, [sold, bought]) == 0
    assert deficit_of_day(start, [bought, sold]) == 0
    assert deficit_of_day(start, [Activity(Decimal(7500), 2), Activity(Decimal(-7500), 1)]) == 5000
    assert deficit_of_day(start, [Activity(Decimal(7500), 1), Activity(Decimal(-7500), 1)]) == 5000
    assert deficit_of_day(start, [Activity(Decimal(7500)), Activity(Decimal(-7500))]) == 5000


CHANGES = st.lists(st.tuples(st.integers(-90, 90), st.integers(0, 9), st.booleans()), max_size=12)


@given(CHANGES, st.integers(-50, 100), st.booleans())
def test_the_running_level_finds_the_same_low_as_the_whole_day(
    changes: list[tuple[int, int, bool]], start: int, at_once: bool
) -> None:
    ordered = sorted(changes, key=lambda each: each[1])
    # Prices move between moments, not within one.
    ordered = [(change, 2 * at + (not traded), traded) for change, at, traded in ordered]
    ordered.sort(key=lambda each: (each[1], each[0]))
    running = DayLevel(has_reduced=False, at_once=at_once)
    level = Decimal(start)
    running.mark(level)
    for change, at, traded in reversed_within(ordered):
        level += change
        if traded:
            running.transact(level, at)
        else:
            running.mark(level)
    activities = [
        Activity(Decimal(change), at, is_transaction=traded) for change, at, traded in ordered
    ]
    assert -running.low == deficit_of_day(Decimal(start), activities, at_once=at_once)


def reversed_within(rows: list[tuple[int, int, bool]]) -> list[tuple[int, int, bool]]:
    """Increases first within a moment: the running level must not be taken in by it."""
    return sorted(rows, key=lambda each: (each[1], -each[0] if each[2] else 0))


def test_a_level_that_begins_with_a_transaction_takes_it_for_a_reduction() -> None:
    level = DayLevel(has_reduced=False, at_once=False)
    level.transact(Decimal(-70), 1)
    assert level.low == -70


# -- what findings bring


def terms(facts: AccountFacts | None = None, **words: Any) -> TradingTerms:
    settings = replace(LOOSE, account_facts={ACCOUNT: facts or AccountFacts()})
    made = make_terms(
        broker_account(broker=words.pop("broker", "alpaca")),
        words.pop("mode", DayTrading.INTRADAY),
        words.pop("day", MONDAY),
        settings,
        ({}, {"XNYS": calendar()}),
    )
    assert made is not None
    return made


def found(kind: FindingKind, day: date, amount: int = 2000, **words: Any) -> Finding:
    plain: dict[str, Any] = {
        "id": f"{kind.value}:{day}", "kind": kind, "account": ACCOUNT, "day": day.isoformat(),
        "at_ns": noon_ns(day), "rule": "r", "citation": "c", "message": "m",
        "amount": Decimal(amount), "equity": Decimal(10_000),
    }  # fmt: skip
    return Finding(**(plain | words))


def by_id(*findings: Finding) -> dict[str, Finding]:
    return {finding.id: finding for finding in findings}


def test_an_unmet_deficit_freezes_after_the_fifth_business_day_for_ninety_days() -> None:
    findings = by_id(found(FindingKind.INTRADAY_DEFICIT, JUNE_8))
    assert frozen_until(findings, terms(day=date(2026, 6, 15))) is None
    assert frozen_until(findings, terms(day=date(2026, 6, 16))) == date(2026, 9, 13)
    assert frozen_until(findings, terms(day=date(2026, 9, 11))) == date(2026, 9, 13)
    assert frozen_until(findings, terms(day=date(2026, 9, 14))) is None


def test_a_small_a_met_and_a_forgotten_deficit_freeze_nothing() -> None:
    day = terms(day=date(2026, 6, 16))
    small = found(FindingKind.INTRADAY_DEFICIT, JUNE_8, 500)
    met = found(FindingKind.INTRADAY_DEFICIT, JUNE_8, met=Decimal(2000))
    old = found(FindingKind.INTRADAY_DEFICIT, date(2025, 1, 6))
    other = found(FindingKind.GOOD_FAITH, JUNE_8)
    for each in (small, met, old, other):
        assert frozen_until(by_id(each), day) is None, each


def test_a_brokers_count_of_occasions_makes_the_practice_where_it_is_not_assumed() -> None:
    day = date(2026, 11, 16)
    careless = AccountFacts(assumes_practice=False)
    days = [date(2026, 10, 5) + timedelta(days=7 * week) for week in range(4)]
    findings = by_id(*(found(FindingKind.INTRADAY_DEFICIT, each) for each in days))
    three = by_id(*list(findings.values())[:3])
    three |= by_id(
        found(FindingKind.INTRADAY_DEFICIT, date(2026, 10, 6), 100),
        found(FindingKind.INTRADAY_DEFICIT, date(2025, 11, 3)),
    )
    ibkr = terms(careless, broker="ibkr", day=day)
    assert frozen_until(findings, ibkr) == date(2027, 1, 31)
    assert frozen_until(three, ibkr) is None


def test_the_operators_freeze_holds_until_its_day() -> None:
    facts = AccountFacts(frozen_until=MONDAY)
    assert frozen_until({}, terms(facts)) == MONDAY
    assert frozen_until({}, terms(facts, day=MONDAY + timedelta(days=1))) is None


def test_a_call_halves_buying_power_until_it_is_met_and_a_missed_one_quarters_it() -> None:
    call = found(FindingKind.DAY_TRADE_CALL, MONDAY)
    other = found(FindingKind.PATTERN_DAY_TRADER, MONDAY)
    due = date(2026, 11, 23)
    for day, times in [(due, 2), (date(2026, 11, 24), 1), (due + timedelta(days=91), 4)]:
        assert times_of([other, call], [], terms(day=day)) == times
    paid = [Movement(at_ns=noon_ns(due), id="m", amount=Decimal(2000))]
    assert times_of([call], paid, terms(day=due)) == 4
    before = [Movement(at_ns=noon_ns(MONDAY) - 1, id="m", amount=Decimal(2000))]
    assert times_of([call], before, terms(day=due)) == 2


def test_the_operator_knows_better_who_is_a_pattern_day_trader() -> None:
    pattern = [found(FindingKind.PATTERN_DAY_TRADER, MONDAY)]
    assert is_designated(pattern, terms())
    assert not is_designated([], terms())
    assert not is_designated(pattern, terms(AccountFacts(is_pattern_day_trader=False)))
    assert is_designated([], terms(AccountFacts(is_pattern_day_trader=True)))


def test_violations_count_for_a_year_and_the_operators_count_too() -> None:
    facts = AccountFacts(missteps=(MONDAY - timedelta(days=364), MONDAY - timedelta(days=365)))
    findings = [found(FindingKind.GOOD_FAITH, MONDAY), found(FindingKind.LIQUIDATION, MONDAY)]
    assert count_missteps(findings, terms(facts)) == 3
    assert settled_only_until(findings, terms(facts)) == MONDAY + timedelta(days=90)
    assert settled_only_until(findings, terms()) is None


def test_a_free_ride_restricts_for_ninety_days_unless_it_was_paid() -> None:
    ride = found(FindingKind.FREE_RIDE, MONDAY)
    assert settled_only_until([ride], terms()) == MONDAY + timedelta(days=90)
    assert settled_only_until([replace(ride, met=ride.amount)], terms()) is None
    later = terms(day=MONDAY + timedelta(days=91))
    assert settled_only_until([ride], later) is None
    assert settled_only_until([], terms(AccountFacts(frozen_until=MONDAY))) == MONDAY


# -- brokers and dates


@pytest.mark.parametrize(
    ("broker", "day", "mode"),
    [
        ("alpaca", date(2026, 6, 3), DayTrading.LEGACY),
        ("alpaca", date(2026, 6, 4), DayTrading.INTRADAY),
        ("schwab", date(2026, 6, 7), DayTrading.LEGACY),
        ("schwab", date(2026, 6, 8), DayTrading.INTRADAY),
        ("Interactive Brokers", date(2026, 11, 21), DayTrading.BOTH),
        ("nobody", date(2027, 10, 20), DayTrading.BOTH),
        ("nobody", date(2027, 10, 21), DayTrading.INTRADAY),
    ],
)
def test_each_broker_moved_on_its_own_day(broker: str, day: date, mode: DayTrading) -> None:
    assert day_trading_of(broker, day) is mode


def test_counting_is_the_operators_word_then_the_brokers_then_the_strictest() -> None:
    assert terms().method is CountMethod.DIRECTION
    assert terms(broker="nobody").method is CountMethod.STRICTEST
    opening = AccountFacts(count_method=CountMethod.OPENING)
    assert terms(opening).method is CountMethod.OPENING
    assert policy_of("E*TRADE").broker == "etrade"


def test_tables_that_are_not_in_force_leave_their_numbers_to_a_rule_that_has_lapsed() -> None:
    made = make_terms(
        broker_account(), DayTrading.LEGACY, date(2000, 7, 3), LOOSE,
        ({}, {"XNYS": calendar(date(2000, 7, 3))}),
    )  # fmt: skip
    assert made is not None
    assert made.pattern.equity_min == 25_000


def test_without_a_calendar_that_reaches_the_day_there_are_no_terms() -> None:
    world: Any = ({}, {"XNYS": calendar()})
    far = date(2031, 1, 2)
    assert make_terms(broker_account(), DayTrading.CASH, far, LOOSE, world) is None
    assert make_terms(broker_account(), DayTrading.CASH, MONDAY, LOOSE, ({}, {})) is None


def test_a_rise_of_less_than_a_dollar_is_no_reduction_either() -> None:
    level = DayLevel(has_reduced=False, at_once=True)
    level.mark(Decimal("-0.4"))
    level.transact(Decimal("-0.1"), 1)
    assert level.low == 0
    level.transact(Decimal("-0.2"), 2)
    assert level.low == Decimal("-0.2")


def test_money_that_came_in_at_the_very_moment_of_a_call_meets_it() -> None:
    call = found(FindingKind.DAY_TRADE_CALL, MONDAY)
    paid = [Movement(at_ns=call.at_ns, id="m", amount=call.amount)]
    assert times_of([call], paid, terms()) == 4
    paid = [Movement(at_ns=call.at_ns, id="m", amount=call.amount - 1)]
    assert times_of([call], paid, terms()) == 2
