"""Builders for the Alpaca tests: what does not matter has a default."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from brokers.adapter import AdapterSettings, Response, VenueOrder
from brokers.alpaca import AlpacaAdapter
from brokers.reading import format_time, parse_time
from domain.accounts import BrokerAccount, Environment
from domain.instruments import AssetClass, Instrument
from domain.orders import NewOrder, Side

ACCOUNT = "010203ABCD"
CLIENT_ID = "5b1f0a52-41f3-5d0e-9d6c-7a51d3a0c9f4"
ORDER_ID = "61e69015-8549-4bfd-b9c3-01e75843f47d"
EXECUTION = "2f63ea93-423d-4169-b3f6-3fdafc10c418"
TOKEN = "a-key-id:a-secret-key"
TIME = "2024-03-15T14:30:00.123456789Z"
TIME_NS = parse_time(TIME)
NOW_NS = TIME_NS + 1_000_000_000
MINUTE_NS = 60_000_000_000

AAPL = Instrument(
    symbol="AAPL",
    broker_symbol="AAPL",
    asset_class=AssetClass.EQUITY,
    base_currency="AAPL",
    quote_currency="USD",
    tick=Decimal("0.0001"),
    lot=Decimal("0.000000001"),
    quantity_min=Decimal("0.000000001"),
    quantity_max=Decimal(1_000_000_000),
    pip=Decimal("0.01"),
)
BTC = Instrument(
    symbol="BTC/USD",
    broker_symbol="BTC/USD",
    asset_class=AssetClass.CRYPTO,
    base_currency="BTC",
    quote_currency="USD",
    tick=Decimal("0.01"),
    lot=Decimal("0.0001"),
    quantity_min=Decimal("0.0001"),
    quantity_max=Decimal(1_000_000_000),
    pip=Decimal("0.01"),
)


def settings(token: str = TOKEN, feed: str = "") -> AdapterSettings:
    account = BrokerAccount(
        account="paper-1",
        connection="c1",
        owner="o1",
        broker="alpaca",
        environment=Environment.PAPER,
        base_currency="USD",
        regime="us_equities",
    )
    return AdapterSettings(account=account, broker_account_id=ACCOUNT, token=token, feed=feed)


def adapter() -> AlpacaAdapter:
    return AlpacaAdapter(settings())


def new_order(**terms: Any) -> NewOrder:
    given = {
        "client_order_id": "o-1",
        "instrument": "AAPL",
        "side": Side.BUY,
        "quantity": Decimal(100),
    }
    return NewOrder(**{**given, **terms})


def venue_order(
    broker_order_id: str | None = None, instrument: Instrument = AAPL, **terms: Any
) -> VenueOrder:
    return VenueOrder(
        order=new_order(**{"instrument": instrument.symbol, **terms}),
        instrument=instrument,
        venue_client_id=CLIENT_ID,
        broker_order_id=broker_order_id,
    )


def answer(status: int, body: Any = None, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status=status, body=b"" if body is None else raw, headers=headers)


def order(number: str = ORDER_ID, status: str = "new", **fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "id": number,
        "client_order_id": CLIENT_ID if number == ORDER_ID else f"theirs-{number}",
        "created_at": TIME,
        "updated_at": TIME,
        "submitted_at": TIME,
        "filled_at": None,
        "expired_at": None,
        "canceled_at": None,
        "failed_at": None,
        "replaced_at": None,
        "replaced_by": None,
        "replaces": None,
        "asset_id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415",
        "symbol": "AAPL",
        "asset_class": "us_equity",
        "notional": None,
        "qty": "100",
        "filled_qty": "0",
        "filled_avg_price": None,
        "order_class": "",
        "order_type": "limit",
        "type": "limit",
        "side": "buy",
        "time_in_force": "day",
        "limit_price": "170",
        "stop_price": None,
        "status": status,
        "extended_hours": False,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
    }
    return {**given, **fields}


def update(event: str, made: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    given = {"event": event, "timestamp": TIME, "order": made or order()}
    return {"stream": "trade_updates", "data": {**given, **fields}}


def fill_update(
    quantity: int = 100, filled: int = 100, execution: str = EXECUTION, **fields: Any
) -> dict[str, Any]:
    """A fill; `filled` is the order's whole after it."""
    made = fields.pop("made", None) or order()
    is_whole = str(filled) == made["qty"]
    made = {
        **made,
        "status": "filled" if is_whole else "partially_filled",
        "filled_qty": str(filled),
        "filled_avg_price": "999",
    }
    given = {
        "execution_id": execution,
        "qty": str(quantity),
        "price": "169.5",
        "position_qty": "1000",
    }
    return update("fill" if is_whole else "partial_fill", made, **{**given, **fields})


