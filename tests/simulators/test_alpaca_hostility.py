"""The simulated Alpaca's faults, its own paths, its book, and what survives a restart."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import aiohttp
import pytest
from alpaca_client import ACCOUNT, KEYS, read, served, told
from test_alpaca_stories import BRACKET

from actors.paper import paper_settings, venue_book
from actors.paths import Paths
from actors.settings import SimulatorSettings, read_token
from brokers.simulators.alpaca import AlpacaLogin, AlpacaSettings, AlpacaSimulator
from brokers.simulators.alpaca_listings import ENGINE
from brokers.simulators.feed import FeedSettings
from brokers.simulators.serve import main, settings_from
from tests.shared_data import SHARED, requires_shared


@pytest.mark.asyncio
async def test_a_lost_reply_leaves_the_order_there():
    async with served() as client:
        await client.control("/hostility", {"lost_reply": 1.0})
        with pytest.raises(aiohttp.ClientError):
            await client.order(client_order_id="lost")
        await client.control("/hostility", {})
        path = "/v2/orders:by_client_order_id?client_order_id=lost"
        order = await client.get(path)
    assert order["status"] == "filled"


@pytest.mark.asyncio
async def test_a_late_landing_is_there_later_and_once():
    async with served() as client:
        await client.control("/hostility", {"late_landing": 1.0, "late_ms": [50, 60]})
        with pytest.raises(aiohttp.ClientError):
            await client.order(client_order_id="late")
        await client.control("/hostility", {})
        path = "/v2/orders:by_client_order_id?client_order_id=late"
        early, _ = await client.ask("GET", path)
        await asyncio.sleep(0.15)
        order = await client.get(path)
        book = await client.control("/book")
    assert (early, order["status"]) == (404, "filled")
    assert book["orders_by_client_id"] == {"late": 1}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "status", "orders"), [("failed_applied", 502, 1), ("failed_ignored", 502, 0)]
)
async def test_a_failure_may_or_may_not_have_worked(fault, status, orders):
    async with served() as client:
        await client.control("/hostility", {fault: 1.0})
        found, body = await client.order()
        await client.control("/hostility", {})
        left = await client.get("/v2/orders?status=all")
    assert (found, body["code"], len(left)) == (status, 50010000, orders)


@pytest.mark.asyncio
async def test_cancels_meet_faults_too():
    async with served() as client:
        order = await client.placed(type="limit", limit_price="90")
        await client.control("/hostility", {"lost_reply": 1.0})
        with pytest.raises(aiohttp.ClientError):
            await client.ask("DELETE", f"/v2/orders/{order['id']}")
        await client.control("/hostility", {})
        assert (await client.again(order))["status"] == "canceled"


@pytest.mark.asyncio
async def test_without_unique_ids_an_order_is_doubled():
    async with served() as client:
        await client.control("/hostility", {"unique_client_ids": False})
        await client.placed(client_order_id="twice")
        await client.placed(client_order_id="twice")
        book = await client.control("/book")
    assert book["orders_by_client_id"] == {"twice": 2}


@pytest.mark.asyncio
async def test_events_are_repeated_and_reordered_on_request():
    async with served() as client, client.updates() as following:
        await client.control("/hostility", {"repeated_event": 1.0})
        await client.placed()
        twice = await told(following, 6)
        await client.control("/hostility", {"reordered_event": 1.0})
        await client.placed()
        mixed = await told(following, 3)
    assert twice == ["pending_new", "pending_new", "new", "new", "fill", "fill"]
    assert mixed == ["new", "fill", "pending_new"]


@pytest.mark.asyncio
async def test_the_stream_may_be_faster_than_the_answer():
    async with served() as client, client.updates() as following:
        await client.control("/hostility", {"stream_first": True})
        asked = asyncio.create_task(client.order())
        assert await told(following, 3) == ["pending_new", "new", "fill"]
        assert (await asked)[0] == 200


@pytest.mark.asyncio
async def test_streams_are_cut_and_silenced_on_request():
    async with served() as client, client.socket("/v2/iex", KEYS) as data:
        await read(data)
        await read(data)
        await data.send_json({"action": "subscribe", "quotes": ["AAPL"]})
        await read(data)
        async with client.updates() as following:
            await client.control("/hostility", {"silent": True})
            await client.placed()
            await client.tick("AAPL", "101.00", "101.02")
            await client.control("/hostility", {})
            await client.placed(symbol="MSFT")
            first = await following()
            await client.tick("AAPL", "102.00", "102.02")
            quote = (await read(data))[0]
            await client.control("/streams", {"action": "cut"})
            ends = [(await data.receive()).type]
    assert (first["order"]["symbol"], quote["bp"]) == ("MSFT", 102.0)
    assert ends[0] in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSE)


@pytest.mark.asyncio
async def test_a_stream_may_be_cut_by_what_it_carries():
    async with served() as client, client.updates() as following:
        await client.control("/hostility", {"cut_stream": 1.0})
        await client.placed()
        with pytest.raises(AssertionError):
            await following()


@pytest.mark.asyncio
async def test_a_price_stream_may_be_cut_by_what_it_carries():
    async with served() as client, client.socket("/v2/iex", KEYS) as data:
        await read(data)
        await read(data)
        await data.send_json({"action": "subscribe", "quotes": ["AAPL"]})
        await read(data)
        await client.control("/hostility", {"cut_stream": 1.0})
        await client.tick("AAPL", "101.00", "101.02")
        with pytest.raises(AssertionError):
            await read(data)


@pytest.mark.asyncio
async def test_what_is_not_listed_cannot_be_halted_and_bodies_are_bounded():
    async with served() as client:
        url = f"{client.sim.url}/sim/halts"
        async with client.session.post(url, json={"symbol": "NONE"}) as answer:
            assert answer.status == 400
        status, _ = await client.ask("POST", "/v2/orders", data=b" " * 70_000)
    assert status == 413


# -- the book


@pytest.mark.asyncio
async def test_the_book_is_told_in_the_agreements_words():
    async with served() as client, client.updates() as following:
        order = await client.placed(client_order_id="one", qty="2")
        events = [await following() for _ in range(3)]
        resting = await client.placed(client_order_id="two", type="limit", limit_price="90")
        raw = await client.control("/book")
        book = venue_book(raw, ACCOUNT)
    assert [(x.broker_order_id, x.client_id, x.is_working) for x in book.orders] == [
        (order["id"], "one", False), (resting["id"], "two", True),
    ]  # fmt: skip
    fill = book.fills[0]
    assert (fill.broker_execution_id, fill.broker_order_id) == (
        events[2]["execution_id"], order["id"],
    )  # fmt: skip
    assert (fill.quantity, fill.price) == (Decimal(2), Decimal("100.02"))
    assert raw["accounts"][ACCOUNT]["positions"]["AAPL"]["net"] == "2"
    assert [x["by"] for x in raw["requests_seen"]] == ["paper", "paper"]


# -- what survives


@pytest.mark.asyncio
async def test_an_account_survives_a_restart(tmp_path):
    state = str(tmp_path / "book.json")
    async with served(state=state) as client:
        await client.placed(qty="10", client_order_id="first", **BRACKET)
        await client.placed(symbol="MSFT", side="sell", qty="3")
        await client.ask("PATCH", "/v2/account/configurations", {"no_shorting": True})
        before = [await client.get(x) for x in ("/v2/account", "/v2/positions", "/v2/orders")]
        rows = await client.get("/v2/account/activities")
    async with served(state=state) as client:
        after = [await client.get(x) for x in ("/v2/account", "/v2/positions", "/v2/orders")]
        taken = await client.refused(client_order_id="first")
        old = await client.get("/v2/orders:by_client_order_id?client_order_id=first")
        assert await client.get("/v2/account/activities") == rows
        await client.tick("AAPL", "111.00", "111.02")
        done = await client.again(old)
    assert after == before
    assert taken[2] == "client_order_id must be unique"
    assert [x["status"] for x in done["legs"]] == ["filled", "canceled"]


@pytest.mark.asyncio
async def test_what_was_pending_when_it_stopped_is_finished(tmp_path):
    state = str(tmp_path / "book.json")
    async with served(state=state, venue_ms=60_000) as client:
        _, order = await client.order(type="limit", limit_price="90")
        assert (await client.again(order))["status"] == "pending_new"
    async with served(state=state) as client:
        assert (await client.again(order))["status"] == "new"


@pytest.mark.asyncio
async def test_a_cancel_and_a_replacement_under_way_are_finished_too(tmp_path):
    state = str(tmp_path / "book.json")
    async with served(state=state) as client:
        first = await client.placed(type="limit", limit_price="90")
        second = await client.placed(type="limit", limit_price="91")
    async with served(state=state, venue_ms=60_000) as client:
        await client.ask("DELETE", f"/v2/orders/{first['id']}")
        _, fresh = await client.ask("PATCH", f"/v2/orders/{second['id']}", {"qty": "2"})
    async with served(state=state) as client:
        left = [(await client.again(x))["status"] for x in (first, second, fresh)]
    assert left == ["canceled", "replaced", "new"]


# -- how it is run


def test_a_command_line_makes_its_settings():
    found = settings_from(["--still", "--hours", "nyse", "--token", "me:secret"], "alpaca")
    assert isinstance(found, AlpacaSettings)
    assert found.engine.hours == "nyse"
    assert (found.logins[0].key_id, found.logins[0].secret) == ("me", "secret")
    assert "secret'" not in repr(found.logins)


def test_wrong_settings_are_refused_with_their_names(capsys, tmp_path):
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({"requests_per_min": 0}))
    assert main(["--settings", str(path)], "alpaca") == 2
    assert "requests_per_min" in capsys.readouterr().err
    for wrong in (
        {"logins": ()},
        {"logins": (AlpacaLogin(), AlpacaLogin())},
        {"logins": (AlpacaLogin(account="nobody"),)},
        {"venue_ms": -1},
    ):
        with pytest.raises(ValueError, match=r"logins|venue_ms"):
            AlpacaSettings(**wrong)


def test_a_deployment_makes_the_paper_brokers_settings(tmp_path):
    from msgspec import json as coded

    simulator = SimulatorSettings(id="paper", broker="alpaca", accounts=("PA1", "PA2"))

    class Whole:
        connections = ()

    raw = paper_settings(simulator, Whole(), Paths(tmp_path))
    found = coded.decode(raw, type=AlpacaSettings)
    assert [x.key_id for x in found.logins] == ["paper", "PA1", "PA2"]
    assert all(x.netting for x in found.engine.accounts)
    sim = AlpacaSimulator(found)
    assert sim._authorize("paper", "paper").id == "PA1"
    assert sim._authorize("PA2", "paper").id == "PA2"


def test_a_paper_connection_has_its_accounts_key():
    class Connection:
        token_env = token_file = None
        broker, broker_account_id = "alpaca", "PA1"

    assert read_token(Connection()) == "PA1:paper"


# -- the market


@requires_shared
@pytest.mark.asyncio
async def test_recorded_coins_and_generated_shares_make_one_market():
    ticks = SHARED / "ticks" / "BTC_USDT_2021-01-08.csv"
    feed = FeedSettings(source="files", ticks=str(ticks), speed=0)
    async with served(feed=feed) as client:
        async with asyncio.timeout(20):
            while len(client.sim.engine.quotes) < len(ENGINE.listings):
                await asyncio.sleep(0.01)
        first = await client.get("/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD")
        await client.sim.player.stop()
    assert 30_000 < first["quotes"]["BTC/USD"]["bp"] < 50_000


@requires_shared
def test_recorded_ticks_play_for_ever(tmp_path):
    source = (SHARED / "ticks" / "BTC_USDT_2021-01-08.csv").read_text().splitlines()
    (tmp_path / "few.csv").write_text("\n".join(source[:4]) + "\n")
    feed = FeedSettings(source="files", ticks=str(tmp_path))
    sim = AlpacaSimulator(AlpacaSettings(feed=feed))
    coins = []
    for tick in sim._source():
        if tick.instrument == "BTC_USDT":
            coins.append(tick.at_ns)
        if len(coins) == 7:
            break
    assert coins == sorted(coins)
    assert coins[3] - coins[2] == 10**9
