"""A router in memory behind REST on loopback, and raw HTTP to it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from gateway_world import CLOCKS, World, a_world

from gateway.rest_server import RestServer
from gateway.tickets import TicketBox

ORIGIN = "https://desk.example"


class Reply:
    """An HTTP answer, taken apart."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])
        }
        self.raw = body
        is_json = "json" in self.headers.get("content-type", "") and body
        self.body: Any = msgspec.json.decode(body) if is_json else None

    @property
    def code(self) -> str:
        """The code of a problem."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.body["status"] == self.status
        assert self.body["type"] == f"urn:fillgate:problem:{self.body['code']}"
        assert self.body["title"]
        assert self.body["detail"]
        assert self.body["instance"].startswith("/")
        return str(self.body["code"])


class RestWorld:
    """REST beside the WebSocket server of a world."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.router = world.router
        luck = (hashlib.sha256(str(n).encode()).digest() for n in itertools.count())
        self.tickets = TicketBox(folder / "tickets", CLOCKS.boot_ns, lambda n: next(luck)[:n])
        self.rest = RestServer(world.router, world.server, self.tickets, "e1")
        self.port = 0

    async def start(self) -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        await self.rest.start([sock])
        self.router.servers.append(self)  # type: ignore[arg-type]

    def deliver(self, message: Any) -> None:
        self.rest.deliver(message)

    def router_lost(self) -> None:
        self.rest.router_lost()

    def router_found(self) -> None:
        pass

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """One request on a connection of its own; `headers` may repeat a name."""
        data = (
            body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        )
        headers = [("Host", "x"), *options.pop("headers", ())]
        token = options.pop("token", self.world.token)
        assert not options
        if token is not None:
            headers.append(("Authorization", f"Bearer {token}"))
        if body is not None and not any(name == "Content-Type" for name, _ in headers):
            headers.append(("Content-Type", "application/json"))
        if body is not None:
            headers.append(("Content-Length", str(len(data))))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        return await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + data, method == "HEAD")

    async def raw(self, data: bytes, is_head: bool = False) -> Reply:
        """Any bytes; the first answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            return await read_reply(reader, is_head)
        finally:
            writer.close()


async def read_reply(reader: asyncio.StreamReader, is_head: bool = False) -> Reply:
    """The next answer on a connection."""
    async with asyncio.timeout(5):
        head = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
        reply = Reply(head, b"")
        length = int(reply.headers.get("content-length", 0))
        return Reply(head, b"" if is_head else await reader.readexactly(length))


@contextlib.asynccontextmanager
async def a_rest(folder: Path, **settings: Any) -> AsyncIterator[RestWorld]:
    settings.setdefault("origins", (ORIGIN,))
    async with a_world(folder, **settings) as world:
        rest = RestWorld(world, folder)
        await rest.start()
        try:
            yield rest
        finally:
            await rest.rest.stop()


def order(name: str = "o1", **words: Any) -> dict[str, Any]:
    plain = {"client_order_id": name, "instrument": "EUR/USD", "side": "buy", "quantity": "1000"}
    return plain | words
