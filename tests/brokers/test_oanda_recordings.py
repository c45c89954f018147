"""Answers recorded from a practice account (hootnot/oanda-api-v20, MIT) go through the adapter."""

from __future__ import annotations

import importlib
import json
from decimal import Decimal
from typing import Any

import pytest
from oanda_builders import CLIENT_ID, NOW_NS, SHARED, adapter, answer, venue_order

from brokers.adapter import VenueOrder
from domain.events import Accepted, Canceled, External, Replaced
from domain.orders import OrderType, Side

FOLDER = SHARED / "vectors" / "oandapyV20" / "oanda"
MADE_OF_ACCOUNT = {"trades": [], "positions": [], "orders": []}


def recorded(name: str) -> dict[str, Any]:
    """The cases of a file of vectors, or else of the installed package they came from."""
    path = FOLDER / f"{name}.json"
    if path.exists():
        return {case["case"]: case for case in json.loads(path.read_bytes())["cases"]}
    try:
        module = importlib.import_module(f"oandapyV20.endpoints.responses.{name}")
    except ImportError:
        pytest.skip("needs ../shared/data/vectors/oandapyV20 or the package oandapyV20")
    return dict(module.responses)


def response(name: str, case: str) -> Any:
    return recorded(name)[case]["response"]


def whole_account() -> dict[str, Any]:
    return response("accounts", "_v3_account_by_accountID")


def test_a_recorded_account_is_read():
    body = answer(200, whole_account())
    speaker = adapter()
    snapshot = speaker.parse_account((body,), NOW_NS)
    assert snapshot.balances.equity == Decimal("49377.6580")
    (position,) = snapshot.positions
    assert (position.instrument, position.quantity) == ("DE30/EUR", Decimal(-20))
    assert [lot.lot_id for lot in position.lots] == ["821", "823"]
    (order,) = speaker.parse_open_orders((body,), NOW_NS).events
    assert isinstance(order, External)
    assert (order.side, order.quantity, order.limit_price) == (
        Side.SELL,
        Decimal(50_000),
        Decimal("0.87000"),
    )


def test_a_recorded_account_summary_is_read_once_its_lists_are_added():
    summary = response("accounts", "_v3_account_by_accountID_summary")["account"]
    body = answer(200, {"account": {**summary, **MADE_OF_ACCOUNT}})
    assert adapter().parse_account((body,), NOW_NS).balances.equity == Decimal(summary["NAV"])


def test_recorded_instruments_are_read():
    listed = response("accounts", "_v3_account_by_accountID_instruments")
    instruments = adapter().parse_instruments((answer(200, listed),))
    by_symbol = {instrument.symbol: instrument for instrument in instruments}
    assert len(by_symbol) == len(listed["instruments"])
    assert by_symbol["EUR/USD"].tick == Decimal("0.00001")
    assert by_symbol["DE30/EUR"].pip == Decimal(1)


def test_recorded_account_changes_are_transactions_the_stream_would_have_told():
    changes = response("accounts", "_v3_accounts_accountID_account_changes")["changes"]
    for transaction in changes["transactions"]:
        report = adapter().parse_event_line(json.dumps(transaction).encode(), NOW_NS)
        assert report.cursor == transaction["id"]


def test_a_recorded_configuration_change_is_no_order_event():
    changed = response("accounts", "_v3_accounts_accountID_account_config")
    transaction = json.dumps(changed["clientConfigureTransaction"]).encode()
    report = adapter().parse_event_line(transaction, NOW_NS)
    assert (report.events, report.cursor) == ((), "830")


POSITION_CASES = ("_v3_accounts_accountID_positions", "_v3_accounts_accountID_openpositions")


@pytest.mark.parametrize("case", POSITION_CASES)
def test_recorded_positions_are_read(case: str):
    listed = response("positions", case)["positions"]
    account = {**whole_account()["account"], "positions": listed, "trades": []}
    snapshot = adapter().parse_account((answer(200, {"account": account}),), NOW_NS)
    held = {
        side["instrument"].replace("_", "/"): Decimal(side["long"]["units"])
        + Decimal(side["short"]["units"])
        for side in listed
    }
    expected = {symbol: units for symbol, units in held.items() if units}
    assert {p.instrument: p.quantity for p in snapshot.positions} == expected
    assert all(p.average_cost is not None for p in snapshot.positions)


def test_a_recorded_single_position_is_read():
    one = response("positions", "_v3_accounts_accountID_positiondetails")["position"]
    account = {**whole_account()["account"], "positions": [one], "trades": []}
    assert adapter().parse_account((answer(200, {"account": account}),), NOW_NS).cursor == "833"


def every_transaction(body: dict[str, Any]) -> list[dict[str, Any]]:
    found = [value for name, value in body.items() if name.endswith("Transaction")]
    return sorted(found, key=lambda transaction: int(transaction["id"]))


