"""A tap on the wire between a connection and its broker: when each request's bytes really left.

A proxy on loopback. The kernel stamps what it receives at the moment the sender's write puts it
there (SO_TIMESTAMPNS), so however late the tap is read, the times are those of the wire.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from msgspec import Struct

_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("qq")
CHUNK = 65_536


class Seen(Struct, frozen=True):
    """The first bytes of what a client sent at once, and when (UTC, ns)."""

    at_ns: int
    head: bytes

    @property
    def is_order(self) -> bool:
        """True for a new order of either dialect."""
        line = self.head.split(b"\r\n", 1)[0]
        return line.startswith(b"POST ") and line.split(b" ")[1].endswith(b"/orders")

    @property
    def is_cancel(self) -> bool:
        """True for a cancel of either dialect."""
        line = self.head.split(b"\r\n", 1)[0]
        is_oanda = line.startswith(b"PUT ") and b"/cancel" in line
        return is_oanda or line.startswith(b"DELETE ")


class WireTap:
    """Forwards to a port of loopback from one of its own. Every socket has two threads."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self.seen: list[Seen] = []
        self.too_many = 0
        """Answers that said 429: the broker counted, and it was too much."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Ends every connection."""
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def orders_after(self, at_ns: int) -> list[Seen]:
        """New orders that left after a moment."""
        return [one for one in self.seen if one.at_ns > at_ns and one.is_order]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                broker = socket.create_connection(self._to)
                broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open |= {client, broker}
                for run in (self._requests, self._answers):
                    threading.Thread(target=run, args=(client, broker), daemon=True).start()

    def _requests(self, client: socket.socket, broker: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, ancillary, _, _ = client.recvmsg(CHUNK, 256)
                if not data:
                    break
                self.seen.append(Seen(_stamp(ancillary), data[:256]))
                broker.sendall(data)
        self._end(client, broker)

    def _answers(self, client: socket.socket, broker: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := broker.recv(CHUNK):
                self.too_many += data.startswith(b"HTTP/1.1 429")
                client.sendall(data)
        self._end(client, broker)

    def _end(self, *sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            self._open.discard(one)


def _stamp(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMPNS):
            seconds, rest = _TIMESPEC.unpack(data[: _TIMESPEC.size])
            return int(seconds * 1_000_000_000 + rest)
    raise RuntimeError("the kernel stamps no times on loopback here")
