"""RFC 6455 by an independent peer: wsproto speaks, the server must keep the rules."""

from __future__ import annotations

import asyncio
import struct
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

from gateway.settings import SUBPROTOCOL_JSON

PING = b'{"t":"ping","id":"p"}'
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


def frame(first: int, payload: bytes = b"", mask: bool = True, length: int | None = None) -> bytes:
    """A frame by hand, so that it may be wrong."""
    size = len(payload) if length is None else length
    flag = 0x80 if mask else 0
    if size < 126:
        head = struct.pack("!BB", first, flag | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, flag | 126, size)
    else:
        head = struct.pack("!BBQ", first, flag | 127, size)
    return head + (b"\0\0\0\0" if mask else b"") + payload


FIN = 0x80
WRONG = [
    ("5.1 unmasked", frame(FIN | 1, PING, mask=False), 1002),
    ("5.2 rsv1", frame(FIN | 0x40 | 1, PING), 1002),
    ("5.2 rsv2", frame(FIN | 0x20 | 1, PING), 1002),
    ("5.2 rsv3", frame(FIN | 0x10 | 1, PING), 1002),
    *[(f"5.2 opcode {op}", frame(FIN | op, PING), 1002) for op in (3, 4, 5, 6, 7, 11, 12, 15)],
    ("5.4 continuation of nothing", frame(FIN | 0, PING), 1002),
    ("5.4 text within fragments", frame(1, b"{") + frame(FIN | 1, PING), 1002),
    ("5.5 long ping", frame(FIN | 9, b"x" * 126), 1002),
    ("5.5 fragmented ping", frame(9, b"x"), 1002),
    ("5.5.1 one byte close", frame(FIN | 8, b"\x03"), 1002),
    ("7.4 reserved close code", frame(FIN | 8, struct.pack("!H", 1005)), 1002),
    ("7.4 close code too low", frame(FIN | 8, struct.pack("!H", 999)), 1002),
    ("8.1 text not utf-8", frame(FIN | 1, b'{"t":"ping","id":"\xc0\x80"}'), 1007),
    ("10.4 length announced", frame(FIN | 1, b"", length=65_537), 1009),
    ("10.4 length of the universe", frame(FIN | 1, b"", length=2**62), 1009),
    ("10.4 fragments too long", frame(1, b" " * 40_000) + frame(FIN | 0, b" " * 40_000), 1009),
]


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


RIGHT = [
    ("5.6 text", frame(FIN | 1, PING)),
    ("5.4 fragments", frame(1, PING[:5]) + frame(0, PING[5:9]) + frame(FIN | 0, PING[9:])),
    ("5.4 ping between", frame(1, PING[:5]) + frame(FIN | 9, b"") + frame(FIN | 0, PING[5:])),
    ("5.5.3 unasked pong", frame(FIN | 10, b"x") + frame(FIN | 1, PING)),
    ("5.4 empty fragments", frame(1) + frame(0) + frame(FIN | 0, PING)),
    ("8.1 utf-8 split", frame(1, b'{"t":"ping","id":"p"}') + frame(FIN | 0)),
    ("5.2 long length form", frame(FIN | 1, PING + b" " * 200)),
    ("5.2 longest", frame(FIN | 1, PING + b" " * (65_536 - len(PING)))),
]


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
