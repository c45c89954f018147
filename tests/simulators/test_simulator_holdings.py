"""Lots, brackets, netting, FIFO, margin and money of the simulated broker."""

from __future__ import annotations

from decimal import Decimal

import pytest
from simulator_world import World, guard, order, told

from brokers.simulators import facts as f
from brokers.simulators.terms import Label
from brokers.simulators.words import Cause, Kind, Netting, State

D = Decimal


def world_at(bid: str = "1.10000", ask: str = "1.10010", **settings) -> World:
    world = World(**settings)
    world.quote(bid, ask)
    return world


def fill_of(act) -> f.Filled:
    return next(x for x in act if isinstance(x, f.Filled))


# orders (units, netting) -> open lots, oldest first
NETTING = [
    ([("100", "default"), ("50", "default")], ["100", "50"]),
    ([("100", "default"), ("-30", "default")], ["70"]),
    ([("100", "default"), ("50", "default"), ("-120", "default")], ["30"]),
    ([("100", "default"), ("-150", "default")], ["-50"]),
    ([("100", "default"), ("-150", "reduce_only")], []),
    ([("-100", "default"), ("40", "reduce_first")], ["-60"]),
    ([("100", "open_only"), ("70", "open_only")], ["100", "70"]),
]


@pytest.mark.parametrize(("orders", "lots"), NETTING)
def test_fills_take_the_oldest_lots_first(orders, lots):
    world = world_at()
    for units, netting in orders:
        world.market(units, netting=Netting(netting))
    assert [x.units for x in world.account.lots.values()] == [D(x) for x in lots]


def test_closing_books_the_profit_exactly():
    world = world_at()
    world.market("1000")
    world.quote("1.10500", "1.10510")
    fill = fill_of(world.market("-1000"))
    assert fill.realized == D("4.9000")
    assert world.account.balance == D("100004.9000")


def test_profit_in_another_currency_is_converted_at_the_touch():
    world = World()
    world.quote("100.000", "100.010", instrument="USD_JPY")
    world.market("1000", instrument="USD_JPY")
    world.quote("101.000", "101.010", instrument="USD_JPY")
    fill = fill_of(world.market("-1000", instrument="USD_JPY"))
    assert fill.realized == (D("990") / D("101.010")).quantize(D("0.0001"))


def test_a_cross_is_converted_through_the_dollar():
    world = World(account={"currency": "CHF"})
    world.quote("120.000", "120.010", instrument="EUR_JPY")
    world.quote("109.000", "109.010", instrument="USD_JPY")
    world.quote("0.96000", "0.96010", instrument="USD_CHF")
    world.quote("1.10000", "1.10010")
    fill = fill_of(world.market("1000", instrument="EUR_JPY"))
    assert fill.gain == D(1) / D("109.010") * D("0.96000")


def test_margin_of_what_has_no_rate_of_its_own_follows_its_price():
    world = World()
    world.quote("40000.00", "40010.00", instrument="BTC_USDT")
    act = world.market("0.5", instrument="BTC_USDT")
    assert fill_of(act).opened.margin == D("10001.2500")


def test_an_order_in_a_currency_without_a_rate_ends():
    world = World(account={"currency": "CHF"})
    world.quote("120.000", "120.010", instrument="EUR_JPY")
    assert told(world.market("1", instrument="EUR_JPY")) == ["booked", "MARKET_HALTED"]


def test_a_bracket_becomes_orders_bound_to_the_lot():
    world = world_at()
    act = world.market(
        "100", stop_loss=guard(distance="0.01000"), take_profit=guard("1.12000"),
        trailing=guard(distance="0.02000"),
    )  # fmt: skip
    assert told(act)[2:] == ["booked", "booked", "booked"]
    kinds = {x.terms.kind: x for x in world.account.working.values()}
    assert kinds[Kind.STOP_LOSS].terms.price == D("1.09010")
    assert kinds[Kind.TRAILING_STOP].trail == D("1.08000")
    assert {x.terms.cause for x in kinds.values()} == {Cause.ON_FILL}


