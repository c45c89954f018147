"""The WebSocket server of one edge: who is connected, who follows what, and one timer for all.

Everything runs in one loop without a task for each message. Answers find their session by
`ref`; what is published is encoded once for each codec and shared by all that follow it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from domain.commands import (
    Answer,
    FromRouter,
    LoggedIn,
    Login,
    Logout,
    Published,
    Query,
    QueryAnswer,
    ReadStream,
    SessionReplaced,
    StreamPage,
    Submit,
)
from domain.errors import Category
from domain.streams import StreamUpdate
from gateway.authority import Principal
from gateway.backend import Backend, Clocks, Surroundings
from gateway.codec import Codec
from gateway.connection import Connection
from gateway.errors import forbidden, going_away, refusal
from gateway.fanout import QuoteFanout
from gateway.handshake import Doors
from gateway.metrics import Counts
from gateway.refused import RefusedLogins
from gateway.settings import GatewaySettings
from gateway.tickets import TicketBox
from gateway.tokens import TokenBook
from gateway.way import PLAIN_ON_LOOPBACK, Way
from gateway.wire import CloseCode

TICK_MS = 250
DRAIN_LOOK_S = 0.01
AWAY_MS_MAX = 2_000
Members = dict[Connection, None]


class GatewayServer:
    """Takes clients on given sockets; speaks to the router through `backend` alone."""

    def __init__(
        self, backend: Backend, tokens: TokenBook, clocks: Clocks, settings: GatewaySettings
    ) -> None:
        self.backend = backend
        self.settings = settings
        self.counts = Counts()
        self.quotes = QuoteFanout(self.counts, backend.subscribe_quotes, backend.unsubscribe_quotes)
        self.tickets: TicketBox | None = None
        self.doors = Doors(self.find_token, self._take_ticket)
        self.around = Surroundings(
            settings=settings,
            clocks=clocks,
            next_ref=self._next_ref,
            status=backend.status,
            latest_quotes=self.quotes.latest,
            find_quote_fault=backend.find_quote_fault,
            refused=RefusedLogins(),
        )
        self._tokens = tokens
        self._clocks = clocks
        self._ref = 0
        self._servers: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._connections: Members = {}
        self._per_token: Counter[str] = Counter()
        self._by_ref: dict[int, Connection] = {}
        self._followers: dict[str, Members] = {}
        self._tick_ms = min(TICK_MS, max(1, settings.heartbeat_ms // 2))
        self._ticks = 0
        self._is_stopping = False
        self._sent_away = 0
        self._emptied = asyncio.Event()
        self.held: dict[Connection, list[bytes]] | None = None
        """What waits to leave in one write, for each client; None where nothing is held."""
        self._framed: StreamUpdate | None = None
        self._frames: dict[str, bytes] = {}

    def _next_ref(self) -> int:
        self._ref += 1
        return self._ref

    # -- life

    async def start(self, sockets: Iterable[socket.socket], way: Way = PLAIN_ON_LOOPBACK) -> None:
        """Serves on bound sockets; ValueError where the way does not allow one."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            server = await loop.create_server(
                lambda: Connection(self), sock=sock, **way.options(sock, self.settings)
            )
            self._servers.append(server)
        self._timer = loop.call_later(self._tick_ms / 1000, self._tick)

    async def stop(self) -> None:
        """Takes no more clients; answers what is under way, sends all away, waits for their end."""
        self._is_stopping = True
        for server in self._servers:
            server.close()
        loop = asyncio.get_running_loop()
        until = loop.time() + self.settings.drain_ms_max / 1000
        while self._end_all(only_idle=loop.time() < until):
            await asyncio.sleep(DRAIN_LOOK_S)
        if self._timer is not None:
            self._timer.cancel()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), self.settings.close_timeout_ms / 1000)
        for connection in tuple(self._connections):
            connection.abort()

    def _end_all(self, *, only_idle: bool) -> bool:
        """Sends away all, or those without a request under way; True while some are left."""
        left = False
        for connection in tuple(self._connections):
            session = connection.session
            if session is not None and session.is_busy and only_idle:
                left = True
            elif session is None:
                connection.abort()
            else:
                # One after the other, or the next server gets them all at once.
                wait_ms = min(self._sent_away, AWAY_MS_MAX)
                self._sent_away += connection.close(CloseCode.GOING_AWAY, going_away(wait_ms))
        return left

    def _tick(self) -> None:
        self._ticks += 1
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._tick_ms / 1000, self._tick)
        self._tokens.refresh()
        now_ns = self._clocks.utc_ns()
        is_ping = self._ticks % max(1, self.settings.ping_ms // self._tick_ms) == 0
        for connection in tuple(self._connections):
            self._tick_one(connection, now_ns, is_ping)
        if is_ping:
            self._forget_given_up()
        if self.backend.status().is_router_up:
            refused = self.around.refused.take(self._clocks.boot_ns())
            if refused is not None:
                self.backend.note(refused)

    def _forget_given_up(self) -> None:
        """Drops the refs of requests that sessions gave up: no answer may ever come."""
        self._by_ref = {
            ref: connection
            for ref, connection in self._by_ref.items()
            if connection.session is not None and connection.session.awaits(ref)
        }

    def _tick_one(self, connection: Connection, now_ns: int, is_ping: bool) -> None:
        session = connection.session
        if session is None:
            return
        connection.idle_ticks += 1
        connection.silent_ticks += 1
        if not self._tokens.is_in_force(session.principal, now_ns):
            connection.close(CloseCode.UNAUTHORIZED, forbidden("the token is no longer in force"))
            return
        if connection.silent_ticks * self._tick_ms >= self.settings.silence_ms_max:
            connection.end_silence(connection.silent_ticks * self._tick_ms)
            return
        connection.perform(session.tick())
        is_idle = (connection.idle_ticks + 1) * self._tick_ms > self.settings.heartbeat_ms
        if is_idle and not connection.outbox.is_paused:
            connection.perform(session.heartbeat())
        if is_ping:
            connection.ping()

    # -- the connections' calls

    def join(self, connection: Connection) -> bool:
        """A socket connected; False where there is no room for it."""
        if self._is_stopping or len(self._connections) >= self.settings.connections_max:
            return False
        self._connections[connection] = None
        self.counts.connections += 1
        return True

    def find_token(self, text: str) -> Principal | None:
        """Whom a bearer token speaks for."""
        return self._tokens.find(text, self._clocks.utc_ns())

    def _take_ticket(self, text: str, origin: str) -> Principal | None:
        """Whom a ticket speaks for, where its token is still in force."""
        principal = self.tickets.take(text, origin) if self.tickets is not None else None
        if principal is None or not self._tokens.is_in_force(principal, self._clocks.utc_ns()):
            return None
        return principal

    def count_of(self, principal: Principal) -> int:
        """How many sockets the token has open."""
        return self._per_token[principal.token_id]

    def admit(self, connection: Connection) -> None:
        """The upgrade is done."""
        assert connection.session is not None
        self._per_token[connection.session.principal.token_id] += 1
        self.counts.sessions += 1

    def leave(self, connection: Connection) -> None:
        """The socket is gone: nothing here may name it any more."""
        if self._connections.pop(connection, self) is self:
            return
        self.counts.connections -= 1
        if not self._connections and self._is_stopping:
            self._emptied.set()
        session = connection.session
        if session is None:
            return
        self.counts.sessions -= 1
        self._per_token[session.principal.token_id] -= 1
        if not self._per_token[session.principal.token_id]:
            del self._per_token[session.principal.token_id]
        for ref in session.refs():
            self._by_ref.pop(ref, None)
        for stream in session.follows.cursors:
            self.unfollow(connection, stream)
        for instrument in session.follows.watched:
            self.quotes.unwatch(connection, instrument)
        if session.login is not None:
            self.backend.logout(
                Logout(
                    owner=session.principal.owner,
                    session=session.login.session,
                    generation=session.login.generation,
                    is_moving=self._is_stopping,
                )
            )

    def follow(self, connection: Connection, stream: str) -> None:
        """What is published on the stream goes to the connection too."""
        self._followers.setdefault(stream, {})[connection] = None

    def unfollow(self, connection: Connection, stream: str) -> None:
        """It no longer does."""
        members = self._followers.get(stream, {})
        members.pop(connection, None)
        if not members:
            self._followers.pop(stream, None)

    def submit(self, connection: Connection, submit: Submit) -> None:
        """Hands a command on."""
        self._by_ref[submit.ref] = connection
        self.backend.submit(submit)

    def log_in(self, connection: Connection, login: Login) -> None:
        """Hands a login on."""
        self._by_ref[login.ref] = connection
        self.backend.login(replace(login, peer=connection.peer))

    def read(self, connection: Connection, read: ReadStream) -> None:
        """Hands a read on."""
        self._by_ref[read.ref] = connection
        self.backend.read(read)

    def query(self, connection: Connection, query: Query) -> None:
        """Hands a query on."""
        self._by_ref[query.ref] = connection
        self.backend.query(query)

    # -- the router's words

    def hold(self) -> None:
        """From now on what is told to a client waits: it is to leave in one write."""
        self.held = {}

    def let_go(self) -> None:
        """Now it leaves."""
        held, self.held = self.held or {}, None
        for connection, frames in held.items():
            connection.write(b"".join(frames))

    def deliver(self, message: FromRouter) -> None:
        """Takes one message of the router."""
        match message:
            case Published():
                self._publish(message.updates)
            case SessionReplaced():
                self._replace(message)
            case Answer() | LoggedIn() | StreamPage() | QueryAnswer():
                connection = self._by_ref.pop(message.ref, None)
                if connection is not None and connection.session is not None:
                    connection.perform(connection.session.answered(message))

    def _publish(self, updates: Sequence[StreamUpdate]) -> None:
        for update in updates:
            members = self._followers.get(update.stream)
            for connection in tuple(members or ()):
                if connection.session is not None:
                    connection.perform(connection.session.published(update))

    def _replace(self, message: SessionReplaced) -> None:
        for connection in tuple(self._connections):
            session = connection.session
            if session is None or session.login is None:
                continue
            is_named = (session.principal.owner, session.login.session) == (
                message.owner,
                message.session,
            )
            if is_named and session.login.generation < message.generation:
                error = refusal("session_replaced", "a newer generation is open", Category.AUTH)
                connection.close(CloseCode.REPLACED, error)

    def router_lost(self) -> None:
        """The router is gone: all that was asked of it is answered, sessions stay."""
        self._by_ref.clear()
        for connection in tuple(self._connections):
            if connection.session is not None:
                connection.perform(connection.session.router_lost())

    def router_found(self) -> None:
        """A router is there: each session logs in again and reads on."""
        for connection in tuple(self._connections):
            if connection.session is not None:
                connection.perform(connection.session.router_found())

    # -- frames shared by clients

    def frame_of(self, update: StreamUpdate, codec: Codec) -> bytes:
        """The entry as a frame; made once while it goes out to all that follow it."""
        if self._framed is not update:
            self._framed = update
            self._frames = {}
        frame = self._frames.get(codec.name)
        if frame is None:
            frame = self._frames[codec.name] = codec.entry(update)
        return frame
