"""What is asked of Alpaca, and what its answers mean. A 2xx is a promise, not a fact."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import pytest
from alpaca_builders import (
    AAPL,
    BTC,
    CLIENT_ID,
    NOW_NS,
    ORDER_ID,
    TIME,
    TIME_NS,
    TOKEN,
    adapter,
    answer,
    fill_update,
    new_order,
    order,
    read,
    settings,
    update,
    venue_order,
)
from hypothesis import given
from hypothesis import strategies as st

from brokers.adapter import AmendTerms, NotSent, OutcomeUnknown, VenueOrder, whole_terms
from brokers.alpaca import HOSTS, AlpacaAdapter, auth_headers, find_token_fault
from domain.accounts import Environment
from domain.errors import Outcome, UnifiedError
from domain.events import (
    Accepted,
    AmendRefused,
    Canceled,
    CancelRefused,
    Expired,
    External,
    Rejected,
    Replaced,
)
from domain.instruments import Instrument
from domain.orders import (
    Bracket,
    NewOrder,
    OrderType,
    PositionEffect,
    Side,
    StopLoss,
    TakeProfit,
    TimeInForce,
    Trailing,
)
from tests.shared_data import SHARED, requires_shared

D = Decimal
LIMIT = {"type": OrderType.LIMIT, "limit_price": D("170.5")}
CRYPTO = {"instrument": "BTC/USD", "time_in_force": TimeInForce.GTC}
GUARDED = Bracket(
    stop_loss=StopLoss(stop_price=D("160"), limit_price=D("159.5")),
    take_profit=TakeProfit(limit_price=D("190")),
)


def body(instrument: Instrument = AAPL, **terms: Any) -> dict[str, Any]:
    request = adapter().place(venue_order(instrument=instrument, **terms))
    assert (request.method, request.path) == ("POST", "/v2/orders")
    return json.loads(request.body or b"")


# -- requests


def test_a_market_order_says_what_it_must_and_no_more() -> None:
    assert body() == {
        "symbol": "AAPL",
        "qty": "100",
        "side": "buy",
        "type": "market",
        "time_in_force": "day",
        "client_order_id": CLIENT_ID,
    }


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (LIMIT, {"type": "limit", "limit_price": "170.5"}),
        ({"type": OrderType.STOP, "stop_price": D("160")}, {"type": "stop", "stop_price": "160"}),
        (
            {"type": OrderType.STOP_LIMIT, "stop_price": D("160"), "limit_price": D("159.50")},
            {"type": "stop_limit", "stop_price": "160", "limit_price": "159.5"},
        ),
        (
            {"type": OrderType.TRAILING_STOP, "trailing": Trailing(amount=D("6.15"))},
            {"type": "trailing_stop", "trail_price": "6.15"},
        ),
        (
            {"type": OrderType.TRAILING_STOP, "trailing": Trailing(percent=D("1.0"))},
            {"type": "trailing_stop", "trail_percent": "1"},
        ),
        ({"side": Side.SELL}, {"side": "sell"}),
        ({"side": Side.SELL_SHORT}, {"side": "sell", "position_intent": "sell_to_open"}),
        ({"side": Side.BUY_TO_COVER}, {"side": "buy", "position_intent": "buy_to_close"}),
        ({"side": Side.SELL, "reduce_only": True}, {"position_intent": "sell_to_close"}),
        ({"position_effect": PositionEffect.OPEN_ONLY}, {"position_intent": "buy_to_open"}),
        ({**LIMIT, "extended_hours": True}, {"extended_hours": True}),
        ({"quantity": D("0.123456789")}, {"qty": "0.123456789"}),
        ({"bracket": GUARDED}, {
            "order_class": "bracket",
            "take_profit": {"limit_price": "190"},
            "stop_loss": {"stop_price": "160", "limit_price": "159.5"},
        }),
        ({"bracket": Bracket(take_profit=GUARDED.take_profit)}, {
            "order_class": "oto", "take_profit": {"limit_price": "190"},
        }),
        ({"bracket": Bracket(stop_loss=StopLoss(stop_price=D("160")))}, {
            "order_class": "oto", "stop_loss": {"stop_price": "160"},
        }),
    ],
)  # fmt: skip
def test_every_kind_of_order_is_said_in_alpaca_s_words(
    terms: dict[str, Any], expected: dict[str, Any]
) -> None:
    said = body(**terms)
    assert expected.items() <= said.items()
    assert adapter().find_unsupported(new_order(**terms)) is None


def test_a_reduce_only_limit_with_a_stop_is_a_pair_of_which_one_cancels_the_other() -> None:
    pair = {
        **LIMIT, "side": Side.SELL, "reduce_only": True,
        "bracket": Bracket(stop_loss=StopLoss(stop_price=D("160"))),
    }  # fmt: skip
    assert adapter().find_unsupported(new_order(**pair)) is None
    said = body(**pair)
    assert said["order_class"] == "oco"
    assert said["take_profit"] == {"limit_price": "170.5"}
    assert said["stop_loss"] == {"stop_price": "160"}
    assert "limit_price" not in said


def test_a_crypto_order_names_the_pair_and_no_intent() -> None:
    said = body(BTC, time_in_force=TimeInForce.GTC, side=Side.SELL, reduce_only=True)
    assert said["symbol"] == "BTC/USD"
    assert "position_intent" not in said


def test_cancel_amend_and_look_up_go_by_alpaca_s_id_and_ours() -> None:
    speaker = adapter()
    cancel = speaker.cancel(venue_order(ORDER_ID))
    assert (cancel.method, cancel.path, cancel.body) == ("DELETE", f"/v2/orders/{ORDER_ID}", None)
    look_up = speaker.look_up(CLIENT_ID)
    assert look_up.path == f"/v2/orders:by_client_order_id?client_order_id={CLIENT_ID}"


def test_an_amend_says_only_what_changes() -> None:
    before = venue_order(ORDER_ID, **LIMIT)
    terms = whole_terms(new_order(**{**LIMIT, "limit_price": D("171")}))
    request = adapter().amend(before, terms)
    assert (request.method, request.path) == ("PATCH", f"/v2/orders/{ORDER_ID}")
    assert json.loads(request.body or b"") == {"limit_price": "171"}


def test_an_amend_of_a_trail_says_the_new_trail() -> None:
    trailing = {"type": OrderType.TRAILING_STOP, "trailing": Trailing(percent=D(1))}
    terms = AmendTerms(quantity=D(90), trailing=Trailing(percent=D("1.5")))
    request = adapter().amend(venue_order(ORDER_ID, **trailing), terms)
    assert json.loads(request.body or b"") == {"qty": "90", "trail": "1.5"}


def test_a_partly_filled_order_is_not_amended_for_alpaca_may_fill_it_anew() -> None:
    speaker = adapter()
    read(speaker, fill_update(30, 30))
    with pytest.raises(NotSent, match="cancel it"):
        speaker.amend(venue_order(ORDER_ID, **LIMIT), AmendTerms(limit_price=D(171)))


def test_an_order_whose_id_never_reached_us_is_canceled_once_it_has() -> None:
    speaker = adapter()
    with pytest.raises(NotSent, match="none was heard yet"):
        speaker.cancel(venue_order())
    read(speaker, update("new"))
    assert speaker.cancel(venue_order()).path == f"/v2/orders/{ORDER_ID}"


UNSUPPORTED = [
    ({"type": OrderType.MARKET_IF_TOUCHED, "stop_price": D(1)}, "type"),
    ({**CRYPTO, "type": OrderType.STOP, "stop_price": D(1)}, "type"),
    ({"time_in_force": TimeInForce.GTD}, "time_in_force"),
    ({"type": OrderType.STOP, "stop_price": D(1), "time_in_force": TimeInForce.IOC}, "time_in_"),
    ({"instrument": "BTC/USD"}, "time_in_force"),
    ({**CRYPTO, "bracket": GUARDED}, "bracket"),
    ({**CRYPTO, "side": Side.SELL_SHORT}, "side"),
    ({**CRYPTO, **LIMIT, "extended_hours": True}, "extended_hours"),
    ({"extended_hours": True}, "extended_hours"),
    ({"closes_lot": "7"}, "closes_lot"),
    ({"price_bound": D(1)}, "price_bound"),
    ({**LIMIT, "post_only": True}, "post_only"),
    ({**LIMIT, "display_quantity": D(1)}, "display_quantity"),
    ({"position_effect": PositionEffect.REDUCE_FIRST}, "position_effect"),
    ({"reduce_only": True, "position_effect": PositionEffect.OPEN_ONLY}, "reduce_only"),
    ({"quantity": D("0.5"), "time_in_force": TimeInForce.GTC}, "quantity"),
    ({"type": OrderType.LIMIT, "limit_price": D("170.123")}, "limit_price"),
    ({"type": OrderType.STOP, "stop_price": D("1.001")}, "stop_price"),
    ({"bracket": Bracket(trailing=Trailing(amount=D(1)))}, "bracket.trailing"),
    ({"bracket": Bracket(stop_loss=StopLoss(distance=D(1)))}, "bracket.stop_loss.distance"),
    ({"bracket": Bracket()}, "bracket"),
    ({"bracket": GUARDED, "time_in_force": TimeInForce.OPG}, "time_in_force"),
    ({"bracket": GUARDED, "type": OrderType.STOP, "stop_price": D(170)}, "type"),
    ({**LIMIT, "bracket": GUARDED, "extended_hours": True}, "extended_hours"),
    ({**LIMIT, "side": Side.SELL, "bracket": GUARDED, "reduce_only": True}, "bracket"),
    ({"side": Side.SELL, "reduce_only": True,
      "bracket": Bracket(stop_loss=StopLoss(stop_price=D(160)))}, "bracket"),
]  # fmt: skip


@pytest.mark.parametrize(("terms", "field"), UNSUPPORTED)
def test_what_alpaca_cannot_take_is_refused_by_its_field(terms: dict[str, Any], field: str) -> None:
    why = adapter().find_unsupported(new_order(**terms))
    assert why is not None
    assert why.startswith(field)


def test_a_price_below_a_dollar_may_be_finer_than_a_cent() -> None:
    penny = {"type": OrderType.LIMIT, "limit_price": D("0.1234")}
    assert adapter().find_unsupported(new_order(**penny)) is None


ORDERS = st.builds(
    new_order,
    side=st.sampled_from(Side),
    type=st.sampled_from(OrderType),
    time_in_force=st.sampled_from(TimeInForce),
    quantity=st.decimals("0.001", 10_000, places=3),
    limit_price=st.none() | st.decimals("0.01", 900, places=2),
    stop_price=st.none() | st.decimals("0.01", 900, places=2),
    trailing=st.none() | st.builds(Trailing, amount=st.decimals("0.01", 9, places=2)),
    extended_hours=st.booleans(),
    reduce_only=st.booleans(),
    bracket=st.none()
    | st.builds(
        Bracket,
        stop_loss=st.none() | st.builds(StopLoss, stop_price=st.decimals(1, 100, places=2)),
        take_profit=st.none() | st.builds(TakeProfit, limit_price=st.decimals(1, 100, places=2)),
    ),
)


def schema(name: str) -> dict[str, Any]:
    """A request body's schema, closed: a field the spec does not know is a fault."""
    spec = json.loads((SHARED / "specs" / "alpaca" / "trading-api.json").read_bytes())
    if name == "place":
        content = spec["paths"]["/v2/orders"]["post"]["requestBody"]["content"]
        found = dict(content["application/json"]["schema"])
    else:
        found = dict(spec["components"]["schemas"]["PatchOrderRequest"])
    return {**found, "additionalProperties": False, "components": spec["components"]}


