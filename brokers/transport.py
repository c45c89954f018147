"""The only I/O towards brokers: requests over transport_http1.py, and streams.

A stream is lines of a chunked answer (transport_lines.py), or the messages of a WebSocket
(transport_websocket.py over aiohttp).

`NotSent` is raised only on proof: no connection was established, or none was free in time.
Everything else that goes wrong with an order is `OutcomeUnknown`, a keep-alive connection that
the server closed included; nothing is ever sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from typing import Annotated

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ConnectionTimeoutError,
    DummyCookieJar,
    TCPConnector,
)
from msgspec import Meta, Struct
from yarl import URL

from brokers.adapter import (
    BrokerError,
    Host,
    NotSent,
    OutcomeUnknown,
    Request,
    Response,
    SocketStream,
)
from brokers.transport_http1 import Door, Heard, Pool, PoolSettings
from brokers.transport_lines import ChunkedLines, LineLimits
from brokers.transport_websocket import Lines, SocketLines, shake_hands

BODY_BYTES_MAX = 32 * 1024 * 1024
"""A longer answer is given up: OutcomeUnknown for an order, BrokerError for a read."""
LINE_BYTES_MAX = 1024 * 1024
"""A longer stream line, or refusal of a stream, closes the stream with a BrokerError."""
CONNECT_SHARE = 0.8
"""Of the whole timeout: a slow connect must be seen as such before the whole runs out."""
NEVER_ROUND_S = 86_400.0
"""aiohttp rounds timeouts above this up to whole seconds; ours are exact."""

OPENING_S_MAX = 10.0
"""A WebSocket stream that is not logged in and listening by then is given up."""

USER_AGENT = "fillgate"


class TransportSettings(Struct, frozen=True, kw_only=True):
    """Where to and how many. URLs are https (or wss), or http (ws) to loopback (a simulator)."""

    rest_url: str
    stream_url: str
    connections_max: Annotated[int, Meta(ge=1, le=64)] = 8
    streams_max: Annotated[int, Meta(ge=1, le=20)] = 4
    warm_connections: Annotated[int, Meta(ge=0, le=64)] = 2
    connect_timeout_ms: Annotated[int, Meta(ge=1, le=60_000)] = 2_000
    keepalive_s: Annotated[int, Meta(ge=1, le=3_600)] = 60
    dns_ttl_s: Annotated[int, Meta(ge=1, le=3_600)] = 60

    def __post_init__(self) -> None:
        """Raises ValueError for a URL that would send the secret in the clear."""
        for name in ("rest_url", "stream_url"):
            fault = find_url_fault(getattr(self, name))
            if fault is not None:
                raise ValueError(f"{name}: {fault}")
        if self.warm_connections > self.connections_max:
            raise ValueError("warm_connections: must be at most connections_max")


def find_url_fault(text: str) -> str | None:
    """Why it cannot be a broker's base URL, or None."""
    try:
        url = URL(text)
    except ValueError:
        return "not a URL"
    if url.scheme not in ("http", "https", "ws", "wss") or not url.host:
        return "must be https://host or http://loopback"
    if url.path not in ("", "/") or url.query_string or url.fragment or url.user:
        return "must be a scheme, a host and a port only"
    if url.scheme in ("http", "ws") and not _is_loopback(url.host):
        return f"{url.scheme} is for loopback only; use https"
    return None


