"""WebSocket and HTTP by hand: any header, any frame, any half of a message."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import Struct
from websockets.frames import Close, Frame, Opcode

from gateway import wire
from gateway.codec import MSGPACK
from gateway.settings import SUBPROTOCOL_MSGPACK

ANSWER_S = 10.0
FRAME_HEAD_BYTES = 2
COMPRESSED_BIT = 0x40


class Raw:
    """A socket to an edge."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def upgrade(self, token: str | None, *headers: tuple[str, str], offer: str = "") -> int:
        """Asks for the upgrade; the status."""
        offered = ", ".join(one for one in (SUBPROTOCOL_MSGPACK, offer) if one)
        lines = [
            "GET /ws HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            f"Sec-WebSocket-Protocol: {offered}",
            *(f"{name}: {value}" for name, value in headers),
        ]  # fmt: skip
        if token is not None:
            lines.append(f"Authorization: Bearer {token}")
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        async with asyncio.timeout(ANSWER_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
        self.head = head.decode()
        return int(head.split(b" ")[1])

    def send(
        self,
        payload: bytes,
        opcode: Opcode = Opcode.BINARY,
        *,
        fin: bool = True,
        packed: bool = False,
    ) -> None:
        """Sends one frame; `packed` says that it is compressed, which was never agreed on."""
        data = bytearray(Frame(opcode, payload, fin=fin).serialize(mask=True))
        data[0] |= COMPRESSED_BIT * packed
        self.writer.write(bytes(data))

    async def log_in(self, session: str) -> None:
        """Past the welcome."""
        self.send(MSGPACK.encode(wire.Login(session=session)))
        while not isinstance(MSGPACK.decode_server(bytes((await self.next()).data)), wire.Welcome):
            pass

    async def next(self) -> Frame:
        """The next frame of the server's. Raises EOFError at the end, TimeoutError."""
        async with asyncio.timeout(ANSWER_S):
            head = await self.reader.readexactly(FRAME_HEAD_BYTES)
            size = head[1] & 0x7F
            if size > 125:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            return Frame(Opcode(head[0] & 0x0F), await self.reader.readexactly(size))

    async def close_code(self) -> int | None:
        """The code the server closes with; None where it just goes."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                frame = await self.next()
                if frame.opcode is Opcode.CLOSE:
                    return Close.parse(frame.data).code
        return None


@contextlib.asynccontextmanager
async def raw(port: int) -> AsyncIterator[Raw]:
    """A socket, gone afterwards."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


class Reply(Struct, frozen=True):
    """An HTTP answer."""

    status: int
    body: Any


async def call(
    port: int, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> Reply:
    """One HTTP request on a connection of its own."""
    async with raw(port) as line:
        lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close",
                 f"Content-Length: {len(body)}"]  # fmt: skip
        lines += [f"{name}: {value}" for name, value in headers.items()]
        line.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        async with asyncio.timeout(ANSWER_S):
            head = await line.reader.readuntil(b"\r\n\r\n")
            rest = await line.reader.read(-1)
    found: Any = None
    with contextlib.suppress(msgspec.MsgspecError):
        found = msgspec.json.decode(rest)
    return Reply(int(head.split(b" ")[1]), found)
