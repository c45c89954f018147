"""Builders for the OANDA tests: what does not matter has a default."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brokers.adapter import AdapterSettings, Response, VenueOrder
from brokers.oanda import OandaAdapter
from domain.accounts import BrokerAccount, Environment
from domain.instruments import AssetClass, Instrument
from domain.orders import NewOrder, Side

ACCOUNT = "101-004-1435156-001"
CLIENT_ID = "5b1f0a52-41f3-5d0e-9d6c-7a51d3a0c9f4"
TOKEN = "a-secret-token"
TIME = "2016-06-22T18:41:29.264982255Z"
TIME_NS = 1_466_620_889_264_982_255
NOW_NS = 1_700_000_000_000_000_001
SHARED = Path(__file__).parents[2].parent / "shared" / "data"

EUR_USD = Instrument(
    symbol="EUR/USD",
    broker_symbol="EUR_USD",
    asset_class=AssetClass.FOREX,
    base_currency="EUR",
    quote_currency="USD",
    tick=Decimal("0.00001"),
    lot=Decimal(1),
    quantity_min=Decimal(1),
    quantity_max=Decimal(100_000_000),
    pip=Decimal("0.0001"),
)


def spec() -> dict[str, Any]:
    path = SHARED / "specs" / "oanda" / "json" / "v20.json"
    if not path.exists():
        pytest.skip("needs the published OANDA spec in ../shared/data/specs")
    return json.loads(path.read_bytes())


def settings() -> AdapterSettings:
    account = BrokerAccount(
        account="paper-1",
        connection="c1",
        owner="o1",
        broker="oanda",
        environment=Environment.PAPER,
        base_currency="EUR",
    )
    return AdapterSettings(account=account, broker_account_id=ACCOUNT, token=TOKEN)


def adapter() -> OandaAdapter:
    return OandaAdapter(settings())


def new_order(**terms: Any) -> NewOrder:
    given = {
        "client_order_id": "o-1",
        "instrument": "EUR/USD",
        "side": Side.BUY,
        "quantity": Decimal(100),
    }
    return NewOrder(**{**given, **terms})


def venue_order(broker_order_id: str | None = None, **terms: Any) -> VenueOrder:
    return VenueOrder(
        order=new_order(**terms),
        instrument=EUR_USD,
        venue_client_id=CLIENT_ID,
        broker_order_id=broker_order_id,
    )


def answer(status: int, body: Any = None) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status=status, body=raw)


def transaction(kind: str, number: int, **fields: Any) -> dict[str, Any]:
    given = {
        "id": str(number),
        "batchID": str(number),
        "time": TIME,
        "type": kind,
        "accountID": ACCOUNT,
        "userID": 1435156,
    }
    return {**given, **fields}


def creation(number: int = 10, kind: str = "MARKET_ORDER", **fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "instrument": "EUR_USD",
        "units": "100",
        "timeInForce": "FOK",
        "positionFill": "DEFAULT",
        "reason": "CLIENT_ORDER",
        "clientExtensions": {"id": CLIENT_ID, "tag": "s1"},
    }
    return transaction(kind, number, **{**given, **fields})


def guard(number: int, kind: str = "STOP_LOSS_ORDER", **fields: Any) -> dict[str, Any]:
    given = {
        "tradeID": "11",
        "price": "1.09000",
        "timeInForce": "GTC",
        "triggerCondition": "DEFAULT",
        "reason": "ON_FILL",
        "orderFillTransactionID": "11",
    }
    return transaction(kind, number, **{**given, **fields})


def fill(number: int = 11, order: int = 10, **fields: Any) -> dict[str, Any]:
    given = {
        "batchID": str(order),
        "orderID": str(order),
        "clientOrderID": CLIENT_ID,
        "instrument": "EUR_USD",
        "units": "100",
        "price": "1.10000",
        "fullVWAP": "1.10000",
        "reason": "MARKET_ORDER",
        "pl": "0.0000",
        "financing": "-0.0100",
        "commission": "0.5000",
        "accountBalance": "9999.4900",
        "tradeOpened": {"tradeID": str(number), "units": "100", "price": "1.10000"},
    }
    return transaction("ORDER_FILL", number, **{**given, **fields})


def cancel(number: int = 11, order: int = 10, **fields: Any) -> dict[str, Any]:
    given = {"orderID": str(order), "clientOrderID": CLIENT_ID, "reason": "CLIENT_REQUEST"}
    return transaction("ORDER_CANCEL", number, **{**given, **fields})


def line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


def read(reader: OandaAdapter, *messages: dict[str, Any]) -> list[Any]:
    """The events of transactions read one line at a time."""
    events: list[Any] = []
    for message in messages:
        events += reader.parse_event_line(line(message), NOW_NS).events
    return events
