"""One WebSocket client of the simulated Alpaca: JSON or msgpack, bounded, cut when too slow."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from brokers.simulators.alpaca_words import rfc3339
from brokers.simulators.market_hours import NS

FRAMES_MAX = 20_000
MESSAGE_BYTES_MAX = 65_536
JSON = msgspec.json.Encoder(decimal_format="number")
MSGPACK = msgspec.msgpack.Encoder(decimal_format="number")
TIMESTAMP = -1
"""The msgpack extension for times."""


class Moment(int):
    """A time in ns: text in JSON, an extension type in msgpack."""


class Codec:
    """How messages are written and read."""

    def __init__(self, is_msgpack: bool) -> None:
        self.is_msgpack = is_msgpack

    def encode(self, messages: Any) -> bytes:
        """A frame."""
        if self.is_msgpack:
            return MSGPACK.encode(_timed(messages, _packed))
        return JSON.encode(_timed(messages, rfc3339))

    def decode(self, frame: bytes) -> dict[str, Any]:
        """A client's message. Raises ValueError for what is none."""
        decode = msgspec.msgpack.decode if self.is_msgpack else msgspec.json.decode
        return decode(frame, type=dict[str, Any])


def _timed(value: Any, write: Callable[[int], Any]) -> Any:
    if isinstance(value, Moment):
        return write(value)
    if isinstance(value, dict):
        return {name: _timed(x, write) for name, x in value.items()}
    if isinstance(value, list):
        return [_timed(x, write) for x in value]
    return value


def _packed(at_ns: int) -> msgspec.msgpack.Ext:
    seconds, rest = divmod(at_ns, NS)
    return msgspec.msgpack.Ext(TIMESTAMP, struct.pack("!Iq", rest, seconds))


TEXT_CODEC, MSGPACK_CODEC = Codec(is_msgpack=False), Codec(is_msgpack=True)


def codec_for(request: web.BaseRequest) -> Codec:
    """As the client's header asks."""
    return MSGPACK_CODEC if "msgpack" in request.headers.get("Content-Type", "") else TEXT_CODEC


class Peer:
    """An open connection. `tell` never waits; a client too far behind is cut off."""

    def __init__(self, codec: Codec, is_binary: bool) -> None:
        self.codec = codec
        self.is_binary = is_binary or codec.is_msgpack
        self._frames: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._is_closing = False
        self.is_cut = False

    def tell(self, messages: Any) -> None:
        """Adds one frame."""
        self.tell_frame(self.codec.encode(messages))

    def tell_frame(self, frame: bytes) -> None:
        """Adds one frame, encoded as the client wants it."""
        if len(self._frames) >= FRAMES_MAX:
            self.cut()
            return
        self._frames.append(frame)
        self._wake.set()

    def cut(self) -> None:
        """Ends the connection without a word."""
        self.is_cut = True
        self._wake.set()

    def close(self) -> None:
        """Ends the connection once everything is said."""
        self._is_closing = True
        self._wake.set()

    async def run(
        self, request: web.BaseRequest, hear: Callable[[dict[str, Any] | None], None]
    ) -> web.WebSocketResponse:
        """Serves until either side ends it; `hear` gets each message, None for no message."""
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES_MAX)
        await socket.prepare(request)
        writer = asyncio.create_task(self._write(request, socket))
        try:
            async for message in socket:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    break
                data = message.data
                hear(self._read(data.encode() if isinstance(data, str) else data))
        finally:
            writer.cancel()
            await asyncio.wait([writer])
        return socket

    def _read(self, data: bytes) -> dict[str, Any] | None:
        # Clients of either codec may speak JSON.
        for codec in (self.codec, TEXT_CODEC):
            with contextlib.suppress(ValueError):
                return codec.decode(data)
        return None

    async def _write(self, request: web.BaseRequest, socket: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            while not self.is_cut:
                await self._flush(socket)
                if self._is_closing:
                    await socket.close()
                    return
                self._wake.clear()
                if not self._frames and not self.is_cut:
                    await self._wake.wait()
        if request.transport is not None:
            request.transport.abort()

    async def _flush(self, socket: web.WebSocketResponse) -> None:
        while self._frames and not self.is_cut:
            frame = self._frames.popleft()
            if self.is_binary:
                await socket.send_bytes(frame)
            else:
                await socket.send_str(frame.decode())
