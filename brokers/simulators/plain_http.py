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

import httptools
from msgspec import Struct

BODY_BYTES_MAX = 65_536
"""A larger body no dialect takes."""
HEAD_BYTES_MAX = 8_192
UNSENT_BYTES_MAX = 16 * 1024 * 1024
"""A client that asks and does not read its answers is cut off."""
NOT_PLAIN = frozenset({"transfer-encoding", "upgrade", "expect", "connection", "origin"})


class Asked(Struct, frozen=True):
    """A request, whole. Header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


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
        self._unanswered = b""
        self._request = _Request()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open; asyncio has set TCP_NODELAY."""
        # uvloop's transports are asyncio's by shape, not by class.
        self.transport = cast(asyncio.Transport, transport)
        self._opened.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone."""
        self._opened.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answers a whole request. Several in one piece are not plain."""
        self._unanswered += data
        transport = self.transport
        assert transport is not None
        try:
            asked = self._request.feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._pass_on(transport)
            return
        if asked is None:
            if len(self._unanswered) > HEAD_BYTES_MAX + BODY_BYTES_MAX:
                self._pass_on(transport)
            return
        answer = self._answer(asked)
        if answer is None:
            self._pass_on(transport)
            return
        self._unanswered = b""
        transport.write(answer)
        if transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            transport.abort()

    def abort(self) -> None:
        """Closes at once."""
        if self.transport is not None:
            self.transport.abort()

    def _pass_on(self, transport: asyncio.Transport) -> None:
        self._opened.discard(self)
        other, data = self._other(), self._unanswered
        self._unanswered = b""
        transport.set_protocol(other)
        other.connection_made(transport)
        other.data_received(data)


class _NotPlain(Exception):
    """Somebody else must read this."""


class _Request:
    """What the parser tells of a request. What a callback raises ends the parsing."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = b""
        self._is_begun = self._is_whole = False

    def feed(self, data: bytes) -> Asked | None:
        """The request, once it is whole. Raises HttpParserError, HttpParserUpgrade."""
        self._parser.feed_data(data)
        if not self._is_whole:
            return None
        path, _, query = self._url.decode("ascii").partition("?")
        method = self._parser.get_method().decode("ascii")
        asked = Asked(method, path, query, self._headers, self._body)
        self._begin()
        return asked

    def on_message_begin(self) -> None:
        """A second one behind the first, which is not answered yet."""
        if self._is_begun:
            raise _NotPlain
        self._is_begun = True

    def on_url(self, url: bytes) -> None:
        """A piece of it."""
        if not url.isascii():
            raise _NotPlain
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        key = name.decode("latin-1").lower()
        if key in self._headers or key in NOT_PLAIN:
            raise _NotPlain
        self._headers[key] = value.decode("latin-1").strip(" \t")

    def on_headers_complete(self) -> None:
        """All of them."""
        if self._parser.get_http_version() != "1.1":
            raise _NotPlain

    def on_body(self, body: bytes) -> None:
        """A piece of it."""
        self._body += body
        if len(self._body) > BODY_BYTES_MAX:
            raise _NotPlain

    def on_message_complete(self) -> None:
        """Whole."""
        self._is_whole = True


@lru_cache(maxsize=64)
def status_line(status: int) -> str:
    """The first line of an answer, and what every answer says of itself."""
    phrase = HTTPStatus(status).phrase
    return f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\n"
