"""Third parties' recordings and expectations: replies are read, requests are the same.

From alpacahq/alpaca-py and alpaca-trade-api-go (Apache-2.0, mocked replies of their tests) and
from running ccxt (MIT). Where ccxt asks for what Alpaca does not do, we refuse it by its field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from alpaca_builders import (
    BTC,
    NOW_NS,
    account_answers,
    adapter,
    answer,
    new_order,
    venue_order,
)
from msgspec.structs import replace

from brokers.adapter import VenueOrder
from brokers.alpaca_messages import decode_order
from domain.events import Accepted, CancelRefused, External, Rejected
from domain.orders import OrderType, Side, TimeInForce
from tests.shared_data import SHARED, requires_shared

pytestmark = requires_shared
D = Decimal
VECTORS = SHARED / "vectors"


def cases(*path: str) -> list[dict[str, Any]]:
    file = VECTORS.joinpath(*path)
    return json.loads(file.read_bytes())["cases"] if file.exists() else []


def mocked(name: str) -> Iterator[tuple[str, str, Any, int]]:
    """Method, path, reply and status of every mocked call in a file of alpaca-py's."""
    for case in cases("alpaca-py", "alpaca", f"{name}.json"):
        for step in case["steps"]:
            func = step.get("func", "")
            if not func.startswith("reqmock."):
                continue
            url = step["args"][0].partition("}}")[2]
            said = step["kwargs"].get("text", "")
            body = said["__json_text__"] if isinstance(said, dict) else said
            yield func[8:].upper(), url, body, step["kwargs"].get("status_code", 200)


def of(name: str, method: str, path: str) -> list[Any]:
    found = [
        body
        for how, url, body, status in mocked(name)
        if (how, status) == (method, 200) and urlsplit(url).path == path and body != ""
    ]
    assert found, f"no {method} {path} in {name}"
    return found


def test_recorded_accounts_are_read_with_and_without_day_trading_fields() -> None:
    for facts in of("test_account_routes", "GET", "/v2/account"):
        for given in (facts, {k: v for k, v in facts.items() if "day" not in k}):
            snapshot = adapter().parse_account(account_answers(facts=given), NOW_NS)
            balances = snapshot.balances
            assert balances.cash == D(facts["cash"])
            assert balances.equity == D(facts["equity"])
            expected = given.get("daytrading_buying_power")
            assert balances.day_trading_buying_power == (None if expected is None else D(expected))


def test_recorded_positions_are_read() -> None:
    for listed in of("test_position_routes", "GET", "/v2/positions"):
        parts = account_answers(positions=tuple(listed))
        positions = adapter().parse_account(parts, NOW_NS).positions
        assert [p.quantity for p in positions] == [D(one["qty"]) for one in listed]
        assert [p.average_cost for p in positions] == [D(one["avg_entry_price"]) for one in listed]


def test_recorded_assets_are_read() -> None:
    go = [c["json"] for c in cases("alpaca-go", "alpaca", "alpaca_rest_test.json")]
    go = [asset for asset in go if isinstance(asset, dict) and "tradable" in asset]
    assert go
    for listed in (*of("test_asset_routes", "GET", "/v2/assets"), go):
        found = adapter().parse_instruments((answer(200, listed), answer(200, [])))
        assert {i.symbol for i in found} == {one["symbol"] for one in listed}


def test_recorded_new_orders_are_accepted() -> None:
    replies = of("test_order_routes", "POST", "/v2/orders")
    assert len(replies) >= 4
    for reply in replies:
        ours = replace(venue_order(), venue_client_id=reply["client_order_id"])
        events = adapter().parse_placed(ours, answer(200, reply), NOW_NS).events
        assert isinstance(events[0], Accepted)
        assert events[0].broker_order_id == reply["id"]


def test_recorded_orders_are_listed() -> None:
    for listed in of("test_order_routes", "GET", "/v2/orders"):
        report = adapter().parse_open_orders(account_answers(orders=tuple(listed)), NOW_NS)
        assert report.unread == ()
        made = [e for e in report.events if isinstance(e, External)]
        assert [e.quantity for e in made] == [D(str(one["qty"])) for one in listed]


def test_an_order_recorded_by_our_id_is_found() -> None:
    for reply in of("test_order_routes", "GET", "/v2/orders:by_client_order_id"):
        report = adapter().parse_looked_up(reply["client_order_id"], answer(200, reply), NOW_NS)
        assert report.events[0].venue_client_id == reply["client_order_id"]


def test_a_recorded_replace_promises_and_concludes_nothing() -> None:
    replies = [
        body
        for method, url, body, status in mocked("test_order_routes")
        if method == "PATCH" and status == 200
    ]
    assert replies
    for reply in replies:
        ours = venue_order("an-older-id", type=OrderType.LIMIT, limit_price=D(1))
        assert adapter().parse_amended(ours, answer(200, reply), NOW_NS).events == ()


