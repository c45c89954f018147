"""The simulated Alpaca's WebSockets: log-in, subscriptions, frames, limits, errors."""

from __future__ import annotations

import asyncio

import aiohttp
import msgpack
import pytest
from alpaca_client import ACCOUNT, KEYS, read, served, told

from brokers.simulators.alpaca import AlpacaLogin
from brokers.simulators.alpaca_sockets import FRAMES_MAX, TEXT_CODEC, Peer

LISTEN = {"action": "listen", "data": {"streams": ["trade_updates", "account_updates"]}}
AUTH = {"action": "auth", "key": "paper", "secret": "paper"}
OLD_AUTH = {"action": "authenticate", "data": {"key_id": "paper", "secret_key": "paper"}}
AUTHORIZED = {
    "stream": "authorization", "data": {"status": "authorized", "action": "authenticate"},
}  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize("auth", [AUTH, OLD_AUTH])
async def test_a_client_logs_in_by_message_and_is_told_what_it_hears(auth):
    async with served() as client, client.socket("/stream") as socket:
        await socket.send_json(auth)
        assert await read(socket) == AUTHORIZED
        await socket.send_json(LISTEN)
        assert await read(socket) == {
            "stream": "listening", "data": {"streams": ["trade_updates"]},
        }  # fmt: skip


@pytest.mark.asyncio
async def test_a_client_without_a_key_hears_nothing():
    async with served() as client, client.socket("/stream") as socket:
        await socket.send_json(LISTEN)
        assert (await read(socket))["data"] == {"status": "unauthorized", "action": "listen"}
        await socket.send_json({**AUTH, "secret": "guess"})
        assert (await read(socket))["data"]["status"] == "unauthorized"
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


@pytest.mark.asyncio
async def test_a_client_that_says_nothing_sensible_is_told_so():
    async with served() as client, client.socket("/stream", KEYS) as socket:
        await socket.send_str("nonsense")
        assert "error" in (await read(socket))["data"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("is_binary", "kind"), [(True, aiohttp.WSMsgType.BINARY), (False, aiohttp.WSMsgType.TEXT)]
)
async def test_paper_speaks_in_binary_frames(is_binary, kind):
    async with served(binary_frames=is_binary) as client, client.socket("/stream") as socket:
        await socket.send_json(AUTH)
        assert (await socket.receive()).type is kind


@pytest.mark.asyncio
async def test_every_listener_of_an_account_hears_the_same_and_no_other():
    other = AlpacaLogin(key_id="other", secret="other", account=ACCOUNT)
    async with (
        served(logins=(AlpacaLogin(), other)) as client,
        client.updates() as first,
        client.updates() as second,
    ):
        order = await client.placed()
        heard = [[await x() for _ in range(3)] for x in (first, second)]
    assert heard[0] == heard[1]
    assert {x["order"]["id"] for x in heard[0]} == {order["id"]}


@pytest.mark.asyncio
async def test_fills_have_the_ids_their_activities_have():
    async with served() as client, client.updates() as following:
        await client.placed()
        events = [await following() for _ in range(3)]
        rows = await client.get("/v2/account/activities/FILL")
    assert rows[0]["id"].endswith(f"::{events[2]['execution_id']}")
    assert len({x["execution_id"] for x in events}) == 3


@pytest.mark.asyncio
async def test_trade_updates_come_in_msgpack_if_asked():
    headers = {**KEYS, "Content-Type": "application/msgpack"}
    async with served() as client, client.socket("/stream", headers) as socket:
        await socket.send_bytes(msgpack.packb(LISTEN))
        heard = msgpack.unpackb((await socket.receive()).data)
    assert heard["stream"] == "listening"


# -- a venue that takes its time


@pytest.mark.asyncio
async def test_a_slow_venue_shows_what_is_pending():
    async with served(venue_ms=50) as client, client.updates() as following:
        _, order = await client.order(type="limit", limit_price="90")
        early = await client.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "91"})
        assert await told(following, 2) == ["pending_new", "new"]
        _, fresh = await client.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "91"})
        twice = await client.ask("DELETE", f"/v2/orders/{order['id']}")
        assert await told(following, 4) == ["pending_replace", "pending_new", "replaced", "new"]
        assert (await client.ask("DELETE", f"/v2/orders/{fresh['id']}"))[0] == 204
        assert (await client.again(fresh))["status"] == "pending_cancel"
        assert await told(following, 2) == ["pending_cancel", "canceled"]
    assert early[0] == twice[0] == 422


