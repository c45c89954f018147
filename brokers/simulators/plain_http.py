"""The plain part of HTTP/1.1: a whole request in, its answer out at once, the connection kept.

A paper broker stands in for the real one in every latency we show, and aiohttp costs 100 µs of
processor time a request. What is not plain is aiohttp's, with its connection: a stream, a
WebSocket, a body in chunks, an unusual head, and whatever the dialect leaves to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import cast

from msgspec import Struct

BODY_BYTES_MAX = 65_536
"""A larger body is no plain one."""
HEAD_BYTES_MAX = 8_192
UNSENT_BYTES_MAX = 16 * 1024 * 1024
"""A client that asks and does not read its answers is cut off."""
HEADS_KEPT = 256
NOT_PLAIN = frozenset({"transfer-encoding", "upgrade", "expect", "connection", "origin"})


class Asked(Struct, frozen=True):
    """A request, whole. Header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class _NotPlain(Exception):
    """Somebody else must read this."""


class PlainHttp(asyncio.Protocol):
    """One connection. `answer` gives the bytes to write, or None to pass it on to `other`."""

    def __init__(
        self,
        answer: Callable[[Asked], bytes | None],
        other: Callable[[], asyncio.Protocol],
        opened: set[PlainHttp],
    ) -> None:
        self._answer = answer
        self._other = other
        self._opened = opened
        self.transport: asyncio.Transport | None = None
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open; asyncio has set TCP_NODELAY."""
        # uvloop's transports are asyncio's by shape, not by class.
        self.transport = cast(asyncio.Transport, transport)
        self._opened.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone."""
        self._opened.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answers every whole request in it."""
        self._data += data
        transport = self.transport
        assert transport is not None
        try:
            while (found := _cut(self._data)) is not None:
                asked, stop = found
                answer = self._answer(asked)
                if answer is None:
                    raise _NotPlain
                transport.write(answer)
                self._data = self._data[stop:]
        except _NotPlain:
            self._pass_on(transport)
            return
        if transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            transport.abort()

    def abort(self) -> None:
        """Closes at once."""
        if self.transport is not None:
            self.transport.abort()

    def _pass_on(self, transport: asyncio.Transport) -> None:
        self._opened.discard(self)
        other, data = self._other(), self._data
        self._data = b""
        transport.set_protocol(other)
        other.connection_made(transport)
        other.data_received(data)


def _cut(data: bytes) -> tuple[Asked, int] | None:
    """The first request and where it ends; None while it is not whole. Raises _NotPlain."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > HEAD_BYTES_MAX:
            raise _NotPlain
        return None
    line, _, rest = data[:end].partition(b"\r\n")
    words = line.split(b" ")
    if len(words) != 3 or words[2] != b"HTTP/1.1" or not line.isascii():
        raise _NotPlain
    headers, size = _read_headers(rest)
    stop = end + 4 + size
    if len(data) < stop:
        return None
    path, _, query = words[1].decode("ascii").partition("?")
    return Asked(words[0].decode("ascii"), path, query, headers, data[end + 4 : stop]), stop


@lru_cache(maxsize=HEADS_KEPT)
def _read_headers(block: bytes) -> tuple[Mapping[str, str], int]:
    """The headers and the length of the body. Raises _NotPlain."""
    headers: dict[str, str] = {}
    for line in block.decode("latin-1").split("\r\n") if block else ():
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or name in headers or name in NOT_PLAIN or not _is_token(name):
            raise _NotPlain
        headers[name] = value.strip(" \t")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit() and len(length) < 6):
        raise _NotPlain
    if int(length) > BODY_BYTES_MAX:
        raise _NotPlain
    return headers, int(length)


def _is_token(name: str) -> bool:
    return name.replace("-", "").replace("_", "").isalnum() and name.isascii()


@lru_cache(maxsize=64)
def status_line(status: int) -> str:
    """The first line of an answer, and what every answer says of itself."""
    phrase = HTTPStatus(status).phrase
    return f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\n"