@pytest.mark.parametrize("name", ["positions", "trades"])
def test_the_transactions_of_every_recorded_close_are_read(name: str):
    if name == "trades":
        pytest.importorskip("oandapyV20")
    bodies = [case["response"] for case in recorded(name).values()]
    transactions = [t for body in bodies for t in every_transaction(body)]
    assert transactions
    speaker = adapter()
    for transaction in transactions:
        report = speaker.parse_event_line(json.dumps(transaction).encode(), NOW_NS)
        assert report.cursor == transaction["id"]


@pytest.mark.parametrize("case", ["_v3_accounts_accountID_pricing"])
def test_recorded_prices_are_read(case: str):
    speaker = adapter()
    for price in response("pricing", case)["prices"]:
        quote = speaker.parse_price_line(json.dumps(price).encode(), "c", NOW_NS).quote
        assert quote is not None
        assert quote.bid == Decimal(price["bids"][0]["price"])
        assert quote.tradeable


def test_a_recorded_price_stream_is_read_line_by_line():
    lines = response("pricing", "_v3_accounts_accountID_pricing_stream")
    reports = [adapter().parse_price_line(json.dumps(line).encode(), "c", NOW_NS) for line in lines]
    beats = sum(line["type"] == "HEARTBEAT" for line in lines)
    assert sum(report.is_heartbeat for report in reports) == beats > 0
    assert sum(report.quote is not None for report in reports) == len(lines) - beats


def test_a_recorded_order_is_accepted():
    body = response("orders", "_v3_accounts_accountID_orders_create")
    (event,) = adapter().parse_placed(venue_order(), answer(201, body), NOW_NS).events
    assert isinstance(event, Accepted)
    assert event.broker_order_id == "2304"


def test_a_recorded_replacement_inherits_the_client_id_the_amend_left_out():
    body = response("orders", "_v3_accounts_accountID_order_replace")
    order: VenueOrder = venue_order("2304", type=OrderType.LIMIT, limit_price=Decimal(1))
    (event,) = adapter().parse_amended(order, answer(201, body), NOW_NS).events
    assert isinstance(event, Replaced)
    assert (event.previous_broker_order_id, event.broker_order_id) == ("2304", "2307")
    assert (event.quantity, event.limit_price) == (Decimal(500_000), Decimal("1.25000"))
    sent = recorded("orders")["_v3_accounts_accountID_order_replace"]["body"]["order"]
    assert "clientExtensions" not in sent
    assert body["orderCreateTransaction"]["clientExtensions"]["id"] == "myID"


def test_a_recorded_cancel_is_canceled():
    body = response("orders", "_v3_accounts_accountID_order_cancel")
    (event,) = adapter().parse_canceled(venue_order("2307"), answer(200, body), NOW_NS).events
    assert isinstance(event, Canceled)
    assert (event.broker_order_id, event.reason) == ("2307", "CLIENT_REQUEST")


def test_a_recorded_order_is_found():
    body = response("orders", "_v3_accounts_accountID_order_details")
    (event,) = adapter().parse_looked_up(CLIENT_ID, answer(200, body), NOW_NS).events
    assert isinstance(event, Accepted)


@pytest.mark.parametrize(
    "case", ["_v3_accounts_accountID_orders_pending", "_v3_accounts_accountID_orders_list"]
)
def test_recorded_working_orders_are_read(case: str):
    listed = response("orders", case)["orders"]
    account = {**whole_account()["account"], "orders": listed}
    report = adapter().parse_open_orders((answer(200, {"account": account}),), NOW_NS)
    assert [event.broker_order_id for event in report.events] == [order["id"] for order in listed]


@pytest.mark.parametrize(
    ("case", "kinds"),
    [
        ("_v3_accounts_transaction_idrange", [External]),
        ("_v3_accounts_transaction_sinceid", [Replaced, Canceled, External]),
    ],
)
def test_recorded_transactions_are_read(case: str, kinds: list[type]):
    body = response("transactions", case)
    report = adapter().parse_since("1", answer(200, body), NOW_NS)
    assert [type(event) for event in report.events] == kinds
    assert report.cursor == body["transactions"][-1]["id"]


def test_a_recorded_event_stream_is_heartbeats():
    for beat in response("transactions", "_v3_accounts_transactions_stream"):
        report = adapter().parse_event_line(json.dumps(beat).encode(), NOW_NS)
        assert (report.is_heartbeat, report.head) == (True, "2311")


def test_every_file_of_recordings_that_is_present_is_of_a_kind_tested_here():
    if not FOLDER.exists():
        pytest.skip("needs ../shared/data/vectors/oandapyV20")
    names = {path.stem for path in FOLDER.glob("*.json") if not path.stem.startswith("tests_")}
    known = {"accounts", "positions", "pricing", "orders", "trades", "transactions"}
    # Order books and candles are market data no adapter asks for.
    assert names - {"instruments"} <= known