def test_when_one_guard_closes_the_lot_the_others_end():
    world = world_at()
    world.market("100", stop_loss=guard("1.09000"), take_profit=guard("1.12000"))
    world.quote("1.12000", "1.12010")
    assert told(world.acts[-1]) == ["filled -100@1.12000", "LINKED_TRADE_CLOSED"]
    assert not world.account.working
    assert not world.account.lots


def test_a_stop_loss_closes_a_short_at_the_ask():
    world = world_at()
    world.market("-100", stop_loss=guard("1.11000"))
    world.quote("1.11990", "1.12000")
    assert told(world.acts[-1]) == ["filled 100@1.12000"]


def test_a_trailing_stop_follows_gains_and_never_gives_back():
    world = world_at()
    world.market("100", trailing=guard(distance="0.01000"))
    world.quote("1.15000", "1.15010")
    world.quote("1.14500", "1.14510")
    trail = next(iter(world.account.working.values())).trail
    assert trail == D("1.14000")
    world.quote("1.14000", "1.14010")
    assert not world.account.lots


def test_a_trailing_stop_of_a_short_follows_downwards():
    world = world_at()
    world.market("-100", trailing=guard(distance="0.01000"))
    world.quote("1.08000", "1.08010")
    world.quote("1.09000", "1.09010")
    assert not world.account.lots


def test_a_guard_closes_what_is_left_of_its_lot():
    world = world_at()
    world.market("100", stop_loss=guard("1.09000"))
    world.market("-40")
    world.quote("1.08990", "1.09000")
    assert told(world.acts[-1])[0] == "filled -60@1.08990"


def test_a_guard_that_finds_little_liquidity_closes_in_parts():
    world = world_at()
    world.market("100", stop_loss=guard("1.09000"))
    world.quote("1.08990", "1.09000", bid_left="60")
    assert [x.units for x in world.account.lots.values()] == [D(40)]
    world.quote("1.08990", "1.09000")
    assert not world.account.lots


# (first orders), then the last one -> what the last one says (US rules)
A_BRACKET = guard("1.05000")
FIFO = [
    ([("100", None)], ("-50", Netting.OPEN_ONLY, None), "FIFO_VIOLATION"),
    ([("100", A_BRACKET)], ("100", Netting.DEFAULT, None), "FIFO_VIOLATION_SAFEGUARD_VIOLATION"),
    ([("100", None)], ("100", Netting.DEFAULT, A_BRACKET), "FIFO_VIOLATION_SAFEGUARD_VIOLATION"),
    ([("100", None)], ("100", Netting.DEFAULT, None), "filled 100@1.10010"),
    ([("100", A_BRACKET)], ("101", Netting.DEFAULT, A_BRACKET), "filled 101@1.10010"),
    (
        [("150", None), ("100", A_BRACKET)],
        ("-50", Netting.DEFAULT, None),
        "FIFO_VIOLATION_SAFEGUARD_PARTIAL_CLOSE_VIOLATION",
    ),
]


@pytest.mark.parametrize(("before", "last", "answer"), FIFO)
def test_us_accounts_keep_to_fifo(before, last, answer):
    world = world_at()
    for units, stop in before:
        world.market(units, stop_loss=stop)
    units, netting, stop = last
    assert told(world.market(units, netting=netting, stop_loss=stop))[1] == answer


def test_other_accounts_may_hedge():
    world = world_at(account={"fifo": False, "hedging": True})
    world.market("100", stop_loss=A_BRACKET)
    world.market("-100", stop_loss=guard("1.20000"))
    position = world.account.position("EUR_USD")
    assert (position.long, position.short, position.net) == (D(100), D(-100), D(0))
    worth = world.engine.valuer.worth(world.account)
    assert worth.margin_used == D("2.2001")


def test_a_hedged_account_needs_margin_for_its_larger_side():
    world = world_at(account={"fifo": False, "hedging": True})
    world.market("4000000")
    assert told(world.market("-4000000"))[1].startswith("filled")
    assert told(world.market("-4000000"))[1] == "INSUFFICIENT_MARGIN"


CLOSES = [
    # which lot (by age), units asked -> answer
    (0, "ALL", "filled -100@1.10000"),
    (0, "30", "filled -30@1.10000"),
    (1, "ALL", "filled -50@1.10000"),
    (1, "20", "FIFO_VIOLATION"),
    (2, "ALL", "FIFO_VIOLATION"),
]


