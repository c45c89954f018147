"""The network: ordered byte streams between processes, slow, clogged, cut, in any seed's way.

Bytes of one direction never overtake each other; those of different links do. A direction that
is clogged delivers nothing until it is unclogged; a link that is cut, or whose process dies,
still delivers a part of what was under way, and then its end.
"""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from bench.dst.loop import PROCESS, Process, SimLoop

US = 1_000
LATENCY_NS = (20 * US, 200 * US)
SPIKE_NS = (1_000 * US, 30_000 * US)
SPIKE_CHANCE = 0.02
SPLIT_CHANCE = 0.02
END = None


class FakeSocket:
    """What code asks of a socket: its family, and whose process the peer is."""

    family = socket.AF_UNIX

    def __init__(self, address: str) -> None:
        self.address = address

    def getsockopt(self, *_: Any) -> bytes:
        """The peer is of our own user."""
        return struct.pack("3i", 1, os.getuid(), os.getgid())


class Server:
    """A listening address; gone with its process."""

    def __init__(self, loop: SimLoop, process: Process, factory: Callable[[], Any]) -> None:
        self.process = process
        self.factory = factory
        self._loop = loop

    async def serve_forever(self) -> None:
        """Waits for ever."""
        await self._loop.create_future()

    def close(self) -> None:
        """Nobody closes a server here: its process dies."""


