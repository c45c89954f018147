from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oanda_builders import ACCOUNT, CLIENT_ID, EUR_USD, TOKEN, adapter, new_order, spec, venue_order

from brokers.adapter import AmendTerms, VenueOrder
from brokers.oanda import auth_headers, child_client_id, find_token_fault
from brokers.oanda_messages import wire_name
from brokers.reading import format_decimal, format_time, parse_time
from brokers.registry import BROKERS
from domain.orders import (
    Bracket,
    NewOrder,
    OrderLeg,
    OrderType,
    PositionEffect,
    Side,
    StopLoss,
    TakeProfit,
    TimeInForce,
    Trailing,
    find_fault,
)

BASE = f"/v3/accounts/{ACCOUNT}"
LIMIT = {"type": OrderType.LIMIT, "limit_price": Decimal("1.1")}
STOP = {"type": OrderType.STOP, "stop_price": Decimal("1.2")}
TOUCHED = {"type": OrderType.MARKET_IF_TOUCHED, "stop_price": Decimal("1.2")}
TRAIL = {
    "type": OrderType.TRAILING_STOP,
    "trailing": Trailing(amount=Decimal("0.0050")),
    "closes_lot": "77",
}


def placed(**terms: Any) -> dict[str, Any]:
    request = adapter().place(venue_order(**terms))
    assert (request.method, request.path) == ("POST", f"{BASE}/orders")
    assert request.body is not None
    return json.loads(request.body)["order"]


def test_a_market_order_carries_our_id_and_the_strategys_tag():
    assert placed(tag="s1") == {
        "type": "MARKET",
        "instrument": "EUR_USD",
        "units": "100",
        "timeInForce": "FOK",
        "clientExtensions": {"id": CLIENT_ID, "tag": "s1"},
    }


@pytest.mark.parametrize("side", [Side.SELL, Side.SELL_SHORT])
def test_a_sale_has_negative_units(side: Side):
    assert placed(side=side)["units"] == "-100"


@pytest.mark.parametrize(
    ("terms", "theirs"),
    [
        ({"time_in_force": TimeInForce.IOC}, "IOC"),
        ({"time_in_force": TimeInForce.FOK}, "FOK"),
        (LIMIT, "GFD"),
        ({**LIMIT, "time_in_force": TimeInForce.GTC}, "GTC"),
        ({**STOP, "time_in_force": TimeInForce.GTC}, "GTC"),
        ({**TOUCHED, "time_in_force": TimeInForce.DAY}, "GFD"),
    ],
)
def test_a_day_market_order_is_fill_or_kill_and_the_rest_keep_their_time(
    terms: dict[str, Any], theirs: str
):
    assert placed(**terms)["timeInForce"] == theirs


def test_a_good_till_date_order_says_its_date_to_the_nanosecond():
    body = placed(**LIMIT, time_in_force=TimeInForce.GTD, expire_at_ns=1_466_620_889_264_982_255)
    assert (body["timeInForce"], body["gtdTime"]) == ("GTD", "2016-06-22T18:41:29.264982255Z")


def test_limit_stop_and_touched_orders_put_their_price_where_oanda_reads_it():
    assert placed(**LIMIT)["price"] == "1.1"
    assert placed(**STOP)["price"] == "1.2"
    assert placed(**TOUCHED)["type"] == "MARKET_IF_TOUCHED"


def test_a_price_bound_is_sent():
    assert placed(price_bound=Decimal("1.10500"))["priceBound"] == "1.105"


@pytest.mark.parametrize(
    ("terms", "theirs"),
    [
        ({}, None),
        ({"reduce_only": True}, "REDUCE_ONLY"),
        ({"position_effect": PositionEffect.OPEN_ONLY}, "OPEN_ONLY"),
        ({"position_effect": PositionEffect.REDUCE_FIRST}, "REDUCE_FIRST"),
        ({"position_effect": PositionEffect.REDUCE_ONLY}, "REDUCE_ONLY"),
    ],
)
def test_the_position_effect_becomes_the_position_fill(terms: dict[str, Any], theirs: str | None):
    assert placed(**terms).get("positionFill") == theirs