@requires_shared
@given(ORDERS)
def test_every_order_that_is_taken_fits_the_published_schema(made: NewOrder) -> None:
    speaker = adapter()
    if speaker.find_unsupported(made) is not None:
        return
    sent = VenueOrder(order=made, instrument=AAPL, venue_client_id=CLIENT_ID)
    request = speaker.place(sent)
    jsonschema.validate(json.loads(request.body or b""), schema("place"))


@requires_shared
def test_an_amend_fits_the_published_schema() -> None:
    terms = AmendTerms(quantity=D(90), limit_price=D(171), stop_price=D(1))
    request = adapter().amend(venue_order(ORDER_ID, **LIMIT), terms)
    jsonschema.validate(json.loads(request.body or b""), schema("amend"))


@requires_shared
def test_every_path_and_parameter_is_in_the_published_spec() -> None:
    spec = json.loads((SHARED / "specs" / "alpaca" / "trading-api.json").read_bytes())
    speaker = adapter()
    cursor = "2024-03-15T14:30:00.000000000Z;2024-03-15T14:00:00.000000000Z"
    asked = [
        *speaker.account(), *speaker.instruments(), speaker.look_up(CLIENT_ID),
        speaker.since(cursor), speaker.since(f"{cursor};fills;a::b"),
        speaker.since(f"{cursor};endings;2024-03-15T14:29:00Z"),
    ]  # fmt: skip
    for request in asked:
        parts = urlsplit(request.path)
        path = parts.path.replace("activities/FILL", "activities/{activity_type}")
        known = {p["name"] for p in spec["paths"][path]["get"].get("parameters", ())}
        assert parse_qs(parts.query).keys() <= known, request.path


