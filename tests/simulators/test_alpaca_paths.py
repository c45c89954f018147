"""Every path of the simulated Alpaca answers as the published descriptions say."""

from __future__ import annotations

import asyncio

import pytest
from alpaca_client import KEYS, served
from alpaca_spec import DEVIATIONS, Spec

BRACKET = {
    "order_class": "bracket",
    "take_profit": {"limit_price": "110"},
    "stop_loss": {"stop_price": "90", "limit_price": "89.50"},
}


@pytest.mark.asyncio
async def test_every_answer_is_as_published():
    spec = Spec()
    async with served() as client:
        client.spec = spec
        await fill_the_book(client)
        for path in (
            "/v2/account", "/v2/account/configurations", "/v2/account/activities",
            "/v2/account/activities/FILL", "/v2/account/portfolio/history", "/v2/orders",
            "/v2/orders?status=all&nested=true", "/v2/orders?status=closed", "/v2/positions",
            "/v2/positions/AAPL", "/v2/assets", "/v2/assets?asset_class=crypto",
            "/v2/assets/AAPL", "/v2/clock", "/v2/calendar?start=2026-11-20&end=2026-11-30",
            "/v2/stocks/quotes/latest?symbols=AAPL,MSFT", "/v2/stocks/trades/latest?symbols=AAPL",
            "/v2/stocks/AAPL/quotes/latest", "/v2/stocks/AAPL/trades/latest",
            "/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD",
            "/v1beta3/crypto/us/latest/trades?symbols=BTC/USD",
        ):  # fmt: skip
            assert await client.get(path), path
        await client.ask("DELETE", "/v2/positions/MSFT?qty=1")
        await client.ask("DELETE", "/v2/positions")
        await client.ask("DELETE", "/v2/orders")
    assert len(spec.checked) >= 26
    assert spec.deviations == DEVIATIONS.keys()


async def fill_the_book(client):
    """Orders of every type and state, and positions of both classes."""
    await client.placed(qty="10", **BRACKET)
    await client.placed(symbol="MSFT", qty="2")
    await client.placed(symbol="MSFT", notional="50.5")
    await client.placed(symbol="BTC/USD", qty="0.01", time_in_force="gtc")
    resting = await client.placed(type="limit", limit_price="91", time_in_force="gtc")
    await client.placed(symbol="MSFT", type="stop", side="sell", stop_price="390")
    await client.placed(type="stop_limit", stop_price="120", limit_price="121")
    await client.placed(type="trailing_stop", trail_percent="2", symbol="MSFT", side="sell")
    await client.ask("PATCH", f"/v2/orders/{resting['id']}", {"limit_price": "92"})
    gone = await client.placed(type="limit", limit_price="93")
    await client.ask("DELETE", f"/v2/orders/{gone['id']}")
    await client.ask("PATCH", "/v2/account/configurations", {"no_shorting": True})
    await client.get(f"/v2/orders:by_client_order_id?client_order_id={gone['client_order_id']}")


@pytest.mark.asyncio
async def test_events_tell_orders_as_published():
    spec = Spec()
    async with served() as client, client.updates() as following:
        await client.order(**BRACKET)
        events = [await following() for _ in range(4)]
    for event in events:
        spec.check_order(event["order"])
    assert [x["event"] for x in events] == ["pending_new", "new", "fill", "new"]
    assert events[2]["position_qty"] == "1"
    assert (events[2]["price"], events[2]["qty"]) == ("100.02", "1")


@pytest.mark.asyncio
async def test_a_wrong_key_opens_nothing():
    async with served() as client:
        wrong = {**KEYS, "APCA-API-SECRET-KEY": "guess"}
        assert (await client.ask("GET", "/v2/account", headers=wrong))[0] == 401
        status, body = await client.ask("GET", "/v2/account", headers={})
    assert (status, body["code"]) == (401, 40110000)


@pytest.mark.asyncio
async def test_more_requests_than_the_minute_has_are_refused_and_counted():
    async with served(requests_per_min=3) as client:
        for left in ("2", "1", "0"):
            assert (await client.ask("GET", "/v2/clock"))[0] == 200
            assert client.headers["X-RateLimit-Remaining"] == left
        status, body = await client.ask("GET", "/v2/clock")
        limit, reset = client.headers["X-RateLimit-Limit"], client.headers["X-RateLimit-Reset"]
    assert (status, body["code"], limit) == (429, 42910000, "3")
    assert int(reset) % 60 == 0


