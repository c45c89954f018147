"""oandapyV20, unmodified, trades against the simulator over REST and both streams."""

from __future__ import annotations

import asyncio
import json

import oandapyV20.contrib.requests as asked
import oandapyV20.endpoints.accounts as accounts
import oandapyV20.endpoints.instruments as instruments
import oandapyV20.endpoints.orders as orders
import oandapyV20.endpoints.positions as positions
import oandapyV20.endpoints.pricing as pricing
import oandapyV20.endpoints.trades as trades
import oandapyV20.endpoints.transactions as transactions
import pytest
from oanda_client import sdk_for, served
from oanda_spec import SHARED
from oandapyV20.exceptions import StreamTerminated, V20Error
from simulator_world import ACCOUNT

RECORDINGS = SHARED / "vectors" / "oandapyV20" / "oanda"
ON_FILL = {
    "takeProfitOnFill": asked.TakeProfitDetails(price=1.2).data,
    "stopLossOnFill": asked.StopLossDetails(price=1.0).data,
}
TYPES = [
    (asked.MarketOrderRequest(instrument="EUR_USD", units=100), "MARKET", "FILLED"),
    (asked.MarketOrderRequest(instrument="EUR_USD", units=-70, **ON_FILL), "MARKET", "CANCELLED"),
    (asked.LimitOrderRequest(instrument="EUR_USD", units=10, price=1.05), "LIMIT", "PENDING"),
    (asked.StopOrderRequest(instrument="EUR_USD", units=10, price=1.2), "STOP", "PENDING"),
    (
        asked.MITOrderRequest(instrument="EUR_USD", units=-10, price=1.2),
        "MARKET_IF_TOUCHED",
        "PENDING",
    ),
]  # fmt: skip


async def call(api, endpoint):
    return await asyncio.to_thread(api.request, endpoint)


@pytest.mark.asyncio
@pytest.mark.parametrize(("body", "kind", "state"), TYPES)
async def test_it_places_orders_of_every_type(body, kind, state):
    async with served() as client:
        api = sdk_for(client.sim)
        made = await call(api, orders.OrderCreate(ACCOUNT, data=body.data))
        order_id = made["orderCreateTransaction"]["id"]
        found = await call(api, orders.OrderDetails(ACCOUNT, orderID=order_id))
    assert (found["order"]["type"], found["order"]["state"]) == (kind, state)


@pytest.mark.asyncio
async def test_it_guards_a_trade_and_closes_it():
    async with served() as client:
        api = sdk_for(client.sim)
        body = asked.MarketOrderRequest(instrument="EUR_USD", units=100).data
        fill = (await call(api, orders.OrderCreate(ACCOUNT, data=body)))["orderFillTransaction"]
        trade = fill["tradeOpened"]["tradeID"]
        for request in (
            asked.TakeProfitOrderRequest(tradeID=trade, price=1.2),
            asked.StopLossOrderRequest(tradeID=trade, price=1.0),
            asked.TrailingStopLossOrderRequest(tradeID=trade, distance=0.05),
        ):
            await call(api, orders.OrderCreate(ACCOUNT, data=request.data))
        pending = await call(api, orders.OrdersPending(ACCOUNT))
        data = {"stopLoss": {"price": "1.01", "timeInForce": "GTC"}}
        await call(api, trades.TradeCRCDO(ACCOUNT, tradeID=trade, data=data))
        details = await call(api, trades.TradeDetails(ACCOUNT, tradeID=trade))
        await call(
            api, trades.TradeClose(ACCOUNT, tradeID=trade, data=asked.TradeCloseRequest().data)
        )
        left = await call(api, trades.OpenTrades(ACCOUNT))
    assert len(pending["orders"]) == 3
    assert details["trade"]["stopLossOrder"]["price"] == "1.01000"
    assert left["trades"] == []


@pytest.mark.asyncio
async def test_it_replaces_and_cancels_an_order():
    async with served() as client:
        api = sdk_for(client.sim)
        body = asked.LimitOrderRequest(instrument="EUR_USD", units=10, price=1.05).data
        made = await call(api, orders.OrderCreate(ACCOUNT, data=body))
        old = made["orderCreateTransaction"]["id"]
        body["order"]["price"] = "1.06"
        swapped = await call(api, orders.OrderReplace(ACCOUNT, orderID=old, data=body))
        new = swapped["orderCreateTransaction"]["id"]
        ended = await call(api, orders.OrderCancel(ACCOUNT, orderID=new))
        with pytest.raises(V20Error) as refused:
            await call(api, orders.OrderCancel(ACCOUNT, orderID=new))
    assert swapped["orderCancelTransaction"]["replacedByOrderID"] == new
    assert swapped["orderCreateTransaction"]["replacesOrderID"] == old
    assert ended["orderCancelTransaction"]["reason"] == "CLIENT_REQUEST"
    assert refused.value.code == 404


