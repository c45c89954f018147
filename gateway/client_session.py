"""The part of the client that keeps a session alive: dial, log in, send again, apply once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Self

import msgspec

from domain.errors import Category, ErrorInfo, Retry
from domain.streams import OrderUpdate
from gateway import wire
from gateway.client_book import OUTCOMES, Orders, QuoteFeed, UpdateFeed
from gateway.client_socket import Address, ClientSocket, UpgradeRefusedError, dial
from gateway.client_terms import ClientOptions, ConnectionLostError, Refused, backoff_ms
from gateway.errors import rate_limited
from gateway.wire import CloseCode

PENDING_MAX = 1_000
STREAMS_A_REQUEST = 64
TRIES_MAX = 120
SILENT_HEARTBEATS_MAX = 3
LOOKS_A_HEARTBEAT = 4
FATAL_CODES = frozenset(
    {CloseCode.MALFORMED, CloseCode.UNAUTHORIZED, CloseCode.FORBIDDEN, CloseCode.REPLACED}
)
FATAL_STATUSES = frozenset({400, 401, 403, 404, 426})


class _Pending:
    """A request without an answer, and the bytes to send again."""

    __slots__ = ("again", "future", "payload", "tries")

    def __init__(self, payload: bytes, future: asyncio.Future[wire.Res]) -> None:
        self.payload = payload
        self.future = future
        self.tries = 0
        self.again: asyncio.TimerHandle | None = None


class ClientSession:
    """One session. `orders` is the fold of the updates, `cursors` the numbers applied."""

    def __init__(self, address: Address, session: str, options: ClientOptions) -> None:
        self.orders = Orders()
        self.cursors: dict[str, int] = dict(options.cursors)
        self.hello: wire.Hello | None = None
        self.welcome: wire.Welcome | None = None
        self.last_goaway: wire.Goaway | None = None
        self.snapshots: dict[str, wire.Snap] = {}
        self.reconnects = 0
        self.duplicates = 0
        self.gaps = 0
        self.on_event: Callable[[wire.Ev], None] | None = None
        self.resume = True
        self._address = address
        self._session = session
        self._options = options
        self._codec = address.codec
        started = options.utc_ns() // 1_000_000
        self._generation = options.generation if options.generation is not None else started
        # Request ids are for ever: a later life of this session must not use them again.
        self._prefix = f"{session[:32]}.{self._generation:x}."
        self._number = 0
        self._cseq = 0
        self._socket: ClientSocket | None = None
        self._pending: dict[str, _Pending] = {}
        self._waiting: dict[str, asyncio.Future[OrderUpdate]] = {}
        self._feeds: list[UpdateFeed] = []
        self._quotes: dict[str, list[QuoteFeed]] = {}
        self._followed: set[str] = set()
        self._behind: dict[str, int] = {}
        self._rtt_ns: int | None = None
        self._told_to_wait_ms: int | None = None
        self._is_open = False
        self._ready: asyncio.Future[None] | None = None
        self._runner: asyncio.Task[None] | None = None
        self._end: Exception | None = None
        self._take_by_type: dict[type, Callable[[Any], None]] = {
            wire.Hello: self._greeted,
            wire.Welcome: self._welcomed,
            wire.Res: self._answered,
            wire.Ev: self._apply,
            wire.QuoteUpdate: self._quoted,
            wire.Hb: self._check_heads,
            wire.Snap: self._snapped,
            wire.Goaway: self._sent_away,
            wire.Lag: lambda _: None,
        }

    @property
    def is_open(self) -> bool:
        """True from the welcome of a connection until that connection is lost."""
        return self._is_open

    async def __aenter__(self) -> Self:
        """Connects and logs in. Raises ConnectionLostError or Refused where that cannot be."""
        self._ready = asyncio.get_running_loop().create_future()
        self._runner = asyncio.create_task(self._run(), name=f"fillgate-client-{self._session}")
        try:
            await self._ready
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the connection."""
        await self.close()

    async def close(self) -> None:
        """Ends the client; requests without an answer raise ConnectionLostError."""
        self._finish(ConnectionLostError("the client was closed"))
        if self._socket is not None and self._socket.is_open:
            self._socket.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._socket.closed), 1.0)
            self._socket.abort()
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait((self._runner,))

    # -- the connection

    async def _run(self) -> None:
        """Keeps the session connected until it is closed or may not be."""
        attempt = 0
        while self._end is None:
            try:
                # The hello may come with the upgrade's last bytes: the socket is known before.
                socket = self._socket = ClientSocket(self._address, self._take)
                await dial(socket, self._address, self._options.dial_timeout_ms)
            except UpgradeRefusedError as refused:
                if refused.status in FATAL_STATUSES:
                    self._finish(Refused(refused.error) if refused.error else _lost(str(refused)))
            except (OSError, TimeoutError) as trouble:
                if not self.resume:
                    self._finish(_lost(str(trouble)))
            else:
                attempt = 0 if await self._live(socket) else attempt
            if self._end is None:
                await asyncio.sleep(self._wait_ms(attempt) / 1000)
                attempt += 1

    def _wait_ms(self, attempt: int) -> float:
        """A server that goes away says when to come: so that not all its clients come at once."""
        told, self._told_to_wait_ms = self._told_to_wait_ms, None
        return backoff_ms(attempt, self._options.luck()) if told is None else told

    async def _live(self, socket: ClientSocket) -> bool:
        """Follows one connection to its end; True where it got as far as the welcome."""
        silence = self._watch_silence(socket)
        try:
            code = await socket.closed
        finally:
            silence[0].cancel()
            was_open, self._is_open = self._is_open, False
            socket.abort()
        if code in FATAL_CODES or not self.resume:
            error = self.last_goaway.error if self.last_goaway is not None else None
            why = f"closed with {code}: {error.message if error else 'no reason given'}"
            self._finish(Refused(error) if error and not was_open else _lost(why))
        self._generation += 1
        self.reconnects += 1
        return was_open

    def _watch_silence(self, socket: ClientSocket) -> list[asyncio.TimerHandle]:
        """Ends a connection that says nothing for three heartbeats: it is dead or stopped."""
        timer: list[asyncio.TimerHandle] = []
        loop = asyncio.get_running_loop()

        def check(looked_s: float, silent_s: float) -> None:
            now_s = loop.time()
            period_ms = self.hello.heartbeat_ms if self.hello is not None else 1_000
            wait_s = period_ms / LOOKS_A_HEARTBEAT / 1000
            # Where this loop itself stood still, what came meanwhile may not be read yet.
            silent_s = 0.0 if socket.is_heard else silent_s + min(now_s - looked_s, 2 * wait_s)
            socket.is_heard = False
            if silent_s >= SILENT_HEARTBEATS_MAX * period_ms / 1000:
                socket.abort()
                return
            timer[:] = [loop.call_later(wait_s, check, now_s, silent_s)]

        check(loop.time(), 0.0)
        return timer

    def _finish(self, error: Exception) -> None:
        """Ends all that waits; only the first reason counts."""
        if self._end is not None:
            return
        self._end = error
        futures: list[asyncio.Future[Any]] = [entry.future for entry in self._pending.values()]
        futures += self._waiting.values()
        if self._ready is not None:
            futures.append(self._ready)
        for future in futures:
            if not future.done():
                future.set_exception(error)
                # Some of them nobody waits for any more.
                future.exception()
        for feed in (*self._feeds, *(feed for held in self._quotes.values() for feed in held)):
            feed.end(error)
        for entry in self._pending.values():
            if entry.again is not None:
                entry.again.cancel()
        self._pending.clear()

    # -- requests

    def _id(self) -> str:
        self._number += 1
        return f"{self._prefix}{self._number}"

    def _next_cseq(self) -> int:
        self._cseq += 1
        return self._cseq

    async def _ask(self, request: wire.Request) -> wire.Res:
        """The answer; sent again by itself after a reconnect, or where the server asks for it."""
        if self._end is not None:
            raise self._end
        if len(self._pending) >= PENDING_MAX:
            raise Refused(rate_limited("requests without an answer", 100))
        future: asyncio.Future[wire.Res] = asyncio.get_running_loop().create_future()
        payload = self._codec.encode(request)
        self._pending[request.id] = _Pending(payload, future)
        if self._is_open and self._socket is not None and self._socket.is_open:
            self._socket.send(payload)
        res = await future
        if res.error is not None:
            raise Refused(res.error)
        return res

    def _tell(self, request: wire.Request) -> None:
        """Sends a request whose answer nobody waits for; lost with the connection."""
        if self._is_open and self._socket is not None and self._socket.is_open:
            self._socket.send(self._codec.encode(request))

    def _answered(self, res: wire.Res) -> None:
        entry = self._pending.get(res.id)
        if entry is None:
            return
        if res.error is not None and self._tries_again(entry, res.id, res.error):
            return
        del self._pending[res.id]
        if not entry.future.done():
            entry.future.set_result(res)

    def _tries_again(self, entry: _Pending, name: str, error: ErrorInfo) -> bool:
        """True where the system, not the request, was at fault and the same bytes may follow."""
        is_worth = error.retry is Retry.SAME_ID and error.category is Category.SYSTEM
        if not is_worth or not self.resume or entry.tries >= TRIES_MAX:
            return False
        entry.tries += 1
        wait_ms = error.retry_after_ms or 1_000
        loop = asyncio.get_running_loop()
        entry.again = loop.call_later(wait_ms / 1000, self._send_again, name)
        return True

    def _send_again(self, name: str) -> None:
        entry = self._pending.get(name)
        if entry is None:
            return
        entry.again = None
        if self._is_open and self._socket is not None and self._socket.is_open:
            self._socket.send(entry.payload)

    # -- the server's messages

    def _take(self, data: bytes) -> None:
        message = self._codec.decode_server(data)
        self._take_by_type[type(message)](message)

    def _greeted(self, hello: wire.Hello) -> None:
        self.hello = hello
        login = wire.Login(
            session=self._session,
            generation=self._generation,
            role=self._options.role,
            cursors=self.cursors,
            guard=self._options.guard,
            last_cseq=self._cseq,
        )
        if self._socket is not None:
            self._socket.send(self._codec.encode(login))

    def _welcomed(self, welcome: wire.Welcome) -> None:
        self.welcome = welcome
        self._is_open = True
        self._behind = {}
        self._cseq = max(self._cseq, welcome.last_cseq)
        for stream, seq in welcome.resume.items():
            self.cursors.setdefault(stream, seq)
        for entry in self._pending.values():
            if entry.again is not None:
                entry.again.cancel()
                entry.again = None
            self._send_now(entry.payload)
        unseen = self._followed - self.cursors.keys()
        quotes: dict[bool, list[str]] = {True: list(unseen), False: []}
        for name, feeds in self._quotes.items():
            quotes[all(feed.conflate for feed in feeds)].append(f"quotes/{name}")
        for conflate, streams in quotes.items():
            # A request names 64 streams at most.
            for first in range(0, len(streams), STREAMS_A_REQUEST):
                some = dict.fromkeys(streams[first : first + STREAMS_A_REQUEST])
                self._tell(wire.Sub(id=self._id(), streams=some, conflate=conflate))
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def _send_now(self, payload: bytes) -> None:
        if self._socket is not None:
            self._socket.send(payload)

    def _apply(self, ev: wire.Ev) -> None:
        """Applies an entry once: the cursor is the memory of what was."""
        cursor = self.cursors.get(ev.stream, ev.seq - 1)
        if ev.seq <= cursor:
            self.duplicates += 1
            return
        if ev.seq > cursor + 1:
            self._read_gap(ev.stream, cursor)
            return
        self.cursors[ev.stream] = ev.seq
        body = ev.body
        if isinstance(body, OrderUpdate):
            self.orders.apply(body)
            if isinstance(body.event, OUTCOMES):
                future = self._waiting.get(body.client_order_id or "")
                if future is not None and not future.done():
                    future.set_result(body)
        if self.on_event is not None:
            self.on_event(ev)
        for feed in self._feeds:
            feed.put(ev)

    def _read_gap(self, stream: str, cursor: int) -> None:
        """Follows the stream again from what was applied last."""
        self.gaps += 1
        self._tell(wire.Sub(id=self._id(), streams={stream: cursor}))

    def _check_heads(self, hb: wire.Hb) -> None:
        """A head ahead of a cursor that has not moved for a whole heartbeat is a gap."""
        behind = {
            stream: cursor
            for stream, head in hb.heads.items()
            if (cursor := self.cursors.get(stream, head)) < head
        }
        for stream, cursor in behind.items():
            if self._behind.get(stream) == cursor:
                self._read_gap(stream, cursor)
        self._behind = behind

    def _quoted(self, message: wire.QuoteUpdate) -> None:
        for feed in self._quotes.get(message.quote.instrument, ()):
            feed.put(message.quote)

    def _snapped(self, snap: wire.Snap) -> None:
        """Takes a snapshot whose hash holds; the stream goes on after it."""
        rows = msgspec.msgpack.encode(snap.rows)
        if blake2b(rows, digest_size=16).hexdigest() == snap.hash:
            self.snapshots[snap.stream] = snap
            if not snap.stream.startswith("quotes/"):
                self.cursors[snap.stream] = snap.seq

    def _sent_away(self, goaway: wire.Goaway) -> None:
        self.last_goaway = goaway
        self._told_to_wait_ms = goaway.error.retry_after_ms


def _lost(why: str) -> ConnectionLostError:
    return ConnectionLostError(why)
