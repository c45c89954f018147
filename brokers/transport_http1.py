"""HTTP/1.1 for the order path: kept connections, one request each at a time, nothing twice.

aiohttp costs about 190 µs of processor time a call here, this about a third of it
(bench/order_round_trip). The parser is httptools, the one under uvicorn. It is small because it
does little: no redirects, no cookies, no compression, no retries, and no pipelining.

`NotSent` is raised only where no connection was to be had. From the first byte on every
trouble is `OutcomeUnknown`, a kept connection that the broker closed meanwhile included.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import TypeVar, cast

import httptools
from msgspec import Struct
from yarl import URL

from brokers.adapter import NotSent, OutcomeUnknown, Request, Response

BODY_BYTES_MAX = 32 * 1024 * 1024
HEAD_BYTES_MAX = 64 * 1024

Heard = Callable[[Response | OutcomeUnknown], None]
"""Called once with what became of a request."""


P = TypeVar("P", bound=asyncio.BaseProtocol)


class PoolSettings(Struct, frozen=True, kw_only=True):
    """Where to, with how many connections, and how long one may take or stay (s)."""

    url: str
    connections_max: int
    connect_timeout_s: float
    keepalive_s: float
    body_bytes_max: int = BODY_BYTES_MAX


class _Asked(Struct, frozen=True):
    """A request under way."""

    request: Request
    deadline: float
    timeout_s: float
    heard: Heard


class Door:
    """The way into one host. `headers` are on every request and never shown."""

    def __init__(self, host_url: str, headers: Mapping[str, str]) -> None:
        url = URL(host_url)
        self._host, self._port = str(url.host), int(url.port or 443)
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._head = _encode_headers({"Host": url.authority, **headers})
        self._latest: tuple[Mapping[str, str], bytes] = ({}, b"")

    async def connect(self, make: Callable[[], P], timeout_s: float) -> P:
        """A connection. Raises NotSent."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                _, made = await loop.create_connection(make, self._host, self._port, ssl=self._tls)
        except (OSError, TimeoutError) as error:
            raise NotSent(f"no connection: {type(error).__name__}") from None
        return made

    def encode(self, request: Request) -> bytes:
        """The request as it is sent."""
        body = request.body or b""
        line = f"{request.method} {request.path} HTTP/1.1\r\n".encode("ascii")
        assert b"\r\n" not in line[:-2]
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        own, encoded = self._latest
        if request.headers is not own:
            encoded = _encode_headers(request.headers)
            self._latest = (request.headers, encoded)
        return b"".join((line, self._head, encoded, length, body))