@pytest.mark.asyncio
async def test_what_is_not_there_is_said_not_to_be():
    async with served() as client:
        found = [
            await client.ask("GET", "/v2/orders/61e69015-8549-4bfd-b9c3-01e75843f47d"),
            await client.ask("DELETE", "/v2/orders/nonsense"),
            await client.ask("GET", "/v2/orders:by_client_order_id?client_order_id=nobody"),
            await client.ask("GET", "/v2/positions/AAPL"),
            await client.ask("DELETE", "/v2/positions/AAPL"),
            await client.ask("GET", "/v2/assets/NONE"),
            await client.ask("GET", "/v2/nothing/here"),
        ]
        wrong_method = await client.ask("POST", "/v2/clock", {})
    assert {(status, body["code"]) for status, body in found} == {(404, 40410000)}
    assert wrong_method[0] == 405


@pytest.mark.asyncio
async def test_orders_are_listed_by_every_filter():
    async with served() as client:
        first = await client.placed(type="limit", limit_price="90", qty="1")
        await asyncio.sleep(0.002)
        second = await client.placed(symbol="MSFT", type="limit", limit_price="350")
        third = await client.placed(
            symbol="BTC/USD", type="limit", limit_price="30000", qty="0.01", time_in_force="gtc"
        )
        done = await client.placed(symbol="MSFT")

        async def listed(query):
            rows = await client.get(f"/v2/orders?{query}")
            return [x["id"] for x in rows]

        ids = [x["id"] for x in (first, second, third, done)]
        assert await listed("") == [ids[2], ids[1], ids[0]]
        assert await listed("status=closed") == [ids[3]]
        assert await listed("status=all&direction=asc") == ids
        assert await listed("status=all&limit=2") == [ids[3], ids[2]]
        assert await listed("symbols=BTCUSD,AAPL") == [ids[2], ids[0]]
        assert await listed("asset_class=crypto") == [ids[2]]
        assert await listed("side=sell&status=all") == []
        assert await listed(f"after={first['submitted_at']}&direction=asc") == ids[1:3]
        assert await listed(f"until={first['submitted_at']}") == []
        assert await listed(f"after_order_id={ids[0]}&status=all&direction=asc") == ids[1:]
        assert await listed(f"before_order_id={ids[1]}") == [ids[0]]
        for wrong in ("status=new", "limit=501", "direction=up", "after=soon"):
            assert (await client.ask("GET", f"/v2/orders?{wrong}"))[0] == 422


@pytest.mark.asyncio
async def test_activities_are_paged_by_their_last_id():
    async with served() as client:
        for _ in range(5):
            await client.placed()
        pages, token = [], ""
        for _ in range(3):
            rows = await client.get(f"/v2/account/activities?page_size=2{token}")
            pages.append(rows)
            token = f"&page_token={rows[-1]['id']}"
        forward = await client.get("/v2/account/activities/FILL?direction=asc")
        cash = await client.get("/v2/account/activities?activity_types=TRANS")
        assert await client.get(f"/v2/account/activities?page_size=2{token}") == []
        wrong = await client.ask("GET", "/v2/account/activities?page_token=nonsense")
    told = [x for page in pages for x in page]
    assert [len(x) for x in pages] == [2, 2, 2]
    assert len({x["id"] for x in told}) == 6
    assert [x["id"] for x in forward] == [x["id"] for x in reversed(told)][1:]
    assert [x["net_amount"] for x in cash] == ["100000"]
    assert wrong[0] == 422


@pytest.mark.asyncio
async def test_what_day_trading_rules_needed_is_gone():
    async with served() as client:
        account = await client.get("/v2/account")
        configured = await client.get("/v2/account/configurations")
    gone = {"pattern_day_trader", "daytrade_count", "daytrading_buying_power"}
    assert not gone & account.keys()
    assert not {"dtbp_check", "pdt_check"} & configured.keys()