def test_a_bracket_becomes_orders_on_fill_each_under_its_own_id():
    bracket = Bracket(
        stop_loss=StopLoss(stop_price=Decimal("1.05")),
        take_profit=TakeProfit(limit_price=Decimal("1.2")),
        trailing=Trailing(amount=Decimal("0.01")),
    )
    body = placed(bracket=bracket, tag="s1")
    stop, target, trail = (
        body[name] for name in ("stopLossOnFill", "takeProfitOnFill", "trailingStopLossOnFill")
    )
    assert (stop["price"], target["price"], trail["distance"]) == ("1.05", "1.2", "0.01")
    ids = [child["clientExtensions"]["id"] for child in (stop, target, trail)]
    assert ids == [child_client_id(CLIENT_ID, name) for name in ("sl", "tp", "ts")]
    assert len({CLIENT_ID, *ids}) == 4


def test_a_stop_loss_by_distance_is_sent_as_one():
    bracket = Bracket(stop_loss=StopLoss(distance=Decimal("0.005")))
    body = placed(bracket=bracket)
    assert body["stopLossOnFill"]["distance"] == "0.005"
    assert "takeProfitOnFill" not in body


@pytest.mark.parametrize(
    ("terms", "kind", "field", "value"),
    [
        ({**STOP, "closes_lot": "77", "reduce_only": True}, "STOP_LOSS", "price", "1.2"),
        ({**LIMIT, "closes_lot": "77", "reduce_only": True}, "TAKE_PROFIT", "price", "1.1"),
        (TRAIL, "TRAILING_STOP_LOSS", "distance", "0.005"),
    ],
)
def test_an_order_that_closes_a_lot_becomes_a_guard_of_that_trade(
    terms: dict[str, Any], kind: str, field: str, value: str
):
    assert adapter().find_unsupported(new_order(**terms)) is None
    body = placed(**terms)
    assert (body["type"], body["tradeID"], body[field]) == (kind, "77", value)
    assert "units" not in body
    assert "instrument" not in body


def test_a_cancel_names_the_newest_broker_order_id_or_else_ours():
    speaker = adapter()
    assert speaker.cancel(venue_order("55")).path == f"{BASE}/orders/55/cancel"
    assert speaker.cancel(venue_order()).path == f"{BASE}/orders/@{CLIENT_ID}/cancel"
    assert speaker.cancel(venue_order("55")).method == "PUT"


def test_an_amend_sends_the_whole_order_with_the_new_terms_and_no_client_id():
    request = adapter().amend(
        venue_order("55", **LIMIT), AmendTerms(quantity=Decimal(50), limit_price=Decimal("1.15"))
    )
    assert (request.method, request.path) == ("PUT", f"{BASE}/orders/55")
    body = json.loads(request.body or b"")["order"]
    assert (body["units"], body["price"], body["type"]) == ("50", "1.15", "LIMIT")
    assert "clientExtensions" not in body


def test_reads_name_their_paths():
    speaker = adapter()
    assert speaker.look_up(CLIENT_ID).path == f"{BASE}/orders/@{CLIENT_ID}"
    assert speaker.account()[0].path == BASE
    assert speaker.since("42").path == f"{BASE}/transactions/sinceid?id=42"
    assert speaker.instruments()[0].path == f"{BASE}/instruments"
    assert speaker.event_stream().path == f"{BASE}/transactions/stream"
    prices = speaker.price_stream(("EUR/USD", "USD/JPY"))
    assert prices.path == f"{BASE}/pricing/stream?instruments=EUR_USD%2CUSD_JPY"
    assert speaker.price_feed("EUR/USD") == speaker.price_feed("USD/JPY")
    assert speaker.change_prices(("EUR/USD",), ()) is None


