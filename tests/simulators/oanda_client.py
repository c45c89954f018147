"""A plain HTTP client for the simulated OANDA, and oandapyV20, unmodified, pointed at it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import oandapyV20
from oandapyV20 import API
from simulator_world import ACCOUNT

from brokers.simulators.oanda import OandaSettings, OandaSimulator

TOKEN = "paper-token"
TICKS = [
    {"instrument": "EUR_USD", "bid": "1.10000", "ask": "1.10010"},
    {"instrument": "USD_JPY", "bid": "109.000", "ask": "109.010"},
]


class Client:
    """Speaks to one simulator with one token."""

    def __init__(self, sim: OandaSimulator, session: aiohttp.ClientSession) -> None:
        self.sim = sim
        self.session = session
        self.headers = {"Authorization": f"Bearer {TOKEN}"}

    async def ask(
        self, method: str, path: str, body: Any = None, raw: bytes | None = None
    ) -> tuple[int, Any]:
        """Status and decoded body; `path` is below the account."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        url = f"{self.sim.url}/v3/accounts/{ACCOUNT}{path}"
        async with self.session.request(method, url, data=data, headers=self.headers) as answer:
            text = await answer.read()
            assert answer.headers["RequestID"]
            return answer.status, json.loads(text)

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """A path of the simulator's own."""
        data = None if body is None else json.dumps(body).encode()
        async with self.session.request(method, f"{self.sim.url}/sim{path}", data=data) as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return found

    async def tick(self, bid: str, ask: str, instrument: str = "EUR_USD", **more: Any) -> None:
        """Moves the market."""
        row = {"instrument": instrument, "bid": bid, "ask": ask, **more}
        await self.control("POST", "/ticks", {"ticks": [row]})

    async def order(self, **fields: Any) -> tuple[int, Any]:
        """Places an order; a market order for 100 EUR/USD unless said otherwise."""
        asked = {"type": "MARKET", "instrument": "EUR_USD", "units": "100", **fields}
        return await self.ask("POST", "/orders", {"order": asked})

    @contextlib.asynccontextmanager
    async def lines(self, path: str) -> AsyncIterator[asyncio.Queue[Any]]:
        """The lines of a stream, decoded, as they come; None at its end."""
        found: asyncio.Queue[Any] = asyncio.Queue()
        url = f"{self.sim.stream_url}/v3/accounts/{ACCOUNT}{path}"
        async with self.session.get(url, headers=self.headers) as answer:
            assert answer.status == 200

            async def read() -> None:
                with contextlib.suppress(aiohttp.ClientError):
                    async for line in answer.content:
                        found.put_nowait(json.loads(line))
                found.put_nowait(None)

            reader = asyncio.create_task(read())
            try:
                yield found
            finally:
                reader.cancel()
                await asyncio.wait([reader])


@contextlib.asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[Client]:
    """A running simulator with two quotes, and a client of it."""
    async with (
        OandaSimulator(OandaSettings(**settings)) as sim,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session,
    ):
        client = Client(sim, session)
        if settings.get("feed") is None:
            await client.control("POST", "/ticks", {"ticks": TICKS})
        yield client


async def next_line(lines: asyncio.Queue[Any], kind: str) -> Any:
    """The next line of that type."""
    async with asyncio.timeout(10):
        while True:
            line = await lines.get()
            if line is None or line["type"] == kind:
                return line


def sdk_for(sim: OandaSimulator) -> API:
    """oandapyV20, unmodified, pointed at the simulator (BROKERS.md 1)."""
    oandapyV20.oandapyV20.TRADING_ENVIRONMENTS["sim"] = {"api": sim.url, "stream": sim.stream_url}
    return API(access_token=TOKEN, environment="sim")
