"""A link: length-prefixed msgpack between two processes of one deployment, in order.

A frame is a four-byte little-endian length and one msgpack message. Each side first says
`Hello`; the reply, not the connect, proves that the peer lives, for a stopped process still
accepts. Listeners take their file lock before they unlink and bind (a second bind would
steal a live path silently); dialers come back every 20 ms. Peers must be of our own user, and of
our release or one beside it: a release only adds (fields with a default, kinds of messages), so
each reads the other. A message that cannot be read is the owner's to judge; it ends the link
where the owner does not say otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import msgspec
import structlog
from msgspec import Struct

LINK_SCHEMA = 2
SCHEMA_DISTANCE_MAX = 1
FRAME_BYTES_MAX = 16 * 1024 * 1024
UNSENT_BYTES_MAX = 64 * 1024 * 1024
REDIAL_S = 0.02
HELLO_TIMEOUT_S = 1.0

_LENGTH_BYTES = 4
_PEERCRED = struct.Struct("3i")

M = TypeVar("M")

log = structlog.get_logger()


class Hello(Struct, frozen=True, kw_only=True, tag="hello"):
    """Who speaks: `incarnation` is new at each start, `is_quarantined` if there were too many."""

    role: str
    deployment: str
    incarnation: str
    pid: int
    schema: int = LINK_SCHEMA
    is_quarantined: bool = False


class Ping(Struct, frozen=True, kw_only=True, tag="ping"):
    """Are you there? The watchdog asks."""

    number: int


class Pong(Struct, frozen=True, kw_only=True, tag="pong"):
    """Here; `is_ready` says that the work itself goes on."""

    number: int
    is_ready: bool


class Link(asyncio.Protocol, Generic[M]):
    """One end of a link. Callbacks run on the loop; `send` never blocks and never waits."""

    def __init__(self, me: Hello, decoder: msgspec.msgpack.Decoder[Any], owner: LinkOwner[M]):
        self._me = me
        self._decode = decoder.decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._owner = owner
        self._rest = bytearray()
        self._transport: asyncio.Transport | None = None
        self.peer: Hello | None = None
        self.socket_pid: int | None = None
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Checks the peer's user and introduces us."""
        # uvloop's transports are asyncio's by shape, not by class.
        self._transport = cast(asyncio.Transport, transport)
        pid, uid = peer_of(transport.get_extra_info("socket"))
        if uid != os.getuid():
            self._transport.abort()
            return
        self.socket_pid = pid
        self._write(self._me)

    def data_received(self, data: bytes) -> None:
        """Cuts frames and hands over what they say, then tells the owner the batch ended."""
        rest = self._rest
        read: bytes | bytearray = data
        if rest:
            rest += data
            read = rest
        start, end = 0, len(read)
        while end - start >= _LENGTH_BYTES:
            begin = start + _LENGTH_BYTES
            size = int.from_bytes(read[start:begin], "little")
            if size > FRAME_BYTES_MAX:
                self.close()
                return
            if begin + size > end:
                break
            start = begin + size
            self._take(bytes(read[begin:start]))
            if self._transport is None or self._transport.is_closing():
                return
        if read is rest:
            del rest[:start]
        elif start < end:
            rest += read[start:]
        self._owner.batch_ended()

    def _take(self, frame: bytes) -> None:
        try:
            message = self._decode(frame)
        except msgspec.MsgspecError as trouble:
            self._owner.unread(self, frame, trouble)
            return
        if isinstance(message, Hello):
            self._greet(message)
        elif isinstance(message, Ping):
            self._write(Pong(number=message.number, is_ready=self._owner.is_ready()))
        elif isinstance(message, Pong):
            self.pong(message)
        elif self.peer is not None:
            self._owner.received(self, message)

    def _greet(self, hello: Hello) -> None:
        fault = find_hello_fault(self._me, hello)
        if fault is not None:
            _tell_once(hello.role, fault)
            self.close()
            return
        self.peer = hello
        if not self.greeted.done():
            self.greeted.set_result(None)
        self._owner.link_up(self)

    def pong(self, _message: Pong) -> None:
        """An answer to our ping."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells the owner, if the link ever was up."""
        self._transport = None
        self.closed.set_result(None)
        self.greeted.cancel()
        if self.peer is not None:
            self._owner.link_down(self)

    @property
    def is_up(self) -> bool:
        """True once the peer has said hello and until the socket closes."""
        return self._transport is not None and self.peer is not None

    @property
    def unsent_bytes(self) -> int:
        """What waits for a peer that reads more slowly than we send."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def send(self, message: M) -> None:
        """Sends, or drops where the link is down; a peer that stops reading is cut off."""
        self._write(message)

    def send_all(self, messages: list[Any]) -> None:
        """Sends several in one write: one system call here, one wake-up there."""
        if messages:
            self._write(*messages)

    def _write(self, *messages: object) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        parts: list[bytes] = []
        for message in messages:
            body = self._encode(message)
            parts += (len(body).to_bytes(_LENGTH_BYTES, "little"), body)
        transport.write(b"".join(parts))
        if transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            transport.abort()

    def close(self) -> None:
        """Closes at once, dropping what is unsent."""
        if self._transport is not None:
            self._transport.abort()

    def end_peer(self) -> None:
        """Kills the process at the other end, which is of this host and of our own user."""
        if self.is_up and self.peer is not None and self.peer.pid not in (0, 1, os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.peer.pid, signal.SIGKILL)
        self.close()


class LinkOwner(Generic[M]):
    """What a link tells: subclass and override what matters."""

    def link_up(self, link: Link[M]) -> None:
        """The peer said hello."""

    def link_down(self, link: Link[M]) -> None:
        """The peer is gone."""

    def received(self, link: Link[M], message: Any) -> None:
        """A message arrived."""

    def unread(self, link: Link[M], frame: bytes, trouble: msgspec.MsgspecError) -> None:
        """A message that cannot be read: without it all that follows would be a guess."""
        role = link.peer.role if link.peer is not None else "a peer"
        log.error("unread message, the link is closed", peer=role, why=str(trouble))
        link.close()

    def batch_ended(self) -> None:
        """All messages of one read were handed over."""

    def is_ready(self) -> bool:
        """What a Pong says."""
        return True


def find_hello_fault(me: Hello, peer: Hello) -> str | None:
    """Why the two may not talk, or None."""
    if peer.deployment != me.deployment:
        return f"it belongs to deployment {peer.deployment}, we to {me.deployment}"
    if abs(peer.schema - me.schema) > SCHEMA_DISTANCE_MAX:
        return (
            f"its links have schema {peer.schema}, ours {me.schema}: "
            "start both from releases that follow one another"
        )
    return None


_told: set[tuple[str, str]] = set()


def _tell_once(role: str, fault: str) -> None:
    """A peer comes back every 20 ms; the log needs to know it once."""
    if (role, fault) not in _told:
        _told.add((role, fault))
        log.error("link refused", peer=role, why=fault)


class PathLock:
    """The lock that makes one process the owner of a socket path or a file."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_take(self) -> bool:
        """True where it is ours now; held until the process ends."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
        return True

    def release(self) -> None:
        """Gives it up."""
        os.close(self._descriptor)


async def take_lock(path: Path) -> PathLock:
    """Waits until the path is ours: an older owner may take a moment to die."""
    lock = PathLock(path)
    while not lock.try_take():
        await asyncio.sleep(REDIAL_S)
    return lock


async def listen(
    path: Path, make: Callable[[], Link[Any]]
) -> tuple[asyncio.AbstractServer, PathLock]:
    """Serves a path, once its lock is ours."""
    lock = await take_lock(path.with_suffix(".lock"))
    path.unlink(missing_ok=True)
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(make, str(path))
    path.chmod(0o600)
    return server, lock


async def dial(path: Path, make: Callable[[], Link[M]]) -> None:
    """Keeps one link to a path for ever: connects, waits until it breaks, connects again."""
    loop = asyncio.get_running_loop()
    while True:
        link = make()
        with contextlib.suppress(OSError):
            await loop.create_unix_connection(lambda link=link: link, str(path))  # type: ignore[misc]
            await _outlive(link)
        await asyncio.sleep(REDIAL_S)


async def _outlive(link: Link[M]) -> None:
    """Waits until the link is over, or the time for a hello is; leaves it closed."""
    either = (link.greeted, link.closed)
    try:
        # Unlike `wait_for` this neither swallows a cancel of ours nor passes it on to the link.
        await asyncio.wait(either, timeout=HELLO_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if link.is_up:
            await asyncio.wait((link.closed,))
    finally:
        link.close()


def is_same_user(sock: socket.socket) -> bool:
    """Whether the peer of a Unix socket is a process of our own user."""
    return peer_of(sock)[1] == os.getuid()


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """The process and the user at the other end of a Unix socket, by the kernel's word."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size)
    pid, uid, _ = _PEERCRED.unpack(credentials)
    return pid, uid
