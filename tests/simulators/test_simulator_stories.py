"""Short stories of one order and a few quotes, told as rows."""

from __future__ import annotations

from decimal import Decimal

import pytest
from simulator_world import World, guard, order, thin, told

from brokers.simulators.words import Kind, Life, Netting, State, Watch

D = Decimal
TOUCH = ("1.10000", "1.10010")

# kind, units, price, more | what the answer says | later quotes | state, net position
STORIES = [
    # a market order takes the touch
    (order(Kind.MARKET, "100"), ["booked", "filled 100@1.10010"], [], State.FILLED, "100"),
    (order(Kind.MARKET, "-100"), ["booked", "filled -100@1.10000"], [], State.FILLED, "-100"),
    # a bound stops it
    (
        order(Kind.MARKET, "100", bound="1.10005"),
        ["booked", "BOUNDS_VIOLATION"],
        [],
        State.CANCELED,
        "0",
    ),
    (
        order(Kind.MARKET, "-100", bound="1.10000"),
        ["booked", "filled -100@1.10000"],
        [],
        State.FILLED,
        "-100",
    ),
    # a limit waits for the ask, or fills at once and better
    (order(Kind.LIMIT, "100", "1.09000"), ["booked"], [("1.08990", "1.09001")], State.WORKING, "0"),
    (
        order(Kind.LIMIT, "100", "1.09000"),
        ["booked"],
        [("1.08990", "1.09000")],
        State.FILLED,
        "100",
    ),
    (
        order(Kind.LIMIT, "100", "1.20000"),
        ["booked", "filled 100@1.10010"],
        [],
        State.FILLED,
        "100",
    ),
    (
        order(Kind.LIMIT, "-100", "1.11000"),
        ["booked"],
        [("1.11000", "1.11010")],
        State.FILLED,
        "-100",
    ),
    # a limit that may not rest
    (
        order(Kind.LIMIT, "100", "1.09000", life=Life.IOC),
        ["booked", "TIME_IN_FORCE_EXPIRED"],
        [],
        State.CANCELED,
        "0",
    ),
    # a stop waits for the other side
    (order(Kind.STOP, "100", "1.11000"), ["booked"], [("1.10980", "1.10999")], State.WORKING, "0"),
    (order(Kind.STOP, "100", "1.11000"), ["booked"], [("1.11990", "1.12000")], State.FILLED, "100"),
    (
        order(Kind.STOP, "-100", "1.09000"),
        ["booked"],
        [("1.09000", "1.09010")],
        State.FILLED,
        "-100",
    ),
    (
        order(Kind.STOP, "100", "1.11000", bound="1.11500"),
        ["booked"],
        [("1.11990", "1.12000")],
        State.CANCELED,
        "0",
    ),
    # if touched, from either side
    (
        order(Kind.IF_TOUCHED, "100", "1.09000"),
        ["booked"],
        [("1.08990", "1.09000")],
        State.FILLED,
        "100",
    ),
    (
        order(Kind.IF_TOUCHED, "100", "1.11000"),
        ["booked"],
        [("1.10990", "1.11000")],
        State.FILLED,
        "100",
    ),
    (
        order(Kind.IF_TOUCHED, "-100", "1.11000"),
        ["booked"],
        [("1.10990", "1.11000")],
        State.WORKING,
        "0",
    ),
    # other prices can trigger
    (
        order(Kind.STOP, "100", "1.11000", watch=Watch.BID),
        ["booked"],
        [("1.10999", "1.11009")],
        State.WORKING,
        "0",
    ),
    (
        order(Kind.STOP, "100", "1.11000", watch=Watch.MID),
        ["booked"],
        [("1.10995", "1.11005")],
        State.FILLED,
        "100",
    ),
    (
        order(Kind.LIMIT, "100", "1.09000", watch=Watch.INVERSE),
        ["booked"],
        [("1.09000", "1.09010")],
        State.WORKING,
        "0",
    ),
    # reduce only, with nothing to reduce
    (
        order(Kind.MARKET, "100", netting=Netting.REDUCE_ONLY),
        ["booked", "POSITION_CLOSEOUT_FAILED"],
        [],
        State.CANCELED,
        "0",
    ),
    # too much for the account
    (
        order(Kind.MARKET, "5000000"),
        ["booked", "INSUFFICIENT_MARGIN"],
        [],
        State.CANCELED,
        "0",
    ),
    # brackets that would lose at once
    (
        order(Kind.MARKET, "100", stop_loss=guard("1.10000")),
        ["booked", "STOP_LOSS_ON_FILL_LOSS"],
        [],
        State.CANCELED,
        "0",
    ),
    (
        order(Kind.MARKET, "100", stop_loss=guard(distance="0.00010")),
        ["booked", "STOP_LOSS_ON_FILL_LOSS"],
        [],
        State.CANCELED,
        "0",
    ),
    (
        order(Kind.MARKET, "-100", take_profit=guard("1.10010")),
        ["booked", "TAKE_PROFIT_ON_FILL_LOSS"],
        [],
        State.CANCELED,
        "0",
    ),
]


