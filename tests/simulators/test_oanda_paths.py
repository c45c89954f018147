"""Every path of the simulated OANDA: answers as published, errors as the broker gives them."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from oanda_client import next_line, served
from oanda_spec import Spec
from simulator_world import ACCOUNT

from brokers.simulators.book import AccountSettings
from brokers.simulators.engine import EngineSettings
from brokers.simulators.oanda import Login


@pytest.fixture(scope="module")
def spec() -> Spec:
    return Spec()


async def follow(client, spec: Spec, rows) -> list:
    """Asks row by row, checks status and shape, returns the bodies."""
    bodies = []
    for method, path, body, status in rows:
        found, answer = await client.ask(method, path, body)
        assert found == status, (method, path, answer)
        spec.check(method, f"/accounts/{ACCOUNT}{path.partition('?')[0]}", status, answer)
        bodies.append(answer)
    return bodies


def new(**fields):
    return {"order": {"instrument": "EUR_USD", "units": "100", **fields}}


ORDERS = [
    ("POST", "/orders", new(type="MARKET", clientExtensions={"id": "m", "tag": "t"}), 201),
    ("POST", "/orders", new(type="LIMIT", price="1.05", clientExtensions={"id": "l"}), 201),
    ("POST", "/orders", new(type="STOP", price="1.2", priceBound="1.3"), 201),
    (
        "POST",
        "/orders",
        new(
            type="MARKET_IF_TOUCHED",
            price="1.05",
            timeInForce="GTD",
            gtdTime="2100-01-01T00:00:00Z",
            takeProfitOnFill={"price": "1.2"},
            stopLossOnFill={"distance": "0.01", "timeInForce": "GFD"},
            trailingStopLossOnFill={"distance": "0.01", "clientExtensions": {"tag": "x"}},
            tradeClientExtensions={"comment": "c"},
        ),
        201,
    ),
    ("POST", "/orders", new(type="MARKET", units="5000000"), 201),
    ("POST", "/orders", new(type="MARKET", units="0"), 400),
    ("POST", "/orders", new(type="LIMIT", price="1.1000001"), 400),
    ("POST", "/orders", new(type="STOP_LOSS", tradeID="999", price="1.0"), 404),
    ("GET", "/orders", None, 200),
    ("GET", "/orders?state=ALL&count=3&instrument=EUR_USD", None, 200),
    ("GET", "/orders?ids=3,4&beforeID=4", None, 200),
    ("GET", "/pendingOrders", None, 200),
    ("GET", "/orders/@l", None, 200),
    ("GET", "/orders/@nobody", None, 404),
    ("PUT", "/orders/@l", new(type="LIMIT", price="1.06", clientExtensions={"id": "l"}), 201),
    ("PUT", "/orders/@l", new(type="LIMIT", price="0"), 400),
    ("PUT", "/orders/@nobody", new(type="LIMIT", price="1.06"), 404),
    ("PUT", "/orders/@l/clientExtensions", {"clientExtensions": {"comment": "now"}}, 200),
    ("PUT", "/orders/@l/clientExtensions", {}, 400),
    ("PUT", "/orders/@l/cancel", None, 200),
    ("PUT", "/orders/@l/cancel", None, 404),
    ("PUT", "/orders/@l/clientExtensions", {"clientExtensions": {"id": "z"}}, 404),
    ("GET", "/transactions", None, 200),
    ("GET", "/transactions/1", None, 200),
    ("GET", "/transactions/999", None, 404),
    ("GET", "/transactions/idrange?from=1&to=9", None, 200),
    ("GET", "/transactions/idrange?from=9&to=1", None, 416),
    ("GET", "/transactions/sinceid?id=3", None, 200),
    ("GET", "/transactions/sinceid?id=9999", None, 416),
    ("GET", f"/changes?sinceTransactionID={2}", None, 200),
    ("GET", "/changes", None, 416),
]


@pytest.mark.asyncio
async def test_orders_are_answered_as_published(spec):
    async with served() as client:
        bodies = await follow(client, spec, ORDERS)
    filled = bodies[0]
    assert filled["orderFillTransaction"]["price"] == "1.10010"
    assert filled["relatedTransactionIDs"] == ["3", "4"]
    assert filled["lastTransactionID"] == "4"
    assert bodies[4]["orderCancelTransaction"]["reason"] == "INSUFFICIENT_MARGIN"
    assert bodies[5]["errorCode"] == "UNITS_INVALID"


TRADES = [
    ("POST", "/orders", new(type="MARKET", tradeClientExtensions={"id": "t"}), 201),
    ("GET", "/trades", None, 200),
    ("GET", "/openTrades", None, 200),
    ("GET", "/trades/@t", None, 200),
    ("GET", "/trades/77", None, 404),
    ("PUT", "/trades/@t/clientExtensions", {"clientExtensions": {"tag": "n"}}, 200),
    ("PUT", "/trades/@t/clientExtensions", {}, 400),
    (
        "PUT",
        "/trades/@t/orders",
        {"stopLoss": {"price": "1.0"}, "takeProfit": {"price": "1.2"}},
        200,
    ),
    ("PUT", "/trades/@t/orders", {"stopLoss": {"price": "1.01"}, "takeProfit": None}, 200),
    ("PUT", "/trades/@t/orders", {"trailingStopLoss": {"distance": "0.00001"}}, 400),
    ("PUT", "/trades/@t/orders", {"trailingStopLoss": {"distance": "0.01"}}, 200),
    (
        "POST",
        "/orders",
        {"order": {"type": "TAKE_PROFIT", "clientTradeID": "t", "price": "1.3"}},
        201,
    ),
    ("POST", "/orders", {"order": {"type": "TAKE_PROFIT", "tradeID": "4", "price": "1.3"}}, 400),
    ("GET", "/trades/@t", None, 200),
    ("GET", "", None, 200),
    ("GET", "/summary", None, 200),
    ("GET", "/changes?sinceTransactionID=1", None, 200),
    ("PUT", "/trades/@t/close", {"units": "40"}, 200),
    ("PUT", "/trades/@t/close", {"units": "4000"}, 400),
    ("PUT", "/trades/4/close", {}, 200),
    ("PUT", "/trades/4/close", {"units": "1"}, 404),
    ("PUT", "/trades/77/close", {}, 404),
    ("PUT", "/trades/4/orders", {}, 404),
    ("GET", "/trades?state=CLOSED", None, 200),
    ("GET", "/trades?state=ALL&ids=4", None, 200),
    ("GET", "/changes?sinceTransactionID=1", None, 200),
]


@pytest.mark.asyncio
async def test_trades_are_answered_as_published(spec):
    async with served() as client:
        bodies = await follow(client, spec, TRADES)
    assert bodies[8]["stopLossOrderCancelTransaction"]["reason"] == "CLIENT_REQUEST_REPLACED"
    assert bodies[8]["takeProfitOrderCancelTransaction"]["reason"] == "CLIENT_REQUEST"
    assert set(bodies[13]["trade"]) >= {"stopLossOrder", "takeProfitOrder", "trailingStopLossOrder"}
    assert bodies[19]["orderFillTransaction"]["reason"] == "MARKET_ORDER_TRADE_CLOSE"
    assert bodies[-2]["trades"][0]["state"] == "CLOSED"
    assert [x["id"] for x in bodies[-1]["changes"]["tradesClosed"]] == ["4"]


POSITIONS = [
    ("GET", "/positions", None, 200),
    ("GET", "/positions/EUR_USD", None, 404),
    ("POST", "/orders", new(type="MARKET"), 201),
    ("POST", "/orders", new(type="MARKET", units="50"), 201),
    ("GET", "/positions/EUR_USD", None, 200),
    ("GET", "/openPositions", None, 200),
    ("PUT", "/positions/EUR_USD/close", {"longUnits": "120"}, 200),
    ("PUT", "/positions/EUR_USD/close", {"longUnits": "ALL", "shortUnits": "NONE"}, 200),
    ("PUT", "/positions/EUR_USD/close", {"longUnits": "ALL"}, 404),
    ("PUT", "/positions/EUR_USD/close", {}, 400),
    ("GET", "/openPositions", None, 200),
    ("GET", "/positions", None, 200),
]


@pytest.mark.asyncio
async def test_positions_are_answered_as_published(spec):
    async with served() as client:
        bodies = await follow(client, spec, POSITIONS)
    assert bodies[4]["position"]["long"]["tradeIDs"] == ["4", "6"]
    fill = bodies[6]["longOrderFillTransaction"]
    assert fill["reason"] == "MARKET_ORDER_POSITION_CLOSEOUT"
    assert [x["units"] for x in fill["tradesClosed"]] == ["-100"]
    assert fill["tradeReduced"]["units"] == "-20"
    assert bodies[10]["positions"] == []
    assert bodies[11]["positions"][0]["pl"] == "-0.0150"


ACCOUNT_ROWS = [
    ("GET", "/instruments", None, 200),
    ("GET", "/instruments?instruments=EUR_USD,XAU_USD,BTC_USDT", None, 200),
    ("GET", "/instruments?instruments=NO_NO", None, 400),
    ("PATCH", "/configuration", {"alias": "mine", "marginRate": "0.05"}, 200),
    ("PATCH", "/configuration", {"marginRate": "5"}, 400),
    ("PATCH", "/configuration", {"marginRate": "NaN"}, 400),
    ("PATCH", "/configuration", {}, 400),
    ("GET", "/summary", None, 200),
    ("GET", "/pricing?instruments=EUR_USD,USD_JPY,GBP_USD&includeHomeConversions=true", None, 200),
    ("GET", "/pricing?instruments=EUR_USD&since=2100-01-01T00:00:00.000000000Z", None, 200),
    ("GET", "/pricing", None, 400),
    ("GET", "/pricing?instruments=NO_NO", None, 400),
    ("GET", "/instruments/EUR_USD/candles?granularity=M1&price=MBA&count=2", None, 200),
    ("GET", "/instruments/EUR_USD/candles?granularity=X", None, 400),
    ("GET", "/instruments/EUR_USD/candles?count=0", None, 400),
    ("GET", "/transactions?pageSize=1&type=TRANSFER_FUNDS", None, 200),
    ("GET", "/transactions?pageSize=5000", None, 400),
    ("GET", "/transactions?from=nonsense", None, 400),
    ("GET", "/transactions?from=1600000000&to=2000-13-01T00:00:00Z", None, 400),
    ("GET", "/transactions/idrange?from=1&to=2&type=ORDER", None, 200),
    ("GET", "/orders?state=SLEEPING", None, 400),
]


@pytest.mark.asyncio
async def test_the_account_is_answered_as_published(spec):
    async with served() as client:
        bodies = await follow(client, spec, ACCOUNT_ROWS)
    first = bodies[1]["instruments"][0]
    assert (first["displayPrecision"], first["pipLocation"]) == (5, -4)
    assert bodies[1]["instruments"][2]["tradeUnitsPrecision"] == 3
    assert bodies[7]["account"]["alias"] == "mine"
    assert [x["instrument"] for x in bodies[8]["prices"]] == ["EUR_USD", "USD_JPY"]
    assert bodies[9]["prices"] == []
    assert bodies[15]["pages"][0].endswith("idrange?from=2&to=2&type=TRANSFER_FUNDS")
    assert bodies[19]["transactions"] == []


BAD_BODIES = [
    b"",
    b"{",
    b"\xff\xfe garbage",
    b"[]",
    b'{"order": 5}',
    b'{"order": {"type": "LIMIT", "wrong": 1}}',
    b'{"order": {"type": "SIDEWAYS"}}',
    b'{"order": {"type": "MARKET", "timeInForce": "NEVER"}}',
    b'{"order": {"type": "MARKET", "positionFill": "MAYBE"}}',
    b'{"order": {"type": "MARKET", "triggerCondition": "MOON"}}',
    b'{"order": {"type": "MARKET", "units": "many"}}',
    b'{"order": {"type": "LIMIT", "price": "1", "gtdTime": "soon"}}',
    b'{"order": {"type": "LIMIT", "price": "1", "gtdTime": "2020-02-31T00:00:00Z"}}',
    b'{"order": {"type": "MARKET", "stopLossOnFill": {"price": "x"}}}',
    b'{"order": {"type": "MARKET", "clientExtensions": {"name": "x"}}}',
    b"x" * 70_000,
]


@pytest.mark.asyncio
@pytest.mark.parametrize("raw", BAD_BODIES)
async def test_a_body_that_cannot_be_read_is_refused_without_a_transaction(raw):
    async with served() as client:
        status, body = await client.ask("POST", "/orders", raw=raw)
        assert status == 400
        assert body["errorMessage"]
        assert client.sim.engine.accounts[ACCOUNT].last_id == 2


REFUSED_NUMBERS = [
    ("PUT", "/trades/4/close", {"units": "-5"}),
    ("PUT", "/trades/4/close", {"units": "0"}),
    ("PUT", "/positions/EUR_USD/close", {"longUnits": "0.0"}),
    ("PUT", "/positions/NO_NO/close", {"longUnits": "ALL"}),
    ("GET", "/trades?state=OPENISH", None),
    ("PUT", "/trades/4/orders", {"stopLoss": {"timeInForce": "NEVER"}}),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("method", "path", "body"), REFUSED_NUMBERS)
async def test_a_parameter_that_cannot_be_is_refused(method, path, body):
    async with served() as client:
        await client.order()
        status, answer = await client.ask(method, path, body)
        assert (status, bool(answer["errorMessage"])) == (400, True)


ELSEWHERE = [
    ("GET", "/v3/accounts", 200),
    ("POST", "/v3/accounts", 405),
    ("GET", "/v3/instruments/EUR_USD/candles", 200),
    ("POST", "/v3/instruments/EUR_USD/candles", 405),
    ("GET", "/v3/nowhere", 404),
    ("GET", "/", 404),
    ("GET", "/v3/accounts/rubbish/summary", 400),
    ("GET", "/v3/accounts/101-001-9999999-001/summary", 403),
    ("GET", f"/v3/accounts/{ACCOUNT}/nowhere", 404),
    ("GET", f"/v3/accounts/{ACCOUNT}/orders/3/nowhere", 404),
    ("DELETE", f"/v3/accounts/{ACCOUNT}/orders", 405),
    ("POST", f"/v3/accounts/{ACCOUNT}/pricing/stream", 405),
    ("GET", f"/v3/accounts/{ACCOUNT}/pricing/stream", 400),
    ("GET", f"/v3/accounts/{ACCOUNT}/other/stream", 404),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("method", "path", "status"), ELSEWHERE)
async def test_other_paths_get_the_status_they_should(method, path, status):
    async with served() as client:
        url = client.sim.url + path
        async with client.session.request(method, url, headers=client.headers) as answer:
            body = await answer.json()
            assert answer.status == status
    assert status == 200 or body["errorMessage"]


@pytest.mark.asyncio
@pytest.mark.parametrize("header", [None, "", "Bearer wrong", "paper-token"])
async def test_without_its_token_nothing_is_told(header):
    async with served() as client:
        client.headers = {} if header is None else {"Authorization": header}
        status, body = await client.ask("GET", "/summary")
    assert (status, body) == (
        401,
        {"errorMessage": "Insufficient authorization to perform request."},
    )


@pytest.mark.asyncio
async def test_a_token_opens_its_own_accounts_alone():
    other = "101-001-1000001-002"
    engine = EngineSettings(accounts=(AccountSettings(id=ACCOUNT), AccountSettings(id=other)))
    logins = (Login(token="paper-token", accounts=(other,)), Login(token="b", name="b"))
    async with served(engine=engine, logins=logins) as client:
        assert (await client.ask("GET", "/summary"))[0] == 403
        client.headers = {"Authorization": "Bearer b"}
        assert (await client.ask("GET", "/summary"))[0] == 200


@pytest.mark.asyncio
async def test_asking_too_fast_is_refused():
    async with served(requests_per_s=3) as client:
        found = [(await client.ask("GET", "/summary"))[0] for _ in range(8)]
    assert found[:3] == [200, 200, 200]
    assert 429 in found


@pytest.mark.asyncio
async def test_times_are_given_as_asked():
    async with served() as client:
        client.headers["Accept-Datetime-Format"] = "UNIX"
        _, body = await client.order()
        assert body["orderFillTransaction"]["time"].replace(".", "").isdigit()
        async with client.lines("/transactions/stream") as lines:
            await client.order()
            fill = await next_line(lines, "ORDER_FILL")
    assert float(fill["time"]) > 1.6e9


@pytest.mark.asyncio
async def test_events_and_prices_come_as_published(spec):
    async with served(heartbeat_ms=30) as client:
        async with client.lines("/transactions/stream") as events:
            beat = await next_line(events, "HEARTBEAT")
            await client.order()
            created = await next_line(events, "MARKET_ORDER")
            fill = await next_line(events, "ORDER_FILL")
            again = await next_line(events, "HEARTBEAT")
        async with client.lines("/pricing/stream?instruments=EUR_USD") as prices:
            snapshot = await next_line(prices, "PRICE")
            await client.tick("150.0", "150.1", "USD_JPY")
            await client.tick("1.2", "1.3")
            price = await next_line(prices, "PRICE")
            price_beat = await next_line(prices, "HEARTBEAT")
    spec.check_line("TransactionHeartbeat", beat)
    spec.check_line("MarketOrderTransaction", created)
    spec.check_line("OrderFillTransaction", fill)
    spec.check_line("ClientPrice", price)
    spec.check_line("PricingHeartbeat", price_beat)
    assert again["lastTransactionID"] == fill["id"]
    assert snapshot["closeoutBid"] == "1.10000"
    assert (price["bids"][0]["price"], price["asks"][0]["price"]) == ("1.20000", "1.30000")


@pytest.mark.asyncio
async def test_a_price_stream_may_begin_without_a_snapshot():
    async with served() as client:
        path = "/pricing/stream?instruments=EUR_USD&snapshot=False"
        async with client.lines(path) as prices:
            await next_line(prices, "HEARTBEAT")
            await client.tick("1.2", "1.3")
            price = await next_line(prices, "PRICE")
    assert price["closeoutBid"] == "1.20000"


@pytest.mark.asyncio
async def test_more_streams_than_allowed_are_refused():
    async with served(streams_max=1) as client, client.lines("/transactions/stream") as lines:
        await next_line(lines, "HEARTBEAT")
        status, _ = await client.ask("GET", "/transactions/stream")
        assert status == 429


@pytest.mark.asyncio
async def test_a_stream_left_by_its_client_is_forgotten():
    async with served(heartbeat_ms=10) as client:
        async with client.lines("/transactions/stream") as lines:
            await next_line(lines, "HEARTBEAT")
        async with asyncio.timeout(10):
            while client.sim.streams.count:
                await asyncio.sleep(0.005)
        assert (await client.order())[0] == 201


@pytest.mark.asyncio
async def test_a_page_of_another_origin_gets_nothing_from_the_control_paths():
    async with served() as client:
        headers = {"Origin": "http://elsewhere.example"}
        async with client.session.get(f"{client.sim.url}/sim/book", headers=headers) as answer:
            assert answer.status == 403


@pytest.mark.asyncio
async def test_prices_show_a_closed_market():
    async with served(engine=EngineSettings(hours="forex")) as client:
        # A Saturday.
        await client.control("POST", "/clock", {"market_ns": 1_578_139_200_000_000_000})
        _, body = await client.ask("GET", "/pricing?instruments=EUR_USD")
        _, order = await client.order()
    assert body["prices"][0]["status"] == "non-tradeable"
    assert order["orderCancelTransaction"]["reason"] == "MARKET_HALTED"


@pytest.mark.asyncio
async def test_a_connection_is_kept_for_the_next_request():
    async with served() as client:
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(connector=connector) as session:
            client.session = session
            for _ in range(3):
                assert (await client.order())[0] == 201
            assert len(connector._conns) == 1
