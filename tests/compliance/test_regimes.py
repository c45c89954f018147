"""Which rules an account is under, when they hold, and that the tables are complete."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from compliance import deposits, regimes
from compliance.ladders import LADDERS
from compliance.regimes import concern_of, make_plan
from compliance.rule import HOUSE, RuleCard, find_lapse, passes
from compliance.rulebook import REGIMES
from compliance.rules import RULES
from compliance.settings import ComplianceSettings, find_faults
from domain.accounts import AccountType, Environment, Region
from domain.instruments import AssetClass
from domain.orders import Side
from tests.compliance.desk import (
    LOOSE,
    NOW,
    Desk,
    broker_account,
    limit_order,
    lots,
    new_order,
    position,
    rate,
    snapshot,
)

DAY_NS = 86_400_000_000_000
FILES = Path(regimes.__file__).parent / "rules"
LAW = RuleCard(
    id="law",
    citation="x",
    jurisdiction="US",
    effective_from=date(2026, 1, 1),
    effective_to=date(2026, 12, 31),
    confirmed_on=date(2026, 6, 1),
)


def test_every_rule_file_is_listed_by_its_name() -> None:
    files = {path.stem for path in FILES.glob("*.py")} - {"__init__"}
    assert files == set(RULES)


def test_every_regime_names_listed_rules_and_every_rule_is_in_a_regime() -> None:
    named = {rule for regime in REGIMES for rule in regime.rules}
    assert named == set(RULES)


def test_a_regime_asks_in_the_order_of_the_list() -> None:
    order = {rule: number for number, rule in enumerate(RULES)}
    for regime in REGIMES:
        numbers = [order[rule] for rule in regime.rules]
        assert numbers == sorted(numbers)


def test_a_regime_with_a_leverage_rule_has_a_table_to_weigh_by() -> None:
    for regime in REGIMES:
        has_leverage = any("leverage" in rule for rule in regime.rules)
        assert has_leverage == (regime.deposits in {*deposits.TABLES, *LADDERS, "ciro"})


def test_every_card_cites_its_source_and_a_legal_one_says_when_it_was_read() -> None:
    for rule in RULES.values():
        assert rule.card.citation
        assert ZoneInfo(rule.card.zone)
        assert rule.card.jurisdiction == HOUSE or rule.card.confirmed_on is not None


def test_the_leverage_card_and_its_table_hold_from_the_same_day() -> None:
    assert RULES["us_fx_leverage"].card.effective_from == deposits.NFA_CURRENT.effective_from


@pytest.mark.parametrize(
    ("today", "why"),
    [
        (date(2025, 12, 31), "in force only from 2026-01-01"),
        (date(2026, 1, 1), None),
        (date(2026, 12, 31), None),
        (date(2027, 1, 1), "expired on 2026-12-31"),
    ],
)
def test_a_legal_rule_holds_between_its_dates(today: date, why: str | None) -> None:
    assert find_lapse(LAW, today, 400) == why


def test_a_legal_rule_must_be_confirmed_and_not_too_long_ago() -> None:
    today = date(2026, 6, 11)
    assert find_lapse(LAW, today, 10) is None
    assert find_lapse(LAW, today, 9) == "last confirmed on 2026-06-01"
    assert find_lapse(replace(LAW, confirmed_on=None), today, 9) is not None
    assert find_lapse(replace(LAW, confirmed_on=None, jurisdiction=HOUSE), today, 9) is None


def test_a_lapsed_rule_refuses_opening_orders_and_lets_exits_pass() -> None:
    settings = replace(LOOSE, confirmation_days_max=1)
    desk = Desk(snapshot(position(*lots(1000))), settings=settings)
    later = NOW + 3 * DAY_NS
    fresh = (replace(rate(), received_ns=later),)
    violation = desk.verdict(new_order(1), now_ns=later, rates=fresh).violation
    assert violation is not None
    assert (violation.code, violation.rule) == ("rule_expired", "us_fx_leverage")
    assert desk.code(new_order(-1000), now_ns=later, rates=fresh) == "pass"


def test_the_business_date_turns_at_midnight_in_the_rules_zone() -> None:
    settings = replace(LOOSE, confirmation_days_max=1)
    desk = Desk(snapshot(account=broker_account(broker="other")), settings=settings)
    # 2026-11-23 00:00 in Chicago is 06:00 UTC.
    midnight = NOW + 2 * DAY_NS - 2 * DAY_NS // 24
    for moment, code in ((midnight - 1, "pass"), (midnight, "rule_expired")):
        fresh = (replace(rate(), received_ns=moment),)
        assert desk.code(new_order(1), now_ns=moment, rates=fresh) == code


def test_a_plan_ends_with_the_first_midnight_of_any_of_its_zones() -> None:
    plan = make_plan(broker_account(), LOOSE, NOW)
    assert plan.business_date == date(2026, 11, 21)
    assert plan.from_ns == NOW - 2 * DAY_NS // 24
    assert plan.until_ns == NOW + 21 * DAY_NS // 24


@pytest.mark.parametrize(
    "words",
    [
        {"region": Region.EU},
        {"regime": "no_such"},
        {"regime": "house", "environment": Environment.LIVE},
    ],
)
def test_an_account_no_regime_covers_may_only_reduce(words: dict[str, Any]) -> None:
    account = broker_account(**words)
    desk = Desk(snapshot(position(*lots(1000)), account=account))
    violation = desk.verdict(new_order(1)).violation
    assert violation is not None
    assert (violation.code, violation.rule) == ("rule_expired", "no_regime")
    assert desk.code(new_order(-1000)) == "pass"


def test_two_accounts_are_under_different_regimes_on_the_same_day() -> None:
    settings = replace(LOOSE, regimes={"acct-2": "us_forex_simple"})
    first, second = broker_account(), broker_account(account="acct-2")
    plans = [make_plan(account, settings, NOW) for account in (first, second)]
    assert [plan.deposits for plan in plans] == ["nfa", "simple"]


def test_a_regime_holds_between_its_dates_and_for_its_account_types(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = replace(
        REGIMES[0],
        name="dated",
        account_types=frozenset({AccountType.MARGIN}),
        effective_from=date(2026, 11, 21),
        effective_to=date(2026, 11, 21),
    )
    monkeypatch.setattr(regimes, "REGIMES", (row,))
    account = broker_account(regime="dated")
    found = [regimes.choose_regime(account, "dated", NOW + days * DAY_NS) for days in (-1, 0, 1)]
    assert found == [None, row, None]
    cash = broker_account(regime="dated", type=AccountType.CASH)
    assert regimes.choose_regime(cash, "dated", NOW) is None
    open_ended = replace(row, effective_to=None)
    monkeypatch.setattr(regimes, "REGIMES", (open_ended,))
    assert regimes.choose_regime(account, "dated", NOW + DAY_NS) == open_ended


def test_a_rule_concerns_the_account_types_of_its_card(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = RULES["max_quantity"]
    card = replace(rule.card, account_types=frozenset({AccountType.CASH}))
    monkeypatch.setitem(RULES, "max_quantity", replace(rule, card=card))
    desk = Desk(settings=replace(LOOSE, max_quantity=Decimal(1)))
    assert desk.code(limit_order(2)) == "pass"


def test_forex_rules_are_not_asked_about_other_things() -> None:
    plan = make_plan(broker_account(), LOOSE, NOW)
    forex = plan.checks[concern_of(AssetClass.FOREX, Side.BUY, is_opening=True)]
    metal = plan.checks[concern_of(AssetClass.METAL, Side.BUY, is_opening=True)]
    assert len(forex.refusing) == len(metal.refusing) + 2


def test_the_table_of_a_date_is_the_one_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    old = replace(
        deposits.NFA_CURRENT, effective_from=date(2020, 1, 1), effective_to=date(2020, 12, 31)
    )
    monkeypatch.setitem(deposits.TABLES, "two", (old, deposits.NFA_CURRENT))
    assert deposits.in_force("two", date(2020, 6, 1)) == old
    assert deposits.in_force("two", date(2026, 6, 1)) == deposits.NFA_CURRENT
    assert deposits.in_force("two", date(2021, 6, 1)) == deposits.NFA_CURRENT


def test_the_defaults_are_within_bounds_and_every_fault_is_named() -> None:
    assert find_faults(ComplianceSettings()) == ()
    bad = ComplianceSettings(
        max_quantity=Decimal(-1),
        collar_percent=Decimal(51),
        quote_age_ms_max=0,
        security_deposits={"GBP": Decimal(2)},
    )
    faults = find_faults(bad)
    assert [fault.split()[0] for fault in faults] == [
        "max_quantity", "collar_percent", "quote_age_ms_max", "security_deposits.GBP:",
    ]  # fmt: skip


def test_a_limit_that_is_no_number_is_a_fault() -> None:
    assert find_faults(ComplianceSettings(max_notional=Decimal("NaN")))


def test_a_rule_that_settings_turn_off_would_refuse_nothing_and_is_not_asked() -> None:
    plan = make_plan(broker_account(), LOOSE, NOW)
    off = [
        card.id
        for card, check in plan.checks[
            concern_of(AssetClass.FOREX, Side.BUY, is_opening=True)
        ].every
        if check is passes
    ]
    assert off == []
    context: Any = None
    assert passes(new_order(), context) is None