# -- logging in


def test_the_two_parts_of_a_key_are_two_headers() -> None:
    assert auth_headers(TOKEN) == {
        "APCA-API-KEY-ID": "a-key-id",
        "APCA-API-SECRET-KEY": "a-secret-key",
    }


@pytest.mark.parametrize("token", ["", "key", "key:", ":secret", "a b:c", "a:b\n"])
def test_a_token_of_another_form_is_told_without_being_shown(token: str) -> None:
    fault = find_token_fault(token)
    assert fault is not None
    assert "KEY_ID:SECRET" in fault
    assert find_token_fault(TOKEN) is None


def test_the_hosts_are_alpaca_s() -> None:
    assert HOSTS.keys() == set(Environment)
    assert all(url.startswith("https://") for pair in HOSTS.values() for url in pair)


def test_no_repr_shows_the_secret() -> None:
    speaker = AlpacaAdapter(settings())
    shown = repr((settings(), speaker.event_stream(), speaker.price_stream(("AAPL",)), speaker))
    assert "a-secret-key" not in shown


# -- answers to a new order


def placed(status: int, said: Any, **headers: str) -> tuple[Any, ...]:
    report = adapter().parse_placed(venue_order(**LIMIT), answer(status, said, **headers), NOW_NS)
    assert report.cursor is None
    return report.events


