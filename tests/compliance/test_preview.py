"""A dry run says what every rule said, with its numbers, and reserves nothing."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from compliance.limits import MarketSettings
from compliance.rulebook import REGIMES
from domain.screening import RuleOutcome, Ruling, ScreenAnswer, Verdict, Violation
from tests.compliance.desk import (
    ACCOUNT,
    LOOSE,
    Desk,
    broker_account,
    limit_order,
    lots,
    new_order,
    position,
    rate,
    snapshot,
    stock,
)

SETTINGS = replace(
    LOOSE,
    max_quantity=Decimal(5_000),
    market=MarketSettings(customer_credit_max=Decimal(100_000)),
)


def rulings_of(desk: Desk, **words: object) -> dict[str, Ruling]:
    answer = desk.ask(limit_order(1000), is_dry_run=True, **words)
    return {ruling.rule: ruling for ruling in answer.rulings}


def test_every_rule_that_was_asked_is_named_and_says_what_it_compared() -> None:
    found = rulings_of(Desk(settings=SETTINGS))
    asked = next(row.rules for row in REGIMES if row.name == "us_forex")
    # Rules that settings turn off, or that concern other instruments, are not asked.
    assert set(found) == set(asked) - {
        "authorized_person", "restricted_list", "duplicate_guard", "window_limits", "loss_limit",
        "self_trade",
    }  # fmt: skip
    assert {ruling.outcome for ruling in found.values()} == {RuleOutcome.PASS}
    assert {ruling.account for ruling in found.values()} == {ACCOUNT}
    assert all(ruling.citation for ruling in found.values())
    numbers = {rule: ruling.numbers for rule, ruling in found.items() if ruling.numbers}
    assert numbers == {
        "message_rate": {"messages": "0", "limit": "2000"},
        "max_quantity": {"quantity": "1000", "limit": "5000"},
        "max_notional": {"notional": "1100", "limit": "1000000000000"},
        "price_collar": {"mid": "1.1", "collar_percent": "50"},
        "credit_limit": {"used": "0", "limit": "100000"},
        "us_fx_leverage": {"required": "22", "equity": "100000"},
    }


def test_a_rule_that_says_no_gives_its_numbers_and_the_others_are_asked_all_the_same() -> None:
    desk = Desk(settings=SETTINGS)
    answer = desk.ask(limit_order(6000), is_dry_run=True)
    found = {ruling.rule: ruling for ruling in answer.rulings}
    denied = found["max_quantity"]
    assert denied.outcome is RuleOutcome.DENY
    assert denied.violation is not None
    assert denied.numbers == denied.violation.numbers == {"quantity": "6000", "limit": "5000"}
    assert found["us_fx_fifo"].outcome is RuleOutcome.PASS
    assert answer.all_violations == (denied.violation,)
    assert answer.verdicts[0].violation == denied.violation


def test_a_warning_is_told_apart_from_a_denial() -> None:
    other = broker_account(account="acct-2")
    desk = Desk(snapshot(), snapshot(position(*lots(-500), account="acct-2"), account=other))
    answer = desk.ask(new_order(), is_dry_run=True)
    warned = [ruling for ruling in answer.rulings if ruling.outcome is RuleOutcome.WARN]
    assert [ruling.rule for ruling in warned] == ["cross_account_offset"]
    assert answer.all_violations == ()
    assert [w.code for w in answer.verdicts[0].warnings] == ["cross_account_offset"]
    assert answer.passed is not None


def test_without_prices_rules_say_what_they_know() -> None:
    found = rulings_of(Desk(settings=replace(LOOSE, collar_percent=Decimal(2))), rates=())
    assert found["price_collar"].outcome is RuleOutcome.DENY
    held = Desk(snapshot(position(*lots(1000)), equity="NaN"), settings=SETTINGS)
    answer = held.ask(new_order(-1000), is_dry_run=True, rates=())
    numbers = {ruling.rule: ruling.numbers for ruling in answer.rulings}
    assert numbers["max_notional"] == {"limit": "1000000000000"}
    assert numbers["price_collar"] == {"collar_percent": "50"}
    assert numbers["us_fx_leverage"] == {"required": "0"}
    assert "credit_limit" not in numbers


def test_credit_without_a_customers_limit_says_what_is_used() -> None:
    market = MarketSettings(firm_credit_max=Decimal(100_000), credit_currency="GBP")
    found = rulings_of(Desk(settings=replace(LOOSE, market=market)))
    assert found["credit_limit"].numbers == {"used": "0"}
    desk = Desk(snapshot(position(*lots(1000))), settings=replace(LOOSE, market=market))
    assert rulings_of(desk, rates=(rate(),))["credit_limit"].outcome is RuleOutcome.DENY


def test_a_real_order_is_answered_without_rulings() -> None:
    assert Desk().ask(limit_order()).rulings == ()


def test_two_candidates_are_told_apart_by_account() -> None:
    from domain.screening import Candidate

    second = broker_account(account="acct-2", regime="house", broker="sim")
    desk = Desk(snapshot(), snapshot(account=second))
    both = (Candidate(connection="c", account=ACCOUNT), Candidate(connection="c", account="acct-2"))
    answer = desk.ask(limit_order(), candidates=both, is_dry_run=True)
    assert {ruling.account for ruling in answer.rulings} == {ACCOUNT, "acct-2"}


class OldAnswer(Struct, frozen=True, kw_only=True, tag="screened"):
    """The answer as readers of the last release know it."""

    number: int
    verdicts: tuple[Verdict, ...]
    all_violations: tuple[Violation, ...] = ()


def test_readers_of_the_last_release_still_decode_the_answer() -> None:
    answer = Desk(settings=SETTINGS).ask(limit_order(6000), is_dry_run=True)
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=OldAnswer)
    assert old.all_violations == answer.all_violations
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=ScreenAnswer) == answer
    bare = OldAnswer(number=1, verdicts=())
    new = msgspec.msgpack.decode(msgspec.msgpack.encode(bare), type=ScreenAnswer)
    assert new.rulings == ()


def test_a_stock_is_asked_what_concerns_a_stock() -> None:
    account = broker_account(regime="us_stocks_intraday", broker="sim")
    desk = Desk(snapshot(account=account), instruments=(stock("ABC"),))
    answer = desk.ask(
        limit_order(100, "10", instrument="ABC"), rates=(rate("ABC", "10"),), is_dry_run=True
    )
    asked = {ruling.rule for ruling in answer.rulings}
    assert {"sub_penny", "luld_band", "self_trade", "replacement_buy"} <= asked
    assert not {"short_locate", "short_marking", "short_price_test"} & asked


def test_a_refusal_tells_all_its_numbers_and_not_only_what_a_pass_would() -> None:
    desk = Desk(snapshot(equity="1000"))
    answer = desk.ask(new_order(45_455), is_dry_run=True)
    (denied,) = (ruling for ruling in answer.rulings if ruling.outcome is RuleOutcome.DENY)
    assert denied.violation is not None
    assert denied.numbers == denied.violation.numbers
    assert denied.numbers["order_leverage"] == "50"