@pytest.mark.asyncio
async def test_a_cancel_that_comes_too_late_is_refused_on_the_stream():
    async with served(venue_ms=80) as client, client.updates() as following:
        _, order = await client.order(type="limit", limit_price="90")
        await told(following, 2)
        await client.ask("DELETE", f"/v2/orders/{order['id']}")
        await client.tick("AAPL", "89.00", "89.02")
        events = [await following() for _ in range(3)]
    assert [x["event"] for x in events] == ["pending_cancel", "fill", "order_cancel_rejected"]
    assert events[2]["order"]["status"] == "filled"


@pytest.mark.asyncio
async def test_a_replacement_that_comes_too_late_is_refused_on_the_stream():
    async with served(venue_ms=80) as client, client.updates() as following:
        _, order = await client.order(type="limit", limit_price="90")
        await told(following, 2)
        _, fresh = await client.ask("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "91"})
        await client.tick("AAPL", "89.00", "89.02")
        events = await told(following, 5)
        rejected, position = await client.again(fresh), await client.get("/v2/positions/AAPL")
    assert events == [
        "pending_replace", "pending_new", "fill", "rejected", "order_replace_rejected",
    ]  # fmt: skip
    assert (rejected["status"], position["qty"]) == ("rejected", "1")


@pytest.mark.asyncio
async def test_a_replacement_for_less_than_was_filled_meanwhile_is_refused():
    engine = {"chain_quantities": True}
    async with served(venue_ms=80, engine=engine) as client, client.updates() as following:
        _, order = await client.order(type="limit", limit_price="90", qty="5")
        await told(following, 2)
        await client.ask("PATCH", f"/v2/orders/{order['id']}", {"qty": "2"})
        await client.tick("AAPL", "89.00", "89.02", ask_size="3")
        events = await told(following, 5)
        left = await client.again(order)
    assert events[2:] == ["partial_fill", "rejected", "order_replace_rejected"]
    assert (left["status"], left["filled_qty"]) == ("partially_filled", "3")


@pytest.mark.asyncio
async def test_all_orders_are_canceled_but_those_that_already_are():
    async with served(venue_ms=60_000) as client:
        _, order = await client.order(type="limit", limit_price="90")
        await client.ask("DELETE", f"/v2/orders/{order['id']}")
        status, rows = await client.ask("DELETE", "/v2/orders")
    assert (status, [x["status"] for x in rows]) == (207, [500])


@pytest.mark.asyncio
async def test_too_many_listeners_are_not_let_in():
    async with served(trade_connections_max=1) as client, client.updates():
        with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
            async with client.socket("/stream"):
                pass


@pytest.mark.asyncio
async def test_a_listener_that_does_not_log_in_is_let_go():
    async with served(auth_timeout_ms=30) as client, client.socket("/stream") as socket:
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


@pytest.mark.asyncio
async def test_a_listener_too_far_behind_is_cut_off():
    peer = Peer(TEXT_CODEC, is_binary=False)
    for _ in range(FRAMES_MAX + 1):
        peer.tell({})
    assert peer.is_cut


# -- market data


def logged_in(client, path="/v2/iex"):
    return client.socket(path, KEYS)


async def greeted(socket):
    assert await read(socket) == [{"T": "success", "msg": "connected"}]


@pytest.mark.asyncio
async def test_a_data_client_follows_what_it_asks_for():
    async with served() as client, client.socket("/v2/sip") as socket:
        await greeted(socket)
        await socket.send_json(AUTH)
        assert await read(socket) == [{"T": "success", "msg": "authenticated"}]
        await socket.send_json({"action": "subscribe", "quotes": ["AAPL"], "trades": ["*"]})
        assert (await read(socket))[0] == {
            "T": "subscription", "quotes": ["AAPL"], "trades": ["*"], "statuses": [], "lulds": [],
            "dailyBars": [],
        }  # fmt: skip
        await client.tick("BTC/USD", "41000.00", "41001.00")
        await client.tick("MSFT", "401.00", "401.02")
        await client.tick("AAPL", "101.00", "101.02", bid_size="7")
        first, second = await read(socket), await read(socket)
        await socket.send_json({"action": "unsubscribe", "trades": ["*"]})
        assert (await read(socket))[0]["trades"] == []
    assert [(x["T"], x["S"]) for x in first] == [("t", "MSFT")]
    assert [(x["T"], x["S"]) for x in second] == [("q", "AAPL"), ("t", "AAPL")]
    assert (second[0]["bp"], second[0]["ap"], second[0]["bs"]) == (101.0, 101.02, 7)


ERRORS = [
    ([{"action": "subscribe", "quotes": ["AAPL"]}], 401),
    ([{**AUTH, "key": "nobody"}], 402),
    ([AUTH, AUTH], 403),
    ([AUTH, {"action": "subscribe", "quotes": [str(x) for x in range(4)]}], 405),
    ([AUTH, {"action": "subscribe", "bars": ["AAPL"]}], 410),
    ([AUTH, {"action": "subscribe", "quotes": "AAPL"}], 400),
    ([{"action": "shout"}], 400),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("said", "code"), ERRORS)
async def test_a_data_client_is_told_its_error_by_number(said, code):
    async with served(channels_max=3) as client, client.socket("/v2/iex") as socket:
        await greeted(socket)
        for message in said:
            await socket.send_json(message)
        answers = [(await read(socket))[0] for _ in said]
    assert (answers[-1]["T"], answers[-1]["code"]) == ("error", code)


@pytest.mark.asyncio
async def test_a_data_client_that_does_not_log_in_is_let_go():
    async with served(auth_timeout_ms=30) as client, client.socket("/v2/iex") as socket:
        await greeted(socket)
        assert (await read(socket))[0]["code"] == 404
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


@pytest.mark.asyncio
async def test_one_connection_a_feed_is_all_there_is():
    async with served() as client, logged_in(client) as first, logged_in(client) as second:
        for socket in (first, second):
            await greeted(socket)
        answers = [(await read(x))[0] for x in (first, second)]
        async with logged_in(client, "/v2/sip") as other:
            await greeted(other)
            answers.append((await read(other))[0])
    assert [x.get("code") for x in answers] == [None, 406, None]


@pytest.mark.asyncio
async def test_a_feed_that_is_not_subscribed_to_is_refused():
    async with served(feeds=("iex",)) as client, logged_in(client, "/v2/sip") as socket:
        await greeted(socket)
        assert (await read(socket))[0]["code"] == 409


@pytest.mark.asyncio
async def test_a_halt_is_told_and_stops_trading():
    async with served() as client, logged_in(client) as socket:
        await greeted(socket)
        await read(socket)
        await socket.send_json({"action": "subscribe", "statuses": ["*"], "lulds": ["AAPL"]})
        await read(socket)
        await client.control("/halts", {"symbol": "AAPL"})
        halted = (await read(socket))[0]
        order = await client.placed()
        await client.control("/halts", {"symbol": "AAPL", "halted": False})
        resumed = (await read(socket))[0]
        await client.tick("AAPL", "106.00", "106.02")
        band = (await read(socket))[0]
        filled = await client.again(order)
    assert [(x["T"], x["sc"]) for x in (halted, resumed)] == [("s", "H"), ("s", "T")]
    assert (band["T"], band["u"], band["d"]) == ("l", 111.31, 100.71)
    assert [order["status"], filled["status"]] == ["accepted", "filled"]


@pytest.mark.asyncio
async def test_a_halted_stock_is_not_quoted_and_its_facts_can_be_published():
    async with served() as client, logged_in(client) as socket:
        await greeted(socket)
        await read(socket)
        followed = ("quotes", "statuses", "lulds", "dailyBars")
        names = {channel: ["AAPL"] for channel in followed}
        await socket.send_json({"action": "subscribe", **names})
        await read(socket)
        await client.control("/halts", {"symbol": "AAPL"})
        await client.tick("AAPL", "100.10", "100.12")
        await client.control("/bands", {"symbol": "AAPL", "low": "95.00", "high": "105.00"})
        await client.control("/restrictions", {"symbol": "AAPL"})
        await client.control("/volumes", {"symbol": "AAPL", "volume": 5000})
        found = [(await read(socket))[0] for _ in range(4)]
        for body in ({"low": "2", "high": "1"}, {"low": "0", "high": "1"}, {"low": "x"}, {}):
            url = f"{client.sim.url}/sim/bands"
            async with client.session.post(url, json={"symbol": "AAPL", **body}) as answer:
                assert answer.status == 400
    assert [x["T"] for x in found] == ["s", "l", "s", "d"]
    assert (found[1]["d"], found[1]["u"]) == (95.00, 105.00)
    assert found[2]["sc"] == "E"
    assert (found[3]["v"], found[3]["c"]) == (5000, 100.02)


@pytest.mark.asyncio
async def test_coins_have_no_halts_and_no_bars():
    async with served() as client, logged_in(client, "/v1beta3/crypto/us") as socket:
        await greeted(socket)
        await read(socket)
        await socket.send_json({"action": "subscribe", "statuses": ["*"]})
        assert (await read(socket))[0]["code"] == 410


@pytest.mark.asyncio
async def test_there_is_no_stream_elsewhere():
    async with served() as client:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with client.socket("/v2/otc"):
                pass
        await asyncio.sleep(0)
