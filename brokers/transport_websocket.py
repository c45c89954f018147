"""Streams over a WebSocket: opened step by step, told to live by pongs, given up in silence.

A half-open connection says nothing for ever, so we ping: where neither a message nor a pong
comes within the silence, it is over. A pong is given out as an empty line, so that the reader
knows how long ago the broker was alive. What we say may hold the secret: it is in no error.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from aiohttp import (
    ClientError,
    ClientSession,
    ClientWebSocketResponse,
    ClientWSTimeout,
    WSMessageTypeError,
    WSMsgType,
    WSServerHandshakeError,
)
from msgspec import MsgspecError
from yarl import URL

from brokers.adapter import Answered, BrokerError, SocketStream, Step

PINGS_A_SILENCE = 3
CLOSE_S = 1.0
HELD_LINES_MAX = 10_000
"""Lines that came before the stream was open, and belong to no step."""

Split = Callable[[bytes], tuple[bytes, ...]]


class Lines(Protocol):
    """An open stream: its lines, and a way to speak on it."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Itself."""
        return self

    async def __anext__(self) -> bytes:
        """The next line; an empty one is a sign of life. Raises BrokerError."""

    async def say(self, *frames: bytes) -> None:
        """Says the frames, in order. Raises BrokerError."""


async def shake_hands(
    session: ClientSession, base_url: str, request: SocketStream, bytes_max: int
) -> ClientWebSocketResponse:
    """An open socket. Raises Answered where the broker answers anything but an upgrade."""
    try:
        return await session.ws_connect(
            URL(base_url + request.path, encoded=True),
            headers=request.headers,
            autoping=False,
            max_msg_size=bytes_max,
            timeout=ClientWSTimeout(ws_close=CLOSE_S),
        )
    except WSServerHandshakeError as refused:
        raise Answered(refused.status, b"") from None


class SocketLines(Lines):
    """The messages of a WebSocket, cut into lines."""

    def __init__(self, socket: ClientWebSocketResponse, split: Split, silence_s: float) -> None:
        self._socket = socket
        self._split = split
        self._silence_s = silence_s
        self._held: deque[bytes] = deque()
        self._pings = asyncio.get_running_loop().create_task(self._ping_for_ever())

    async def open(self, steps: tuple[Step, ...]) -> None:
        """Takes the steps; lines that belong to none wait to be read. Raises BrokerError."""
        early: list[bytes] = []
        for step in steps:
            if step.says is not None:
                await self.say(step.says)
            while not step.hears(line := await anext(self)):
                if line:
                    early.append(line)
                if len(early) > HELD_LINES_MAX:
                    raise BrokerError("the stream talks, and does not open")
        self._held.extendleft(reversed(early))

    async def __anext__(self) -> bytes:
        """The next line; an empty one is a sign of life. Raises BrokerError."""
        while not self._held:
            self._held.extend(await self._receive())
        return self._held.popleft()

    async def _receive(self) -> tuple[bytes, ...]:
        try:
            message = await self._socket.receive(timeout=self._silence_s)
        except TimeoutError:
            silence_ms = self._silence_s * 1_000
            raise BrokerError(f"the stream was silent for {silence_ms:.0f} ms") from None
        if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
            data = message.data
            return self._cut(data.encode() if isinstance(data, str) else data)
        if message.type is WSMsgType.PONG:
            return (b"",)
        if message.type is WSMsgType.PING:
            with contextlib.suppress(ConnectionError, ClientError):
                await self._socket.pong(message.data)
            return (b"",)
        raise BrokerError(
            f"the stream was closed by the broker: {_why(self._socket, message.data)}"
        )

    def _cut(self, message: bytes) -> tuple[bytes, ...]:
        try:
            return self._split(message)
        except (MsgspecError, UnicodeDecodeError, RecursionError):
            raise BrokerError("a stream message that cannot be read") from None

    async def say(self, *frames: bytes) -> None:
        """Says the frames, in order, as text. Raises BrokerError."""
        try:
            for frame in frames:
                await self._socket.send_str(frame.decode())
        except (ClientError, OSError, RuntimeError, WSMessageTypeError) as error:
            raise BrokerError(f"the stream broke off: {type(error).__name__}") from None

    async def _ping_for_ever(self) -> None:
        while not self._socket.closed:
            await asyncio.sleep(self._silence_s / PINGS_A_SILENCE)
            # Whoever reads is told what is wrong; a ping need not.
            with contextlib.suppress(ConnectionError, ClientError, RuntimeError):
                await self._socket.ping()

    async def close(self) -> None:
        """Closes the socket, waiting a moment for the broker's own goodbye."""
        self._pings.cancel()
        with contextlib.suppress(ClientError, OSError):
            await self._socket.close()


def _why(socket: ClientWebSocketResponse, said: object) -> str:
    """The close code and what went with it, or what aiohttp made of it."""
    if isinstance(said, Exception):
        return type(said).__name__
    return str(socket.close_code)