def test_text_from_outside_cannot_leave_its_place_in_the_path():
    assert adapter().look_up("../../x?y").path == f"{BASE}/orders/@..%2F..%2Fx%3Fy"
    assert adapter().since("1&type=x").path.endswith("sinceid?id=1%26type%3Dx")


def test_no_request_holds_the_token():
    speaker = adapter()
    requests = [
        speaker.place(venue_order()),
        speaker.cancel(venue_order()),
        *speaker.account(),
        speaker.event_stream(),
    ]
    assert all(TOKEN not in repr(request) for request in requests)
    assert auth_headers(TOKEN) == {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"type": OrderType.STOP_LIMIT}, "type"),
        ({"time_in_force": TimeInForce.GTC}, "time_in_force"),
        ({**LIMIT, "time_in_force": TimeInForce.OPG}, "time_in_force"),
        ({**TOUCHED, "time_in_force": TimeInForce.FOK}, "time_in_force"),
        (
            {**STOP, "closes_lot": "7", "reduce_only": True, "time_in_force": TimeInForce.IOC},
            "time_in_force",
        ),
        ({**TRAIL, "closes_lot": None}, "closes_lot"),
        ({"closes_lot": "7", "time_in_force": TimeInForce.DAY}, "closes_lot"),
        ({**STOP, "closes_lot": "x7", "reduce_only": True}, "closes_lot"),
        ({**STOP, "closes_lot": "7"}, "reduce_only"),
        ({**TRAIL, "position_effect": PositionEffect.OPEN_ONLY}, "position_effect"),
        ({**TRAIL, "bracket": Bracket()}, "bracket"),
        ({**TRAIL, "price_bound": Decimal(1)}, "price_bound"),
        ({**TRAIL, "trailing": Trailing(percent=Decimal(1))}, "trailing.percent"),
        ({**LIMIT, "price_bound": Decimal(1)}, "price_bound"),
        ({"bracket": Bracket(trailing=Trailing(percent=Decimal(1)))}, "trailing.percent"),
        (
            {"bracket": Bracket(stop_loss=StopLoss(distance=Decimal(1), limit_price=Decimal(1)))},
            "bracket.stop_loss.limit_price",
        ),
        ({"reduce_only": True, "position_effect": PositionEffect.OPEN_ONLY}, "reduce_only"),
        ({"extended_hours": True}, "extended_hours"),
        ({"legs": (OrderLeg(instrument="X", side=Side.BUY),)}, "legs"),
        ({**LIMIT, "post_only": True}, "post_only"),
        ({"display_quantity": Decimal(10)}, "display_quantity"),
    ],
)
def test_what_oanda_cannot_take_is_refused_by_the_name_of_its_field(
    terms: dict[str, Any], field: str
):
    reason = adapter().find_unsupported(new_order(**terms))
    assert reason is not None
    assert reason.startswith(field)


@pytest.mark.parametrize("terms", [{}, LIMIT, STOP, TOUCHED, TRAIL])
def test_what_oanda_can_take_is_not_refused(terms: dict[str, Any]):
    assert adapter().find_unsupported(new_order(**terms)) is None


PRICES = st.decimals("0.00001", "99999", places=5)
EFFECTS = st.sampled_from(PositionEffect)