def test_recorded_refusals_of_a_cancel_are_refusals() -> None:
    statuses = {
        status
        for method, _, _, status in mocked("test_order_routes")
        if method == "DELETE" and status >= 400
    }
    assert statuses == {404, 422}
    for status in statuses:
        report = adapter().parse_canceled(venue_order("an-id"), answer(status, b""), NOW_NS)
        assert isinstance(report.events[0], CancelRefused)


def test_every_recorded_order_anywhere_is_an_order_to_us() -> None:
    def orders(message: Any) -> Iterator[dict[str, Any]]:
        if isinstance(message, dict):
            if {"id", "client_order_id", "status", "filled_qty"} <= message.keys():
                yield message
            message = list(message.values())
        if isinstance(message, list):
            for one in message:
                yield from orders(one)

    names = ("test_order_routes", "test_position_routes")
    found = [o for name in names for _, _, body, _ in mocked(name) for o in orders(body)]
    assert len(found) >= 10
    for one in found:
        assert decode_order(json.dumps(one).encode()).id == one["id"]


def test_a_recorded_error_keeps_its_code() -> None:
    errors = [
        c["json"]
        for c in cases("alpaca-go", "alpaca", "alpaca_rest_test.json")
        if isinstance(c["json"], dict) and c["json"].keys() >= {"code", "message"}
    ]
    assert errors
    for said in errors:
        (rejected,) = adapter().parse_placed(venue_order(), answer(422, said), NOW_NS).events
        assert isinstance(rejected, Rejected)
        assert rejected.error.venue is not None
        assert rejected.error.venue.code == str(said["code"])


def test_recorded_quotes_have_the_fields_we_read() -> None:
    quotes = [
        {"T": "q", "S": symbol, **quote}
        for case in cases("alpaca-go", "alpaca", "marketdata_rest_test.json")
        if isinstance(case["json"], dict)
        for symbol, listed in (case["json"].get("quotes") or {}).items()
        for quote in (listed if isinstance(listed, list) else [listed])
    ]
    assert len(quotes) > 20
    for quote in quotes:
        told = adapter().parse_price_line(json.dumps(quote).encode(), "c1", NOW_NS).quote
        if quote["bp"] and quote["ap"]:
            assert told is not None
            assert (told.bid, told.ask) == (D(str(quote["bp"])), D(str(quote["ap"])))


# -- requests


REST = {
    "cancel_order": lambda speaker: speaker.cancel(
        venue_order("61e69015-8549-4bfd-b9c3-01e75843f47d")
    ),
    "fetch_my_trades": lambda speaker: speaker.account()[0],
    "fetch_balance": lambda speaker: speaker.account()[1],
    "fetch_open_orders": lambda speaker: speaker.account()[3],
    "fetch_time": lambda speaker: speaker.account()[4],
}


@pytest.mark.parametrize("method", REST)
def test_ccxt_and_we_ask_the_same_of_the_same_path(method: str) -> None:
    found = [c for c in cases("ccxt-generated", "requests", "alpaca.json") if c["method"] == method]
    assert found
    for case in found:
        request = REST[method](adapter())
        expected = case["expected"]
        assert request.method == expected["http_method"]
        assert urlsplit(request.path).path == urlsplit(expected["url"]).path


def ours_of(body: dict[str, Any]) -> VenueOrder:
    """The order ccxt says, in our words."""
    number = {k: D(str(body[k])) for k in ("limit_price", "stop_price") if body.get(k) is not None}
    made = new_order(
        instrument=body["symbol"],
        side=Side(body["side"]),
        quantity=D(str(body["qty"])),
        type=OrderType(body["type"]),
        time_in_force=TimeInForce(body["time_in_force"].lower()),
        **number,
    )
    return VenueOrder(order=made, instrument=BTC, venue_client_id=body["client_order_id"])


def test_ccxt_s_orders_are_ours_or_are_refused_by_their_field() -> None:
    bodies = [
        case["expected"]["body"]
        for case in cases("ccxt-generated", "requests", "alpaca.json")
        if case["method"] == "create_order"
    ]
    assert len(bodies) > 20
    same = 0
    for body in bodies:
        if body["time_in_force"].lower() not in {t.value for t in TimeInForce}:
            continue  # Post-only, which Alpaca has not.
        ours = ours_of(body)
        ours = replace(ours, instrument=replace(BTC, symbol=body["symbol"],
                                                broker_symbol=body["symbol"]))  # fmt: skip
        why = adapter().find_unsupported(ours.order)
        if why is not None:
            assert why.partition(":")[0] in {"time_in_force", "type", "stop_price"}, why
            continue
        said = json.loads(adapter().place(ours).body or b"")
        known = {k: v for k, v in body.items() if k in said}
        assert {k: str(v).lower() for k, v in known.items()} == {
            k: str(v).lower() for k, v in said.items()
        }
        same += 1
    assert same > 10