class Transport:
    """One login's connections to one broker. `secret_headers` are on every request, never shown.

    `async with`, or `open` and `close`. Stream and order connections are pooled apart, so no
    stream takes a connection from an order.
    """

    def __init__(self, settings: TransportSettings, secret_headers: Mapping[str, str]) -> None:
        self._settings = settings
        self._plain_headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # Inflating costs time on the order path.
            "User-Agent": USER_AGENT,
        }
        self._headers = {**self._plain_headers, **secret_headers}
        self._rest_url = _http_url(settings.rest_url)
        self._stream_url = _http_url(settings.stream_url)
        self._rest: Pool | None = None
        self._door: Door | None = None
        self._chunked: set[ChunkedLines] = set()
        self._sockets: ClientSession | None = None

    def __repr__(self) -> str:
        """Without the headers: they hold the secret."""
        return f"Transport({self._rest_url!r}, {self._stream_url!r})"

    async def __aenter__(self) -> Transport:
        """Opens the pools."""
        self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the pools and every connection."""
        await self.close()

    def open(self) -> None:
        """Makes the pools; must run inside the event loop. Connects nothing yet."""
        settings = self._settings
        self._rest = Pool(
            PoolSettings(
                url=self._rest_url,
                connections_max=settings.connections_max,
                connect_timeout_s=settings.connect_timeout_ms / 1_000,
                keepalive_s=settings.keepalive_s,
                body_bytes_max=BODY_BYTES_MAX,
            ),
            self._headers,
        )
        self._door = Door(self._stream_url, self._headers)
        self._sockets = self._session()

    async def close(self) -> None:
        """Closes every connection; streams being read end with a BrokerError."""
        rest, sockets = self._rest, self._sockets
        self._rest = self._door = self._sockets = None
        for lines in tuple(self._chunked):
            lines.close()
        if rest is not None:
            rest.close()
        if sockets is not None:
            await sockets.close()

    def begin(
        self, request: Request, timeout_ms: int, check: Callable[[], None], heard: Heard
    ) -> bool:
        """As `send`, at once and without a task; False, with nothing done, where none is free."""
        assert self._rest is not None, "the transport is not open"
        return self._rest.begin(request, timeout_ms / 1_000, check, heard)

    async def send(
        self, request: Request, timeout_ms: int, check: Callable[[], None] | None = None
    ) -> Response:
        """The answer to a request that may change something, sent at most once.

        `check` is called right before the first byte; what it raises is raised, and nothing sent.
        Raises NotSent or OutcomeUnknown; an error status is an answer like any other.
        """
        assert self._rest is not None, "the transport is not open"
        return await self._rest.send(request, timeout_ms / 1_000, check)

    async def read(self, request: Request, timeout_ms: int) -> Response:
        """The answer to a request that changes nothing. Raises BrokerError."""
        try:
            return await self.send(request, timeout_ms)
        except BrokerError as error:
            raise BrokerError(f"{request.method} failed: {error}") from None

    async def lines(self, request: Request, silence_ms: int) -> AsyncGenerator[bytes, None]:
        """The lines of a stream; see `open_lines`."""
        async with self.open_lines(request, silence_ms) as lines:
            async for line in lines:
                yield line

    @asynccontextmanager
    async def open_lines(self, request: Request, silence_ms: int) -> AsyncGenerator[Lines, None]:
        """A stream, open: from here on nothing is missed. Its lines lack their ends.

        Never ends well: raises BrokerError on silence, on a line too long and when it closes
        (half a last line is dropped), Answered where the broker refuses the stream. A WebSocket
        is open once every step of it is confirmed; an empty line is a sign of life.
        """
        if isinstance(request, SocketStream):
            opened = self._open_socket(request, silence_ms)
        else:
            opened = self._open_chunked(request, silence_ms)
        async with opened as lines:
            yield lines

    @asynccontextmanager
    async def _open_chunked(self, request: Request, silence_ms: int) -> AsyncGenerator[Lines, None]:
        assert self._door is not None, "the transport is not open"
        if len(self._chunked) >= self._settings.streams_max:
            raise BrokerError("the stream did not open: all streams are in use")
        lines = ChunkedLines(LineLimits(silence_ms=silence_ms, line_bytes_max=LINE_BYTES_MAX))
        self._chunked.add(lines)
        try:
            with _stream_trouble(silence_ms):
                connect_s = self._settings.connect_timeout_ms / 1_000
                await self._door.connect(lambda: lines.socket, connect_s)
                await lines.open(self._door.encode(request))
            # The reader's own errors pass untouched: a full disk is no broken stream.
            yield lines
        finally:
            self._chunked.discard(lines)
            lines.close()

    @asynccontextmanager
    async def _open_socket(
        self, request: SocketStream, silence_ms: int
    ) -> AsyncGenerator[Lines, None]:
        base_url = self._rest_url if request.host is Host.REST else self._stream_url
        session = _opened(self._sockets)
        opening_s = min(silence_ms / 1_000, OPENING_S_MAX)
        lines: SocketLines | None = None
        try:
            with _stream_trouble(silence_ms), _in_time(opening_s):
                async with asyncio.timeout(opening_s):
                    socket = await shake_hands(session, base_url, request, LINE_BYTES_MAX)
                    lines = SocketLines(socket, request.split, silence_ms / 1_000)
                    await lines.open(request.steps)
            yield lines
        finally:
            if lines is not None:
                await lines.close()

    async def warm_up(self) -> None:
        """Opens connections ahead, so that no order waits for a handshake. Raises BrokerError."""
        assert self._rest is not None, "the transport is not open"
        await self._rest.open_ahead(self._settings.warm_connections)

    def _session(self) -> ClientSession:
        """For WebSockets; aiohttp sets TCP_NODELAY on every connection."""
        connector = TCPConnector(
            limit=self._settings.streams_max,
            keepalive_timeout=self._settings.keepalive_s,
            ttl_dns_cache=self._settings.dns_ttl_s,
            timeout_ceil_threshold=NEVER_ROUND_S,
        )
        return ClientSession(
            connector=connector,
            headers=self._plain_headers,
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            middlewares=(_name_the_trouble,),
        )


async def _name_the_trouble(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Connects, sends, and reads the head; says what a failure means before aiohttp retries it."""
    try:
        return await handler(request)
    except (ConnectionTimeoutError, ClientConnectorError) as error:
        raise NotSent(f"no connection: {type(error).__name__}") from None
    except TimeoutError:
        raise  # Not repeated by aiohttp; the caller knows how long it was.
    except (ClientError, OSError) as error:
        raise OutcomeUnknown(f"no answer: {type(error).__name__}") from None


@contextmanager
def _stream_trouble(silence_ms: int) -> Iterator[None]:
    """Whatever ends a stream as one BrokerError; Answered passes."""
    try:
        yield
    except TimeoutError:
        raise BrokerError(f"the stream was silent for {silence_ms} ms") from None
    except (NotSent, OutcomeUnknown) as error:
        raise BrokerError(f"the stream did not open: {error}") from None
    except (ClientError, OSError, RuntimeError) as error:
        # aiohttp says RuntimeError of a connection closed between two reads.
        raise BrokerError(f"the stream broke off: {type(error).__name__}") from None


@contextmanager
def _in_time(opening_s: float) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise BrokerError(f"the stream did not open within {opening_s:g} s") from None


def _http_url(url: str) -> str:
    """A WebSocket's URL is the same host's; aiohttp opens it from either."""
    scheme, colon, rest = url.rstrip("/").partition(":")
    return {"ws": "http", "wss": "https"}.get(scheme, scheme) + colon + rest


def _opened(session: ClientSession | None) -> ClientSession:
    assert session is not None, "the transport is not open"
    return session


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
