"""Limits over a while and over many accounts: who may trade, how often, and how much in all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from compliance.limits import Authorization, MarketSettings
from compliance.settings import ComplianceSettings, find_faults
from domain import events as ev
from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.instruments import AssetClass
from domain.lifecycle import Status
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.records import HaltScope
from domain.screening import Candidate
from domain.streams import BalancesUpdate, PositionUpdate, StreamUpdate
from tests.compliance.desk import (
    ACCOUNT,
    CONNECTION,
    LOOSE,
    MS,
    NOW,
    OWNER,
    Desk,
    broker_account,
    forex,
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

QUOTES = (rate("ABC", "10"),)
OTHER = Candidate(connection=CONNECTION, account="acct-2")
ERROR = ErrorInfo(
    code="no", category=Category.VENUE, outcome=Outcome.NONE, retry=Retry.NEW_ID, message="no"
)


def share_desk(market: MarketSettings, *held: Any, **words: Any) -> Desk:
    """An account at an exchange and a second one of the same owner."""
    first = broker_account(regime="house", broker="sim")
    second = broker_account(account="acct-2", regime="house", broker="sim")
    settings = replace(LOOSE, market=market, **words)
    return Desk(
        snapshot(*held, account=first),
        snapshot(account=second),
        settings=settings,
        instruments=(stock("ABC"), stock("XYZ"), forex("EUR/USD")),
    )


def buy(quantity: int | str = 100, price: str = "10", **words: Any) -> NewOrder:
    return limit_order(quantity, price, instrument="ABC", **words)


def holds(quantity: int, cost: str = "10") -> Any:
    held = position(*lots(quantity, instrument="ABC"), instrument="ABC")
    return replace(held, average_cost=Decimal(cost))


def violation_of(desk: Desk, order: NewOrder, **words: Any) -> Any:
    violation = desk.verdict(order, **{"rates": QUOTES, **words}).violation
    assert violation is not None
    return violation


# ------------------------------------------------------------------ persons


def test_without_a_list_every_owner_may_trade() -> None:
    assert share_desk(MarketSettings()).code(buy(), rates=QUOTES) == "pass"


@pytest.mark.parametrize(
    ("row", "code", "would_pass"),
    [
        (Authorization(owner="someone-else"), "unauthorized", None),
        (Authorization(owner=OWNER), "pass", None),
        (Authorization(owner=OWNER, asset_classes=(AssetClass.EQUITY,)), "pass", None),
        (
            Authorization(owner=OWNER, asset_classes=(AssetClass.FOREX, AssetClass.CRYPTO)),
            "unauthorized",
            "crypto, forex",
        ),
        (Authorization(owner=OWNER, instruments=("ABC",)), "pass", None),
        (Authorization(owner=OWNER, instruments=("XYZ", "DEF")), "unauthorized", "DEF, XYZ"),
    ],
)
def test_an_owner_trades_only_what_his_row_names(
    row: Authorization, code: str, would_pass: str | None
) -> None:
    desk = share_desk(MarketSettings(authorized=(row,)))
    violation = desk.verdict(buy(), rates=QUOTES).violation
    assert (violation.code if violation else "pass") == code
    assert violation is None or violation.would_pass == would_pass


# ------------------------------------------------------------------ messages


def test_the_message_that_is_one_too_many_in_a_second_is_refused() -> None:
    desk = share_desk(MarketSettings(messages_per_s_max=2))
    for age_ms in (900, 100):
        assert desk.code(buy(), rates=QUOTES, now_ns=NOW - age_ms * MS) == "pass"
    violation = violation_of(desk, buy())
    assert violation.code == "message_rate"
    assert violation.numbers == {"messages": "2", "limit": "2"}
    # A message exactly a second old does not count any more.
    assert desk.code(buy(), rates=QUOTES, now_ns=NOW + 100 * MS) == "pass"


def test_a_refused_order_and_a_dry_run_send_no_message() -> None:
    desk = share_desk(MarketSettings(messages_per_s_max=1), max_quantity=Decimal(100))
    assert desk.code(buy(101), rates=QUOTES) == "max_quantity"
    desk.ask(buy(), rates=QUOTES, is_dry_run=True)
    assert desk.code(buy(), rates=QUOTES) == "pass"


def test_a_cancel_counts_and_an_amend_does() -> None:
    desk = share_desk(MarketSettings(messages_per_s_max=3))
    assert desk.code(buy(), "o-1", rates=QUOTES) == "pass"
    desk.tell(order_update("o-1", 1, instrument="ABC", leaves=100))
    assert desk.code(buy(90), "o-1", rates=QUOTES, replaces_order_id="o-1") == "pass"
    asked = ev.CancelRequested(at_ns=NOW, request_id="r")
    desk.tell(order_update("o-1", 2, instrument="ABC", leaves=100, event=asked), 2)
    assert desk.code(buy(), rates=QUOTES) == "message_rate"


def test_the_way_out_stays_open_and_amends_of_it_do_not() -> None:
    desk = share_desk(MarketSettings(messages_per_s_max=1), holds(100))
    exit_order = buy(-100, reduce_only=True)
    assert desk.code(exit_order, "o-1", rates=QUOTES) == "pass"
    desk.tell(order_update("o-1", 1, instrument="ABC", leaves=100))
    assert desk.code(buy(-50, reduce_only=True), "o-2", rates=QUOTES) == "pass"
    amended = buy(-90, reduce_only=True)
    assert desk.code(amended, "o-1", rates=QUOTES, replaces_order_id="o-1") == "message_rate"


def test_a_limit_of_zero_messages_turns_the_rule_off() -> None:
    desk = share_desk(MarketSettings(messages_per_s_max=0))
    assert [desk.code(buy(), rates=QUOTES) for _ in range(3)] == ["pass"] * 3


# ------------------------------------------------------------------ over a short while


def test_quantity_over_a_while_is_limited_by_direction_and_instrument() -> None:
    desk = share_desk(MarketSettings(window_quantity_max=Decimal(250), window_ms=1_000))
    assert desk.code(buy(200), rates=QUOTES) == "pass"
    violation = violation_of(desk, buy(51))
    assert violation.code == "window_quantity"
    assert violation.numbers == {"passed": "200", "limit": "250"}
    assert violation.would_pass == "largest quantity that fits: 50"
    assert desk.code(buy(50), rates=QUOTES) == "pass"
    assert desk.code(buy(1), rates=QUOTES, now_ns=NOW + 999 * MS) == "window_quantity"
    assert desk.code(buy(-250, "11"), rates=QUOTES) == "pass"
    other = limit_order(250, "10", instrument="XYZ")
    assert desk.code(other, rates=(rate("XYZ", "10"),)) == "pass"
    assert desk.code(buy(250), rates=QUOTES, now_ns=NOW + 1_000 * MS) == "pass"


def test_value_over_a_while_is_limited_in_the_account_currency() -> None:
    desk = share_desk(MarketSettings(window_notional_max=Decimal(3_000)))
    assert desk.code(buy(200), rates=QUOTES) == "pass"
    violation = violation_of(desk, buy(101))
    assert violation.code == "window_notional"
    assert violation.numbers == {"passed": "2000", "limit": "3000"}
    assert violation.would_pass == "largest quantity that fits: 100"
    assert desk.code(buy(100), rates=QUOTES) == "pass"


def test_a_window_that_is_full_says_that_nothing_fits() -> None:
    desk = share_desk(MarketSettings(window_quantity_max=Decimal(200)))
    assert desk.code(buy(200), rates=QUOTES) == "pass"
    assert violation_of(desk, buy(1)).would_pass == "largest quantity that fits: 0"


def test_the_window_counts_no_order_that_exits() -> None:
    desk = share_desk(MarketSettings(window_quantity_max=Decimal(100)), holds(500))
    assert desk.code(buy(-500), rates=QUOTES) == "pass"


def test_an_old_entry_is_forgotten_where_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("compliance.activity.KEPT_MAX", 2)
    desk = share_desk(MarketSettings(window_quantity_max=Decimal(300)))
    assert [desk.code(buy(), rates=QUOTES) for _ in range(4)] == ["pass"] * 4


# ------------------------------------------------------------------ repeated executions


def fill_whole(desk: Desk, name: str, tag: str | None, seq: int, at_ns: int = NOW) -> None:
    assert desk.code(buy(tag=tag), name, rates=QUOTES, now_ns=at_ns) == "pass"
    fill = ev.Fill(
        at_ns=at_ns, execution_id=name, broker_execution_id=name, broker_order_id=name,
        instrument="ABC", side=Side.BUY, quantity=Decimal(100), price=Decimal(10),
    )  # fmt: skip
    done = order_update(
        name, 2, status=Status.FILLED, filled=100, leaves=0, instrument="ABC", event=fill
    )
    desk.tell(done, seq)


REPEATS = MarketSettings(repeats_max=2, repeats_window_ms=1_000)


def test_a_strategy_that_repeats_itself_is_halted_until_a_person_lifts_it() -> None:
    desk = share_desk(REPEATS)
    fill_whole(desk, "o-1", "grid", 1)
    assert desk.screener.take_trips() == ()
    fill_whole(desk, "o-2", "grid", 2)
    assert desk.code(buy(tag="grid"), rates=QUOTES) == "halted"
    assert desk.code(buy(tag="other"), rates=QUOTES) == "pass"
    (halt,) = desk.screener.take_trips()
    assert (halt.scope, halt.subject, halt.by) == (HaltScope.TAG, "grid", "compliance")
    assert halt.reason == "repeated execution: 2 executions in ABC within 1000 ms"
    assert desk.screener.take_trips() == ()
    # Another halt changes nothing of it, nor does its being written down.
    desk.screener.set_halts((halted(HaltScope.TAG, "other"),))
    assert desk.code(buy(tag="grid"), rates=QUOTES) == "halted"
    desk.screener.set_halts((halt,))
    assert desk.code(buy(tag="grid"), rates=QUOTES) == "halted"
    desk.screener.set_halts(())
    fill_whole(desk, "o-3", "grid", 3)
    assert desk.screener.take_trips() == ()
    fill_whole(desk, "o-4", "grid", 4)
    assert len(desk.screener.take_trips()) == 1


def test_a_halt_that_no_router_has_written_down_is_said_again_to_the_next_one() -> None:
    desk = share_desk(REPEATS)
    fill_whole(desk, "o-1", "grid", 1)
    fill_whole(desk, "o-2", "grid", 2)
    (halt,) = desk.screener.take_trips()
    desk.screener.load(accounts=(), orders=(), halts=(), instruments=())
    assert desk.screener.take_trips() == (halt,)
    desk.screener.load(accounts=(), orders=(), halts=(halt,), instruments=())
    assert desk.screener.take_trips() == ()


def test_an_order_without_a_tag_halts_its_account() -> None:
    desk = share_desk(REPEATS)
    fill_whole(desk, "o-1", None, 1)
    fill_whole(desk, "o-2", None, 2)
    (halt,) = desk.screener.take_trips()
    assert (halt.scope, halt.subject) == (HaltScope.ACCOUNT, ACCOUNT)
    desk.screener.set_halts((halt,))
    desk.screener.set_halts(())
    fill_whole(desk, "o-3", None, 3)
    assert desk.screener.take_trips() == ()


def test_executions_far_apart_are_no_repetition() -> None:
    desk = share_desk(REPEATS)
    fill_whole(desk, "o-1", "grid", 1)
    fill_whole(desk, "o-2", "grid", 2, at_ns=NOW + 1_001 * MS)
    assert desk.screener.take_trips() == ()
    fill_whole(desk, "o-3", "grid", 3, at_ns=NOW + 2_001 * MS)
    assert len(desk.screener.take_trips()) == 1


def test_one_more_repetition_of_a_halted_strategy_trips_no_second_halt() -> None:
    desk = share_desk(REPEATS)
    for number in (1, 2, 3):
        assert desk.code(buy(tag="grid"), f"o-{number}", rates=QUOTES) == "pass"
    for number in (1, 2, 3):
        done = order_update(
            f"o-{number}", 2, status=Status.FILLED, filled=100, leaves=0, instrument="ABC"
        )
        desk.tell(done, number)
    assert len(desk.screener.take_trips()) == 1


def test_news_told_twice_counts_once() -> None:
    desk = share_desk(REPEATS)
    fill_whole(desk, "o-1", "grid", 1)
    done = order_update("o-1", 2, status=Status.FILLED, filled=100, leaves=0, instrument="ABC")
    desk.tell(done, 1)
    desk.tell(done, 1)
    assert desk.screener.take_trips() == ()


# ------------------------------------------------------------------ own orders


def rests(desk: Desk, name: str, order: NewOrder, **words: Any) -> None:
    assert desk.code(order, name, **{"rates": QUOTES, **words}) == "pass"
    account = words["candidates"][0].account if "candidates" in words else ACCOUNT
    quantity = order.quantity
    update = order_update(name, 2, leaves=quantity, instrument=order.instrument, account=account)
    desk.tell(update)


@pytest.mark.parametrize(
    ("resting", "order", "code"),
    [
        (buy(-100, "10"), buy(100, "10"), "self_trade"),
        (buy(-100, "10"), buy(100, "9.99"), "pass"),
        (buy(100, "10"), buy(-100, "10"), "self_trade"),
        (buy(100, "10"), buy(-100, "10.01"), "pass"),
        (buy(100, "10"), buy(100, "10.01"), "pass"),
        (
            buy(-100, "10", time_in_force=TimeInForce.IOC),
            buy(100, "10", client_order_id="c-2"),
            "pass",
        ),
    ],
)
def test_an_order_may_not_reach_an_own_resting_one(
    resting: NewOrder, order: NewOrder, code: str
) -> None:
    desk = share_desk(MarketSettings())
    rests(desk, "o-1", resting)
    assert desk.code(order, rates=QUOTES) == code


def test_the_best_own_price_counts_and_is_told() -> None:
    desk = share_desk(MarketSettings())
    for index, price in enumerate(("12", "10.5", "11")):
        rests(desk, f"o-{index}", buy(-100, price))
    violation = violation_of(desk, buy(100, "11.5"))
    assert violation.numbers == {"price": "11.5", "own_price": "10.5"}
    assert violation.would_pass == ("a limit price below 10.5, or the same once that is canceled")
    desk.tell(order_update("o-1", 3, status=Status.CANCELED, leaves=0, instrument="ABC"))
    assert violation_of(desk, buy(100, "11.5")).numbers["own_price"] == "11"


def test_a_sale_is_told_to_stay_above() -> None:
    desk = share_desk(MarketSettings())
    rests(desk, "o-1", buy(100, "9"))
    rests(desk, "o-2", buy(100, "10"))
    assert "above 10" in violation_of(desk, buy(-100, "9.5")).would_pass


def test_orders_of_the_owners_other_account_count_and_a_strangers_do_not() -> None:
    desk = share_desk(MarketSettings())
    rests(desk, "o-1", buy(-100, "10"), candidates=(OTHER,))
    assert desk.code(buy(100, "10"), rates=QUOTES) == "self_trade"
    stranger = broker_account(account="acct-9", owner="owner-9", regime="house", broker="sim")
    mine = broker_account(regime="house", broker="sim")
    desk = Desk(
        snapshot(account=mine), snapshot(account=stranger), settings=LOOSE,
        instruments=(stock("ABC"),),
    )  # fmt: skip
    theirs = Candidate(connection=CONNECTION, account="acct-9")
    rests(desk, "o-1", buy(-100, "10"), candidates=(theirs,), owner="owner-9")
    assert desk.code(buy(100, "10"), rates=QUOTES) == "pass"


def test_a_market_order_meets_what_rests_at_the_touch() -> None:
    market = new_order(100, instrument="ABC")
    desk = share_desk(MarketSettings())
    rests(desk, "o-1", buy(-100, "10"))
    assert desk.code(market, rates=QUOTES) == "self_trade"
    desk = share_desk(MarketSettings())
    rests(desk, "o-1", buy(-100, "10.5"))
    assert desk.code(market, rates=QUOTES) == "pass"


def test_a_market_exit_without_a_quote_is_not_stopped_for_it() -> None:
    desk = share_desk(MarketSettings(), holds(100))
    rests(desk, "o-1", buy(100, "10"))
    late = NOW + 3_600_000 * MS
    assert desk.code(new_order(-100, instrument="ABC"), rates=(), now_ns=late) == "pass"


def test_a_stop_meets_nobody_until_it_triggers() -> None:
    desk = share_desk(MarketSettings())
    rests(desk, "o-1", buy(-100, "10"))
    stop = {"type": OrderType.STOP, "time_in_force": TimeInForce.GTC}
    order = new_order(100, instrument="ABC", stop_price=Decimal(10), **stop)
    assert desk.code(order, rates=QUOTES) == "pass"


def test_a_stop_limit_rests_from_its_trigger_on() -> None:
    desk = share_desk(MarketSettings())
    kind = {"type": OrderType.STOP_LIMIT, "stop_price": Decimal(9)}
    rests(desk, "o-1", buy(-100, "10", **kind))
    assert desk.code(buy(100, "10"), "o-2", rates=QUOTES) == "pass"
    desk.screener.release("o-2")
    triggered = ev.Triggered(at_ns=NOW, broker_order_id="b")
    desk.tell(order_update("o-1", 3, leaves=100, instrument="ABC", event=triggered))
    assert desk.code(buy(100, "10"), rates=QUOTES) == "self_trade"


def test_currencies_are_traded_with_a_dealer_and_not_with_oneself() -> None:
    desk = share_desk(MarketSettings())
    plain = (rate("EUR/USD", "1.1"),)
    assert desk.code(limit_order(-100, "1.1"), "o-1", rates=plain) == "pass"
    assert desk.code(limit_order(100, "1.1"), "o-2", rates=plain) == "pass"


def test_the_rule_can_be_turned_off() -> None:
    desk = share_desk(MarketSettings(prevents_self_trades=False))
    rests(desk, "o-1", buy(-100, "10"))
    assert desk.code(buy(100, "10"), rates=QUOTES) == "pass"


def test_while_an_amend_is_under_way_both_prices_count() -> None:
    desk = share_desk(MarketSettings())
    rests(desk, "o-1", buy(-100, "11"))
    lower = buy(-100, "10.5")
    assert desk.code(lower, "o-1", rates=QUOTES, replaces_order_id="o-1") == "pass"
    assert desk.code(buy(100, "10.5"), rates=QUOTES) == "self_trade"
    refused = ev.AmendRefused(at_ns=NOW, error=ERROR)
    desk.tell(order_update("o-1", 3, leaves=100, instrument="ABC", event=refused))
    assert desk.code(buy(100, "10.5"), "o-9", rates=QUOTES) == "pass"
    desk.screener.release("o-9")
    assert desk.code(buy(100, "11"), rates=QUOTES) == "self_trade"


def test_after_an_amend_the_new_price_counts() -> None:
    desk = share_desk(MarketSettings())
    rests(desk, "o-1", buy(100, "9"))
    higher = buy(100, "9.5")
    assert desk.code(higher, "o-1", rates=QUOTES, replaces_order_id="o-1") == "pass"
    replaced = ev.Replaced(at_ns=NOW, broker_order_id="b", limit_price=Decimal("9.6"))
    desk.tell(order_update("o-1", 3, leaves=100, instrument="ABC", event=replaced))
    assert violation_of(desk, buy(-100, "9.5")).numbers["own_price"] == "9.6"
    silent = ev.Replaced(at_ns=NOW, broker_order_id="b")
    desk.tell(order_update("o-1", 4, leaves=100, instrument="ABC", event=silent))
    assert violation_of(desk, buy(-100, "9.5")).numbers["own_price"] == "9.6"


def test_an_order_made_outside_rests_too_and_one_of_unknown_side_does_not() -> None:
    desk = share_desk(MarketSettings())
    outside = ev.External(
        at_ns=NOW, broker_order_id="b", instrument="ABC", side=Side.SELL, quantity=Decimal(100),
        order_type=OrderType.LIMIT, time_in_force=TimeInForce.GTC, limit_price=Decimal(10),
    )  # fmt: skip
    desk.tell(order_update("x-1", 1, leaves=100, instrument="ABC", event=outside))
    assert desk.code(buy(100, "10"), rates=QUOTES) == "self_trade"


# ------------------------------------------------------------------ credit


CREDIT = MarketSettings(customer_credit_max=Decimal(2_000), prevents_self_trades=False)


def used(desk: Desk, owner: str = OWNER) -> Decimal:
    credit = desk.screener.book.credit
    assert credit is not None
    return sum(credit.tally(owner).amounts.values(), Decimal(0))


def test_what_is_under_way_counts_and_the_last_of_the_credit_passes() -> None:
    desk = share_desk(CREDIT)
    assert desk.code(buy(150), "o-1", rates=QUOTES) == "pass"
    violation = violation_of(desk, buy(51))
    assert violation.code == "customer_credit"
    assert violation.numbers == {"order": "510", "would_use": "2010", "limit": "2000"}
    assert violation.would_pass == "largest quantity that fits: 50"
    assert "credit of 2010 USD" in violation.message
    assert desk.code(buy(50), "o-2", rates=QUOTES) == "pass"
    assert used(desk) == 2_000


@pytest.mark.parametrize("status", [Status.CANCELED, Status.REJECTED, Status.NOT_PLACED])
def test_credit_is_given_back_when_the_order_ends(status: Status) -> None:
    desk = share_desk(CREDIT)
    desk.ask(buy(200), "o-1", rates=QUOTES)
    assert used(desk) == 2_000
    desk.tell(order_update("o-1", 2, status=status, leaves=0, instrument="ABC"))
    assert used(desk) == 0


def test_credit_is_given_back_when_the_order_is_not_sent() -> None:
    desk = share_desk(CREDIT)
    desk.ask(buy(200), "o-1", rates=QUOTES)
    desk.screener.release("o-1")
    assert used(desk) == 0


def test_what_filled_is_held_from_then_on() -> None:
    desk = share_desk(CREDIT)
    desk.ask(buy(200), "o-1", rates=QUOTES)
    desk.tell(PositionUpdate(position=holds(80)))
    desk.tell(order_update("o-1", 2, filled=80, leaves=120, instrument="ABC"))
    assert used(desk) == 2_000
    desk.tell(order_update("o-1", 3, status=Status.CANCELED, filled=80, leaves=0))
    assert used(desk) == 800


def test_the_owners_accounts_count_together() -> None:
    desk = share_desk(CREDIT)
    assert desk.code(buy(150), rates=QUOTES) == "pass"
    assert desk.code(buy(51), rates=QUOTES, candidates=(OTHER,)) == "customer_credit"
    assert desk.code(buy(50), rates=QUOTES, candidates=(OTHER,)) == "pass"


def test_an_exit_takes_no_credit_and_is_never_refused_for_it() -> None:
    desk = share_desk(replace(CREDIT, customer_credit_max=Decimal(1)), holds(200))
    assert used(desk) == 2_000
    assert desk.code(buy(-200, "10"), "o-1", rates=QUOTES) == "pass"
    assert used(desk) == 2_000
    assert desk.code(buy(-200, "10", reduce_only=True), "o-2", rates=QUOTES) == "pass"
    assert used(desk) == 2_000


def test_a_reduction_that_may_turn_the_position_round_counts_by_the_dearer_side() -> None:
    desk = share_desk(CREDIT, holds(100))
    assert desk.code(buy(-300, "10"), rates=QUOTES) == "customer_credit"
    now_only = buy(-300, "10", time_in_force=TimeInForce.IOC)
    assert desk.code(now_only, rates=QUOTES) == "pass"
    assert used(desk) == 2_000


def test_an_opening_order_that_raises_no_worst_case_needs_no_credit() -> None:
    desk = share_desk(CREDIT, holds(200))
    at_once = buy(-300, "10", time_in_force=TimeInForce.IOC)
    assert desk.code(at_once, rates=QUOTES) == "pass"


def test_a_market_buy_is_priced_at_the_collars_edge_and_a_sale_at_the_touch() -> None:
    desk = share_desk(CREDIT, collar_percent=Decimal(5))
    assert desk.code(new_order(190, instrument="ABC"), "o-1", rates=QUOTES) == "pass"
    assert used(desk) == Decimal("1995")
    assert desk.code(new_order(1, instrument="ABC"), rates=QUOTES) == "customer_credit"
    desk.screener.release("o-1")
    assert desk.code(new_order(-200, instrument="ABC"), rates=QUOTES) == "pass"
    assert used(desk) == 2_000


def test_an_exit_without_a_quote_is_valued_at_its_own_price() -> None:
    desk = share_desk(CREDIT, holds(100))
    late = NOW + 3_600_000 * MS
    assert desk.code(buy(-100, "12"), rates=(), now_ns=late) == "pass"
    assert used(desk) == 1_200


def test_a_currency_of_which_nothing_is_left_needs_no_rate() -> None:
    desk = share_desk(CREDIT)
    held = replace(
        position(*lots(10, instrument="DEF/GBP"), instrument="DEF/GBP"), average_cost=Decimal(3)
    )
    desk.tell(PositionUpdate(position=held), 1)
    assert desk.code(buy(1), rates=QUOTES) == "no_reference_price"
    flat = replace(held, lots=(), quantity=Decimal(0))
    desk.tell(PositionUpdate(position=flat), 2)
    assert desk.code(buy(1), rates=QUOTES) == "pass"


def test_a_price_bound_is_the_worst_a_market_order_pays() -> None:
    desk = share_desk(CREDIT, collar_percent=Decimal(5))
    bounded = new_order(200, instrument="ABC", price_bound=Decimal(10))
    assert desk.code(bounded, rates=QUOTES) == "pass"


def test_a_limit_below_the_market_is_valued_at_the_market() -> None:
    desk = share_desk(CREDIT)
    assert desk.code(buy(200, "9"), rates=QUOTES) == "pass"
    assert used(desk) == 2_000
    assert desk.code(buy(-181, "11"), rates=QUOTES, order_id="o-9") == "pass"


def test_the_firms_limit_holds_over_all_owners_and_follows_its_lease() -> None:
    market = MarketSettings(firm_credit_max=Decimal(3_000), prevents_self_trades=False)
    stranger = broker_account(account="acct-9", owner="owner-9", regime="house", broker="sim")
    mine = broker_account(regime="house", broker="sim")
    theirs = Candidate(connection=CONNECTION, account="acct-9")
    desk = Desk(
        snapshot(account=mine), snapshot(account=stranger),
        settings=replace(LOOSE, market=market), instruments=(stock("ABC"),),
    )  # fmt: skip
    words = {"rates": QUOTES, "candidates": (theirs,), "owner": "owner-9"}
    assert desk.code(buy(200), **words) == "pass"
    violation = violation_of(desk, buy(101))
    assert violation.code == "firm_credit"
    assert violation.would_pass == "largest quantity that fits: 100"
    desk.screener.set_firm_budget(Decimal(2_500))
    assert violation_of(desk, buy(100)).would_pass == "largest quantity that fits: 50"
    desk.screener.set_firm_budget(None)
    assert desk.code(buy(1000), rates=QUOTES) == "pass"


def test_a_budget_without_credit_limits_is_kept_for_nobody() -> None:
    desk = share_desk(MarketSettings())
    desk.screener.set_firm_budget(Decimal(1))
    assert desk.code(buy(), rates=QUOTES) == "pass"


def test_a_replace_is_checked_and_reserved_at_its_new_total_and_price() -> None:
    desk = share_desk(CREDIT)
    rests(desk, "o-1", buy(100))
    assert desk.code(buy(201), "o-1", rates=QUOTES, replaces_order_id="o-1") == "customer_credit"
    assert used(desk) == 1_000
    assert desk.code(buy(180, "11"), "o-1", rates=QUOTES, replaces_order_id="o-1") == "pass"
    assert used(desk) == 1_980
    refused = ev.AmendRefused(at_ns=NOW, error=ERROR)
    desk.tell(order_update("o-1", 3, leaves=100, instrument="ABC", event=refused))
    assert used(desk) == 1_000
    assert desk.code(buy(180, "11"), "o-1", rates=QUOTES, replaces_order_id="o-1") == "pass"
    desk.screener.release("o-1")
    assert used(desk) == 1_000
    assert desk.code(buy(180, "11"), "o-1", rates=QUOTES, replaces_order_id="o-1") == "pass"
    replaced = ev.Replaced(at_ns=NOW, broker_order_id="b", quantity=Decimal(180))
    desk.tell(order_update("o-1", 4, leaves=180, instrument="ABC", event=replaced))
    assert used(desk) == 1_980


def test_money_in_another_currency_is_converted() -> None:
    market = replace(CREDIT, credit_currency="EUR")
    desk = share_desk(market)
    rates = (*QUOTES, rate("EUR/USD", "1.25"))
    assert desk.code(buy(250), "o-1", rates=rates) == "pass"
    violation = violation_of(desk, buy(1), rates=rates)
    assert violation.numbers["would_use"] == "2008"
    assert violation.would_pass == "largest quantity that fits: 0"


def test_without_a_rate_for_the_currency_only_exits_pass() -> None:
    desk = share_desk(replace(CREDIT, credit_currency="EUR"), holds(100))
    violation = violation_of(desk, buy(1))
    assert (violation.rule, violation.code) == ("credit_limit", "no_reference_price")
    assert desk.code(buy(-100, "10"), rates=QUOTES) == "pass"


def test_a_position_of_unknown_value_stops_new_risk_until_its_price_is_known() -> None:
    held = replace(holds(100), average_cost=None)
    desk = share_desk(CREDIT, held)
    other = limit_order(1, "10", instrument="XYZ")
    found = violation_of(desk, other, rates=(rate("XYZ", "10"),))
    assert (found.rule, found.code) == ("credit_limit", "no_reference_price")
    assert desk.code(other, rates=(rate("XYZ", "10"), *QUOTES)) == "pass"
    assert used(desk) == 1_010


@pytest.mark.parametrize("cost", ["NaN", "0", "-1"])
def test_a_cost_that_is_no_price_values_nothing(cost: str) -> None:
    desk = share_desk(CREDIT, holds(100, cost))
    other = limit_order(1, "10", instrument="XYZ")
    assert desk.code(other, rates=(rate("XYZ", "10"),)) == "no_reference_price"


def test_a_market_order_loaded_after_a_restart_takes_the_price_that_is_known() -> None:
    desk = share_desk(CREDIT)
    desk.tell(order_update("o-7", 1, leaves=50, instrument="ABC"))
    credit = desk.screener.book.credit
    assert credit is not None
    assert credit.unvalued == {OWNER: 1}
    # Its side is not known either, so it counts both ways.
    assert desk.code(buy(-1), rates=QUOTES) == "unknown_outcome"
    assert used(desk) == 500
    assert credit.unvalued == {OWNER: 0}


def test_a_symbol_nobody_told_of_is_valued_in_its_second_currency() -> None:
    desk = share_desk(CREDIT)
    strange = replace(position(*lots(10, instrument="DEF/GBP"), instrument="DEF/GBP"))
    desk.tell(PositionUpdate(position=replace(strange, average_cost=Decimal(3))))
    credit = desk.screener.book.credit
    assert credit is not None
    assert credit.tally(OWNER).amounts == {"GBP": 30}


# ------------------------------------------------------------------ losses


def tell_equity(desk: Desk, equity: str, seq: int, at_ns: int = NOW, **words: Any) -> None:
    money = replace(snapshot(equity=equity).balances, **words)
    body = BalancesUpdate(balances=money)
    desk.screener.observe(StreamUpdate(stream="s", seq=seq, at_ns=at_ns, body=body))


LOSS = MarketSettings(daily_loss_max=Decimal(1_000))
DAY_NS = 86_400_000 * MS


def test_a_day_that_lost_its_limit_stays_closed_whatever_is_won_back() -> None:
    desk = share_desk(LOSS, holds(100))
    assert desk.code(buy(), rates=QUOTES) == "pass"
    tell_equity(desk, "99000.01", 1)
    assert desk.code(buy(), rates=QUOTES) == "pass"
    tell_equity(desk, "99000", 2)
    violation = violation_of(desk, buy())
    assert violation.code == "daily_loss"
    assert violation.numbers == {"found": "1000", "limit": "1000"}
    tell_equity(desk, "100000", 3)
    assert desk.code(buy(), rates=QUOTES) == "daily_loss"
    assert desk.code(buy(-100, "11"), rates=QUOTES) == "pass"


def test_the_next_day_begins_with_the_equity_of_the_last() -> None:
    desk = share_desk(LOSS)
    assert desk.code(buy(), rates=QUOTES) == "pass"
    tell_equity(desk, "98000", 1)
    tomorrow = NOW + DAY_NS
    fresh = (replace(QUOTES[0], received_ns=tomorrow),)
    assert desk.code(buy(), rates=fresh, now_ns=tomorrow) == "pass"
    tell_equity(desk, "97000", 2, at_ns=tomorrow)
    assert desk.code(buy(), rates=fresh, now_ns=tomorrow) == "daily_loss"


def test_a_loss_told_before_the_first_order_of_a_day_counts_to_that_day() -> None:
    desk = share_desk(LOSS)
    assert desk.code(buy(), rates=QUOTES) == "pass"
    tomorrow = NOW + DAY_NS
    tell_equity(desk, "99500", 1)
    tell_equity(desk, "98500", 2, at_ns=tomorrow)
    fresh = (replace(QUOTES[0], received_ns=tomorrow),)
    assert desk.code(buy(), rates=fresh, now_ns=tomorrow) == "daily_loss"


def test_the_brokers_own_figure_of_the_day_counts_first() -> None:
    desk = share_desk(LOSS)
    tell_equity(desk, "50000", 1, day_pnl=Decimal(-999))
    assert desk.code(buy(), rates=QUOTES) == "pass"
    tell_equity(desk, "100000", 2, day_pnl=Decimal(-1000))
    assert desk.code(buy(), rates=QUOTES) == "daily_loss"


def test_a_fall_from_the_highest_equity_stops_new_risk_at_its_limit() -> None:
    desk = share_desk(MarketSettings(drawdown_percent_max=Decimal(10)))
    tell_equity(desk, "200000", 1)
    tell_equity(desk, "180001", 2)
    assert desk.code(buy(), rates=QUOTES) == "pass"
    tell_equity(desk, "180000", 3)
    violation = violation_of(desk, buy())
    assert (violation.code, violation.numbers["found"]) == ("drawdown", "10")


def test_a_drawdown_is_told_in_hundredths() -> None:
    desk = share_desk(MarketSettings(drawdown_percent_max=Decimal(10)))
    tell_equity(desk, "300000", 1)
    tell_equity(desk, "200000", 2)
    assert violation_of(desk, buy()).numbers["found"] == "33.33"


def test_equity_that_is_not_known_has_no_losses() -> None:
    desk = share_desk(MarketSettings(drawdown_percent_max=Decimal(10), daily_loss_max=Decimal(1)))
    tell_equity(desk, "NaN", 1)
    assert desk.code(buy(), rates=QUOTES) == "pass"
    first = broker_account(regime="house", broker="sim")
    bare = Desk(
        snapshot(equity="Infinity", account=first),
        settings=replace(LOOSE, market=MarketSettings(drawdown_percent_max=Decimal(10))),
        instruments=(stock("ABC"),),
    )
    assert bare.code(buy(), rates=QUOTES) == "pass"


# ------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"messages_per_s_max": -1}, "messages_per_s_max"),
        ({"window_ms": 0}, "window_ms"),
        ({"window_quantity_max": Decimal(-1)}, "window_quantity_max"),
        ({"window_notional_max": Decimal("NaN")}, "window_notional_max"),
        ({"repeats_max": 10_001}, "repeats_max"),
        ({"repeats_window_ms": 0}, "repeats_window_ms"),
        ({"customer_credit_max": Decimal(-1)}, "customer_credit_max"),
        ({"firm_credit_max": Decimal("Infinity")}, "firm_credit_max"),
        ({"daily_loss_max": Decimal(-1)}, "daily_loss_max"),
        ({"drawdown_percent_max": Decimal(101)}, "drawdown_percent_max"),
        ({"currency_groups": {"EUR": 5}}, "currency_groups.EUR"),
    ],
)
def test_a_limit_outside_its_bounds_is_named(words: dict[str, Any], field: str) -> None:
    (fault,) = find_faults(ComplianceSettings(market=MarketSettings(**words)))
    assert f"market.{field}" in fault


def test_the_largest_and_smallest_limits_are_fine() -> None:
    edge = MarketSettings(
        messages_per_s_max=100_000, window_ms=86_400_000, repeats_max=10_000,
        repeats_window_ms=1, customer_credit_max=Decimal(0), drawdown_percent_max=Decimal(100),
        currency_groups={"EUR": 1, "TRY": 4},
    )  # fmt: skip
    assert find_faults(ComplianceSettings(market=edge)) == ()


def test_what_is_loaded_uses_credit_from_the_start() -> None:
    desk = share_desk(CREDIT, holds(100))
    desk.ask(buy(50), "o-1", rates=QUOTES)
    assert used(desk) == 1_500