@pytest.mark.parametrize(("age", "asked", "answer"), CLOSES)
def test_a_lot_is_closed_in_turn_or_whole_as_the_oldest_of_its_size(age, asked, answer):
    world = world_at()
    for units in ("100", "50", "50"):
        world.market(units)
    lot = list(world.account.lots.values())[age]
    act = world.engine.holdings.close_lot(world.account, lot, asked)
    assert told(act)[1] == answer


def test_more_than_a_lot_holds_cannot_be_closed():
    world = world_at()
    world.market("100")
    lot = next(iter(world.account.lots.values()))
    act = world.engine.holdings.close_lot(world.account, lot, "101")
    assert told(act) == ["refused CLOSE_TRADE_UNITS_EXCEED_TRADE_SIZE"]


def test_a_closed_lot_cannot_be_closed_again():
    world = world_at()
    world.market("100")
    lot = next(iter(world.account.lots.values()))
    world.engine.holdings.close_lot(world.account, lot, "ALL")
    act = world.engine.holdings.close_lot(world.account, lot, "1")
    assert told(act) == ["refused TRADE_DOESNT_EXIST"]


SIDES = [
    (True, "ALL", ["booked", "filled -150@1.10000"]),
    (True, "120", ["booked", "filled -120@1.10000"]),
    (True, "151", ["refused CLOSEOUT_POSITION_UNITS_EXCEED_POSITION_SIZE"]),
    (False, "ALL", ["refused CLOSEOUT_POSITION_DOESNT_EXIST"]),
]


@pytest.mark.parametrize(("is_long", "asked", "answer"), SIDES)
def test_a_position_is_closed_by_side(is_long, asked, answer):
    world = world_at()
    for units in ("100", "50"):
        world.market(units)
    act = world.engine.holdings.close_position(
        world.account, "EUR_USD", is_long, asked, Label("closing")
    )
    assert told(act) == answer


def test_losing_half_the_margin_liquidates_everything():
    world = world_at(account={"balance": D(3000)})
    world.market("100000")
    world.market("10000")
    world.quote("1.08500", "1.08510")
    assert world.account.lots
    world.quote("1.08000", "1.08010")
    assert not world.account.lots
    closes = [x for x in world.account.done.values() if x.terms.cause is Cause.MARGIN_CLOSEOUT]
    assert [x.state for x in closes] == [State.FILLED, State.FILLED]


def test_a_higher_margin_rate_of_the_accounts_own_counts():
    world = world_at(account={"margin_rate": D("0.5")})
    assert told(world.market("200000"))[1] == "INSUFFICIENT_MARGIN"
    assert told(world.market("100000"))[1].startswith("filled")


def test_financing_is_charged_per_lot_and_night():
    world = world_at(financing_rate=D("0.0365"))
    world.market("10000")
    world.engine.holdings.charge_financing()
    fact = world.acts[-1][0]
    assert isinstance(fact, f.Financed)
    assert fact.amount == D("-1.1000")
    assert world.account.balance == D("99998.9000")
    assert next(iter(world.account.lots.values())).financing == D("-1.1000")


# -- changing orders


def test_a_replacement_names_both_orders():
    world = world_at()
    old = world.submit(order(Kind.LIMIT, "100", "1.09000", client_id="a"))[0].id
    act = world.engine.replace(
        world.account, "a", order(Kind.LIMIT, "200", "1.08000", client_id="a")
    )
    assert told(act) == ["CLIENT_REQUEST_REPLACED", "booked"]
    new = world.account.order(act[1].id)
    assert world.account.order(old).replaced_by == new.id
    assert new.replaces == old
    assert world.engine.find_order(world.account, "a") is new


REPLACEMENTS = [
    (order(Kind.STOP, "100", "1.2"), "refused REPLACING_ORDER_INVALID"),
    (order(Kind.LIMIT, "0", "1.2"), "refused UNITS_INVALID"),
    (order(Kind.LIMIT, "1", "1.0", client_id="b"), "refused CLIENT_ORDER_ID_ALREADY_EXISTS"),
]


