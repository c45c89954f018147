"""One socket: the WebSocket library's sans-I/O protocol and a session, joined on a transport.

The library's asyncio layer would cost a task, a queue and a lock for each message; driving its
sans-I/O half from `data_received` leaves its framing rules and drops that cost.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, SEND_EOF
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from domain.commands import Login, Query, ReadStream, Submit
from domain.errors import Category, ErrorInfo
from domain.quotes import Quote
from gateway import wire
from gateway.codec import Codec
from gateway.errors import rate_limited, refusal
from gateway.fanout import quote_frame
from gateway.handshake import Refused, admit, refuse
from gateway.liveness import Fate, judge
from gateway.outbox import Outbox
from gateway.outputs import (
    Close,
    Follow,
    Output,
    Send,
    SendUpdate,
    Unfollow,
    Unwatch,
    Watch,
)
from gateway.session import Session, State
from gateway.way import peer_of
from gateway.wire import CloseCode

if TYPE_CHECKING:
    from gateway.server import GatewayServer

WRITE_BUFFER_BYTES_MAX = 65_536
NOT_SENT_BYTES_MAX = 65_536
FRAGMENTS_MAX = 128
REASON_BYTES_MAX = 120
TOO_MANY_WAIT_MS = 5_000
SLOW_WORDS = "read faster; resume after the numbers in sent"
STOPPED_WORDS = "nothing was read for too long; resume after the numbers in sent"

_logger = logging.getLogger("fillgate.websocket")
# The library tells of each opening and closing at level info; the counts do that here.
_logger.setLevel(logging.WARNING)


class Connection(asyncio.Protocol):
    """A client's socket; made by the server for each connect."""

    def __init__(self, server: GatewayServer) -> None:
        self.session: Session | None = None
        self.idle_ticks = 0
        self.silent_ticks = 0
        self.outbox = Outbox(self.write, server.settings.limits.unsent_bytes_max)
        self.server: GatewayServer = server
        self._codec: Codec | None = None
        self._fragments: list[bytes | bytearray] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_closing = False
        self._has_answered = False
        self._has_lagged = False
        self._protocol = ServerProtocol(
            max_size=server.settings.limits.message_bytes_in_max, logger=_logger
        )
        self._transport: Any = None

    # -- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected: it has the open timeout to finish its upgrade."""
        self._transport = transport
        if not self.server.join(self):
            self._transport.abort()
            return
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Without it the kernel takes megabytes, and a slow reader reads quotes hours old.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_BYTES_MAX)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES_MAX)
        self._set_timer(self.server.settings.open_timeout_ms, self._open_timed_out)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self.silent_ticks = 0
        protocol = self._protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._take_frame(event)
            elif isinstance(event, Request):
                self._upgrade(event)
        if protocol.writes:
            self._flush()

    def eof_received(self) -> bool:
        """The client sends no more; what it has been sent may still be on its way."""
        self._protocol.receive_eof()
        self._flush()
        return False

    def connection_lost(self, _: Exception | None) -> None:
        """The socket is gone."""
        if self._timer is not None:
            self._timer.cancel()
        if self.session is not None:
            sent = self._protocol.close_sent
            self.server.counts.closes[sent.code if sent else CloseCode.ABNORMAL] += 1
        self.outbox.clear()
        self.server.leave(self)

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self.outbox.pause()
        if self.session is not None:
            self.session.follows.is_paused = True

    def resume_writing(self) -> None:
        """The client caught up with what the transport held."""
        for quote in self.outbox.resume():
            self.server.counts.quotes_out += 1
            self.outbox.push(quote_frame(quote, self.codec))
        if self.session is not None and not self.outbox.is_paused:
            self._has_lagged = False
            self.session.follows.is_paused = False
            self.perform(self.session.follows.read_on())

    # -- the upgrade

    def _upgrade(self, request: Request) -> None:
        server = self.server
        verdict = admit(request, server.settings.origins, server.doors)
        if isinstance(verdict, Refused):
            self._refuse(self._protocol.reject(verdict.status, ""), verdict.error)
            return
        if server.count_of(verdict.principal) >= server.settings.connections_per_token_max:
            error = rate_limited("connections of this token", TOO_MANY_WAIT_MS)
            self._refuse(self._protocol.reject(HTTPStatus.TOO_MANY_REQUESTS, ""), error)
            return
        self._protocol.available_subprotocols = [Subprotocol(verdict.codec.name)]
        response = self._protocol.accept(request)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            text = (response.body or b"").decode().strip()
            self._refuse(response, refusal("bad_upgrade", text))
            return
        self._has_answered = True
        self._protocol.send_response(response)
        self._flush()
        self._set_timer(None, None)
        self._codec = verdict.codec
        self.session = Session(verdict.principal, verdict.codec, server.around)
        server.admit(self)
        self.perform(self.session.greet())

    @property
    def peer(self) -> str:
        """The client's address, as far as this socket knows."""
        return peer_of(self._transport)

    def _refuse(self, response: Response, error: ErrorInfo) -> None:
        if error.category is Category.AUTH:
            self.server.around.refused.note(self.peer, error.code)
        self._has_answered = True
        self.server.counts.refused[response.status_code] += 1
        self._protocol.send_response(refuse(response, error))

    def _open_timed_out(self) -> None:
        error = refusal("upgrade_timeout", "finish the upgrade in time")
        response = self._protocol.reject(HTTPStatus.REQUEST_TIMEOUT, "")
        self._refuse(response, error)
        self._flush()

    # -- frames

    def _take_frame(self, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            codec = self._codec
            if codec is not None and opcode is not codec.opcode:
                words = f"{codec.name} takes {codec.opcode.name.lower()} frames only"
                self.close(CloseCode.UNSUPPORTED_DATA, refusal("wrong_frame", words))
                return
            if frame.fin:
                self._take_message(frame.data)
            else:
                self._fragments = [bytes(frame.data)]
        elif opcode is Opcode.CONT:
            self._fragments.append(bytes(frame.data))
            if len(self._fragments) > FRAGMENTS_MAX:
                self.close(CloseCode.POLICY, refusal("too_many_fragments", "send whole messages"))
            elif frame.fin:
                fragments, self._fragments = self._fragments, []
                self._take_message(b"".join(fragments))

    def _take_message(self, data: Any) -> None:
        self.server.counts.messages_in += 1
        if self.session is not None and not self._is_closing:
            self.perform(self.session.receive(data))

    # -- what the session wants

    def perform(self, outputs: list[Output]) -> None:
        """Carries out a session's outputs, in order."""
        for output in outputs:
            _PERFORM[type(output)](self, output)

    def _send(self, send: Send) -> None:
        self.server.counts.replies_out += 1
        self._push(self.codec.frame(send.payload))

    def _send_update(self, send: SendUpdate) -> None:
        update = send.update
        self.server.counts.updates_out += 1
        self._push(self.server.frame_of(update, self.codec), update.stream, update.seq)

    def _push(self, frame: bytes, stream: str | None = None, seq: int = 0) -> None:
        if self._is_closing:
            return
        self.idle_ticks = 0
        outbox = self.outbox
        outbox.push(frame, stream, seq)
        if outbox.is_paused and outbox.is_half_full:
            self._lag()

    def _lag(self) -> None:
        if self.outbox.is_full:
            error = refusal("slow_consumer", SLOW_WORDS)
            self.close(CloseCode.SLOW_CONSUMER, error)
        elif not self._has_lagged:
            self._has_lagged = True
            limit = self.server.settings.limits.unsent_bytes_max
            lag = wire.Lag(unsent_bytes=self.outbox.unsent_bytes, unsent_bytes_max=limit)
            self.outbox.push(self.codec.frame(self.codec.encode(lag)))

    def write_quotes(self, frames: list[bytes]) -> None:
        """Sends quotes in one write, or in their turn where the client wants each."""
        self._push(b"".join(frames))

    def hold_quote(self, quote: Quote) -> None:
        """Keeps the newest while the client reads slowly."""
        if not self._is_closing:
            before = self.outbox.conflated
            self.outbox.hold_quote(quote)
            self.server.counts.quotes_conflated += self.outbox.conflated - before

    @property
    def codec(self) -> Codec:
        """The codec of the subprotocol agreed on."""
        assert self._codec is not None
        return self._codec

    def _watch(self, watch: Watch) -> None:
        self.server.quotes.watch(self, watch.instrument, watch.conflate)

    def _unwatch(self, unwatch: Unwatch) -> None:
        self.outbox.drop_quotes(unwatch.instrument)
        self.server.quotes.unwatch(self, unwatch.instrument)

    # -- closing

    def _close(self, close: Close) -> None:
        self.close(close.code, close.error)

    def close(self, code: int, error: ErrorInfo) -> bool:
        """Says why in a `goaway`, then closes; what still waits is dropped, the journal has it.

        False where it was closing before.
        """
        if self._is_closing or self._protocol.state is not OPEN:
            return False
        self._is_closing = True
        if self.session is not None:
            self.session.state = State.CLOSED
        self.outbox.clear()
        goaway = wire.Goaway(code=code, error=error, sent=self.outbox.sent)
        self.write(self.codec.frame(self.codec.encode(goaway)))
        self._protocol.send_close(code, self._reason(error))
        self._flush()
        return True

    def _reason(self, error: ErrorInfo) -> str:
        own = f"orders/{self.session.principal.owner}" if self.session is not None else ""
        sent = self.outbox.sent.get(own)
        reason = error.code if sent is None else f"{error.code}; sent {own} {sent}"
        return reason if len(reason.encode()) <= REASON_BYTES_MAX else error.code

    def ping(self) -> None:
        """Asks the client's library for a sign of life."""
        if not self.outbox.is_paused and self._protocol.state is OPEN:
            self._protocol.send_ping(b"")
            self._flush()

    def end_silence(self, silent_ms: int) -> None:
        """Ends the connection where a client that says nothing is gone, or reads nothing."""
        is_paused, settings = self.outbox.is_paused, self.server.settings
        fate = judge(self._transport, is_paused=is_paused, silent_ms=silent_ms, settings=settings)
        if fate is Fate.GONE:
            self.abort()
        elif fate is Fate.STOPPED:
            self.close(CloseCode.SLOW_CONSUMER, refusal("slow_consumer", STOPPED_WORDS))

    def abort(self) -> None:
        """Ends the socket at once."""
        self._transport.abort()

    def _flush(self) -> None:
        """Writes what the library wants written; its end of stream half-closes the socket."""
        for data in self._protocol.data_to_send():
            if data is not SEND_EOF and data:
                self.write(data)
                continue
            if not self._has_answered:
                self._answer_garbage()
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()
        if self._protocol.close_expected() or self._protocol.eof_sent:
            # Whoever began it: from here on nothing may be written any more.
            self._is_closing = True
            self._set_timer(self.server.settings.close_timeout_ms, self.abort)
        elif self._transport.get_write_buffer_size() > self.outbox.bytes_max:
            # Only answers to pings pass the outbox by: someone pings and does not read.
            self.abort()

    def _answer_garbage(self) -> None:
        error = refusal("malformed", "this is not an HTTP request")
        response = refuse(self._protocol.reject(HTTPStatus.BAD_REQUEST, ""), error)
        self._has_answered = True
        self.server.counts.refused[HTTPStatus.BAD_REQUEST] += 1
        self.write(response.serialize())

    def write(self, data: bytes) -> None:
        """Hands bytes to the transport; in their turn where the server holds writes back."""
        held = self.server.held
        if held is None:
            self._transport.write(data)
        else:
            held.setdefault(self, []).append(data)

    def _set_timer(self, delay_ms: int | None, call: Callable[[], None] | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay_ms is not None and call is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(delay_ms / 1000, call)


_PERFORM: dict[type, Callable[[Connection, Any], None]] = {
    Send: Connection._send,
    SendUpdate: Connection._send_update,
    Close: Connection._close,
    Follow: lambda connection, follow: connection.server.follow(connection, follow.stream),
    Unfollow: lambda connection, follow: connection.server.unfollow(connection, follow.stream),
    Watch: Connection._watch,
    Unwatch: Connection._unwatch,
    Submit: lambda connection, submit: connection.server.submit(connection, submit),
    Login: lambda connection, login: connection.server.log_in(connection, login),
    ReadStream: lambda connection, read: connection.server.read(connection, read),
    Query: lambda connection, query: connection.server.query(connection, query),
}
