"""RFC 6455 by an independent peer: wsproto speaks, the server must keep the rules."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from gateway_world import World, a_world
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    Request,
    TextMessage,
)

from bench.framing import RIGHT, WRONG
from gateway.settings import SUBPROTOCOL_JSON

LOGIN = '{"t":"login","session":"s"}'


class Peer:
    """A wsproto client that can also write raw bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.events: list[Any] = []

    @classmethod
    async def open(cls, world: World) -> Peer:
        peer = cls(*await asyncio.open_connection("127.0.0.1", world.port))
        headers = [(b"Authorization", f"Bearer {world.token}".encode())]
        peer.send(
            Request(host="x", target="/ws", subprotocols=[SUBPROTOCOL_JSON], extra_headers=headers)
        )
        await peer.next(AcceptConnection)
        peer.send(TextMessage(data=LOGIN))
        while "welcome" not in (await peer.next(TextMessage)).data:
            pass
        return peer

    def send(self, event: Any) -> None:
        self.writer.write(self.ws.send(event))

    async def next(self, kind: type) -> Any:
        while True:
            for index, event in enumerate(self.events):
                if isinstance(event, kind):
                    del self.events[: index + 1]
                    return event
            data = await asyncio.wait_for(self.reader.read(65536), 5)
            if not data:
                return None
            self.ws.receive_data(data)
            self.events += self.ws.events()

    async def close_code(self) -> int | None:
        event = await self.next(CloseConnection)
        return None if event is None else event.code


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("data", "code"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
async def test_a_broken_rule_fails_the_connection_with_its_code(
    tmp_path: Path, data: bytes, code: int
) -> None:
    async with a_world(tmp_path) as world:
        peer = await Peer.open(world)
        peer.writer.write(data)
        assert await peer.close_code() == code
        peer.writer.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("data", [row[1] for row in RIGHT], ids=[row[0] for row in RIGHT])
@pytest.mark.parametrize("is_dripped", [False, True])
async def test_a_right_message_is_understood_whole_or_byte_by_byte(
    tmp_path: Path, data: bytes, is_dripped: bool
) -> None:
    async with a_world(tmp_path) as world:
        peer = await Peer.open(world)
        if is_dripped and len(data) < 1_000:
            for byte in data:
                peer.writer.write(bytes([byte]))
                await asyncio.sleep(0)
        else:
            peer.writer.write(data)
        res = await peer.next(TextMessage)
        assert '"id":"p"' in res.data
        peer.writer.close()


@pytest.mark.asyncio
async def test_a_ping_is_answered_with_its_own_words(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        peer = await Peer.open(world)
        peer.send(Ping(payload=b"hello"))
        assert (await peer.next(Pong)).payload == b"hello"
        peer.writer.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
async def test_a_close_is_echoed(tmp_path: Path, code: int) -> None:
    async with a_world(tmp_path) as world:
        peer = await Peer.open(world)
        peer.send(CloseConnection(code=code, reason="bye"))
        assert await peer.close_code() == code
        assert await peer.next(TextMessage) is None
        peer.writer.close()


@pytest.mark.asyncio
async def test_binary_is_not_for_json(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        peer = await Peer.open(world)
        peer.send(BytesMessage(data=b"{}"))
        assert await peer.close_code() == 1003
        peer.writer.close()
