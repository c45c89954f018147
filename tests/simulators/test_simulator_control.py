"""The simulator's own paths, its state file, its settings, and running as a program."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from decimal import Decimal
from pathlib import Path

import aiohttp
import msgspec
import pytest
from oanda_client import TICKS, Client, served
from simulator_world import ACCOUNT, World, guard, order

from brokers.simulators.book import AccountSettings
from brokers.simulators.engine import EngineSettings
from brokers.simulators.feed import FeedSettings
from brokers.simulators.oanda import Login, OandaSettings, OandaSimulator
from brokers.simulators.serve import main, settings_from
from brokers.simulators.state import BadState, StateFile
from brokers.simulators.terms import Label
from brokers.simulators.words import Kind, Life

ROOT = Path(__file__).parents[2]


@pytest.mark.asyncio
async def test_the_book_shows_orders_fills_positions_and_who_asked():
    async with served() as client:
        await client.order(clientExtensions={"id": "a"})
        await client.order(type="LIMIT", price="1.0", clientExtensions={"id": "b"})
        found = await client.control("GET", "/book")
    first, second = found["orders"]
    assert (first["client_order_id"], first["state"], first["by"]) == ("a", "filled", "paper")
    assert (second["type"], second["state"], second["price"]) == ("limit", "working", "1.00000")
    assert found["fills"][0]["order_id"] == first["id"]
    account = found["accounts"][ACCOUNT]
    assert account["positions"]["EUR_USD"]["net"] == "100"
    assert account["trades"][0]["units"] == "100"
    seen = found["requests_seen"]
    assert [json.loads(x["body"])["order"]["type"] for x in seen] == ["MARKET", "LIMIT"]
    assert seen[0]["monotonic_ns"] <= seen[1]["monotonic_ns"]


BAD_CONTROL = [
    ("POST", "/ticks", b"{}", 400),
    ("POST", "/ticks", b'{"ticks": [{"instrument": "EUR_USD"}]}', 400),
    ("POST", "/ticks", b'{"ticks": [' + b"{}," * 10_001 + b"{}]}", 400),
    ("POST", "/replay", b'{"action": "dance"}', 400),
    ("POST", "/replay", b'{"speed": -1}', 400),
    ("POST", "/clock", b'{"hours": "bank"}', 400),
    ("GET", "/nowhere", b"", 404),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("method", "path", "raw", "status"), BAD_CONTROL)
async def test_bad_control_requests_are_refused(method, path, raw, status):
    async with served() as client:
        url = f"{client.sim.url}/sim{path}"
        async with client.session.request(method, url, data=raw) as answer:
            assert answer.status == status
            assert (await answer.json())["error"]


@pytest.mark.asyncio
async def test_ticks_of_unknown_instruments_are_ignored():
    async with served() as client:
        await client.tick("1", "2", "NO_NO")
        assert set(client.sim.engine.quotes) == {"EUR_USD", "USD_JPY"}


@pytest.mark.asyncio
async def test_the_clock_can_be_pinned_and_released():
    async with served(engine=EngineSettings(hours="forex")) as client:
        saturday = 1_578_139_200_000_000_000
        assert (await client.control("POST", "/clock", {"market_ns": saturday}))["open"] is False
        assert (await client.control("POST", "/clock", {"hours": "always"}))["open"] is True
        found = await client.control("POST", "/clock", {"market_ns": None})
        assert found["market_ns"] > saturday


@pytest.mark.asyncio
async def test_a_replay_can_be_stopped_sped_up_and_started():
    feed = FeedSettings(source="generator", speed=0)
    async with served(feed=feed) as client:
        stopped = await client.control("POST", "/replay", {"action": "stop"})
        assert stopped["running"] is False
        assert stopped["played"] > 0
        found = await client.control("POST", "/replay", {"action": "start", "speed": 100})
        assert (found["running"], found["speed"]) == (True, 100)
        assert (await client.control("GET", "/replay"))["running"] is True


@pytest.mark.asyncio
async def test_orders_end_on_time_in_a_silent_market():
    async with served() as client:
        soon = client.sim.clock.now_ns() / 1e9 + 0.05
        await client.order(type="LIMIT", price="1.0", timeInForce="GTD", gtdTime=f"{soon:.9f}")
        async with asyncio.timeout(10):
            while (await client.ask("GET", "/pendingOrders"))[1]["orders"]:
                await asyncio.sleep(0.02)
        _, found = await client.ask("GET", "/orders?state=CANCELLED")
    assert len(found["orders"]) == 1


@pytest.mark.asyncio
async def test_a_night_that_passes_charges_financing():
    engine = EngineSettings(financing_rate=Decimal("0.1"))
    async with served(engine=engine) as client:
        await client.order(units="10000")
        client.sim.clock.pinned_ns = client.sim.clock.now_ns() + 86_400_000_000_000
        async with asyncio.timeout(10):
            while client.sim.engine.accounts[ACCOUNT].financing == 0:
                await asyncio.sleep(0.02)
        _, found = await client.ask("GET", "/transactions/5")
        _, summary = await client.ask("GET", "/summary")
    assert found["transaction"]["type"] == "DAILY_FINANCING"
    assert found["transaction"]["financing"] == summary["account"]["financing"] == "-3.0138"


# -- state


def busy_world() -> World:
    world = World()
    world.quote("1.10000", "1.10010")
    world.market("100", stop_loss=guard("1.05"), client_id="a", lot_label=Label("lot"))
    world.market("55", client_id="b")
    world.market("-20")
    world.submit(order(Kind.LIMIT, "10", "1.0", client_id="w", life=Life.DAY))
    world.market("-30")
    world.quote("1.11000", "1.11010")
    world.market("-105")
    world.market("-70", trailing=guard(distance="0.05"))
    return world


@pytest.mark.asyncio
async def test_accounts_survive_a_restart_whole(tmp_path):
    world, path = busy_world(), tmp_path / "state.jsonl"
    assert await StateFile(path).save(world.engine) is True
    fresh = World()
    StateFile(path).load(fresh.engine)
    fresh.account.batch = world.account.batch
    assert fresh.account == world.account
    before = world.engine.valuer.worth(world.account)
    fresh.quote("1.11000", "1.11010")
    assert fresh.engine.valuer.worth(fresh.account) == before


@pytest.mark.asyncio
async def test_state_is_written_only_after_a_change(tmp_path):
    world, state = busy_world(), StateFile(tmp_path / "state.jsonl")
    assert await state.save(world.engine) is True
    assert await state.save(world.engine) is False
    world.market("1")
    assert await state.save(world.engine) is True


@pytest.mark.asyncio
async def test_only_the_newest_of_what_is_over_is_kept(tmp_path):
    world, path = busy_world(), tmp_path / "state.jsonl"
    await StateFile(path, kept_max=2).save(world.engine)
    fresh = World()
    StateFile(path).load(fresh.engine)
    assert list(fresh.account.done) == list(world.account.done)[-2:]
    assert fresh.account.working.keys() == world.account.working.keys()


def test_a_missing_state_file_is_a_new_account(tmp_path):
    world = World()
    StateFile(tmp_path / "none").load(world.engine)
    assert world.account.last_id == 2


@pytest.mark.asyncio
async def test_state_that_cannot_be_read_says_where(tmp_path):
    path = tmp_path / "state.jsonl"
    path.write_text('{"type":"account"}\n')
    with pytest.raises(BadState, match=r"state\.jsonl:1"):
        StateFile(path).load(World().engine)
    await StateFile(path).save(busy_world().engine)
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":9'))
    with pytest.raises(BadState, match="version 9"):
        StateFile(path).load(World().engine)


@pytest.mark.asyncio
async def test_accounts_no_longer_configured_are_left_out(tmp_path):
    path = tmp_path / "state.jsonl"
    await StateFile(path).save(busy_world().engine)
    text = path.read_text().replace(ACCOUNT, "101-001-7777777-001")
    path.write_text(text)
    fresh = World()
    StateFile(path).load(fresh.engine)
    assert fresh.account.last_id == 2


@pytest.mark.asyncio
async def test_a_served_account_is_there_after_a_restart(tmp_path):
    settings = {"state": str(tmp_path / "s"), "state_every_ms": 10}
    async with served(**settings) as client:
        await client.order(clientExtensions={"id": "kept"})
        async with asyncio.timeout(10):
            while not (tmp_path / "s").exists():
                await asyncio.sleep(0.01)
    async with served(**settings) as client:
        status, found = await client.ask("GET", "/orders/@kept")
        _, trades = await client.ask("GET", "/openTrades")
        _, again = await client.order()
    assert (status, found["order"]["state"]) == (200, "FILLED")
    assert trades["trades"][0]["currentUnits"] == "100"
    assert again["orderCreateTransaction"]["id"] == "5"


# -- settings


BAD_SETTINGS = [
    {"logins": ()},
    {"logins": (Login(), Login())},
    {"logins": (Login(accounts=("nobody",)),)},
    {"heartbeat_ms": 0},
    {"requests_per_s": 0},
]


@pytest.mark.parametrize("settings", BAD_SETTINGS)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(ValueError, match=":"):
        OandaSettings(**settings)


@pytest.mark.parametrize("settings", [{"speed": -1.0}, {"source": "files"}])
def test_feed_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(ValueError, match=":"):
        FeedSettings(**settings)


def test_a_token_is_never_shown():
    assert "paper-token" not in repr(OandaSettings())


def test_a_command_line_becomes_settings(tmp_path):
    found = settings_from(["--ticks", "x", "--speed", "5", "--hours", "forex", "--once"])
    assert (found.feed.source, found.feed.speed, found.feed.loop) == ("files", 5.0, False)
    assert (found.clock, found.engine.hours) == ("ticks", "forex")
    assert settings_from(["--still"]).feed.source == "none"
    assert settings_from([]).feed.source == "generator"
    path = tmp_path / "s.json"
    accounts = (AccountSettings(id="101-001-5-001", currency="EUR"),)
    whole = OandaSettings(
        engine=EngineSettings(accounts=accounts), logins=(Login(accounts=("101-001-5-001",)),)
    )
    path.write_bytes(msgspec.json.encode(whole))
    assert settings_from(["--settings", str(path)]) == whole


@pytest.mark.parametrize(
    "arguments",
    [["--hostility", '{"lost_reply": 7}'], ["--settings", "/nowhere/at/all"], ["--speed", "-2"]],
)
def test_wrong_settings_end_the_program_with_a_message(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("simulator: ")


@pytest.mark.parametrize("rows", [None, "x,y", "ts_utc_ns,instrument,bid,ask\n5,EUR_USD,2,1"])
def test_ticks_that_cannot_be_played_end_the_program_with_a_message(rows, tmp_path, capsys):
    if rows is not None:
        (tmp_path / "a.csv").write_text(rows)
    assert main(["--ticks", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


@contextlib.asynccontextmanager
async def program(*arguments: str):
    """The simulator as a process, and its ready line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "brokers.simulators.oanda", *arguments,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(30):
            yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_program_says_where_it_listens_and_stops_cleanly(number, tmp_path):
    ticks = tmp_path / "EUR_USD.csv"
    rows = ["ts_utc_ns,instrument,bid,ask", "1577916000065000000,EUR_USD,1.1,1.2"]
    ticks.write_text("\n".join(rows) + "\n")
    state = tmp_path / "state"
    arguments = ("--ticks", str(tmp_path), "--speed", "10", "--seed", "7", "--state", str(state))
    arguments += ("--facts", str(tmp_path / "facts.json"))
    async with program(*arguments) as (process, ready):
        url = f"{ready['url']}/v3/accounts"
        headers = {"Authorization": "Bearer paper-token"}
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            assert answer.status == 200
        async with asyncio.timeout(10):
            while not (tmp_path / "facts.json").exists():
                await asyncio.sleep(0.005)
        process.send_signal(number)
        assert await process.wait() == 0
    assert state.exists()
    assert json.loads((tmp_path / "facts.json").read_text()) == ready
    assert ready["stream_url"] == ready["url"]


@pytest.mark.asyncio
async def test_two_runs_of_one_seed_make_the_same_book():
    async def run() -> list:
        settings = OandaSettings(feed=FeedSettings(source="none"), seed=11)
        async with (
            OandaSimulator(settings, now_ns=lambda: 1_577_880_000_000_000_000) as sim,
            aiohttp.ClientSession() as session,
        ):
            client = Client(sim, session)
            await client.control("POST", "/ticks", {"ticks": TICKS})
            await client.control("POST", "/hostility", {"failed_ignored": 0.5})
            for number in range(30):
                await client.order(units=str(number + 1))
            found = await client.control("GET", "/book")
            return [found["fills"], found["accounts"]]

    first, second = await run(), await run()
    assert first == second
    assert 0 < len(first[0]) < 30
