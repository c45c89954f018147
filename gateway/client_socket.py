"""The client's socket: the library's sans-I/O half on a transport, no task, no queue."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN, SEND_EOF
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from domain.errors import ErrorInfo
from gateway.codec import Codec

MESSAGE_BYTES_MAX = 1_048_576

_logger = logging.getLogger("fillgate.client.websocket")
_logger.setLevel(logging.WARNING)


class _Body(Struct):
    error: ErrorInfo


class UpgradeRefusedError(Exception):
    """The server let us not in; `error` is its word where it spoke the protocol."""

    def __init__(self, status: int, error: ErrorInfo | None) -> None:
        super().__init__(f"HTTP {status}: {error.message if error else 'no reason given'}")
        self.status = status
        self.error = error


class Address(Struct, frozen=True):
    """Where to dial, and who we are."""

    url: str
    token: str
    codec: Codec
    tls: ssl.SSLContext | None = None
    server_name: str | None = None


class ClientSocket(asyncio.Protocol):
    """`opened` ends with the upgrade, `closed` with the socket: its result is the close code."""

    def __init__(self, address: Address, take: Callable[[Any], None]) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[int] = loop.create_future()
        self.is_heard = False
        self._take = take
        self._token = address.token
        self._fragments: list[bytes] = []
        self._transport: Any = None
        self._protocol = ClientProtocol(
            parse_uri(address.url),
            subprotocols=[Subprotocol(address.codec.name)],
            max_size=MESSAGE_BYTES_MAX,
            logger=_logger,
        )
        is_text = address.codec.opcode is Opcode.TEXT
        self._write_frame = self._protocol.send_text if is_text else self._protocol.send_binary

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected: asks for the upgrade."""
        self._transport = transport
        request = self._protocol.connect()
        request.headers["Authorization"] = f"Bearer {self._token}"
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Bytes from the server."""
        self.is_heard = True
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._take_frame(event)
            else:
                self._upgraded(event)
        if self._protocol.writes:
            self._flush()

    def _upgraded(self, response: Any) -> None:
        if self.opened.done():
            return
        if self._protocol.handshake_exc is None:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(
                UpgradeRefusedError(response.status_code, _error_in(response))
            )

    def _take_frame(self, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            if frame.fin:
                self._take(frame.data)
            else:
                self._fragments = [bytes(frame.data)]
        elif opcode is Opcode.CONT:
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                fragments, self._fragments = self._fragments, []
                self._take(b"".join(fragments))

    def eof_received(self) -> bool:
        """The server sends no more."""
        self._protocol.receive_eof()
        self._flush()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone."""
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionError("closed during the upgrade"))
            # Whoever dialled may have given up already.
            self.opened.exception()
        received = self._protocol.close_rcvd
        if not self.closed.done():
            self.closed.set_result(received.code if received is not None else 1006)

    @property
    def is_open(self) -> bool:
        """True while messages can be sent."""
        is_up = self._transport is not None and not self._transport.is_closing()
        return is_up and self._protocol.state is OPEN

    def send(self, payload: bytes) -> None:
        """Sends one message."""
        self._write_frame(payload)
        self._flush()

    def close(self, code: int = 1000) -> None:
        """Says good-bye; the server ends the connection."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(code)
            self._flush()

    def abort(self) -> None:
        """Ends the socket at once."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data is SEND_EOF or not data:
                self._transport.close()
            elif not self._transport.is_closing():
                self._transport.write(data)


def _error_in(response: Response) -> ErrorInfo | None:
    try:
        return msgspec.json.decode(response.body or b"", type=_Body).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


async def dial(socket: ClientSocket, address: Address, timeout_ms: int) -> None:
    """Opens the socket. Raises OSError, TimeoutError or UpgradeRefusedError."""
    uri = parse_uri(address.url)
    name = address.server_name if address.tls is not None else None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            await loop.create_connection(
                lambda: socket, uri.host, uri.port, ssl=address.tls, server_hostname=name
            )
            await socket.opened
    except BaseException:
        socket.abort()
        raise
