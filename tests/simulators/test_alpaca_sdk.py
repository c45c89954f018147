"""alpaca-py and ccxt, unmodified, trade against the simulated Alpaca over REST and WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import warnings

import ccxt.async_support as ccxt
import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import (
    CryptoLatestQuoteRequest,
    CryptoLatestTradeRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
)
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import (
    AssetClass,
    OrderClass,
    OrderSide,
    OrderStatus,
    QueryOrderStatus,
    TimeInForce,
)
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)
from alpaca_client import call, sdk_for, served

with warnings.catch_warnings():
    # The SDK's own choice of library.
    warnings.simplefilter("ignore", DeprecationWarning)
    from alpaca.data.live import CryptoDataStream, StockDataStream
    from alpaca.trading.stream import TradingStream

DAY = {"side": OrderSide.BUY, "time_in_force": TimeInForce.DAY, "symbol": "AAPL", "qty": 1}
TYPES = [
    (MarketOrderRequest(**DAY), OrderStatus.FILLED),
    (LimitOrderRequest(**DAY, limit_price=90), OrderStatus.NEW),
    (StopOrderRequest(**DAY, stop_price=120), OrderStatus.NEW),
    (StopLimitOrderRequest(**DAY, stop_price=120, limit_price=121), OrderStatus.NEW),
    (TrailingStopOrderRequest(**DAY, trail_percent=5), OrderStatus.NEW),
    (
        MarketOrderRequest(
            symbol="BTC/USD", notional=100, side=OrderSide.BUY, time_in_force=TimeInForce.GTC
        ),
        OrderStatus.FILLED,
    ),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("asked", "status"), TYPES)
async def test_it_places_orders_of_every_type(asked, status):
    async with served() as client:
        sdk = sdk_for(client.sim)
        made = await call(sdk.submit_order, asked)
        found = await call(sdk.get_order_by_id, made.id)
        same = await call(sdk.get_order_by_client_id, made.client_order_id)
    assert made.status is OrderStatus.PENDING_NEW
    assert (found.status, same.id) == (status, made.id)


@pytest.mark.asyncio
async def test_it_reads_account_assets_clock_and_calendar():
    async with served() as client:
        sdk = sdk_for(client.sim)
        account = await call(sdk.get_account)
        coins = await call(sdk.get_all_assets, GetAssetsRequest(asset_class=AssetClass.CRYPTO))
        share = await call(sdk.get_asset, "AAPL")
        clock = await call(sdk.get_clock)
        asked = GetCalendarRequest(start="2026-11-25", end="2026-11-27")
        days = await call(sdk.get_calendar, asked)
        options = await call(sdk.get_account_configurations)
        options.no_shorting = True
        changed = await call(sdk.set_account_configurations, options)
    assert (account.cash, account.buying_power, account.pattern_day_trader) == (
        "100000", "200000", None,
    )  # fmt: skip
    assert [x.symbol for x in coins] == ["BTC/USD", "ETH/USD"]
    assert share.fractionable
    assert clock.is_open
    assert len(days) == 2
    assert changed.no_shorting


@pytest.mark.asyncio
async def test_it_trades_brackets_and_closes_everything():
    async with served() as client:
        sdk = sdk_for(client.sim)
        asked = MarketOrderRequest(
            **DAY,
            order_class=OrderClass.BRACKET,
            take_profit=TakeProfitRequest(limit_price=110),
            stop_loss=StopLossRequest(stop_price=90),
        )
        made = await call(sdk.submit_order, asked)
        profit = made.legs[0]
        moved = await call(sdk.replace_order_by_id, profit.id, ReplaceOrderRequest(limit_price=112))
        nested = await call(sdk.get_order_by_id, made.id, GetOrderByIdRequest(nested=True))
        positions = await call(sdk.get_all_positions)
        closed = await call(sdk.close_all_positions, cancel_orders=True)
        orders = await call(sdk.get_orders, GetOrdersRequest(status=QueryOrderStatus.ALL))
        rows = await call(sdk.get, "/account/activities/FILL")
    assert moved.replaces == profit.id
    assert [x.id for x in nested.legs] == [moved.id, made.legs[1].id]
    assert [(x.symbol, x.qty) for x in positions] == [("AAPL", "1")]
    assert [x.status for x in closed] == [200]
    assert {x.status.value for x in orders} == {"filled", "canceled", "replaced"}
    assert [x["side"] for x in rows] == ["sell", "buy"]


@pytest.mark.asyncio
async def test_it_cancels_and_learns_why_not():
    async with served() as client:
        sdk = sdk_for(client.sim)
        resting = await call(sdk.submit_order, LimitOrderRequest(**DAY, limit_price=90))
        await call(sdk.cancel_order_by_id, resting.id)
        with pytest.raises(APIError) as late:
            await call(sdk.cancel_order_by_id, resting.id)
        await call(sdk.submit_order, MarketOrderRequest(**DAY))
        part = await call(sdk.close_position, "AAPL", ClosePositionRequest(percentage="100"))
        with pytest.raises(APIError) as missing:
            await call(sdk.get_open_position, "AAPL")
        cancels = await call(sdk.cancel_orders)
    assert (late.value.status_code, late.value.code) == (422, 42210000)
    assert (missing.value.status_code, missing.value.code) == (404, 40410000)
    assert (part.qty, cancels) == ("1", [])


@pytest.mark.asyncio
async def test_it_is_kept_out_with_a_wrong_key():
    async with served() as client:
        sdk = TradingClient("paper", "wrong", url_override=client.sim.url)
        with pytest.raises(APIError, match="not authorized"):
            await call(sdk.get_account)


@pytest.mark.asyncio
async def test_it_reads_the_latest_quotes_and_trades():
    async with served() as client:
        url = client.sim.url
        stocks = StockHistoricalDataClient("paper", "paper", url_override=url)
        coins = CryptoHistoricalDataClient("paper", "paper", url_override=url)
        quotes = await call(
            stocks.get_stock_latest_quote, StockLatestQuoteRequest(symbol_or_symbols=["AAPL"])
        )
        trades = await call(
            stocks.get_stock_latest_trade, StockLatestTradeRequest(symbol_or_symbols="AAPL")
        )
        coin = await call(
            coins.get_crypto_latest_quote, CryptoLatestQuoteRequest(symbol_or_symbols="BTC/USD")
        )
        deal = await call(
            coins.get_crypto_latest_trade, CryptoLatestTradeRequest(symbol_or_symbols="BTC/USD")
        )
    assert (quotes["AAPL"].bid_price, quotes["AAPL"].ask_price) == (100.0, 100.02)
    assert trades["AAPL"].price == 100.02
    assert coin["BTC/USD"].ask_price == deal["BTC/USD"].price == 40004.0


@contextlib.asynccontextmanager
async def running(stream, *more):
    """The SDK's own loop, stopped the SDK's way."""
    task = asyncio.create_task(stream._run_forever())
    try:
        yield
    finally:
        await stream.stop_ws()
        task.cancel()
        await asyncio.wait([task])
        await stream.close()


async def until(heard, count):
    async with asyncio.timeout(10):
        while len(heard) < count:
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_its_trading_stream_hears_what_happens():
    heard = []

    async def hear(update):
        heard.append(update)

    async with served() as client:
        sdk, url = sdk_for(client.sim), client.sim.url.replace("http", "ws")
        stream = TradingStream("paper", "paper", url_override=f"{url}/stream")
        stream.subscribe_trade_updates(hear)
        async with running(stream):
            while not client.sim.streams.count:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            made = await call(sdk.submit_order, MarketOrderRequest(**DAY))
            await until(heard, 3)
    assert [x.event for x in heard] == ["pending_new", "new", "fill"]
    assert {x.order.id for x in heard} == {made.id}
    assert (heard[2].price, heard[2].qty, heard[2].position_qty) == (100.02, 1.0, 1.0)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "path", "symbol", "bid"),
    [
        (StockDataStream, "/v2/iex", "AAPL", "101.00"),
        (CryptoDataStream, "/v1beta3/crypto/us", "BTC/USD", "41000.00"),
    ],
)
async def test_its_data_streams_hear_prices_in_msgpack(kind, path, symbol, bid):
    quotes, trades = [], []

    async def hear_quote(quote):
        quotes.append(quote)

    async def hear_trade(trade):
        trades.append(trade)

    async with served() as client:
        url = client.sim.url.replace("http", "ws") + path
        stream = kind("paper", "paper", url_override=url)
        stream.subscribe_quotes(hear_quote, symbol)
        stream.subscribe_trades(hear_trade, symbol)
        async with running(stream):
            while not quotes:
                await client.tick(symbol, bid, bid)
                await asyncio.sleep(0.02)
            await until(trades, 1)
    assert (quotes[0].symbol, quotes[0].bid_price) == (symbol, float(bid))
    assert trades[0].price == float(bid)
    assert quotes[0].timestamp.year >= 2026


@pytest.mark.asyncio
async def test_ccxt_trades_and_reads_it_back():
    async with served() as client:
        exchange = ccxt.alpaca({"apiKey": "paper", "secret": "paper"})
        exchange.urls["api"]["trader"] = exchange.urls["api"]["market"] = client.sim.url
        try:
            markets = await exchange.load_markets()
            made = await exchange.create_order("BTC/USD", "limit", "buy", 0.01, 30000)
            bought = await exchange.create_order("BTC/USD", "market", "buy", 0.01)
            working = await exchange.fetch_open_orders("BTC/USD")
            await exchange.cancel_order(made["id"])
            done = await exchange.fetch_order(bought["id"])
            deals = await exchange.fetch_my_trades("BTC/USD")
            balance = await exchange.fetch_balance()
            with pytest.raises(ccxt.InsufficientFunds):
                await exchange.create_order("BTC/USD", "market", "sell", 5)
        finally:
            await exchange.close()
    assert "BTC/USD" in markets
    assert [x["id"] for x in working] == [made["id"]]
    assert (done["status"], done["filled"]) == ("closed", 0.01)
    assert [(x["side"], x["price"]) for x in deals] == [("buy", 40004.0)]
    assert balance["USD"]["free"] is not None
