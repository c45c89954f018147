"""A plain client for the simulated Alpaca, and alpaca-py, unmodified, pointed at it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import msgspec
from alpaca.trading.client import TradingClient

from brokers.simulators.alpaca import AlpacaSettings, AlpacaSimulator
from brokers.simulators.alpaca_listings import ENGINE
from brokers.simulators.book import AccountSettings

KEYS = {"APCA-API-KEY-ID": "paper", "APCA-API-SECRET-KEY": "paper"}
ACCOUNT = "PA0000000001"
TICKS = [
    {"instrument": "AAPL", "bid": "100.00", "ask": "100.02"},
    {"instrument": "MSFT", "bid": "400.00", "ask": "400.04"},
    {"instrument": "BTC/USD", "bid": "40000.00", "ask": "40004.00"},
]


class Client:
    """Speaks to one simulator with one key."""

    def __init__(self, sim: AlpacaSimulator, session: aiohttp.ClientSession) -> None:
        self.sim = sim
        self.session = session
        self.spec: Any = None
        self.headers: dict[str, str] = {}

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        """Status and decoded body, checked against the published description if there is one."""
        data = None if body is None else json.dumps(body).encode()
        options = {"headers": KEYS, "data": data, **more}
        url = self.sim.url + path
        async with self.session.request(method, url, **options) as answer:
            text = await answer.read()
            self.headers = dict(answer.headers)
            assert answer.headers["X-Request-ID"]
            found = json.loads(text) if text else None
            if self.spec is not None:
                self.spec.check(method, path.partition("?")[0], answer.status, found)
            return answer.status, found

    async def get(self, path: str) -> Any:
        """A body that must be there."""
        status, body = await self.ask("GET", path)
        assert status == 200, body
        return body

    async def order(self, **fields: Any) -> tuple[int, Any]:
        """Places an order; a market order to buy one AAPL for the day unless said otherwise."""
        asked = {
            "symbol": "AAPL",
            "side": "buy",
            "type": "market",
            "time_in_force": "day",
            **({} if "notional" in fields else {"qty": "1"}),
            **fields,
        }
        return await self.ask("POST", "/v2/orders", asked)

    async def placed(self, **fields: Any) -> Any:
        """An order that must be taken, as it stands afterwards, its legs under it."""
        status, body = await self.order(**fields)
        assert status == 200, body
        return await self.get(f"/v2/orders/{body['id']}?nested=true")

    async def refused(self, **fields: Any) -> tuple[int, int, str]:
        """Status, code and text of an order that must not be taken."""
        status, body = await self.order(**fields)
        assert status >= 400, body
        return status, body["code"], body["message"]

    async def again(self, order: Any) -> Any:
        """The order as it now stands."""
        return await self.get(f"/v2/orders/{order['id']}?nested=true")

    async def control(self, path: str, body: Any = None) -> Any:
        """A path of the simulator's own."""
        method = "GET" if body is None else "POST"
        async with self.session.request(method, f"{self.sim.url}/sim{path}", json=body) as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return found

    async def tick(self, instrument: str, bid: str, ask: str, **more: Any) -> None:
        """Moves the market."""
        row = {"instrument": instrument, "bid": bid, "ask": ask, **more}
        await self.control("/ticks", {"ticks": [row]})

    @contextlib.asynccontextmanager
    async def socket(
        self, path: str, headers: dict[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """An open WebSocket."""
        url = self.sim.url.replace("http", "ws") + path
        async with self.session.ws_connect(url, headers=headers) as socket:
            yield socket

    @contextlib.asynccontextmanager
    async def updates(self) -> AsyncIterator[Callable[[], Any]]:
        """The trade_updates of the account: a function that waits for the next."""
        async with self.socket("/stream", KEYS) as socket:
            await socket.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
            assert (await read(socket))["stream"] == "listening"

            async def following() -> Any:
                return (await read(socket))["data"]

            yield following


async def read(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """The next JSON message, whatever its frame."""
    message = await asyncio.wait_for(socket.receive(), 10)
    assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
    return json.loads(message.data)


async def told(following: Callable[[], Any], count: int) -> list[str]:
    """The next events, as words."""
    return [(await following())["event"] for _ in range(count)]


@contextlib.asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[Client]:
    """A running simulator with three quotes, and a client of it."""
    account = settings.pop("account", {})
    engine = settings.pop("engine", {})
    now_ns = settings.pop("now_ns", time.time_ns)
    whole = msgspec.structs.replace(
        ENGINE, accounts=(AccountSettings(id=ACCOUNT, netting=True, **account),), **engine
    )
    async with (
        AlpacaSimulator(AlpacaSettings(engine=whole, **settings), now_ns) as sim,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session,
    ):
        client = Client(sim, session)
        if settings.get("feed") is None:
            await client.control("/ticks", {"ticks": TICKS})
        yield client


def sdk_for(sim: AlpacaSimulator) -> TradingClient:
    """alpaca-py, unmodified, pointed at the simulator."""
    return TradingClient("paper", "paper", url_override=sim.url)


async def call(method: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """A blocking call of the SDK."""
    return await asyncio.to_thread(method, *args, **named)
