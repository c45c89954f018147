"""What the shared suite needs of each broker: its adapter, and one message of every kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import alpaca_builders as alpaca
import oanda_builders as oanda
from msgspec import Struct
from test_oanda_account import account as oanda_account
from test_oanda_account import tradeable as oanda_tradeable

from brokers.adapter import Adapter, Response, VenueOrder


class Dialect(Struct, frozen=True, kw_only=True):
    """Messages of one broker as parsed JSON. `events` tell of one order: made, then filled."""

    name: str
    adapter: Callable[[], Adapter]
    venue_order: Callable[..., VenueOrder]
    broker_order_id: str
    client_id: str
    placed: tuple[int, Any]
    refused: tuple[int, Any]
    not_found: tuple[int, Any]
    found: Any
    account: tuple[Any, ...]
    instruments: tuple[Any, ...]
    events: tuple[Any, ...]
    strange: Any
    cursor: str
    pages: tuple[Any, ...]
    price: Any
    symbol: str


def _oanda_page() -> dict[str, Any]:
    made = [oanda.creation(), oanda.fill()]
    return {"transactions": made, "lastTransactionID": "11"}


OANDA = Dialect(
    name="oanda",
    adapter=oanda.adapter,
    venue_order=oanda.venue_order,
    broker_order_id="10",
    client_id=oanda.CLIENT_ID,
    placed=(201, {"orderCreateTransaction": oanda.creation()}),
    refused=(400, {"errorCode": "UNITS_INVALID", "errorMessage": "no"}),
    not_found=(404, {"errorCode": "NO_SUCH_ORDER", "errorMessage": "no"}),
    found={
        "order": {
            "id": "10", "createTime": oanda.TIME, "state": "PENDING", "type": "LIMIT",
            "instrument": "EUR_USD", "units": "100", "timeInForce": "GTC", "price": "1.1",
        }
    },
    account=(oanda_account().body,),
    instruments=({"instruments": [oanda_tradeable(name="EUR_USD")]},),
    events=(oanda.creation(), oanda.fill()),
    strange=oanda.transaction("GIFT", 12),
    cursor="9",
    pages=(_oanda_page(), {"transactions": [], "lastTransactionID": "11"}),
    price={
        "type": "PRICE", "time": oanda.TIME, "instrument": "EUR_USD", "tradeable": True,
        "bids": [{"price": "1.1", "liquidity": 1}], "asks": [{"price": "1.2", "liquidity": 1}],
    },
    symbol="EUR/USD",
)  # fmt: skip

ALPACA = Dialect(
    name="alpaca",
    adapter=alpaca.adapter,
    venue_order=alpaca.venue_order,
    broker_order_id=alpaca.ORDER_ID,
    client_id=alpaca.CLIENT_ID,
    placed=(200, alpaca.order()),
    refused=(422, {"code": 42210000, "message": "no"}),
    not_found=(404, {"code": 40410000, "message": "order not found"}),
    found=alpaca.order(),
    account=(
        [], alpaca.account(), [alpaca.held()], [alpaca.order()], alpaca.clock(), [],
    ),
    instruments=(
        [{"class": "us_equity", "symbol": "AAPL", "status": "active", "tradable": True}],
        [{"class": "crypto", "symbol": "BTC/USD", "status": "active", "tradable": True}],
    ),
    events=(alpaca.update("new"), alpaca.fill_update()),
    strange=alpaca.update("levitated"),
    cursor="2024-03-15T14:29:00.000000000Z;2024-03-15T00:00:00.000000000Z",
    pages=([alpaca.order(status="filled")], [alpaca.activity()], [alpaca.order(status="filled")]),
    price={"T": "q", "S": "AAPL", "bp": 1.1, "bs": 1, "ap": 1.2, "as": 1, "t": alpaca.TIME},
    symbol="AAPL",
)  # fmt: skip

DIALECTS = (OANDA, ALPACA)


def answer(status: int, body: Any) -> Response:
    """An answer, from JSON or bytes."""
    return oanda.answer(status, body)