@pytest.mark.parametrize(("terms", "answer"), REPLACEMENTS)
def test_a_bad_replacement_leaves_the_order_as_it_was(terms, answer):
    world = world_at()
    old = world.submit(order(Kind.LIMIT, "100", "1.09000"))[0].id
    world.submit(order(Kind.LIMIT, "100", "1.09000", client_id="b"))
    act = world.engine.replace(world.account, old, terms)
    assert told(act) == [answer]
    assert old in world.account.working


def test_what_is_not_working_cannot_be_canceled_or_replaced():
    world = world_at()
    done = world.market("100", client_id="x")[0].id
    for name in (done, "x", 999, "nobody"):
        assert told(world.engine.cancel(world.account, name)) == ["refused ORDER_DOESNT_EXIST"]
    act = world.engine.replace(world.account, done, order(Kind.LIMIT, "1", "1"))
    assert told(act) == ["refused ORDER_DOESNT_EXIST"]


def test_a_guard_is_replaced_for_the_same_lot():
    world = world_at()
    world.market("100", stop_loss=guard("1.09000"))
    lot = next(iter(world.account.lots.values()))
    act = world.engine.replace(
        world.account, lot.guards["stop_loss"], order(Kind.STOP_LOSS, "0", "1.08000", instrument="")
    )
    assert told(act) == ["CLIENT_REQUEST_REPLACED", "booked"]
    assert lot.guards["stop_loss"] == act[1].id
    bad = world.engine.replace(
        world.account, act[1].id, order(Kind.STOP_LOSS, "0", "1.0000001", instrument="")
    )
    assert told(bad) == ["refused PRICE_PRECISION_EXCEEDED"]
    other = order(Kind.STOP_LOSS, "0", "1.08", instrument="", lot=999)
    assert told(world.engine.replace(world.account, act[1].id, other)) == [
        "refused TRADE_DOESNT_EXIST"
    ]


def test_a_guard_can_be_an_order_of_its_own():
    world = world_at()
    world.market("100")
    lot = next(iter(world.account.lots.values()))
    stop = order(Kind.STOP_LOSS, "0", instrument="", distance="0.01000", lot=lot.id)
    assert told(world.submit(stop)) == ["booked"]
    assert next(iter(world.account.working.values())).terms.price == D("1.09010")
    assert told(world.submit(stop)) == ["refused STOP_LOSS_ORDER_ALREADY_EXISTS"]
    lost = order(Kind.STOP_LOSS, "0", "1.0", instrument="", lot=999)
    assert told(world.submit(lost)) == ["refused TRADE_DOESNT_EXIST"]


def test_a_lot_with_a_twin_cannot_be_guarded_in_the_us():
    world = world_at()
    world.market("100")
    world.market("100")
    lot = next(iter(world.account.lots.values()))
    profit = order(Kind.TAKE_PROFIT, "0", "1.20000", instrument="", lot=lot.id)
    assert told(world.submit(profit)) == [
        "refused TAKE_PROFIT_ORDER_WOULD_VIOLATE_FIFO_VIOLATION_SAFEGUARD"
    ]


def test_guards_of_a_lot_are_set_replaced_and_canceled_together():
    world = world_at()
    world.market("100")
    lot = next(iter(world.account.lots.values()))
    holdings = world.engine.holdings
    both = {Kind.STOP_LOSS: guard("1.09"), Kind.TAKE_PROFIT: guard("1.12")}
    assert told(holdings.set_guards(world.account, lot, both)) == ["booked", "booked"]
    act = holdings.set_guards(
        world.account, lot, {Kind.STOP_LOSS: guard("1.08"), Kind.TAKE_PROFIT: None}
    )
    assert told(act) == ["CLIENT_REQUEST_REPLACED", "booked", "CLIENT_REQUEST"]
    assert list(lot.guards) == ["stop_loss"]
    assert told(holdings.set_guards(world.account, lot, {Kind.TRAILING_STOP: None})) == []


def test_one_bad_guard_leaves_all_as_they_were():
    world = world_at()
    world.market("100")
    lot = next(iter(world.account.lots.values()))
    act = world.engine.holdings.set_guards(
        world.account, lot, {Kind.STOP_LOSS: guard("1.09"), Kind.TAKE_PROFIT: guard("1.0000001")}
    )
    assert told(act) == ["refused PRICE_PRECISION_EXCEEDED"]
    assert not lot.guards