def test_a_taken_order_is_accepted_at_alpaca_s_time() -> None:
    (accepted,) = placed(200, order(status="accepted"))
    assert accepted == Accepted(at_ns=TIME_NS, broker_order_id=ORDER_ID, venue_client_id=CLIENT_ID)


def test_fills_are_never_taken_from_an_answer_for_it_names_no_execution() -> None:
    (accepted,) = placed(200, order(status="filled", filled_qty="100", filled_avg_price="169"))
    assert isinstance(accepted, Accepted)


def test_an_order_that_ended_at_once_says_so() -> None:
    accepted, ended = placed(200, order(status="canceled", canceled_at=TIME))
    assert isinstance(accepted, Accepted)
    assert isinstance(ended, Canceled)
    (rejected,) = placed(200, order(status="rejected"))
    assert isinstance(rejected, Rejected)


REFUSALS = [
    (403, {"code": 40310000, "message": "insufficient buying power"},
     UnifiedError.INSUFFICIENT_FUNDS, "40310000"),
    (403, {"message": "forbidden."}, UnifiedError.AUTH, "HTTP_403"),
    (401, {"message": "unauthorized."}, UnifiedError.AUTH, "HTTP_401"),
    (422, {"code": 42210000, "message": "invalid limit_price 290.123"},
     UnifiedError.INVALID_ORDER, "42210000"),
    (422, {"code": 42210000, "message": "asset ZZZZ not found"},
     UnifiedError.SYMBOL_NOT_FOUND, "42210000"),
    (404, {"code": 40410000, "message": "asset not found"},
     UnifiedError.SYMBOL_NOT_FOUND, "40410000"),
    (403, {"code": 40310000, "message": "market is closed"},
     UnifiedError.MARKET_CLOSED, "40310000"),
    (429, {"message": "too many requests."}, UnifiedError.RATE_LIMIT, "HTTP_429"),
    (400, b"<html>", UnifiedError.INVALID_ORDER, "HTTP_400"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "said", "unified", "code"), REFUSALS)
def test_a_refusal_is_rejected_with_alpaca_s_own_words(
    status: int, said: Any, unified: UnifiedError, code: str
) -> None:
    (rejected,) = placed(status, said)
    assert isinstance(rejected, Rejected)
    assert rejected.error.outcome is Outcome.NONE
    assert rejected.error.venue is not None
    assert (rejected.error.venue.unified, rejected.error.venue.code) == (unified, code)


def test_a_rate_limit_says_when_it_lets_through_again() -> None:
    reset = str(NOW_NS // 1_000_000_000 + 7)
    (rejected,) = placed(429, {"message": "too many"}, **{"x-ratelimit-reset": reset})
    assert rejected.error.retry_after_ms == pytest.approx(7_000, abs=1_000)
    for odd in ("", "soon", "9" * 30, "1"):
        (rejected,) = placed(429, {"message": "too many"}, **{"x-ratelimit-reset": odd})
        assert rejected.error.retry_after_ms == 1_000
    (rejected,) = placed(429, {"message": "too many"}, **{"x-ratelimit-reset": "99999999999"})
    assert rejected.error.retry_after_ms == 60_000


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 302])
def test_trouble_at_alpaca_decides_nothing(status: int) -> None:
    for parse in (adapter().parse_placed, adapter().parse_canceled, adapter().parse_amended):
        with pytest.raises(OutcomeUnknown):
            parse(venue_order(ORDER_ID), answer(status, {"message": "sorry"}), NOW_NS)