@st.composite
def orders(draw: st.DrawFn) -> NewOrder:
    kind = draw(st.sampled_from(OrderType))
    time_in_force = draw(st.sampled_from(TimeInForce))
    price = st.none() | PRICES
    trailing = st.builds(Trailing, amount=PRICES)
    brackets = st.builds(
        Bracket,
        stop_loss=st.none()
        | st.builds(StopLoss, stop_price=PRICES)
        | st.builds(StopLoss, distance=PRICES),
        take_profit=st.none() | st.builds(TakeProfit, limit_price=PRICES),
        trailing=st.none() | trailing,
    )
    return new_order(
        side=draw(st.sampled_from(Side)),
        quantity=draw(st.decimals("0.01", "10000000", places=2)),
        type=kind,
        time_in_force=time_in_force,
        limit_price=draw(PRICES) if kind is OrderType.LIMIT else None,
        stop_price=draw(PRICES) if kind in (OrderType.STOP, OrderType.MARKET_IF_TOUCHED) else None,
        price_bound=draw(price),
        trailing=draw(trailing) if kind is OrderType.TRAILING_STOP else None,
        expire_at_ns=draw(st.integers(0, 2**61)) if time_in_force is TimeInForce.GTD else None,
        bracket=draw(st.none() | brackets),
        position_effect=draw(EFFECTS),
        reduce_only=draw(st.booleans()),
        closes_lot=draw(st.none() | st.just("123")),
        tag=draw(st.none() | st.just("s.1")),
    )


@cache
def validator(kind: str) -> jsonschema.Draft4Validator:
    definitions = spec()["definitions"]
    for definition in definitions.values():
        if "properties" in definition:
            definition["additionalProperties"] = False
    name = f"#/definitions/{kind.title().replace('_', '')}OrderRequest"
    return jsonschema.Draft4Validator({"$ref": name, "definitions": definitions})


@settings(max_examples=300, deadline=None)
@given(orders())
def test_every_order_that_is_not_refused_is_a_valid_request_of_the_spec(order: NewOrder):
    speaker = adapter()
    if find_fault(order) is not None or speaker.find_unsupported(order) is not None:
        return
    request = speaker.place(VenueOrder(order=order, instrument=EUR_USD, venue_client_id=CLIENT_ID))
    body = json.loads(request.body or b"")
    assert body.keys() == {"order"}
    validator(body["order"]["type"]).validate(body["order"])
    if "units" in body["order"]:
        assert Decimal(body["order"]["units"]) == order.quantity * order.side.sign


@given(st.integers(-(2**61), 2**62))
def test_a_time_survives_both_ways_to_the_nanosecond(ns: int):
    assert parse_time(format_time(ns)) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("2016-06-22T18:41:29.264982255Z", 1_466_620_889_264_982_255),
    ],
)
def test_a_time_is_read_exactly(text: str, ns: int):
    assert parse_time(text) == ns


@pytest.mark.parametrize("text", ["", "0", "2016-06-22", "2016-13-01T00:00:00Z", "1466620889.26"])
def test_a_time_in_another_form_is_an_error(text: str):
    with pytest.raises(ValueError, match=r"."):
        parse_time(text)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_a_number_is_written_in_plain_digits_and_keeps_its_value(number: Decimal):
    text = format_decimal(number)
    assert "E" not in text
    assert Decimal(text) == number


def test_idle_zeros_are_dropped_but_those_of_whole_numbers_are_not():
    assert format_decimal(Decimal("1.10000")) == "1.1"
    assert format_decimal(Decimal("1E+3")) == "1000"
    assert format_decimal(Decimal("100.00")) == "100"


def test_names_are_written_as_oanda_writes_them():
    assert wire_name("replaced_by_order_id") == "replacedByOrderID"
    assert wire_name("unrealized_pl") == "unrealizedPL"
    assert wire_name("full_vwap") == "fullVWAP"
    assert wire_name("nav") == "NAV"
    assert wire_name("pl") == "pl"


def test_oanda_is_listed_with_its_hosts_and_login():
    for rest, stream in BROKERS["oanda"].hosts.values():
        assert rest.startswith("https://")
        assert stream.startswith("https://stream-")


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "t\u00f6ken"])
def test_a_token_that_cannot_be_one_is_told_without_being_shown(token: str):
    fault = find_token_fault(token)
    assert fault is not None
    assert "token" in fault
    assert find_token_fault("0a1b2c-3d4e") is None