def test_a_guard_beyond_the_market_fills_at_once_and_the_next_is_not_made():
    world = world_at()
    world.market("100")
    lot = next(iter(world.account.lots.values()))
    act = world.engine.holdings.set_guards(
        world.account, lot, {Kind.TAKE_PROFIT: guard("1.05"), Kind.STOP_LOSS: guard("1.04")}
    )
    assert told(act) == ["booked", "filled -100@1.10000"]


# -- labels


def test_labels_of_an_order_can_be_changed():
    world = world_at()
    act = world.submit(order(Kind.LIMIT, "1", "1.0", client_id="a"))
    found = world.account.order(act[0].id)
    changed = world.engine.holdings.relabel(
        world.account, found, Label("b", None, "why"), Label("lot")
    )
    assert told(changed) == ["Relabeled"]
    assert world.engine.find_order(world.account, "b") is found
    assert world.engine.find_order(world.account, "a") is None
    assert found.terms.lot_label == Label("lot")


LABELS = [
    (None, "label_missing"),
    (Label("taken"), "client_id_taken"),
    (Label(""), "client_id_invalid"),
]


@pytest.mark.parametrize(("label", "why"), LABELS)
def test_labels_that_cannot_be_are_refused(label, why):
    world = world_at()
    world.submit(order(Kind.LIMIT, "1", "1.0", client_id="taken"))
    act = world.submit(order(Kind.LIMIT, "1", "1.0", client_id="a"))
    found = world.account.order(act[0].id)
    fact = world.engine.holdings.relabel(world.account, found, label, None)[0]
    assert isinstance(fact, f.RelabelRefused)
    assert fact.why.value == why


def test_labels_of_a_finished_order_stay():
    world = world_at()
    act = world.market("1", client_id="a")
    found = world.account.order(act[0].id)
    fact = world.engine.holdings.relabel(world.account, found, Label("b"), None)[0]
    assert isinstance(fact, f.RelabelRefused)


def test_a_lot_is_found_by_the_clients_name_for_it():
    world = world_at()
    world.market("100", lot_label=Label("mine"))
    lot = world.engine.holdings.find_lot(world.account, "mine")
    world.engine.holdings.relabel_lot(world.account, lot, Label("yours", "tag"))
    assert world.engine.holdings.find_lot(world.account, "mine") is None
    assert world.engine.holdings.find_lot(world.account, "yours") is lot
    assert told(world.market("7", lot_label=Label("yours"))) == [
        "booked",
        "CLIENT_TRADE_ID_ALREADY_EXISTS",
    ]
    world.engine.holdings.close_lot(world.account, lot, "ALL")
    assert world.engine.holdings.find_lot(world.account, "yours") is None


def test_labels_of_lots_that_cannot_be_are_refused():
    world = world_at()
    world.market("100", lot_label=Label("one"))
    world.market("50", lot_label=Label("two"))
    first, second = world.account.lots.values()
    relabel = world.engine.holdings.relabel_lot
    assert relabel(world.account, second, None)[0].why.value == "label_missing"
    assert relabel(world.account, second, Label("one"))[0].why.value == "client_lot_id_taken"
    world.engine.holdings.close_lot(world.account, first, "ALL")
    assert relabel(world.account, first, Label("x"))[0].why.value == "lot_unknown"


def test_a_guards_client_id_must_be_free_when_the_entry_fills():
    world = world_at()
    world.submit(order(Kind.LIMIT, "1", "1.0", client_id="sl"))
    act = world.market("100", stop_loss=guard("1.05", label=Label("sl")))
    assert told(act)[1] == "STOP_LOSS_ON_FILL_CLIENT_ORDER_ID_ALREADY_EXISTS"


def test_what_is_over_is_forgotten_beyond_the_limit():
    world = world_at(kept_max=10)
    for number in range(20):
        world.market("1" if number % 2 else "-1", client_id=f"c{number}")
    account = world.account
    assert (len(account.facts), len(account.done)) == (10, 10)
    assert "c0" not in account.by_client_id
    assert "c19" in account.by_client_id
    assert len(account.closed) <= 10
