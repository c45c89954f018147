"""The house's limits per order: what each refuses, what it lets through, and what it says."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from compliance.settings import ComplianceSettings, Restriction
from domain.orders import OrderType, Side, TimeInForce
from domain.records import HaltScope
from tests.compliance.desk import (
    ACCOUNT,
    CONNECTION,
    LOOSE,
    MS,
    NOW,
    OWNER,
    RATES,
    Desk,
    broker_account,
    halted,
    limit_order,
    lots,
    new_order,
    order_update,
    position,
    rate,
    snapshot,
    stock,
)

HOUSE = ComplianceSettings()


def test_an_order_up_to_the_largest_quantity_passes_and_one_above_is_told_what_fits() -> None:
    desk = Desk(settings=replace(LOOSE, max_quantity=Decimal(5000)))
    assert desk.code(new_order(5000)) == "pass"
    violation = desk.verdict(new_order(5001)).violation
    assert violation is not None
    assert violation.code == "max_quantity"
    assert violation.would_pass == "largest quantity that fits: 5000"
    assert violation.numbers == {"quantity": "5001", "limit": "5000"}


def test_a_market_order_is_valued_at_the_touch_in_the_account_currency() -> None:
    desk = Desk(settings=replace(LOOSE, max_notional=Decimal(1100)))
    assert desk.code(new_order(1000)) == "pass"
    violation = desk.verdict(new_order(1001)).violation
    assert violation is not None
    assert (violation.code, violation.numbers["notional"]) == ("max_notional", "1101.1")
    assert violation.would_pass == "largest quantity that fits: 1000"


def test_a_cross_is_valued_through_the_dollar() -> None:
    desk = Desk(settings=replace(LOOSE, max_notional=Decimal(1100)))
    cross = (*RATES, rate("EUR/JPY", "165"))
    assert desk.code(new_order(1000, instrument="EUR/JPY"), rates=cross) == "pass"
    assert desk.code(new_order(1001, instrument="EUR/JPY"), rates=cross) == "max_notional"


def test_a_limit_to_sell_below_the_market_is_valued_at_the_touch() -> None:
    desk = Desk(settings=replace(LOOSE, max_notional=Decimal(1099)))
    assert desk.code(limit_order(-1000, "1.0")) == "max_notional"
    assert desk.code(limit_order(1000, "1.0")) == "pass"


@pytest.mark.parametrize("age_ms", [None, LOOSE.quote_age_ms_max + 1])
def test_a_market_order_without_a_fresh_quote_is_refused(age_ms: int | None) -> None:
    rates = () if age_ms is None else (rate(age_ms=age_ms),)
    assert Desk().code(new_order(), rates=rates) == "no_reference_price"


def test_an_order_valued_by_its_own_limit_still_needs_a_quote_for_the_collar() -> None:
    violation = Desk().verdict(limit_order(), rates=()).violation
    assert violation is not None
    assert (violation.rule, violation.code) == ("price_collar", "no_reference_price")


def test_an_exit_needs_no_quote() -> None:
    desk = Desk(snapshot(position(*lots(1000))))
    assert desk.code(new_order(-1000), rates=()) == "pass"


@pytest.mark.parametrize(
    ("quantity", "price", "code"),
    [
        (100, "1.122", "pass"),
        (100, "1.1221", "price_collar"),
        (100, "0.5", "pass"),
        (-100, "1.078", "pass"),
        (-100, "1.0779", "price_collar"),
        (-100, "9", "pass"),
    ],
)
def test_the_collar_refuses_only_the_costly_side_and_its_edge_passes(
    quantity: int, price: str, code: str
) -> None:
    assert Desk(settings=HOUSE).code(limit_order(quantity, price)) == code


@pytest.mark.parametrize(("quantity", "price"), [(100, "0.5"), (-100, "2")])
def test_the_collar_refuses_either_side_where_set(quantity: int, price: str) -> None:
    desk = Desk(settings=replace(HOUSE, collar_both_sides=True))
    assert desk.code(limit_order(quantity, price)) == "price_collar"


def test_the_collar_says_which_price_fits() -> None:
    desk = Desk(settings=HOUSE)
    high = desk.verdict(limit_order(100, "2")).violation
    low = desk.verdict(limit_order(-100, "0.1")).violation
    assert high is not None
    assert low is not None
    assert high.would_pass == "highest price that fits: 1.122"
    assert low.would_pass == "lowest price that fits: 1.078"


def test_a_trigger_price_has_the_wider_collar() -> None:
    stop = {"type": OrderType.STOP, "time_in_force": TimeInForce.GTC}
    desk = Desk(settings=HOUSE)
    assert desk.code(new_order(100, stop_price=Decimal("1.32"), **stop)) == "pass"
    assert desk.code(new_order(100, stop_price=Decimal("1.33"), **stop)) == "price_collar"


def test_the_price_bound_of_a_market_order_is_collared_too() -> None:
    assert Desk(settings=HOUSE).code(new_order(100, price_bound=Decimal(2))) == "price_collar"


def test_the_same_order_within_the_window_is_refused_whatever_its_client_id() -> None:
    desk = Desk(settings=replace(LOOSE, duplicate_window_ms=500))
    assert desk.code(new_order()) == "pass"
    again = new_order(client_order_id="c-2")
    violation = desk.verdict(again, now_ns=NOW + 500 * MS).violation
    assert violation is not None
    assert (violation.code, violation.numbers["age_ms"]) == ("duplicate", "500")
    assert desk.code(again, now_ns=NOW + 501 * MS) == "pass"


@pytest.mark.parametrize(
    "words",
    [
        {"quantity": 1001},
        {"side": Side.SELL_SHORT},
        {"time_in_force": TimeInForce.IOC},
        {"instrument": "GBP/USD"},
    ],
)
def test_an_order_that_differs_in_what_it_asks_for_is_no_duplicate(
    words: dict[str, object],
) -> None:
    desk = Desk(settings=replace(LOOSE, duplicate_window_ms=500))
    desk.ask(new_order())
    plain = {"quantity": 1000, **words}
    plain["quantity"] = Decimal(str(plain["quantity"]))
    assert desk.code(replace(new_order(), **plain)) == "pass"


def test_an_order_that_was_not_sent_may_be_sent_again_at_once() -> None:
    desk = Desk(settings=replace(LOOSE, duplicate_window_ms=500))
    desk.ask(new_order(), "o-1")
    desk.screener.release("o-1")
    assert desk.code(new_order(), "o-2") == "pass"


def test_releasing_one_order_does_not_forget_a_later_equal_one() -> None:
    desk = Desk(settings=replace(LOOSE, duplicate_window_ms=500))
    desk.ask(new_order(), "o-1")
    desk.ask(new_order(), "o-2", now_ns=NOW + 600 * MS)
    desk.screener.release("o-1")
    assert desk.code(new_order(), "o-3", now_ns=NOW + 700 * MS) == "duplicate"


def test_the_same_order_screened_again_is_no_duplicate_of_itself() -> None:
    desk = Desk(settings=replace(LOOSE, duplicate_window_ms=500))
    assert desk.code(new_order(), "o-1") == "pass"
    assert desk.code(new_order(), "o-1") == "pass"
    assert desk.reserved() == (1000, 0)


def test_an_amend_is_no_duplicate() -> None:
    desk = Desk(settings=replace(LOOSE, duplicate_window_ms=500))
    desk.ask(limit_order(), "o-1")
    desk.tell(order_update("o-1", 1))
    assert desk.code(limit_order(), "o-1", replaces_order_id="o-1") == "pass"


def test_a_restricted_symbol_is_refused_both_ways() -> None:
    row = Restriction(symbol="EUR/USD", reason="inside information")
    desk = Desk(snapshot(position(*lots(1000))), settings=replace(LOOSE, restricted=(row,)))
    assert desk.code(new_order()) == "restricted"
    assert desk.code(new_order(-1000)) == "restricted"
    assert desk.code(new_order(instrument="GBP/USD")) == "pass"


def test_a_restricted_symbol_may_be_left_where_its_row_says_so() -> None:
    row = Restriction(symbol="EUR/USD", reason="delisting", exits_pass=True)
    desk = Desk(snapshot(position(*lots(1000))), settings=replace(LOOSE, restricted=(row,)))
    assert desk.code(new_order()) == "restricted"
    assert desk.code(new_order(-1000)) == "pass"


HALTS = [
    (HaltScope.ALL, "*"),
    (HaltScope.OWNER, OWNER),
    (HaltScope.ACCOUNT, ACCOUNT),
    (HaltScope.CONNECTION, CONNECTION),
    (HaltScope.BROKER, "oanda"),
    (HaltScope.INSTRUMENT, "EUR/USD"),
    (HaltScope.TAG, "trend"),
]


@pytest.mark.parametrize(("scope", "subject"), HALTS)
def test_a_halt_refuses_what_is_in_its_scope(scope: HaltScope, subject: str) -> None:
    desk = Desk(halts=(halted(scope, subject),))
    assert desk.code(new_order(tag="trend")) == "halted"
    desk.screener.set_halts(())
    assert desk.code(new_order(tag="trend")) == "pass"


@pytest.mark.parametrize("scope", [scope for scope, _ in HALTS if scope is not HaltScope.ALL])
def test_a_halt_of_another_member_does_not_reach(scope: HaltScope) -> None:
    assert Desk(halts=(halted(scope, "someone-else"),)).code(new_order(tag="trend")) == "pass"


def test_every_scope_of_a_halt_has_a_story() -> None:
    assert {scope for scope, _ in HALTS} == set(HaltScope)


def test_an_exit_is_halted_too_unless_settings_let_it_pass() -> None:
    held = snapshot(position(*lots(1000)))
    halts = (halted(HaltScope.ALL),)
    assert Desk(held, halts=halts).code(new_order(-1000)) == "halted"
    lenient = Desk(held, halts=halts, settings=replace(LOOSE, exits_pass_halts=True))
    assert lenient.code(new_order(-1000)) == "pass"
    assert lenient.code(new_order(1000)) == "halted"


def test_a_halt_of_the_settings_stays_in_force() -> None:
    desk = Desk(settings=replace(LOOSE, halts=(halted(HaltScope.INSTRUMENT, "EUR/USD"),)))
    desk.screener.set_halts(())
    assert desk.code(new_order()) == "halted"


def test_a_share_is_valued_in_its_own_currency_under_the_paper_house_rules() -> None:
    account = broker_account(regime="house", broker="sim")
    settings = replace(HOUSE, max_quantity=Decimal(10_000), max_notional=Decimal(500_000))
    desk = Desk(snapshot(account=account), settings=settings, instruments=(stock(),))
    quotes = (rate("ABC", "100"),)
    assert desk.code(limit_order(5000, "100", instrument="ABC"), rates=quotes) == "pass"
    assert desk.code(limit_order(5001, "100", instrument="ABC"), rates=quotes) == "max_notional"