@pytest.mark.parametrize(("terms", "answer", "quotes", "state", "net"), STORIES)
def test_an_order_ends_as_its_story_says(terms, answer, quotes, state, net):
    world = World()
    world.quote(*TOUCH)
    act = world.submit(terms)
    for touch in quotes:
        world.quote(*touch)
    assert told(act) == answer
    assert world.account.order(act[0].id).state is state
    assert world.net() == D(net)


REFUSALS = [
    ({"instrument": "AAA_BBB"}, "INSTRUMENT_UNKNOWN"),
    ({"instrument": "GBP_USD"}, "INSTRUMENT_PRICE_UNKNOWN"),
    ({"units": "0"}, "UNITS_INVALID"),
    ({"units": "NaN"}, "UNITS_INVALID"),
    ({"units": "1.5"}, "UNITS_PRECISION_EXCEEDED"),
    ({"units": "100000001"}, "UNITS_LIMIT_EXCEEDED"),
    ({"life": Life.GTC}, "TIME_IN_FORCE_INVALID"),
    ({"bound": "1.100001"}, "PRICE_BOUND_PRECISION_EXCEEDED"),
    ({"bound": "-1"}, "PRICE_BOUND_INVALID"),
    ({"kind": Kind.LIMIT}, "PRICE_MISSING"),
    ({"kind": Kind.LIMIT, "price": "0"}, "PRICE_INVALID"),
    ({"kind": Kind.LIMIT, "price": "1.123456"}, "PRICE_PRECISION_EXCEEDED"),
    ({"kind": Kind.IF_TOUCHED, "price": "1.1", "life": Life.IOC}, "TIME_IN_FORCE_INVALID"),
    (
        {"kind": Kind.STOP, "price": "1.2", "life": Life.GTD},
        "TIME_IN_FORCE_GTD_TIMESTAMP_MISSING",
    ),
    (
        {"kind": Kind.STOP, "price": "1.2", "life": Life.GTD, "expire_ns": 5},
        "TIME_IN_FORCE_GTD_TIMESTAMP_IN_PAST",
    ),
    ({"client_id": ""}, "CLIENT_ORDER_ID_INVALID"),
    ({"client_id": "x" * 129}, "CLIENT_ORDER_ID_INVALID"),
    ({"take_profit": guard()}, "TAKE_PROFIT_ON_FILL_PRICE_MISSING"),
    ({"take_profit": guard("1.2", life=Life.FOK)}, "TAKE_PROFIT_ON_FILL_TIME_IN_FORCE_INVALID"),
    ({"take_profit": guard("1.2", life=Life.GTD)}, "TAKE_PROFIT_ON_FILL_GTD_TIMESTAMP_MISSING"),
    ({"stop_loss": guard("1.0000001")}, "STOP_LOSS_ON_FILL_PRICE_PRECISION_EXCEEDED"),
    ({"stop_loss": guard()}, "STOP_LOSS_ON_FILL_PRICE_AND_DISTANCE_BOTH_MISSING"),
    ({"stop_loss": guard("1", "1")}, "STOP_LOSS_ON_FILL_PRICE_AND_DISTANCE_BOTH_SPECIFIED"),
    ({"stop_loss": guard(distance="-1")}, "STOP_LOSS_ON_FILL_DISTANCE_INVALID"),
    ({"stop_loss": guard(distance="0.000001")}, "STOP_LOSS_ON_FILL_DISTANCE_PRECISION_EXCEEDED"),
    ({"trailing": guard()}, "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_MISSING"),
    (
        {"trailing": guard(distance="0.00049")},
        "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_MINIMUM_NOT_MET",
    ),
    (
        {"trailing": guard(distance="2")},
        "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_MAXIMUM_EXCEEDED",
    ),
    (
        {"trailing": guard(distance="0.0000001")},
        "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_PRECISION_EXCEEDED",
    ),
]


@pytest.mark.parametrize(("asked", "code"), REFUSALS)
def test_a_malformed_order_is_refused_with_the_brokers_code(asked, code):
    world = World()
    world.quote(*TOUCH)
    kind, units = asked.get("kind", Kind.MARKET), asked.get("units", "100")
    more = {k: v for k, v in asked.items() if k not in ("kind", "units", "price")}
    act = world.submit(order(kind, units, asked.get("price"), **more))
    assert told(act) == [f"refused {code}"]
    assert not world.account.working


def test_a_listing_that_is_halted_for_good_is_not_tradeable():
    world = World(listings=thin(tradeable=False))
    world.quote(*TOUCH)
    assert told(world.market("100")) == ["refused INSTRUMENT_NOT_TRADEABLE"]


def test_fewer_units_than_the_smallest_trade_are_refused():
    world = World(listings=thin(units_min=D(10)))
    world.quote(*TOUCH)
    assert told(world.market("9")) == ["refused UNITS_MIMIMUM_NOT_MET"]


