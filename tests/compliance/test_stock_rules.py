"""Day-trading, intraday-margin and cash rules, asked through the whole screen."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from compliance.found import deficit_found
from compliance.rules import RULES
from compliance.settings import AccountFacts, ComplianceSettings, find_faults
from domain.accounts import AccountType
from domain.findings import Finding, FindingKind
from domain.history import AccountHistory, Close, Execution, Movement
from domain.instruments import AssetClass
from domain.orders import OrderType, Side
from domain.screening import Violation
from tests.compliance.cases_day_trading import traded
from tests.compliance.desk import ACCOUNT, LOOSE, broker_account, stock
from tests.compliance.stock_desk import MONDAY, StockDesk, noon_ns

LEGACY, INTRADAY = "us_stocks_legacy", "us_stocks_intraday"


def margin_desk(regime: str = INTRADAY, **words: Any) -> StockDesk:
    broker = words.pop("broker", "alpaca")
    return StockDesk(broker_account(regime=regime, broker=broker), **words)


def cash_desk(**words: Any) -> StockDesk:
    return StockDesk(broker_account(regime="us_stocks", type=AccountType.CASH), **words)


def code(violation: Violation | None) -> str:
    return "pass" if violation is None else violation.code


# -- pattern day trading


def test_what_could_become_the_fourth_day_trade_is_refused_where_it_opens() -> None:
    desk = margin_desk(LEGACY, equity=24_999, executions=traded(3, 3))
    violation = desk.ask(Side.BUY, 1)
    assert violation is not None
    assert (violation.code, violation.rule) == ("pattern_day_trade", "legacy_pdt")
    assert violation.numbers["day_trades"] == "3"
    assert violation.numbers["day_trades_possible"] == "4"
    assert "25000" in (violation.would_pass or "")
    assert "us_stocks_intraday" not in (violation.would_pass or "")


def test_an_exit_passes_even_where_it_is_the_fourth_day_trade() -> None:
    desk = margin_desk(LEGACY, equity=24_999, executions=traded(3, 3), held=5)
    assert desk.ask(Side.SELL, 5) is None
    assert code(desk.ask(Side.SELL_SHORT, 6)) == "pattern_day_trade"


def test_what_is_open_of_today_and_what_still_may_open_counts_as_if_it_were_closed() -> None:
    desk = margin_desk(LEGACY, equity=20_000, executions=traded(1, 1))
    desk.fill(Side.BUY, 1)
    assert desk.ask(Side.BUY, 1) is None
    other = stock("XYZ", calendar="XNYS")
    desk = margin_desk(
        LEGACY, equity=20_000, executions=traded(2, 2),
        instruments=(stock(calendar="XNYS"), other),
    )  # fmt: skip
    desk.set_price(Decimal(10), "XYZ")
    resting = desk.order(Side.BUY, 1, type=OrderType.LIMIT, limit_price=Decimal(9))
    assert desk.verdict(resting, is_dry_run=False).violation is None
    assert code(desk.ask(Side.BUY, 1, instrument="XYZ")) == "pattern_day_trade"


def test_six_percent_or_less_is_no_pattern() -> None:
    few = margin_desk(LEGACY, equity=10_000, executions=traded(5, 100))
    assert few.ask(Side.BUY, 1) is None
    many = margin_desk(LEGACY, equity=10_000, executions=traded(5, 99))
    assert code(many.ask(Side.BUY, 1)) == "pattern_day_trade"


def test_what_came_in_today_was_not_there_beforehand() -> None:
    history = AccountHistory(
        account=ACCOUNT,
        executions=traded(3, 3),
        closes=[Close(day="2026-11-13", at_ns=1, equity=Decimal(9000))],
    )
    desk = margin_desk(LEGACY, equity=30_000, history=history)
    assert code(desk.ask(Side.BUY, 1)) == "pattern_day_trade"


def test_a_pattern_day_trader_below_the_minimum_may_open_nothing() -> None:
    facts = AccountFacts(is_pattern_day_trader=True)
    desk = margin_desk(LEGACY, equity=24_000, facts=facts)
    assert code(desk.ask(Side.BUY, 1)) == "pattern_day_trader"


def test_the_fourth_day_trade_is_found_and_stays_found() -> None:
    desk = margin_desk(LEGACY, equity=30_000)
    for _ in range(4):
        desk.fill(Side.BUY, 1)
        desk.fill(Side.SELL, 1)
    (found,) = desk.findings(FindingKind.PATTERN_DAY_TRADER)
    assert found.day == "2026-11-16"
    assert desk.trading().is_designated
    told = desk.screener.take_findings()
    assert told == (found,)
    assert desk.screener.take_findings() == ()


def test_a_broker_nobody_knows_is_under_both_regimes_and_the_refusal_says_how_to_leave() -> None:
    desk = margin_desk("us_stocks", broker="nobody", equity=10_000, executions=traded(3, 3))
    violation = desk.ask(Side.BUY, 1)
    assert violation is not None
    assert "us_stocks_intraday" in (violation.would_pass or "")
    assert violation.numbers["phase_in_to"] == "2027-10-20"
    settled = replace(LOOSE, regimes={ACCOUNT: INTRADAY})
    moved = margin_desk(
        "us_stocks", broker="nobody", equity=10_000, executions=traded(3, 3), settings=settled
    )
    assert moved.ask(Side.BUY, 1) is None
    assert code(moved.ask(Side.BUY, 4001)) == "intraday_margin"


# -- day-trading buying power


def buying_power_desk(**words: Any) -> StockDesk:
    close = Close(day="2026-11-13", at_ns=1, equity=Decimal(30_000), maintenance=Decimal(5_000))
    history = AccountHistory(account=ACCOUNT, closes=[close])
    facts = AccountFacts(is_pattern_day_trader=True)
    return margin_desk(LEGACY, equity=30_000, history=history, facts=facts, **words)


def test_a_day_trader_has_four_times_the_excess_of_the_prior_close() -> None:
    desk = buying_power_desk()
    assert desk.ask(Side.BUY, 10_000) is None
    violation = desk.ask(Side.BUY, 10_001)
    assert violation is not None
    assert violation.code == "day_trading_buying_power"
    assert violation.numbers["buying_power"] == "100000"
    assert violation.would_pass == "largest quantity that fits: 10000"


def test_what_is_open_and_what_may_open_has_used_its_part_of_it() -> None:
    desk = buying_power_desk()
    desk.fill(Side.BUY, 4000)
    resting = desk.order(Side.BUY, 1000, type=OrderType.LIMIT, limit_price=Decimal(10))
    assert desk.verdict(resting, is_dry_run=False).violation is None
    assert desk.ask(Side.BUY, 5000) is None
    assert code(desk.ask(Side.BUY, 5001)) == "day_trading_buying_power"


def test_exceeding_it_is_a_call_and_the_brokers_own_figure_counts_where_it_is_less() -> None:
    desk = buying_power_desk()
    desk.fill(Side.BUY, 10_400)
    (call,) = desk.findings(FindingKind.DAY_TRADE_CALL)
    assert call.amount == 1000
    assert desk.trading().buying_power == 50_000
    told = buying_power_desk(balances={"day_trading_buying_power": Decimal(777)})
    assert told.trading().buying_power == 777


def test_without_a_prior_close_a_day_trader_opens_nothing() -> None:
    desk = margin_desk(LEGACY, equity=30_000, facts=AccountFacts(is_pattern_day_trader=True))
    assert code(desk.ask(Side.BUY, 1)) == "no_prior_close"


# -- intraday margin


def test_an_order_that_would_leave_a_deficit_is_refused_with_the_largest_that_fits() -> None:
    desk = margin_desk(equity=10_000, cash=10_000)
    violation = desk.ask(Side.BUY, 4001)
    assert violation is not None
    assert violation.code == "intraday_margin"
    assert violation.numbers["iml_after"] == "-2.5"
    assert violation.would_pass == "largest quantity that fits: 4000"
    assert desk.ask(Side.BUY, 4000) is None


def test_open_orders_and_short_sales_take_their_maintenance() -> None:
    desk = margin_desk(equity=10_000)
    resting = desk.order(Side.BUY, 3000, type=OrderType.LIMIT, limit_price=Decimal(9))
    assert desk.verdict(resting, is_dry_run=False).violation is None
    violation = desk.ask(Side.BUY, 1001)
    assert violation is not None
    assert violation.would_pass == "largest quantity that fits: 1000"
    # Five dollars a share at least: half the price here.
    short = margin_desk(equity=10_000).ask(Side.SELL_SHORT, 2001)
    assert short is not None
    assert short.would_pass == "largest quantity that fits: 2000"


def test_a_limit_above_the_market_is_valued_by_its_own_price() -> None:
    desk = margin_desk(equity=10_000, collar=10)
    order = desk.order(Side.BUY, 4000, type=OrderType.LIMIT, limit_price=Decimal("10.01"))
    assert code(desk.verdict(order).violation) == "intraday_margin"
    short = desk.order(Side.SELL_SHORT, 2000, type=OrderType.LIMIT, limit_price=Decimal("9.5"))
    assert desk.verdict(short).violation is None


@pytest.mark.parametrize(("times", "fits"), [("1", 4000), ("2", 2000), ("3", 1333), ("5", 1000)])
def test_a_leveraged_fund_needs_so_many_times_as_much_and_at_most_all(
    times: str, fits: int
) -> None:
    desk = margin_desk(equity=10_000, leveraged={"ABC": Decimal(times)})
    violation = desk.ask(Side.BUY, 5000)
    assert violation is not None
    assert violation.would_pass == f"largest quantity that fits: {fits}"


def test_the_brokers_own_rate_is_a_floor_and_what_cannot_be_margined_is_paid_whole() -> None:
    higher = margin_desk(equity=10_000, margin_rate=Decimal("0.4"))
    assert higher.rates() == (Decimal("0.4"), Decimal("0.4"))
    unmarginable = margin_desk(
        instruments=(stock(calendar="XNYS", marginable=False),), equity=10_000
    )
    assert unmarginable.rates() == (1, 1)
    crypto = margin_desk(instruments=(stock(asset_class=AssetClass.CRYPTO),), equity=10_000)
    assert crypto.rates() == (1, 1)
    assert crypto.trading().margin.row("UNKNOWN").terms.long == 1
    assert not crypto.trading().terms.counts("ABC")


def test_nothing_is_opened_without_balances_prices_or_business_days() -> None:
    desk = margin_desk()
    desk.set_prices({"ABC": Decimal(10)})
    desk.now_ns += 10 * 10**9
    limit = desk.order(Side.BUY, 1, type=OrderType.LIMIT, limit_price=Decimal(10))
    assert code(desk.ask(Side.BUY, 1)) == "no_reference_price"
    held = margin_desk(held=5)
    held.now_ns += 61 * 10**9
    assert code(held.verdict(limit).violation) == "no_reference_price"
    broke = margin_desk()
    broke.tell_balances(equity=Decimal("NaN"))
    assert code(broke.ask(Side.BUY, 1)) == "no_balances"
    dayless = margin_desk(calendars={})
    assert code(dayless.ask(Side.BUY, 1)) == "no_calendar"
    assert margin_desk(calendars={}, held=5).ask(Side.SELL, 5) is None


def test_a_holding_nobody_prices_stops_what_opens() -> None:
    desk = margin_desk(held=5, instruments=(stock(calendar="XNYS"), stock("XYZ")))
    desk.fill(Side.BUY, 1, symbol="XYZ", price=Decimal(10))
    violation = desk.ask(Side.BUY, 1)
    assert violation is not None
    assert (violation.code, "XYZ" in violation.message) == ("no_rate", True)
    assert desk.ask(Side.SELL, 5) is None


def test_below_two_thousand_only_what_is_paid_in_full_passes() -> None:
    desk = margin_desk(equity=1999, cash=1999)
    assert desk.ask(Side.BUY, 199) is None
    violation = desk.ask(Side.BUY, 200)
    assert violation is not None
    assert (violation.code, violation.numbers["debit"]) == ("margin_minimum", "1")
    assert code(desk.ask(Side.SELL_SHORT, 1)) == "margin_minimum"


def test_a_deficit_that_is_not_met_freezes_short_and_debit_but_no_exit() -> None:
    desk = margin_desk(equity=100_000, cash=0, held=100)
    desk.tell_balances(cash=Decimal(1000))
    frozen = margin_desk(
        equity=100_000, cash=1000, held=-100, facts=AccountFacts(frozen_until=MONDAY)
    )
    assert code(frozen.ask(Side.SELL_SHORT, 1)) == "intraday_freeze"
    assert frozen.ask(Side.BUY_TO_COVER, 100) is None
    assert frozen.ask(Side.BUY, 101) is not None
    paid = margin_desk(equity=100_000, cash=1000, facts=AccountFacts(frozen_until=MONDAY))
    assert paid.ask(Side.BUY, 100) is None
    assert code(paid.ask(Side.BUY, 101)) == "intraday_freeze"


def test_at_a_broker_that_only_liquidates_a_frozen_account_opens_nothing_at_all() -> None:
    desk = margin_desk(
        broker="firstrade", equity=100_000, cash=1000, facts=AccountFacts(frozen_until=MONDAY)
    )
    violation = desk.ask(Side.BUY, 1)
    assert violation is not None
    assert violation.would_pass == "orders that reduce a position"


def test_a_fill_beyond_the_level_is_a_deficit_and_a_sale_meets_it() -> None:
    desk = margin_desk(equity=10_000)
    desk.fill(Side.BUY, 4200)
    (found,) = desk.findings(FindingKind.INTRADAY_DEFICIT)
    assert (found.amount, found.equity, found.met) == (500, 10_000, 0)
    desk.fill(Side.SELL, 200)
    (found,) = desk.findings(FindingKind.INTRADAY_DEFICIT)
    assert found.met == 500
    assert [each.met for each in desk.screener.take_findings()] == [0, 500]


def test_prices_alone_make_no_deficit_on_a_day_without_a_trade() -> None:
    desk = margin_desk(equity=10_000, cash=-30_000, held=4000)
    desk.set_price(Decimal(9))
    desk.measure()
    assert desk.deficit() == 0
    assert desk.trading().equity == 6000


def test_gains_and_fills_since_the_broker_last_told_are_in_equity_and_cash() -> None:
    desk = margin_desk(equity=10_000, cash=10_000)
    desk.fill(Side.BUY, 100, price=Decimal(11), commission=Decimal(-1))
    trading = desk.trading()
    assert (trading.equity, trading.cash) == (10_000 - 101, 10_000 - 1101)
    desk.set_price(Decimal(12))
    desk.measure()
    assert desk.trading().equity == 10_000 - 101 + 200
    desk.tell_balances(equity=Decimal(10_099), cash=Decimal(8899))
    assert (desk.trading().equity, desk.trading().cash) == (10_099, 8899)


def test_the_next_day_takes_over_what_prices_did() -> None:
    desk = margin_desk(equity=10_000, cash=0, held=1000)
    desk.set_price(Decimal(11))
    desk.measure()
    desk.now_ns = noon_ns(MONDAY + timedelta(days=1))
    desk.set_price(Decimal(12))
    assert desk.ask(Side.BUY, 1) is None
    assert desk.trading().terms.today == MONDAY + timedelta(days=1)
    assert desk.trading().equity == 12_000


def test_a_large_portfolio_margin_account_is_not_asked_intraday() -> None:
    account = broker_account(regime="us_stocks", type=AccountType.PORTFOLIO_MARGIN)
    small = StockDesk(account, equity=4_999_999)
    assert code(small.ask(Side.BUY, 2_000_001)) == "portfolio_margin"
    assert StockDesk(account, equity=5_000_000).ask(Side.BUY, 2_000_001) is None
    lost = StockDesk(account)
    lost.tell_balances(equity=Decimal("NaN"))
    assert code(lost.ask(Side.BUY, 1)) == "no_balances"


# -- cash accounts


def test_a_cash_account_buys_with_what_it_has_and_sells_what_it_holds() -> None:
    desk = cash_desk(cash=1000, equity=1000)
    assert desk.ask(Side.BUY, 100) is None
    violation = desk.ask(Side.BUY, 101)
    assert violation is not None
    assert (violation.code, violation.would_pass) == (
        "insufficient_cash", "largest quantity that fits: 100",
    )  # fmt: skip
    assert code(desk.ask(Side.SELL_SHORT, 1)) == "short_in_cash_account"
    resting = desk.order(Side.BUY, 60, type=OrderType.LIMIT, limit_price=Decimal(10))
    assert desk.verdict(resting, is_dry_run=False).violation is None
    assert code(desk.ask(Side.BUY, 41)) == "insufficient_cash"
    broke = cash_desk(cash=1, equity=1)
    violation = broke.ask(Side.BUY, 1)
    assert violation is not None
    assert violation.would_pass == "orders that reduce a position"


def test_selling_before_the_proceeds_settle_warns_until_the_last_violation_allowed() -> None:
    desk = cash_desk(cash=0, equity=0, held=100)
    for _ in range(2):
        desk.fill(Side.SELL, 100)
        desk.fill(Side.BUY, 100)
        verdict = desk.verdict(desk.order(Side.SELL, 100))
        assert verdict.violation is None
        (warning,) = verdict.warnings
        assert (warning.code, warning.would_pass) == ("good_faith", "the same from 2026-11-17")
    desk.fill(Side.SELL, 100)
    desk.fill(Side.BUY, 100)
    violation = desk.ask(Side.SELL, 100)
    assert violation is not None
    assert (violation.code, violation.numbers["violations"]) == ("good_faith", "2")
    desk.now_ns = noon_ns(MONDAY + timedelta(days=1))
    desk.set_price(Decimal(10))
    assert desk.ask(Side.SELL, 100) is None


def test_the_third_violation_leaves_only_settled_cash_for_ninety_days() -> None:
    desk = cash_desk(cash=0, equity=0, held=100)
    for _ in range(4):
        desk.fill(Side.SELL, 100)
        desk.fill(Side.BUY, 100)
    desk.fill(Side.SELL, 100)
    assert len(desk.findings(FindingKind.GOOD_FAITH)) == 4
    desk.measure()
    violation = desk.ask(Side.BUY, 1)
    assert violation is not None
    assert (violation.code, violation.numbers["unsettled"]) == ("settled_cash_only", "1000")
    assert "2027-02-14" in violation.message


def test_a_lot_that_is_not_paid_may_not_pay_for_itself() -> None:
    desk = cash_desk(cash=1000, equity=1000)
    desk.fill(Side.BUY, 100, price=Decimal("10.03"))
    violation = desk.ask(Side.SELL, 100)
    assert violation is not None
    assert (violation.code, violation.would_pass) == (
        "free_ride", "the same once the purchase is paid by a deposit",
    )  # fmt: skip


def test_before_any_trade_the_brokers_withdrawable_cash_is_what_has_settled() -> None:
    desk = cash_desk(cash=1000, equity=1000, balances={"withdrawable": Decimal(400)})
    funding = desk.trading().funding
    assert funding is not None
    assert (funding.settled, funding.unsettled) == (400, 600)
    plenty = cash_desk(cash=1000, equity=1000, balances={"withdrawable": Decimal(5000)})
    funding = plenty.trading().funding
    assert funding is not None
    assert (funding.settled, funding.unsettled) == (1000, 0)


def test_a_cash_account_without_balances_opens_nothing_and_sells_what_it_has() -> None:
    desk = cash_desk(held=5)
    desk.tell_balances(cash=Decimal("NaN"))
    assert code(desk.ask(Side.BUY, 1)) == "no_balances"
    assert desk.ask(Side.SELL, 5) is None


# -- lapses and settings


@pytest.mark.parametrize("rule", ["legacy_pdt", "intraday_margin", "cash_funds"])
def test_a_rule_nobody_confirmed_refuses_what_opens_and_lets_exits_pass(rule: str) -> None:
    stale = replace(LOOSE, confirmation_days_max=1)
    desk = {
        "legacy_pdt": lambda: margin_desk(LEGACY, settings=stale, held=5, now_ns=LATE),
        "intraday_margin": lambda: margin_desk(settings=stale, held=5, now_ns=LATE),
        "cash_funds": lambda: cash_desk(settings=stale, held=5, now_ns=LATE),
    }[rule]()
    violation = desk.ask(Side.BUY, 1)
    assert violation is not None
    assert violation.code == "rule_expired"
    assert desk.ask(Side.SELL, 5) is None
    assert RULES[rule].card.citation


LATE = noon_ns(date(2026, 12, 1))


def test_settings_name_a_fund_that_cannot_be() -> None:
    faults = find_faults(ComplianceSettings(leveraged_funds={"TQQQ": Decimal(30)}))
    assert faults == ("leveraged_funds.TQQQ must be between 1 and 10, not 30",)


def test_an_execution_made_elsewhere_before_the_account_was_known_is_only_remembered() -> None:
    desk = margin_desk(calendars={})
    desk.fill(Side.BUY, 10)
    history = desk.screener._trading._histories[ACCOUNT]
    assert [type(each) for each in history.executions] == [Execution]


# -- the desk that remembers


def test_legacy_rules_open_nothing_without_balances_either() -> None:
    for facts in (AccountFacts(), AccountFacts(is_pattern_day_trader=True)):
        desk = margin_desk(LEGACY, facts=facts)
        desk.tell_balances(equity=Decimal("NaN"))
        assert code(desk.ask(Side.BUY, 1)) == "no_balances"
        dry = desk.ask_all(desk.order(Side.BUY, 1))
        assert {each.code for each in dry} == {"no_balances"}


def test_without_a_fresh_quote_a_short_sale_is_valued_by_its_limit() -> None:
    desk = margin_desk(equity=10_000, held=1)
    desk.now_ns += 10 * 10**9
    order = desk.order(Side.SELL_SHORT, 5000, type=OrderType.LIMIT, limit_price=Decimal(11))
    codes = [each.code for each in desk.ask_all(order)]
    assert codes[-1] == "intraday_margin"
    none = margin_desk(equity=10_000, held=1)
    none.now_ns += 10 * 10**9
    market = none.ask_all(none.order(Side.SELL_SHORT, 5000))
    assert market[-1].code == "no_reference_price"


def test_an_account_already_short_of_maintenance_has_room_for_nothing() -> None:
    desk = margin_desk(equity=10_000, cash=-40_000, held=5000)
    violation = desk.ask(Side.BUY, 1)
    assert violation is not None
    assert violation.would_pass == "largest quantity that fits: 0"


def test_only_the_lots_that_are_sold_matter() -> None:
    desk = cash_desk(cash=1000, equity=1000)
    desk.fill(Side.BUY, 100)
    desk.fill(Side.BUY, 100)
    assert desk.ask(Side.SELL, 100) is None
    assert code(desk.ask(Side.SELL, 101)) == "free_ride"


def test_a_late_fill_that_the_balances_know_of_takes_nothing_from_cash() -> None:
    desk = margin_desk(equity=10_000, cash=9000)
    before = desk.now_ns
    desk.now_ns += 10**9
    desk.tell_balances(cash=Decimal(8000))
    desk.fill(Side.BUY, 100, at_ns=before)
    assert desk.trading().cash == 8000


def test_an_account_whose_days_run_out_is_not_looked_at_until_they_begin_again() -> None:
    desk = margin_desk(held=1)
    far = noon_ns(date(2027, 9, 20))
    desk.now_ns = far
    desk.set_price(Decimal(10))
    assert code(desk.ask(Side.BUY, 1)) == "no_calendar"
    desk.measure()
    desk.set_price(Decimal(11))
    assert desk.screener.book.accounts[ACCOUNT].trading is None


def test_prices_of_a_moment_ago_do_not_make_an_account_looked_at_again() -> None:
    desk = margin_desk(equity=10_000)
    desk.fill(Side.BUY, 3900)
    desk.measure()
    desk.set_price(Decimal(9))
    assert desk.deficit() == 0
    desk.measure()
    assert desk.deficit() > 0


def test_an_account_without_a_history_begins_one() -> None:
    desk = margin_desk()
    desk.screener.load(
        accounts=(desk.snapshot(),), orders=(), halts=(), instruments=(stock(calendar="XNYS"),)
    )
    desk.fill(Side.BUY, 10)
    assert [each.quantity for each in desk.trading().history.executions] == [10]


def test_a_share_nobody_has_ever_priced_is_not_opened() -> None:
    desk = margin_desk(instruments=(stock(calendar="XNYS"), stock("XYZ", calendar="XNYS")))
    order = desk.order(Side.BUY, 1, instrument="XYZ", type=OrderType.LIMIT, limit_price=Decimal(10))
    assert desk.ask_all(order)[-1].code == "no_reference_price"


def test_what_is_found_says_of_whom_and_when() -> None:
    desk = buying_power_desk()
    desk.fill(Side.BUY, 10_400)
    (call,) = desk.findings(FindingKind.DAY_TRADE_CALL)
    assert (call.account, call.day, call.at_ns) == (ACCOUNT, "2026-11-16", desk.now_ns)
    desk = margin_desk(equity=10_000)
    desk.fill(Side.BUY, 4200)
    (deficit,) = desk.findings(FindingKind.INTRADAY_DEFICIT)
    assert (deficit.account, deficit.day, deficit.at_ns) == (ACCOUNT, "2026-11-16", desk.now_ns)


def test_a_restart_knows_what_was_held_before_the_oldest_execution_that_is_kept() -> None:
    yesterday = noon_ns(date(2026, 11, 13))
    words: dict[str, Any] = {"instrument": "ABC", "price": Decimal(10)}
    history = [
        Execution(at_ns=yesterday, id="e1", order_id="o1", sign=-1, quantity=Decimal(100), **words),
        Execution(
            at_ns=noon_ns(MONDAY), id="e2", order_id="o2", sign=1, quantity=Decimal(150), **words
        ),
    ]
    trading = margin_desk(LEGACY, equity=30_000, executions=history).trading()
    # The purchase covered the short sale of the day before, and opened the rest.
    assert (trading.day_trades.open_cost, trading.day_trades.untouched) == (500, 1)


def test_a_fill_of_an_earlier_day_that_is_told_today_is_not_open_of_today() -> None:
    desk = margin_desk(LEGACY, equity=30_000)
    desk.fill(Side.BUY, 5, at_ns=noon_ns(date(2026, 11, 13)))
    assert desk.trading().day_trades.open_symbols == set()
    desk.fill(Side.SELL, 5)
    assert desk.trading().day_trades.on(MONDAY).direction == 0
    assert desk.trading().day_trades.on(date(2026, 11, 13)).orders == 1


def test_a_freeze_ends_with_the_moment_its_deficit_is_met() -> None:
    day = date(2026, 11, 2)
    unmet = replace(deficit_found(ACCOUNT, day, Decimal(5000), 1), equity=Decimal(10_000))
    history = AccountHistory(account=ACCOUNT, findings={unmet.id: unmet})
    desk = margin_desk(equity=8_000, cash=-28_000, held=4000, history=history, price=9)
    assert desk.trading().frozen_until == date(2027, 2, 7)
    desk.set_price(Decimal(11))
    desk.measure()
    assert desk.findings(FindingKind.INTRADAY_DEFICIT)[0].met == 5000
    assert desk.trading().frozen_until is None


def ridden(paid_on: date) -> Finding:
    """A purchase without money sold on Monday, and the money brought in on a day."""
    words: dict[str, Any] = {"instrument": "ABC", "price": Decimal(10), "quantity": Decimal(10)}
    history = AccountHistory(
        account=ACCOUNT,
        executions=[
            Execution(at_ns=noon_ns(MONDAY), id="e1", order_id="o1", sign=1, **words),
            Execution(at_ns=noon_ns(MONDAY) + 1, id="e2", order_id="o2", sign=-1, **words),
        ],
        movements=[Movement(at_ns=noon_ns(paid_on), id="m", amount=Decimal(100))],
    )
    friday = noon_ns(date(2026, 11, 20))
    desk = cash_desk(cash=100, equity=100, history=history, now_ns=friday, positions={"ABC": 0})
    return desk.findings(FindingKind.FREE_RIDE)[0]


def test_a_free_ride_is_undone_until_two_days_after_settlement() -> None:
    assert ridden(date(2026, 11, 19)).met == 100
    assert ridden(date(2026, 11, 20)).met == 0


def test_what_a_contract_of_a_hundred_costs_is_paid_a_hundredfold() -> None:
    contract = stock(calendar="XNYS", multiplier=Decimal(100))
    desk = cash_desk(cash=1000, equity=1000, instruments=(contract,), price=2)
    desk.fill(Side.BUY, 3)
    funding = desk.trading().funding
    assert funding is not None
    assert funding.available == 400
    assert desk.ask(Side.BUY, 2) is None
    assert code(desk.ask(Side.BUY, 3)) == "insufficient_cash"


def test_an_account_that_has_not_moved_to_intraday_margin_has_no_deficit_of_it() -> None:
    desk = margin_desk(LEGACY, equity=10_000)
    desk.fill(Side.BUY, 4200)
    desk.measure()
    assert desk.findings(FindingKind.INTRADAY_DEFICIT) == []


def test_a_deficit_waits_until_every_holding_has_a_price() -> None:
    other = stock("XYZ", calendar="XNYS")
    desk = margin_desk(equity=10_000, instruments=(stock(calendar="XNYS"), other))
    desk.fill(Side.BUY, 1, symbol="XYZ", price=Decimal(10))
    desk.fill(Side.BUY, 4200)
    desk.measure()
    assert desk.findings(FindingKind.INTRADAY_DEFICIT) == []
    desk.set_price(Decimal(10), "XYZ")
    desk.measure()
    assert len(desk.findings(FindingKind.INTRADAY_DEFICIT)) == 1


def test_an_account_whose_regime_the_settings_changed_is_followed_from_its_first_update() -> None:
    settled = replace(LOOSE, regimes={ACCOUNT: INTRADAY})
    desk = margin_desk("house", broker="sim", equity=10_000, settings=settled)
    desk.fill(Side.BUY, 4200)
    assert len(desk.findings(FindingKind.INTRADAY_DEFICIT)) == 1


def test_a_purchase_beside_a_lot_whose_money_has_not_settled_is_no_early_sale() -> None:
    desk = cash_desk(cash=0, equity=0, held=100)
    desk.fill(Side.SELL, 100)
    desk.fill(Side.BUY, 50)
    bought = desk.verdict(desk.order(Side.BUY, 10))
    assert (bought.violation, bought.warnings) == (None, ())
    assert len(desk.verdict(desk.order(Side.SELL, 10)).warnings) == 1
