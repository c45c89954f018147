"""Listening sockets outlive a supervisor: its edges hold them, and hand them to its successor.

A handle goes over a Unix socket (SCM_RIGHTS) to a process of our own user, and of no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from actors.link import is_same_user

HANDLES_MAX = 16
WAIT_S = 2.0
_GREETING = b"handles"


def offer_handles(path: Path, sockets: Sequence[socket.socket]) -> socket.socket:
    """Hands copies of the sockets to whoever of our user asks, from now on."""
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    path.chmod(0o600)
    server.listen()
    server.setblocking(False)
    asyncio.get_running_loop().add_reader(server, _hand_over, server, tuple(sockets))
    return server


def _hand_over(server: socket.socket, sockets: tuple[socket.socket, ...]) -> None:
    with contextlib.suppress(OSError):
        asking, _ = server.accept()
        with asking:
            if is_same_user(asking):
                socket.send_fds(asking, [_GREETING], [sock.fileno() for sock in sockets])


def fetch_handles(path: Path) -> list[socket.socket] | None:
    """Copies of the sockets that a living edge holds; None where nobody answers."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(WAIT_S)
        try:
            asking.connect(str(path))
            greeting, found, _, _ = socket.recv_fds(asking, len(_GREETING), HANDLES_MAX)
        except OSError:
            return None
    if greeting != _GREETING:
        for handle in found:
            os.close(handle)
        return None
    return [_adopt(handle) for handle in found]


def _adopt(handle: int) -> socket.socket:
    sock = socket.socket(fileno=handle)
    sock.setblocking(False)
    sock.set_inheritable(True)
    return sock
