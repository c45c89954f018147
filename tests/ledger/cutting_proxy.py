"""A TCP proxy before a PostgreSQL socket that cuts or stalls the link at a byte of our choice."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

REQUEST, ANSWER = 0, 1


class CuttingProxy:
    """Forwards both ways. Once armed it lets so many bytes of one way pass, then cuts the link.

    With `is_silent` nothing is closed: what was to pass is held back until `let_go`.
    """

    def __init__(self, upstream: Path) -> None:
        self._upstream = str(upstream)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._left: dict[int, int] = {}
        self._is_silent = False
        self._released = threading.Event()
        self.is_up = True
        self.passed = [0, 0]
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, way: int, after: int, *, is_silent: bool = False) -> None:
        self._released.clear()
        with self._lock:
            self._left, self._is_silent = {way: after}, is_silent

    def let_go(self) -> None:
        """Delivers what was held back, late."""
        self._released.set()

    def close(self) -> None:
        self.let_go()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if not self.is_up:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self._upstream)
                except OSError:
                    client.close()
                    continue
                for way, (here, there) in enumerate(((client, server), (server, client))):
                    pump = threading.Thread(target=self._pump, args=(way, here, there), daemon=True)
                    pump.start()

    def _pump(self, way: int, here: socket.socket, there: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := here.recv(65536):
                passing, held = self._split(way, data)
                there.sendall(passing)
                if held is not None and not self._is_silent:
                    break
                if held is not None:
                    self._released.wait()
                    there.sendall(held)
        for end in (here, there):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _split(self, way: int, data: bytes) -> tuple[bytes, bytes | None]:
        """What may pass, and what may not; None where there is no cut in it."""
        with self._lock:
            self.passed[way] += len(data)
            left = self._left.get(way)
            if left is None:
                return data, None
            if left > len(data):
                self._left[way] = left - len(data)
                return data, None
            self._left.clear()
            self.cuts += 1
            return data[:left], data[left:]