@pytest.mark.parametrize("said", [b"", b"{}", b"[]", order(status="levitating"), order(id=7)])
def test_an_answer_that_cannot_be_read_decides_nothing(said: Any) -> None:
    with pytest.raises(OutcomeUnknown):
        placed(200, said)


def test_an_answer_to_another_order_decides_nothing() -> None:
    with pytest.raises(OutcomeUnknown):
        placed(200, order(client_order_id="another"))


def test_an_id_in_use_means_that_an_order_of_ours_exists() -> None:
    refused = {"code": 40010001, "message": "client_order_id must be unique"}
    with pytest.raises(OutcomeUnknown, match="in use"):
        placed(422, refused)


# -- answers to a cancel and a replace


def test_a_204_to_a_cancel_concludes_nothing() -> None:
    report = adapter().parse_canceled(venue_order(ORDER_ID), answer(204), NOW_NS)
    assert report.events == ()


@pytest.mark.parametrize("status", [422, 404, 403, 429])
def test_a_cancel_that_was_not_taken_is_refused(status: int) -> None:
    said = answer(status, {"code": 42210000, "message": "order is not cancelable"})
    (refused,) = adapter().parse_canceled(venue_order(ORDER_ID), said, NOW_NS).events
    assert isinstance(refused, CancelRefused)
    assert refused.broker_order_id == ORDER_ID
    assert refused.error.venue is not None
    assert refused.error.venue.unified is not UnifiedError.SYMBOL_NOT_FOUND


def replacement(status: str = "accepted", **fields: Any) -> dict[str, Any]:
    return order("new-id", status, replaces=ORDER_ID, **{"limit_price": "171", **fields})


def test_a_200_to_a_replace_concludes_nothing_until_the_old_order_is_gone() -> None:
    speaker = adapter()
    amended = venue_order(ORDER_ID, **LIMIT)
    assert speaker.parse_amended(amended, answer(200, replacement()), NOW_NS).events == ()
    *_, told, _ = read(speaker, update("new"), update("replaced", order(status="replaced")))
    assert isinstance(told, Replaced)
    assert (told.broker_order_id, told.previous_broker_order_id) == ("new-id", ORDER_ID)
    # The stream's `replaced` tells the old order; the terms are those of the answer.
    assert (told.limit_price, told.quantity) == (D(171), D(100))
    assert told.venue_client_id == CLIENT_ID


def test_a_replace_whose_stream_was_faster_than_its_answer_is_told_with_the_answer() -> None:
    speaker = adapter()
    read(speaker, update("new"), update("replaced", order(status="replaced")))
    amended = venue_order(ORDER_ID, **LIMIT)
    told, external = speaker.parse_amended(amended, answer(200, replacement()), NOW_NS).events
    assert isinstance(told, Replaced)
    assert isinstance(external, External)


def test_a_replace_that_was_not_taken_is_refused() -> None:
    said = answer(422, {"code": 42210000, "message": "order is not open"})
    (refused,) = adapter().parse_amended(venue_order(ORDER_ID, **LIMIT), said, NOW_NS).events
    assert isinstance(refused, AmendRefused)


# -- look-ups


def test_an_order_found_by_our_id_says_how_it_ended() -> None:
    for status, kind, field in (
        ("canceled", Canceled, "canceled_at"),
        ("expired", Expired, "expired_at"),
        ("rejected", Rejected, "failed_at"),
    ):
        found = answer(200, order(status=status, **{field: TIME}))
        *_, ended = adapter().parse_looked_up(CLIENT_ID, found, NOW_NS).events
        assert isinstance(ended, kind)
        assert ended.at_ns == TIME_NS


def test_an_order_alpaca_does_not_know_is_no_event_but_a_proxy_s_404_is_no_evidence() -> None:
    unknown = answer(404, {"code": 40410000, "message": "order not found for id"})
    assert adapter().parse_looked_up(CLIENT_ID, unknown, NOW_NS).events == ()
    for body_ in (b"<html>", {"message": "page missing"}):
        with pytest.raises(Exception, match="HTTP 404"):
            adapter().parse_looked_up(CLIENT_ID, answer(404, body_), NOW_NS)
