"""A chunked answer that never ends, as lines: one connection each, read without aiohttp.

A line wakes its reader and nobody else: on the order path an event comes with every answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

import httptools
from msgspec import Struct

from brokers.adapter import Answered, BrokerError
from brokers.transport_websocket import Lines

HELD_BYTES_MAX = 256 * 1024
"""What a reader has yet to take; beyond it the broker is kept waiting."""
RELOOK_S = 0.05
"""How soon a stream is looked at again whose reader was behind when it ought to have ended."""
OK = 200


class LineLimits(Struct, frozen=True, kw_only=True):
    """How long a stream may be silent, and how much one line, or a refusal, may be."""

    silence_ms: int
    line_bytes_max: int


class ChunkedLines(Lines):
    """The lines of a chunked answer. Nothing can be said on it."""

    def __init__(self, limits: LineLimits) -> None:
        self.socket = _Socket(limits)

    async def open(self, request: bytes) -> None:
        """Asks, and waits for the head of the answer. Raises BrokerError, Answered."""
        socket = self.socket
        socket.write(request)
        while socket.status is None:
            await socket.more()
        if socket.status != OK:
            while not socket.is_whole:
                await socket.more()
            raise Answered(socket.status, socket.rest)

    async def __anext__(self) -> bytes:
        """The next line. Raises BrokerError."""
        socket = self.socket
        while not socket.lines:
            await socket.more()
        return socket.take()

    async def say(self, *frames: bytes) -> None:
        """Never to be called: its adapter has nothing to say on an open stream."""
        raise AssertionError("a chunked stream only listens")

    def close(self) -> None:
        """Closes at once; a reader that waits is told."""
        self.socket.end("the stream was closed by us")


class _Socket(asyncio.Protocol):
    """One connection: what came and is not yet taken."""

    def __init__(self, limits: LineLimits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._silence_s = limits.silence_ms / 1_000
        self._heard_at = self._loop.time()
        self._timer = self._loop.call_later(self._silence_s, self._look)
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._why: str | None = None
        self._held = 0
        self._is_paused = False
        self.lines: deque[bytes] = deque()
        self.status: int | None = None
        self.rest = b""
        self.is_whole = False

    # -- the reader's calls

    def write(self, data: bytes) -> None:
        """Sends the request."""
        assert self._transport is not None
        self._transport.write(data)

    async def more(self) -> None:
        """Waits until anything came. Raises BrokerError where nothing will."""
        if self._why is not None:
            raise BrokerError(self._why)
        self._waiter = self._loop.create_future()
        await self._waiter

    def take(self) -> bytes:
        """The oldest line."""
        line = self.lines.popleft()
        self._held -= len(line)
        if self._is_paused and self._held <= HELD_BYTES_MAX and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return line

    def end(self, why: str) -> None:
        """Over; lines that came before can still be taken."""
        if self._why is None:
            self._why = why
        self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _look(self) -> None:
        """Ends a silent stream; one whose reader is behind is not silent."""
        left_s = self._heard_at + self._silence_s - self._loop.time()
        if left_s <= 0 and not self.lines:
            self.end(f"the stream was silent for {self._limits.silence_ms} ms")
        else:
            self._timer = self._loop.call_later(max(left_s, RELOOK_S), self._look)

    # -- the socket's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open."""
        # uvloop's transports are asyncio's by shape, not by class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, and wakes the reader for what came of it."""
        self._heard_at = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.end(f"the stream broke off: {type(error).__name__}")
            return
        if self._held > HELD_BYTES_MAX and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone before its end."""
        self._transport = None
        self.end("the stream broke off" + (f": {type(exc).__name__}" if exc is not None else ""))

    # -- the parser's calls

    def on_headers_complete(self) -> None:
        """The answer begins."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """A piece of the answer."""
        if self.status != OK:
            self.rest += body
            if len(self.rest) > self._limits.line_bytes_max:
                self.end(f"the stream did not open: over {self._limits.line_bytes_max} bytes")
            return
        *whole, self.rest = (self.rest + body).split(b"\n")
        for line in whole:
            self._take_in(line.rstrip(b"\r"))
        if len(self.rest) > self._limits.line_bytes_max:
            self._end_of_long()

    def _take_in(self, line: bytes) -> None:
        if len(line) > self._limits.line_bytes_max:
            self._end_of_long()
        elif line and self._why is None:
            self.lines.append(line)
            self._held += len(line)

    def _end_of_long(self) -> None:
        self.end(f"a stream line over {self._limits.line_bytes_max} bytes")

    def on_message_complete(self) -> None:
        """The broker ends it, which it should not."""
        self.is_whole = self._why is None
        if self.status == OK:
            self.end("the stream was closed by the broker")