def activity(execution: str = EXECUTION, at_ns: int = TIME_NS, **fields: Any) -> dict[str, Any]:
    given = {
        "id": f"20240315103000123::{execution}",
        "activity_type": "FILL",
        "transaction_time": format_time(at_ns),
        "type": "fill",
        "price": "169.5",
        "qty": "100",
        "side": "buy",
        "symbol": "AAPL",
        "leaves_qty": "0",
        "order_id": ORDER_ID,
        "cum_qty": "100",
        "order_status": "filled",
    }
    return {**given, **fields}


def account(**fields: Any) -> dict[str, Any]:
    given = {
        "id": "e6fe16f3-64a4-4921-8928-cadf02f92f98",
        "account_number": ACCOUNT,
        "status": "ACTIVE",
        "crypto_status": "ACTIVE",
        "currency": "USD",
        "buying_power": "200000",
        "non_marginable_buying_power": "90000",
        "cash": "100000",
        "equity": "103820.56",
        "last_equity": "103529.24",
        "initial_margin": "63480.38",
        "maintenance_margin": "38088.228",
        "long_market_value": "5000.5",
        "short_market_value": "-1000.25",
        "multiplier": "2",
        "shorting_enabled": True,
        "trading_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "created_at": "2019-06-12T22:47:07.99658Z",
    }
    return {**given, **fields}


def held(symbol: str = "AAPL", quantity: str = "5", **fields: Any) -> dict[str, Any]:
    given = {
        "asset_id": "904837e3-3b76-47ec-b432-046db621571b",
        "symbol": symbol,
        "exchange": "NASDAQ",
        "asset_class": "us_equity",
        "avg_entry_price": "100.0",
        "qty": quantity,
        "qty_available": quantity,
        "side": "short" if quantity.startswith("-") else "long",
        "market_value": "600.0",
        "cost_basis": "500.0",
        "unrealized_pl": "100.0",
        "unrealized_plpc": "0.20",
        "unrealized_intraday_pl": "10.0",
        "current_price": "120.0",
    }
    return {**given, **fields}


def clock(is_open: bool = True, at_ns: int = TIME_NS, **fields: Any) -> dict[str, Any]:
    given = {
        "timestamp": format_time(at_ns),
        "is_open": is_open,
        "next_open": "2024-03-18T09:30:00-04:00",
        "next_close": "2024-03-15T16:00:00-04:00" if is_open else "2024-03-18T16:00:00-04:00",
    }
    return {**given, **fields}


def account_answers(
    *,
    fills: Any = (),
    after: Any = None,
    facts: Any = None,
    positions: Any = (),
    orders: Any = (),
    bell: Any = None,
) -> tuple[Response, ...]:
    """The six answers to `account()`; `after` are the fills read last, if others."""
    last = fills if after is None else after
    bodies = (fills, facts or account(), positions, orders, bell or clock(), last)
    return tuple(answer(200, list(b) if isinstance(b, tuple) else b) for b in bodies)


def line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


def read(speaker: AlpacaAdapter, *messages: dict[str, Any]) -> list[Any]:
    """The events of stream messages read one after another."""
    events: list[Any] = []
    for message in messages:
        events += speaker.parse_event_line(line(message), NOW_NS).events
    return events