class Transport:
    """One end of a link, as asyncio's protocols see it."""

    def __init__(self, network: Network, process: Process, protocol: Any) -> None:
        self.network = network
        self.process = process
        self.protocol = protocol
        self.peer: Transport = self
        self.name = ""
        self.is_over = False
        self.is_clogged = False
        self.is_ended = False
        self._coming: deque[tuple[int, bytes | None]] = deque()
        self._last_ns = 0

    # -- what a protocol calls

    def write(self, data: bytes) -> None:
        """Sends, unless the link is over."""
        if not self.is_over:
            self.peer.put(data)
            if self.network.looped == self.network.way_to(self.peer):
                self.peer.put(data)

    def is_closing(self) -> bool:
        """True once it is over."""
        return self.is_over

    def abort(self) -> None:
        """Ends the link; the other side gets what was sent before, then the end."""
        if not self.is_over:
            self.is_over = True
            self.peer.put(END)
            self.network.loop.call_soon(self._lost, context=self.process.context)

    close = abort

    def can_write_eof(self) -> bool:
        """Half-closing is closing here."""
        return False

    def get_write_buffer_size(self) -> int:
        """Nothing waits on this side."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Without bounds."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket, for those who ask who the peer is."""
        return FakeSocket(self.name) if name == "socket" else default

    # -- what comes

    def put(self, data: bytes | None) -> None:
        """The other side sent it: it arrives after all that it sent before."""
        loop = self.network.loop
        due_ns = max(loop.now_ns + self.network.latency_ns(), self._last_ns)
        self._last_ns = due_ns
        self._coming.append((due_ns, data))
        if not self.is_clogged:
            loop.call_at_ns(due_ns, self.deliver, context=self.process.context)

    def deliver(self) -> None:
        """Hands over what has arrived, as one read or two."""
        coming, now = self._coming, self.network.loop.now_ns
        parts: list[bytes] = []
        is_end = False
        while coming and coming[0][0] <= now and not self.is_clogged and not is_end:
            _, data = coming.popleft()
            if data is None:
                is_end = True
            else:
                parts.append(data)
        if parts and not self.is_over:
            self.network.tell(self, parts)
            for piece in self._pieces(b"".join(parts)):
                if not self.is_over:
                    self.protocol.data_received(piece)
        if is_end:
            self._end()

    def _pieces(self, data: bytes) -> tuple[bytes, ...]:
        luck = self.network.luck
        if len(data) < 2 or luck.random() >= SPLIT_CHANCE:
            return (data,)
        cut = luck.randrange(1, len(data))
        return data[:cut], data[cut:]

    def _end(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._lost()

    def _lost(self) -> None:
        if not self.is_ended:
            self.is_ended = True
            self.network.forget(self)
            self.protocol.connection_lost(None)

    def lose_some(self) -> None:
        """A broken link: of what is under way to this side a part is lost, from the end."""
        keep = self.network.luck.randint(0, len(self._coming))
        while len(self._coming) > keep:
            self._coming.pop()

    def clog(self) -> None:
        """Delivers nothing until `unclog`."""
        self.is_clogged = True

    def unclog(self) -> None:
        """All that waited arrives."""
        self.is_clogged = False
        loop = self.network.loop
        for due_ns, _ in self._coming:
            loop.call_at_ns(max(due_ns, loop.now_ns), self.deliver, context=self.process.context)


class Network:
    """Who listens, who is linked with whom, and which ways are clogged."""

    def __init__(self, loop: SimLoop, luck: Random) -> None:
        self.loop = loop
        self.luck = luck
        self.on_bytes: Callable[[str, str, list[bytes]], None] | None = None
        self.transports: dict[Transport, None] = {}
        self.clogged: set[tuple[str, str]] = set()
        self.looped: tuple[str, str] | None = None
        self._servers: dict[str, Server] = {}
        loop.network = self

    def latency_ns(self) -> int:
        """How long a byte takes this time."""
        luck = self.luck
        if luck.random() < SPIKE_CHANCE:
            return luck.randint(*SPIKE_NS)
        return luck.randint(*LATENCY_NS)

    def serve(self, address: Any, factory: Callable[[], Any]) -> Server:
        """The calling process listens from now on."""
        process = PROCESS.get()
        assert process is not None
        server = self._servers[str(address)] = Server(self.loop, process, factory)
        return server

    async def connect(self, address: Any, factory: Callable[[], Any]) -> tuple[Transport, Any]:
        """Links the calling process with whoever listens. Raises ConnectionRefusedError."""
        process = PROCESS.get()
        assert process is not None
        server = self._servers.get(str(address))
        if server is None or not server.process.is_alive:
            raise ConnectionRefusedError(address)
        protocol = factory()
        near = Transport(self, process, protocol)
        far = Transport(self, server.process, server.factory())
        near.peer, far.peer = far, near
        near.name = far.name = str(address)
        for end in (near, far):
            self.transports[end] = None
            end.is_clogged = self.way_to(end) in self.clogged
        self.loop.call_soon(far.protocol.connection_made, far, context=server.process.context)
        protocol.connection_made(near)
        return near, protocol

    def way_to(self, end: Transport) -> tuple[str, str]:
        """Which way the bytes go that arrive there."""
        return end.peer.process.name, end.process.name

    def tell(self, end: Transport, parts: list[bytes]) -> None:
        """Something arrived: for the trace."""
        if self.on_bytes is not None:
            self.on_bytes(end.peer.process.name, end.process.name, parts)

    def forget(self, end: Transport) -> None:
        """It is over."""
        self.transports.pop(end, None)

    # -- faults

    def ways(self) -> list[tuple[str, str]]:
        """Each direction between two processes that are linked now."""
        return sorted({self.way_to(end) for end in self.transports})

    def clog(self, way: tuple[str, str]) -> None:
        """Nothing more arrives that way."""
        self.clogged.add(way)
        for end in self.transports:
            if self.way_to(end) == way:
                end.clog()

    def unclog(self, way: tuple[str, str]) -> None:
        """What waited arrives."""
        self.clogged.discard(way)
        for end in tuple(self.transports):
            if self.way_to(end) == way:
                end.unclog()

    def cut(self, way: tuple[str, str]) -> None:
        """Breaks the links between two processes: parts of what is under way are lost."""
        for end in tuple(self.transports):
            if self.way_to(end) == way and not end.is_over and not end.peer.is_over:
                self._break(end)
                self._break(end.peer)

    def _break(self, end: Transport) -> None:
        end.lose_some()
        end.put(END)

    def bury(self, process: Process) -> None:
        """The process is dead: its peers see the end of each of its links."""
        for end in [end for end in self.transports if end.process is process]:
            self.transports.pop(end)
            end.is_over = True
            if end.peer.is_over:
                continue
            if self.luck.random() < 0.5:
                end.peer.lose_some()
            end.peer.put(END)
