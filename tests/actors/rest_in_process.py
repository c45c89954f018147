"""A whole deployment in one loop with a real edge: HTTP and WebSocket clients talk to it."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import deployment_in_process as whole
import pytest
from deployment_in_process import OWNER, WAIT_S, Deployment, deployment

from actors.edge import Edge, Sockets
from actors.paths import LEDGER_ROLE
from gateway.client import Client
from gateway.tokens import TokenStore, TokenTerms
from gateway.wire import Scope

ORIGIN = "https://desk.example"
OTHER = "bob"
API = "/api/v1"
MORE = f"""
[[owners]]
id = "{OTHER}"

[gateway]
origins = ["{ORIGIN}", "https://other.example"]

[[signals]]
name = "trend"
account = "acc-1"
match = {{ strategy = "trend" }}
instruments = {{ EURUSD = "EUR/USD" }}
actions = {{ long = "buy", short = "sell", exit = "close", flip = "reverse", trim = "reduce" }}
fields = {{ quantity = "qty", stop_loss = "sl" }}
sizing = {{ by = "fixed", value = "1000" }}
tag = "trend"
ignored = ["interval"]

[[signals]]
name = "example"
account = "acc-1"
match = {{ strategy = "example" }}
instruments = {{ EURUSD = "EUR/USD" }}
sizing = {{ by = "fixed", value = "1000" }}

[[signals]]
name = "risk"
account = "acc-1"
match = {{ strategy = "risk" }}
sizing = {{ by = "risk_percent", value = "1", max = "50000" }}
stop_loss = {{ by = "pips", value = "50" }}
take_profit = {{ by = "pips", value = "100" }}
"""


class Reply:
    """What came back: status, headers, and the body as JSON where it is JSON."""

    def __init__(self, status: int, headers: Any, body: Any) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"{self.status} {self.body}"


class RestWorld:
    """A deployment behind one edge, and tokens of two owners."""

    def __init__(self, running: Deployment) -> None:
        self.running = running
        self.sockets = Sockets(*(socket.create_server(("127.0.0.1", 0)) for _ in range(3)))
        self.base = f"http://127.0.0.1:{self.sockets.rest.getsockname()[1]}"
        self.ws_url = f"ws://127.0.0.1:{self.sockets.clients.getsockname()[1]}"
        self._luck = itertools.count(1)
        self.token = self.mint(Scope.TRADE, Scope.READ)
        self.edge = Edge(running.stage("edge-1"))
        self.session: aiohttp.ClientSession
        self._task: asyncio.Task[Any]

    def mint(self, *scopes: Scope, owner: str = OWNER, expires_ns: int | None = None) -> str:
        terms = TokenTerms(owner=owner, scopes=scopes, expires_ns=expires_ns)
        store = TokenStore(self.running.paths.tokens)
        seed = next(self._luck)
        return store.create(terms, time.time_ns(), lambda size: seed.to_bytes(size, "big"))

    async def start(self) -> None:
        self.session = aiohttp.ClientSession()
        self._task = self.running.keep(self.edge.run(self.sockets))
        self.running.start_role(LEDGER_ROLE)
        await self.running.until(lambda: self.edge._is_trading)
        await self.running.until(lambda: self.edge.ledger._link is not None)

    async def stop(self) -> None:
        await self.session.close()
        await self.edge.rest.stop()

    async def call(
        self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str
    ) -> Reply:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        names.setdefault("Authorization", f"Bearer {token or self.token}")
        url = self.base + (path if path.startswith("/api") else API + path)
        async with self.session.request(
            method, url, json=body, headers={k: v for k, v in names.items() if v}
        ) as answer:
            raw = await answer.read()
            is_json = "json" in answer.content_type and raw
            return Reply(
                answer.status,
                answer.headers,
                await answer.json(content_type=None) if is_json else raw,
            )

    def client(self, session: str = "s-1") -> Any:
        return Client.connect(self.ws_url, self.token, session)


@asynccontextmanager
async def rest_world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RestWorld]:
    monkeypatch.setattr(whole, "SETTINGS", whole.SETTINGS + MORE)
    async with deployment(folder, monkeypatch) as running:
        world = RestWorld(running)
        await asyncio.wait_for(world.start(), WAIT_S)
        try:
            yield world
        finally:
            await world.stop()


def an_order(name: str, **words: Any) -> dict[str, Any]:
    plain = {
        "client_order_id": name, "instrument": "EUR/USD", "side": "buy", "quantity": "1000",
        "type": "market", "time_in_force": "fok",
    }  # fmt: skip
    return plain | words


def a_limit(name: str, **words: Any) -> dict[str, Any]:
    resting = {"type": "limit", "limit_price": "1.08000", "time_in_force": "gtc"}
    return an_order(name, **(resting | words))
