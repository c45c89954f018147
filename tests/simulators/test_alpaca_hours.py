"""The simulated Alpaca's day, where it keeps the exchange's hours."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from alpaca_client import served, told

NEW_YORK = ZoneInfo("America/New_York")


def at(clock: str, day: str = "2026-11-24") -> int:
    """A time in New York, ns."""
    return (
        int(datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=NEW_YORK).timestamp()) * 10**9
    )


async def move_to(client, clock, day="2026-11-24"):
    await client.control("/clock", {"market_ns": at(clock, day)})
    client.sim.keep_time()


def nyse():
    return served(engine={"hours": "nyse"})


@pytest.mark.asyncio
async def test_the_clock_tells_the_exchanges_hours():
    async with nyse() as client:
        await move_to(client, "12:00:00", "2026-11-27")
        clock = await client.get("/v2/clock")
        days = await client.get("/v2/calendar?start=2026-11-25&end=2026-11-27")
    assert clock == {
        "timestamp": "2026-11-27T12:00:00-05:00",
        "is_open": True,
        "next_open": "2026-11-30T09:30:00-05:00",
        "next_close": "2026-11-27T13:00:00-05:00",
    }
    assert [(x["date"], x["close"], x["session_close"]) for x in days] == [
        ("2026-11-25", "16:00", "2000"), ("2026-11-27", "13:00", "1700"),
    ]  # fmt: skip


@pytest.mark.asyncio
async def test_an_order_waits_for_the_opening():
    async with nyse() as client, client.updates() as following:
        await move_to(client, "08:00:00")
        order = await client.placed()
        patch = await client.ask("PATCH", f"/v2/orders/{order['id']}", {"qty": "2"})
        await move_to(client, "09:30:00")
        filled = await client.again(order)
        events = await told(following, 4)
    assert (order["status"], filled["status"]) == ("accepted", "filled")
    assert "isn't sent to exchange yet" in patch[1]["message"]
    assert events == ["pending_new", "accepted", "new", "fill"]


@pytest.mark.asyncio
async def test_what_became_too_dear_while_it_waited_is_rejected():
    async with nyse() as client, client.updates() as following:
        await move_to(client, "08:00:00")
        order = await client.placed(qty="1900")
        await client.tick("AAPL", "200.00", "200.02")
        await move_to(client, "09:30:00")
        done = await client.again(order)
        events = await told(following, 4)
    assert (order["status"], done["status"]) == ("accepted", "rejected")
    assert events == ["pending_new", "accepted", "new", "rejected"]


@pytest.mark.asyncio
async def test_coins_trade_all_night():
    async with nyse() as client:
        await move_to(client, "03:00:00")
        order = await client.placed(symbol="BTC/USD", qty="0.01", time_in_force="gtc")
    assert order["status"] == "filled"


@pytest.mark.asyncio
async def test_a_limit_for_the_long_day_fills_before_the_opening():
    asked = {"type": "limit", "limit_price": "101", "extended_hours": True}
    async with nyse() as client:
        await move_to(client, "03:00:00")
        early = await client.placed(**asked)
        await move_to(client, "05:00:00")
        await client.tick("AAPL", "100.00", "100.02")
        filled = await client.again(early)
        plain = await client.placed(type="limit", limit_price="101")
    assert [early["status"], filled["status"], plain["status"]] == [
        "accepted",
        "filled",
        "accepted",
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(("limit", "status"), [("101", "filled"), ("99", "canceled")])
async def test_an_opening_order_has_one_chance(limit, status):
    async with nyse() as client:
        await move_to(client, "08:00:00")
        order = await client.placed(time_in_force="opg", type="limit", limit_price=limit)
        await client.tick("AAPL", "100.00", "100.02")
        waiting = await client.again(order)
        await move_to(client, "09:30:00")
        done = await client.again(order)
    assert (waiting["status"], done["status"]) == ("accepted", status)


@pytest.mark.asyncio
@pytest.mark.parametrize(("limit", "status"), [("101", "filled"), ("99", "canceled")])
async def test_a_closing_order_has_one_chance(limit, status):
    async with nyse() as client:
        await move_to(client, "15:00:00")
        order = await client.placed(time_in_force="cls", type="limit", limit_price=limit)
        await client.tick("AAPL", "100.00", "100.02")
        waiting = await client.again(order)
        await move_to(client, "16:00:00")
        done = await client.again(order)
    assert (waiting["status"], done["status"]) == ("accepted", status)


CUTS = [("opg", "09:28:00", 422), ("opg", "19:00:00", 200), ("cls", "15:49:00", 200),
        ("cls", "15:50:00", 422)]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("life", "clock", "status"), CUTS)
async def test_orders_for_an_auction_come_in_time(life, clock, status):
    async with nyse() as client:
        await move_to(client, clock)
        found, _ = await client.order(time_in_force=life)
    assert found == status


@pytest.mark.asyncio
async def test_an_immediate_order_does_not_wait_for_the_opening():
    async with nyse() as client:
        await move_to(client, "08:00:00")
        order = await client.placed(time_in_force="ioc")
    assert order["status"] == "canceled"


@pytest.mark.asyncio
async def test_the_close_ends_the_day_and_the_opening_begins_it_again():
    async with nyse() as client, client.updates() as following:
        await move_to(client, "15:59:59")
        lasting = await client.placed(type="limit", limit_price="90", time_in_force="gtc")
        await move_to(client, "16:00:00")
        night = await client.again(lasting)
        await move_to(client, "09:30:00", "2026-11-25")
        morning = await client.again(lasting)
        events = await told(following, 4)
    assert [night["status"], morning["status"]] == ["done_for_day", "new"]
    assert events == ["pending_new", "new", "done_for_day", "new"]


@pytest.mark.asyncio
async def test_a_day_order_expires_with_its_group():
    clock = [at("15:59:00")]
    async with served_at(clock) as client, client.updates() as following:
        entry = await client.placed(
            type="limit", limit_price="90", order_class="oto", stop_loss={"stop_price": "80"}
        )
        clock[0] = at("16:00:00")
        client.sim.keep_time()
        done = await client.again(entry)
        events = await told(following, 4)
    assert entry["expires_at"] == "2026-11-24T21:00:00.000000000Z"
    assert [done["status"], done["legs"][0]["status"]] == ["expired", "canceled"]
    assert events == ["pending_new", "new", "expired", "canceled"]


@pytest.mark.asyncio
async def test_an_order_good_till_canceled_ends_after_ninety_days():
    clock = [at("12:00:00")]
    async with served_at(clock) as client:
        order = await client.placed(type="limit", limit_price="90", time_in_force="gtc")
        clock[0] += 90 * 86_400 * 10**9
        client.sim.keep_time()
        done = await client.again(order)
    assert done["status"] == "expired"


def served_at(clock):
    return served(engine={"hours": "nyse"}, now_ns=lambda: clock[0])
