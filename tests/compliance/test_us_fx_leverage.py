"""US security deposits: the worst an account's orders can lead to must be covered."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from compliance.deposits import NFA_CURRENT, find_deposit_faults, option_deposit, pair_rate
from compliance.magnitude import CENT, ceil_cent
from domain.accounts import AccountBalances
from domain.instruments import AssetClass
from domain.lifecycle import Status
from domain.streams import BalancesUpdate
from tests.compliance.desk import (
    ACCOUNT,
    LOOSE,
    MS,
    NOW,
    Desk,
    broker_account,
    forex,
    limit_order,
    lots,
    new_order,
    order_update,
    position,
    rate,
    snapshot,
    stock,
)


def desk_with(equity: str, *held: int, **words: Any) -> Desk:
    return Desk(snapshot(position(*lots(*held)), equity=equity), **words)


def test_an_order_whose_deposit_is_just_covered_passes_and_one_unit_more_is_told_what_fits() -> (
    None
):
    assert desk_with("1000").code(new_order(45454)) == "pass"
    violation = desk_with("1000").verdict(new_order(45455)).violation
    assert violation is not None
    assert violation.code == "leverage"
    assert violation.would_pass == "largest quantity that fits: 45454"
    assert violation.numbers["required"] == "1000.01"


def test_a_deposit_equal_to_equity_fits_whole() -> None:
    violation = desk_with("2200").verdict(new_order(100_001)).violation
    assert violation is not None
    assert violation.would_pass == "largest quantity that fits: 100000"
    assert desk_with("2200").code(new_order(100_000)) == "pass"


@given(
    held=st.integers(-40_000, 40_000), asked=st.integers(-90_000, 90_000), near=st.integers(-3, 3)
)
def test_a_cent_less_than_the_exact_deposit_is_refused_and_not_a_cent_more(
    held: int, asked: int, near: int
) -> None:
    assume(asked)
    order, lots_held = new_order(asked), [held] if held else []
    rich = desk_with("1000000", *lots_held)
    rich.verdict(order, is_dry_run=True)
    account = rich.screener.book.accounts[ACCOUNT]
    before = account.required
    assert rich.code(order) == "pass"
    needed = rich.screener.book.accounts[ACCOUNT].required
    assume(needed > before)
    equity = ceil_cent(needed) + near * CENT
    told = desk_with(str(equity), *lots_held).code(order)
    assert told == ("pass" if near >= 0 else "leverage")


def test_the_refusal_names_the_leverage() -> None:
    violation = desk_with("2000").verdict(new_order(100_000)).violation
    assert violation is not None
    assert violation.numbers["order_leverage"] == "55"
    assert violation.numbers["deposit_percent"] == "2"


def test_a_cross_takes_the_dearer_leg_and_the_base_in_dollars() -> None:
    order = new_order(50_000, instrument="EUR/JPY")
    quotes = (rate(), rate("EUR/JPY", "165"), rate("USD/JPY", "150"))
    assert desk_with("2750").code(order, rates=quotes) == "pass"
    assert desk_with("2749.99").code(order, rates=quotes) == "leverage"


def test_open_orders_count_on_the_side_where_they_add_up() -> None:
    desk = desk_with("220")
    assert desk.code(limit_order(6000)) == "pass"
    assert desk.code(limit_order(-10_000)) == "pass"
    assert desk.code(limit_order(4001)) == "leverage"
    assert desk.code(limit_order(4000)) == "pass"


def test_an_exit_and_a_smaller_order_the_other_way_pass_without_margin() -> None:
    desk = desk_with("1", 10_000)
    assert desk.code(new_order(1)) == "leverage"
    assert desk.code(new_order(-10_000)) == "pass"


def test_an_order_that_turns_the_position_round_is_covered_up_to_its_size() -> None:
    desk = desk_with("1", 10_000)
    assert desk.code(new_order(-20_000)) == "pass"
    violation = desk_with("1", 10_000).verdict(new_order(-20_001)).violation
    assert violation is not None
    assert violation.would_pass == "largest quantity that fits: 20000"


def test_a_reducing_order_under_way_gives_others_less_room() -> None:
    desk = desk_with("220", 10_000)
    assert desk.code(limit_order(-10_000, reduce_only=True)) == "pass"
    violation = desk.verdict(limit_order(-10_001)).violation
    assert violation is not None
    assert violation.would_pass == "largest quantity that fits: 10000"
    short = desk_with("220", -10_000)
    assert short.code(limit_order(10_000, reduce_only=True)) == "pass"
    assert short.code(limit_order(10_001)) == "leverage"


def test_a_resting_order_is_covered_as_if_the_position_it_reverses_were_gone() -> None:
    assert desk_with("220", -1000).code(limit_order(10_000)) == "pass"
    violation = desk_with("220", -1000).verdict(limit_order(10_001)).violation
    assert violation is not None
    assert violation.would_pass == "largest quantity that fits: 10000"


def test_an_exit_beside_a_resting_order_needs_no_margin_and_breaks_no_limit() -> None:
    desk = desk_with("220", -1000)
    desk.ask(limit_order(10_000))
    assert desk.code(new_order(1000, reduce_only=True)) == "pass"
    assert desk.screener.book.accounts[ACCOUNT].required <= 220


def test_an_exit_that_would_carry_a_reversal_under_way_too_far_waits_for_it() -> None:
    desk = desk_with("220", -10_000)
    assert desk.code(new_order(20_000), "o-1") == "pass"
    violation = desk.verdict(new_order(10_000, reduce_only=True)).violation
    assert violation is not None
    assert violation.code == "leverage"
    assert (
        violation.would_pass == "the same order once the one that reverses the position is settled"
    )
    desk.tell(order_update("o-1", 2, status=Status.REJECTED, leaves=0))
    assert desk.code(new_order(10_000, reduce_only=True)) == "pass"


@pytest.mark.parametrize("equity", ["0", "-5"])
def test_without_equity_nothing_opens(equity: str) -> None:
    violation = desk_with(equity).verdict(new_order(1)).violation
    assert violation is not None
    assert violation.code == "leverage"
    assert violation.would_pass == "largest quantity that fits: 0"


@pytest.mark.parametrize("equity", ["NaN", "1E+30"])
def test_equity_that_is_no_amount_counts_as_not_known(equity: str) -> None:
    assert desk_with(equity).code(new_order(1)) == "no_balances"


def test_new_balances_count_at_once_and_older_ones_not_at_all() -> None:
    desk = desk_with("1")
    money = AccountBalances(account=ACCOUNT, currency="USD", cash=Decimal(1), equity=Decimal(1000))
    desk.tell(BalancesUpdate(balances=money), seq=7)
    desk.tell(BalancesUpdate(balances=replace(money, equity=Decimal(9))), seq=6)
    desk.tell(BalancesUpdate(balances=replace(money, currency="EUR")), seq=8)
    desk.tell(BalancesUpdate(balances=replace(money, account="other")), seq=9)
    assert desk.screener.book.accounts[ACCOUNT].equity == 1000


def test_the_brokers_margin_rate_is_a_floor() -> None:
    dear = (forex(margin_rate=Decimal("0.05")),)
    assert desk_with("54.99", instruments=dear).code(new_order(1000)) == "leverage"
    assert desk_with("55", instruments=dear).code(new_order(1000)) == "pass"
    cheap = (forex(margin_rate=Decimal("0.01")),)
    assert desk_with("21.99", instruments=cheap).code(new_order(1000)) == "leverage"


def test_of_two_brokers_rates_for_a_pair_the_dearer_counts() -> None:
    two = (forex(margin_rate=Decimal("0.05")), forex(margin_rate=Decimal("0.03")))
    assert desk_with("54", instruments=two).code(new_order(1000)) == "leverage"
    assert desk_with("54", instruments=two[::-1]).code(new_order(1000)) == "leverage"


def test_the_accounts_own_leverage_is_a_floor() -> None:
    account = broker_account(leverage=Decimal(10))
    assert Desk(snapshot(account=account, equity="110")).code(new_order(1000)) == "pass"
    assert Desk(snapshot(account=account, equity="109")).code(new_order(1000)) == "leverage"


def test_settings_raise_a_currencys_deposit() -> None:
    settings = replace(LOOSE, security_deposits={"EUR": Decimal(10)})
    assert desk_with("109", settings=settings).code(new_order(1000)) == "leverage"
    assert desk_with("110", settings=settings).code(new_order(1000)) == "pass"


def test_a_percent_below_the_current_one_is_a_fault() -> None:
    (fault,) = find_deposit_faults({"GBP": Decimal(2), "EUR": Decimal(2), "CNH": Decimal(5)})
    assert "BELOW_NFA_CURRENT" in fault
    assert len(find_deposit_faults({"EUR": Decimal("NaN"), "USD": Decimal(101)})) == 2


def test_a_short_option_ties_up_the_deposit_and_the_premium_a_long_one_the_premium() -> None:
    amounts = Decimal(100_000), Decimal("0.02"), Decimal(850)
    assert option_deposit(*amounts, is_short=True) == 2850
    assert option_deposit(*amounts, is_short=False) == 850


def test_the_simple_regime_gives_the_yen_fifty_to_one() -> None:
    account = broker_account(regime="us_forex_simple")
    order = new_order(100_000, instrument="USD/JPY")
    assert Desk(snapshot(account=account, equity="2000")).code(order) == "pass"
    assert Desk(snapshot(equity="2000")).code(order) == "leverage"
    assert pair_rate(NFA_CURRENT, "USD", "JPY", {}) == Decimal("0.05")


def test_what_is_not_forex_must_be_paid_whole() -> None:
    desk = Desk(
        snapshot(equity="1000"), instruments=(forex("XAU/USD", asset_class=AssetClass.METAL),)
    )
    quotes = (rate("XAU/USD", "1000"),)
    assert desk.code(new_order(1, instrument="XAU/USD"), rates=quotes) == "pass"
    assert desk.code(new_order(1, instrument="XAU/USD"), rates=quotes) == "leverage"


def test_an_order_whose_base_has_no_fresh_rate_is_refused() -> None:
    desk = Desk(instruments=(forex("EUR/JPY"),))
    quotes = (rate("EUR/JPY", "165"), rate("USD/JPY", "150"), rate(age_ms=6000))
    assert desk.code(new_order(1, instrument="EUR/JPY"), rates=quotes) == "no_rate"


def held_franc() -> Desk:
    franc = position(*lots(1000, instrument="GBP/CHF"), instrument="GBP/CHF")
    return Desk(snapshot(franc), instruments=(forex(), forex("GBP/CHF")))


def test_a_holding_that_cannot_be_valued_stops_new_risk_and_names_its_currency() -> None:
    violation = held_franc().verdict(new_order(1), rates=(rate(),)).violation
    assert violation is not None
    assert violation.code == "no_rate"
    assert "GBP" in violation.message


def test_a_holding_is_valued_by_rates_seen_outside_the_request() -> None:
    desk = held_franc()
    desk.screener.observe_rates((rate("GBP/USD", "1.25"),))
    assert desk.code(new_order(1), rates=(rate(),)) == "pass"
    assert desk.screener.book.accounts[ACCOUNT].required == Decimal("62.522")


def test_a_holdings_rate_grows_too_old() -> None:
    desk = held_franc()
    desk.screener.observe_rates((rate("GBP/USD", "1.25"),))
    assert desk.code(new_order(1), rates=(rate(),)) == "pass"
    later = NOW + LOOSE.valuation_age_ms_max * MS
    fresh = replace(rate(), received_ns=later + MS)
    assert desk.code(new_order(1), rates=(fresh,), now_ns=later) == "pass"
    assert desk.code(new_order(1), rates=(fresh,), now_ns=later + MS) == "no_rate"
    desk.screener.observe_rates((replace(rate("GBP/USD", "1.25"), received_ns=later),))
    assert desk.code(new_order(1), rates=(), now_ns=later + MS) == "pass"


def test_a_held_symbol_that_nobody_lists_stops_new_risk() -> None:
    share = position(*lots(5, instrument="ABC"), instrument="ABC")
    desk = Desk(snapshot(share), instruments=(forex(),))
    assert desk.code(new_order(1)) == "no_rate"


def test_a_new_rate_values_the_order_that_brought_it_and_what_is_held() -> None:
    desk = held_franc()
    desk.screener.observe_rates((rate("GBP/USD", "1.25"),))
    desk.ask(new_order(1), rates=(rate(),))
    moved = replace(rate("GBP/USD", "2"), received_ns=NOW + 1)
    desk.ask(new_order(1), rates=(moved,))
    assert desk.screener.book.accounts[ACCOUNT].required == Decimal("100.044")


def test_fills_move_a_reservation_into_the_position_at_the_same_margin() -> None:
    desk = desk_with("1000")
    desk.ask(limit_order(1000), "o-1")
    account = desk.screener.book.accounts[ACCOUNT]
    assert account.required == 22
    words = {"status": Status.PARTIALLY_FILLED, "filled": 400, "leaves": 600}
    desk.tell(order_update("o-1", 2, **words))
    desk.hold(*lots(400))
    assert account.required == 22
    desk.tell(order_update("o-1", 3, status=Status.CANCELED, filled=400, leaves=0))
    assert account.required == Decimal("8.8")


def test_a_share_in_a_forex_account_cannot_be_valued_and_is_refused() -> None:
    desk = Desk(snapshot(equity="1000"), instruments=(stock(),))
    quotes = (rate("ABC", "100"),)
    assert desk.code(limit_order(1, "100", instrument="ABC"), rates=quotes) == "no_rate"


def test_an_account_without_a_leverage_of_its_own_has_the_tables() -> None:
    for own in (None, Decimal(0), Decimal(-1), Decimal(500)):
        held = snapshot(equity="22", account=broker_account(leverage=own))
        assert Desk(held).code(new_order(1000)) == "pass"
        assert Desk(held).code(new_order(1001)) == "leverage"
    held = snapshot(equity="22", account=broker_account(leverage=Decimal(10)))
    assert Desk(held).code(new_order(200)) == "pass"
    assert Desk(held).code(new_order(201)) == "leverage"
