"""The bridge: what trades on another machine, at the paths where it would be on this one.

Edges dial the router and the broker connections at fixed paths. Where the shard is on another
machine, this process serves these paths and carries each link there, over TCP with mutual TLS, to
that machine's bridge, who dials the path where it really is. Nobody else knows of machines. Each
bridge asks the others all the time whether the shard is theirs; one that falls silent for a second
has it no longer, and every link through it is cut, so that edges see their router gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import TypeVar

import structlog
import uvloop

from actors.link import PathLock
from actors.logs import configure_logs
from actors.paths import Paths, connection_role
from actors.settings import ClusterSettings, NodeSettings, Settings, load
from actors.shard import is_here

LOOK_S = 0.05
BEAT_S = 0.2
SILENCE_S = 1.0
DIAL_S = 1.0
CHUNK_BYTES = 64 * 1024
SHARD = b"shard"
HERE, ELSEWHERE = b"1", b"0"
TROUBLES = (OSError, TimeoutError, EOFError, ValueError)
"""A peer that is away, silent, or says what nobody asked."""

log = structlog.get_logger()

T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Bridge:
    """This machine's end."""

    def __init__(self, paths: Paths, settings: Settings) -> None:
        self._paths = paths
        own = settings.cluster.node
        self._own = next(node for node in settings.nodes if node.id == own)
        self._others = [node for node in settings.nodes if node.id != own]
        connections = (connection_role(connection.id) for connection in settings.connections)
        self.roles = ("router", *connections)
        self._serving, self._dialing = contexts(settings.cluster)
        self.holder: NodeSettings | None = None
        self._carried: set[asyncio.StreamWriter] = set()
        self._servers: dict[str, tuple[asyncio.AbstractServer, PathLock]] = {}

    async def run(self) -> None:
        """Answers the others, watches them, and serves the paths; for ever."""
        server = await asyncio.start_server(
            self._answer, self._own.host, self._own.port, ssl=self._serving
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve_forever())
            for node in self._others:
                tasks.create_task(self._watch(node))
            tasks.create_task(self._serve())

    # -- for the others

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*TROUBLES):
            async with _closing(writer):
                asked = (await within(DIAL_S, reader.readuntil(b"\n"))).strip()
                await self._give(asked, (reader, writer))

    async def _give(self, asked: bytes, far: Streams) -> None:
        if asked == SHARD:
            await self._tell(far[1])
        elif asked.decode() in self.roles and is_here(self._paths.shard):
            path = self._paths.socket(asked.decode())
            near = await asyncio.open_unix_connection(str(path))
            async with _closing(near[1]):
                await carry(far, near)

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(HERE if is_here(self._paths.shard) else ELSEWHERE)
            await within(SILENCE_S, writer.drain())
            await asyncio.sleep(BEAT_S)

    # -- where it is

    async def _watch(self, node: NodeSettings) -> None:
        while True:
            with contextlib.suppress(*TROUBLES):
                await self._listen_to(node)
            self._learn(node, False)
            await asyncio.sleep(BEAT_S)

    async def _listen_to(self, node: NodeSettings) -> None:
        """Until it falls silent."""
        reader, writer = await self._dial(node, SHARD)
        async with _closing(writer):
            while told := await within(SILENCE_S, reader.read(64)):
                self._learn(node, told[-1:] == HERE)

    def _learn(self, node: NodeSettings, is_holder: bool) -> None:
        if is_holder and self.holder is not node:
            log.info("the shard is on another machine", node=node.id)
            self.holder = node
        elif not is_holder and self.holder is node:
            log.info("the shard is there no longer", node=node.id)
            self.holder = None

    async def _dial(self, node: NodeSettings, asked: bytes) -> Streams:
        dialing = asyncio.open_connection(
            node.host, node.port, ssl=self._dialing, server_hostname=node.id
        )
        reader, writer = await within(DIAL_S, dialing)
        writer.write(asked + b"\n")
        return reader, writer

    # -- the paths here

    async def _serve(self) -> None:
        while True:
            if self.holder is not None and not is_here(self._paths.shard):
                for role in self.roles:
                    await self._open(role)
            else:
                self._close()
            await asyncio.sleep(LOOK_S)

    async def _open(self, role: str) -> None:
        """Serves the path of a role, unless a process of this machine still does."""
        if role in self._servers:
            return
        path = self._paths.socket(role)
        lock = PathLock(path.with_suffix(".lock"))
        if not lock.try_take():
            lock.release()
            return
        path.unlink(missing_ok=True)

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._pass_on(role, (reader, writer))

        self._servers[role] = (await asyncio.start_unix_server(take, str(path)), lock)
        path.chmod(0o600)

    async def _pass_on(self, role: str, near: Streams) -> None:
        self._carried.add(near[1])
        with contextlib.suppress(*TROUBLES):
            async with _closing(near[1]):
                await self._reach(role, near)
        self._carried.discard(near[1])

    async def _reach(self, role: str, near: Streams) -> None:
        if self.holder is not None:
            far = await self._dial(self.holder, role.encode())
            async with _closing(far[1]):
                await carry(near, far)

    def _close(self) -> None:
        for role in tuple(self._servers):
            server, lock = self._servers.pop(role)
            server.close()
            self._paths.socket(role).unlink(missing_ok=True)
            lock.release()
        for writer in tuple(self._carried):
            writer.transport.abort()


async def within(seconds: float, work: Awaitable[T]) -> T:
    """Raises TimeoutError. Unlike `wait_for` of Python 3.11 it never swallows a cancel."""
    async with asyncio.timeout(seconds):
        return await work


async def carry(one: Streams, other: Streams) -> None:
    """Carries bytes both ways until either side ends."""
    ways = [
        asyncio.create_task(_pump(one[0], other[1])),
        asyncio.create_task(_pump(other[0], one[1])),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK_BYTES):
        writer.write(data)
        await writer.drain()


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.transport.abort()


def contexts(settings: ClusterSettings) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For those who dial us, and for dialing: both sides show a certificate of our own CA."""
    assert settings.ca_file is not None
    assert settings.cert_file is not None
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=settings.ca_file)
    serving.verify_mode = ssl.CERT_REQUIRED
    dialing = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.ca_file)
    for context in (serving, dialing):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return serving, dialing


def main(home: Path) -> None:
    """Runs this machine's bridge."""
    paths = Paths(home)
    settings = load(paths.settings)
    configure_logs(paths.logs / "bridge.log", settings.deployment.log_level, "bridge")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Bridge(paths, settings).run())


if __name__ == "__main__":
    os.umask(0o077)
    main(Path(sys.argv[1]))
