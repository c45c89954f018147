"""The REST server of one edge: aiohttp's protocol with limits, and nothing between it and us.

aiohttp's own application (router, middlewares, signals) is left out: the table of operations
routes, and each of those layers would be paid for by every order. What it would answer in words
of its own (malformed HTTP, bugs) is answered as problem details too, and never with a traceback.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from domain.commands import FromRouter
from domain.errors import Category, ErrorInfo, Outcome, Retry
from gateway.backend import Backend
from gateway.errors import refusal
from gateway.rest_desk import RestDesk
from gateway.rest_documents import documents
from gateway.rest_handler import RestHandler
from gateway.rest_problems import answer_problem, problem_of
from gateway.server import GatewayServer
from gateway.tickets import TicketBox
from gateway.way import PLAIN_ON_LOOPBACK, Way

CONNECTIONS_MAX = 1_000
LINE_BYTES_MAX = 8_190
HEADERS_MAX = 64
READ_BYTES_MAX = 65_536
KEEP_ALIVE_S = 75.0
LINGER_S = 1.0
STOP_S = 2.0

log = structlog.get_logger()


class RestProtocol(RequestHandler):
    """A client's socket: the first request must come in time, and errors are problems."""

    __slots__ = ("_opening",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        super().connection_made(transport)
        server: Any = self._manager
        if len(server.connections) > CONNECTIONS_MAX:
            transport.abort()  # type: ignore[attr-defined]
        self._opening = asyncio.get_running_loop().call_later(server.open_s, self._give_up)

    def _give_up(self) -> None:
        if not self._request_count:
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The socket is gone."""
        self._opening.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What HTTP's parser refused, or a bug of ours: the log has all of it, the client none."""
        if status == 400:
            error = refusal("bad_request", "this is not an HTTP request of ours")
        else:
            log.error("a request failed", path=request.raw_path[:200], exc_info=exc)
            error = _BUG
        response = answer_problem(problem_of(error, "/"))
        response.force_close()
        return response


_BUG = ErrorInfo(
    code="internal",
    category=Category.SYSTEM,
    outcome=Outcome.UNKNOWN,
    retry=Retry.SAME_ID,
    message="something went wrong here, and is in our log; send the same request again",
)


class _Sockets(web.Server):
    """Makes a protocol for each connect."""

    def __init__(self, handler: Any, open_s: float) -> None:
        super().__init__(
            handler,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=LINGER_S,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
            max_headers=HEADERS_MAX,
            read_bufsize=READ_BYTES_MAX,
            auto_decompress=False,
        )
        self.open_s = open_s

    def __call__(self) -> RestProtocol:
        """A new client's protocol."""
        return RestProtocol(self, loop=self._loop, **self._kwargs)


class RestServer:
    """Serves REST beside a gateway's WebSocket server, with the same tokens, limits and router."""

    def __init__(
        self, backend: Backend, gateway: GatewayServer, tickets: TicketBox, name: str
    ) -> None:
        gateway.tickets = tickets
        self.desk = RestDesk(backend, gateway.around)
        self._tickets = tickets
        self._handler = RestHandler(self.desk, tickets, gateway.find_token, name, documents())
        self._settings = gateway.settings
        self._server: _Sockets | None = None
        self._listeners: list[asyncio.Server] = []

    async def start(self, sockets: Iterable[socket.socket], way: Way = PLAIN_ON_LOOPBACK) -> None:
        """Serves on bound sockets; ValueError where the way does not allow one."""
        loop = asyncio.get_running_loop()
        self._server = _Sockets(self._handler.handle, self._settings.open_timeout_ms / 1000)
        self._tickets.clear()
        self.desk.start()
        for sock in sockets:
            options = way.options(sock, self._settings)
            self._listeners.append(await loop.create_server(self._server, sock=sock, **options))

    async def stop(self) -> None:
        """Takes no more clients, answers what is under way, and lets those answered go."""
        for listener in self._listeners:
            listener.close()
        await self.desk.drain()
        self.desk.stop()
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(STOP_S)

    def deliver(self, message: FromRouter) -> None:
        """Takes one message of the router."""
        self.desk.deliver(message)

    def router_lost(self) -> None:
        """The router is gone."""
        self.desk.router_lost()