class Pool:
    """Connections to one host. `headers` are on every request and never shown."""

    def __init__(self, settings: PoolSettings, headers: Mapping[str, str]) -> None:
        self._settings = settings
        self._door = Door(settings.url, headers)
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._opening = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._is_closed = False

    def begin(
        self, request: Request, timeout_s: float, check: Callable[[], None], heard: Heard
    ) -> bool:
        """Asks at once, if a connection is at rest; else False, and nothing is done.

        What `check` raises right before the first byte is raised, and nothing is sent.
        """
        connection = self._take()
        if connection is None:
            return False
        deadline = asyncio.get_running_loop().time() + timeout_s
        self._ask(connection, _Asked(request, deadline, timeout_s, heard), check)
        return True

    async def send(
        self, request: Request, timeout_s: float, check: Callable[[], None] | None = None
    ) -> Response:
        """The answer, whole; header names in lower case. Raises NotSent, OutcomeUnknown.

        What `check` raises right before the first byte is raised, and nothing is sent.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        connection = self._take() or await self._wait_for_one(deadline)
        answer: asyncio.Future[Response] = loop.create_future()
        asked = _Asked(request, deadline, timeout_s, partial(_settle, answer))
        self._ask(connection, asked, check)
        try:
            return await answer
        finally:
            if answer.cancelled():
                connection.abort("given up")

    def _ask(
        self, connection: _Connection, asked: _Asked, check: Callable[[], None] | None
    ) -> None:
        try:
            data = self._door.encode(asked.request)
            if check is not None:
                # Nothing is awaited between this and the write: a halt confirmed is a halt.
                check()
        except BaseException:
            self._give_back(connection)
            raise
        connection.ask(data, asked)

    async def open_ahead(self, count: int) -> None:
        """Opens up to `count` connections that orders then use. Raises NotSent."""
        wanted = min(count, self._settings.connections_max) - len(self._open)
        timeout_s = self._settings.connect_timeout_s
        made = await asyncio.gather(*(self._connect(timeout_s) for _ in range(max(0, wanted))))
        for connection in made:
            self._give_back(connection)

    def close(self) -> None:
        """Closes every connection; what is under way ends as unknown."""
        self._is_closed = True
        for connection in tuple(self._open):
            connection.abort("closed by us")
        self._idle.clear()
        self._wake()

    def _take(self) -> _Connection | None:
        """The connection used last: the others may grow old and go."""
        oldest = asyncio.get_running_loop().time() - self._settings.keepalive_s
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable and connection.used_at >= oldest:
                return connection
            connection.abort("kept too long")
        return None

    async def _wait_for_one(self, deadline: float) -> _Connection:
        loop = asyncio.get_running_loop()
        while not self._is_closed:
            left_s = deadline - loop.time()
            if len(self._open) + self._opening < self._settings.connections_max:
                return await self._connect(min(left_s, self._settings.connect_timeout_s))
            waiter = loop.create_future()
            self._waiters.append(waiter)
            try:
                await asyncio.wait_for(waiter, left_s)
            except TimeoutError:
                raise NotSent("no connection: all are in use") from None
            connection = self._take()
            if connection is not None:
                return connection
        raise NotSent("no connection: the pool is closed")

    async def _connect(self, timeout_s: float) -> _Connection:
        limit = self._settings.body_bytes_max
        self._opening += 1
        try:
            made = await self._door.connect(
                lambda: _Connection(limit, self._give_back, self._forget), timeout_s
            )
        except NotSent:
            # The place it would have taken is free again.
            self._wake()
            raise
        finally:
            self._opening -= 1
        self._open.add(made)
        return made

    def _give_back(self, connection: _Connection) -> None:
        if connection.is_usable and not self._is_closed:
            connection.used_at = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.abort("not to be used again")
        self._wake()

    def _forget(self, connection: _Connection) -> None:
        self._open.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class _Connection(asyncio.Protocol):
    """One socket: asked, it answers once before it is asked again."""

    def __init__(
        self,
        body_bytes_max: int,
        give_back: Callable[[_Connection], None],
        forget: Callable[[_Connection], None],
    ) -> None:
        self._body_bytes_max = body_bytes_max
        self._give_back = give_back
        self._forget = forget
        self._transport: asyncio.Transport | None = None
        self._asked: _Asked | None = None
        self._whole: Response | None = None
        self._fault: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._keeps = True
        self._size = 0
        self._body: list[bytes] = []
        self._headers: dict[str, str] = {}
        self.used_at = 0.0

    @property
    def is_usable(self) -> bool:
        """True where it is open, at rest, and the broker keeps it."""
        transport = self._transport
        at_rest = self._asked is None
        return transport is not None and not transport.is_closing() and self._keeps and at_rest

    def ask(self, data: bytes, asked: _Asked) -> None:
        """Sends; what was asked is told of the whole answer, or of why there is none."""
        assert self._transport is not None
        assert self._asked is None
        self._asked = asked
        self._parser = httptools.HttpResponseParser(self)
        self._body, self._headers, self._size, self._keeps = [], {}, 0, False
        self._whole = self._fault = None
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(asked.deadline, self._run_out)
        self._transport.write(data)

    def _run_out(self) -> None:
        assert self._asked is not None
        self.abort(f"no answer within {self._asked.timeout_s * 1_000:.0f} ms")

    def abort(self, why: str) -> None:
        """Closes at once; a request under way ends as unknown."""
        self._fail(why)
        self._keeps = False
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, why: str) -> None:
        if self._asked is not None:
            self._end(OutcomeUnknown(why))

    def _end(self, outcome: Response | OutcomeUnknown) -> None:
        """Free for others before the outcome is told: what follows from it may need the place."""
        asked, self._asked = self._asked, None
        assert asked is not None
        assert self._timer is not None
        self._timer.cancel()
        self._give_back(self)
        asked.heard(outcome)

    # -- the socket's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open; asyncio has set TCP_NODELAY."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; what nobody asked for closes the connection."""
        if self._asked is None:
            self.abort("an answer to nothing")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fault = f"an answer that is no HTTP: {type(error).__name__}"
        # Told here: what fails in a call of the parser's comes out as one of its errors.
        if self._fault is not None:
            self.abort(self._fault)
        elif self._whole is not None:
            self._end(self._whole)

    def eof_received(self) -> None:
        """The broker closes: a body without a length may end here, and no other."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone, with or without an answer."""
        why = type(exc).__name__ if exc is not None else "the broker closed the connection"
        self._transport = None
        self._fail(f"the answer broke off: {why}")
        self._forget(self)

    # -- the parser's calls

    def on_message_begin(self) -> None:
        """A second answer in one piece with the first: nobody asked, so nobody asks here again."""
        if self._whole is not None:
            self._keeps = False
            self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        self._size += len(name) + len(value)
        if self._size > HEAD_BYTES_MAX:
            self._fault = f"a head over {HEAD_BYTES_MAX} bytes"
        self._headers[_lower(name)] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The body's size starts anew."""
        self._size = 0

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._size += len(body)
        if self._size > self._body_bytes_max:
            self._fault = f"an answer over {self._body_bytes_max} bytes"
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._whole is not None:
            return
        self._keeps = self._parser.should_keep_alive()
        self._whole = Response(
            status=self._parser.get_status_code(),
            body=b"".join(self._body),
            headers=self._headers,
        )


def _settle(answer: asyncio.Future[Response], outcome: Response | OutcomeUnknown) -> None:
    if answer.done():
        return  # Given up by the one who asked.
    if isinstance(outcome, Response):
        answer.set_result(outcome)
    else:
        answer.set_exception(outcome)


@lru_cache(maxsize=256)
def _lower(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _encode_headers(headers: Mapping[str, str]) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    assert not any("\r" in line[:-2] or "\n" in line[:-2] for line in lines), "a header's line end"
    return "".join(lines).encode("latin-1")