@pytest.mark.asyncio
async def test_it_reads_account_positions_prices_and_transactions():
    async with served() as client:
        api = sdk_for(client.sim)
        body = asked.MarketOrderRequest(instrument="EUR_USD", units=100).data
        await call(api, orders.OrderCreate(ACCOUNT, data=body))
        names = [x["id"] for x in (await call(api, accounts.AccountList()))["accounts"]]
        whole = await call(api, accounts.AccountDetails(ACCOUNT))
        held = await call(api, positions.OpenPositions(ACCOUNT))
        priced = await call(api, pricing.PricingInfo(ACCOUNT, params={"instruments": "EUR_USD"}))
        since = await call(api, transactions.TransactionsSinceID(ACCOUNT, params={"id": 2}))
        bars = await call(
            api, instruments.InstrumentsCandles("EUR_USD", params={"granularity": "S5"})
        )
        data = {"longUnits": "ALL"}
        closed = await call(api, positions.PositionClose(ACCOUNT, "EUR_USD", data=data))
    assert names == [ACCOUNT]
    assert whole["account"]["positions"][0]["long"]["units"] == "100"
    assert held["positions"][0]["long"]["averagePrice"] == "1.10010"
    assert priced["prices"][0]["closeoutAsk"] == "1.10010"
    assert [x["type"] for x in since["transactions"]] == ["MARKET_ORDER", "ORDER_FILL"]
    assert bars["candles"][-1]["mid"]["c"] == "1.10005"
    assert closed["longOrderFillTransaction"]["pl"] == "-0.0100"


@pytest.mark.asyncio
async def test_it_hears_both_streams():
    def quietly(api, endpoint, wanted):
        found = []
        try:
            for line in api.request(endpoint):
                found.append(line)
                if wanted <= {x["type"] for x in found}:
                    endpoint.terminate("heard enough")
        except StreamTerminated:
            return found
        return found

    async with served(heartbeat_ms=50) as client:
        events = asyncio.create_task(
            asyncio.to_thread(
                quietly,
                sdk_for(client.sim),
                transactions.TransactionsStream(ACCOUNT),
                {"HEARTBEAT", "MARKET_ORDER", "ORDER_FILL"},
            )
        )
        prices = asyncio.create_task(
            asyncio.to_thread(
                quietly,
                sdk_for(client.sim),
                pricing.PricingStream(ACCOUNT, params={"instruments": "EUR_USD"}),
                {"HEARTBEAT", "PRICE"},
            )
        )
        async with asyncio.timeout(10):
            while client.sim.streams.count < 2:
                await asyncio.sleep(0.005)
            await client.order()
            heard, seen = await events, await prices
    assert {x["type"] for x in heard} == {"HEARTBEAT", "MARKET_ORDER", "ORDER_FILL"}
    assert any(x["type"] == "PRICE" for x in seen)


# recording -> how to ask the simulator the same; keys older than today's spec are left out
CHANGES = "/changes?sinceTransactionID=4"
CLOSE = "/positions/EUR_USD/close"
RECORDED = [
    ("accounts", "_v3_account_by_accountID_summary", "GET", "/summary", None),
    ("accounts", "_v3_account_by_accountID", "GET", "", None),
    ("accounts", "_v3_account_by_accountID_instruments", "GET", "/instruments", None),
    ("accounts", "_v3_accounts_accountID_account_config", "PATCH", "/configuration", "body"),
    ("accounts", "_v3_accounts_accountID_account_changes", "GET", CHANGES, None),
    ("positions", "_v3_accounts_accountID_positions", "GET", "/positions", None),
    ("positions", "_v3_accounts_accountID_openpositions", "GET", "/openPositions", None),
    ("positions", "_v3_accounts_accountID_positiondetails", "GET", "/positions/EUR_USD", None),
    ("positions", "_v3_accounts_accountID_position_close", "PUT", CLOSE, "body"),
    ("pricing", "_v3_accounts_accountID_pricing", "GET", "/pricing?instruments=EUR_USD", None),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("file", "case", "method", "path", "sends"), RECORDED)
async def test_recorded_requests_get_answers_of_the_recorded_shape(file, case, method, path, sends):
    if not RECORDINGS.exists():
        pytest.skip("the shared recordings are not beside this checkout")
    cases = json.loads((RECORDINGS / f"{file}.json").read_text())["cases"]
    recorded = next(x for x in cases if x["case"] == case)
    async with served() as client:
        await client.order(units="251")
        await client.order(
            type="LIMIT", units="-100", price="1.2", stopLossOnFill={"price": "1.3"},
            clientExtensions={"id": "i", "comment": "c"},
        )  # fmt: skip
        status, body = await client.ask(method, path, recorded.get("body") if sends else None)
    assert status == 200
    assert missing_shape(recorded["response"], body, "") == []


# Fields of 2016 that today's published file no longer has.
GONE = {"partialFill"}


def missing_shape(recorded, found, where) -> list[str]:
    """What the recording has and the answer lacks, by key and type; lists by their first item."""
    if isinstance(recorded, dict):
        if not isinstance(found, dict):
            return [where]
        lost = [
            f"{where}.{key}" for key in recorded if key not in found and key not in GONE | OPTIONAL
        ]
        return lost + [
            bad
            for key in recorded.keys() & found.keys()
            for bad in missing_shape(recorded[key], found[key], f"{where}.{key}")
        ]
    if isinstance(recorded, list):
        if not isinstance(found, list):
            return [where]
        return missing_shape(recorded[0], found[0], f"{where}[]") if recorded and found else []
    # A user id stands as text where the recording was scrubbed.
    is_same = isinstance(found, type(recorded)) or where.endswith("userID")
    return [] if is_same else [f"{where}: {type(recorded).__name__}"]


# What an answer only has where there is something to say (tested elsewhere).
OPTIONAL = {"tradeIDs", "averagePrice", "replacesOrderID", "tradesClosed"}