def test_more_working_orders_than_allowed_are_refused():
    world = World(orders_max=1)
    world.quote(*TOUCH)
    world.submit(order(Kind.LIMIT, "1", "1.0"))
    act = world.submit(order(Kind.LIMIT, "1", "1.0"))
    assert told(act) == ["refused PENDING_ORDERS_ALLOWED_EXCEEDED"]


IDS = [
    ("pending", "working", ["refused CLIENT_ORDER_ID_ALREADY_EXISTS"]),
    ("pending", "filled", ["booked", "filled 1@1.10010"]),
    ("ever", "filled", ["refused CLIENT_ORDER_ID_ALREADY_EXISTS"]),
    ("off", "working", ["booked", "filled 1@1.10010"]),
]


@pytest.mark.parametrize(("rule", "first", "answer"), IDS)
def test_a_client_id_may_be_used_again_only_as_the_rule_says(rule, first, answer):
    world = World(client_ids=rule)
    world.quote(*TOUCH)
    kind, price = (Kind.LIMIT, "1.0") if first == "working" else (Kind.MARKET, None)
    world.submit(order(kind, "1", price, client_id="mine"))
    assert told(world.market("1", client_id="mine")) == answer


def test_a_market_order_is_canceled_where_the_market_is_closed():
    world = World(hours="forex")
    world.quote(*TOUCH)
    world.clock.pass_s(3 * 86_400)
    assert told(world.market("100")) == ["booked", "MARKET_HALTED"]


def test_a_resting_order_does_not_trigger_while_the_market_is_closed():
    world = World(hours="forex")
    world.quote(*TOUCH)
    world.submit(order(Kind.LIMIT, "100", "1.09000"))
    world.clock.pass_s(3 * 86_400)
    world.quote("1.08000", "1.08010")
    assert len(world.account.working) == 1


def test_an_order_good_till_a_date_ends_on_that_date():
    world = World()
    world.quote(*TOUCH)
    terms = order(Kind.LIMIT, "1", "1.0", life=Life.GTD, expire_ns=world.clock.now + 10**9)
    world.submit(terms)
    world.clock.pass_s(0.9)
    world.engine.expire(world.account)
    assert world.account.working
    world.clock.pass_s(0.1)
    world.engine.expire(world.account)
    assert told(world.acts[-1]) == ["TIME_IN_FORCE_EXPIRED"]


def test_a_day_order_ends_at_five_in_new_york():
    world = World()
    world.quote(*TOUCH)
    world.submit(order(Kind.LIMIT, "1", "1.0", life=Life.DAY))
    world.clock.pass_s(10 * 3600 - 1)
    world.quote(*TOUCH)
    assert world.account.working
    world.clock.pass_s(1)
    world.quote(*TOUCH)
    assert not world.account.working


def test_an_order_larger_than_the_touch_fills_in_parts():
    world = World()
    world.quote(*TOUCH)
    act = world.submit(order(Kind.LIMIT, "100", "1.09000"))
    world.quote("1.08990", "1.09000", ask_left="30")
    world.quote("1.08990", "1.09000", ask_left="50")
    found = world.account.order(act[0].id)
    assert (found.filled, found.leaves, found.state) == (D(80), D(20), State.WORKING)
    world.quote("1.08990", "1.09000")
    assert found.state is State.FILLED
    assert world.net() == D(100)


@pytest.mark.parametrize(
    ("life", "answer"),
    [
        (Life.FOK, ["booked", "INSUFFICIENT_LIQUIDITY"]),
        (Life.IOC, ["booked", "filled 30@1.10010", "INSUFFICIENT_LIQUIDITY"]),
    ],
)
def test_a_market_order_beyond_the_touch_ends_as_its_life_says(life, answer):
    world = World()
    world.quote(*TOUCH, ask_left="30")
    assert told(world.market("100", life=life)) == answer


def test_liquidity_taken_is_gone_until_the_next_quote():
    world = World()
    world.quote(*TOUCH, bid_left="30")
    world.market("-30")
    assert told(world.market("-1")) == ["booked", "INSUFFICIENT_LIQUIDITY"]
    world.quote(*TOUCH, bid_left="30")
    assert told(world.market("-1")) == ["booked", "filled -1@1.10000"]


def test_tick_sizes_can_be_ignored_and_a_listing_can_have_its_own():
    world = World(tick_sizes=False, listings=thin(liquidity=D(50)))
    world.quote(*TOUCH, ask_left="1")
    assert told(world.market("50")) == ["booked", "filled 50@1.10010"]
    assert told(world.market("1")) == ["booked", "INSUFFICIENT_LIQUIDITY"]


def test_a_quote_of_an_unknown_instrument_is_ignored():
    world = World()
    world.quote("1", "2", instrument="AAA_BBB")
    assert not world.engine.quotes
