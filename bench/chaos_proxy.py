"""A TCP proxy that does to a connection what networks do, by seed.

It stands between clients and an edge, or between a broker connection and its simulator. Each
connection gets its own weather from a plan, by its number and its own luck: latency, jitter, a
slow drip, one direction that stops while the socket stays open, bytes that come twice, a cut
after so many bytes. A stalled direction hides its end too, as a dead network path does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from random import Random

from msgspec import Struct

CHUNK_BYTES_MAX = 65_536
CHUNKS_WAITING_MAX = 64
DRIPS_PER_S = 10
DIAL_S = 5.0


class Way(Struct, frozen=True, kw_only=True):
    """What happens in one direction; bytes are counted from the connection's start."""

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    bytes_per_s: int | None = None
    cut_after: int | None = None
    stall_after: int | None = None
    repeat_after: int | None = None
    """The piece that passes this byte is sent twice."""


class Weather(Struct, frozen=True, kw_only=True):
    """What happens to one connection: from the client `up` to the server, and back `down`."""

    up: Way = Way()
    down: Way = Way()
    window_bytes: int | None = None
    """The proxy's receive buffers: small ones make a sender feel a slow drip soon."""


Plan = Callable[[int, Random], Weather]


def fair(_number: int, _luck: Random) -> Weather:
    """Nothing happens."""
    return Weather()


class _Lane:
    """One direction of one connection."""

    def __init__(self, way: Way, luck: Random, cut: Callable[[], None]) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self._way = way
        self._luck = luck
        self._cut = cut
        self._carried = 0
        self._due = 0.0
        # A drip is felt by the sender only where nothing in between takes the bytes for it.
        waiting = CHUNKS_WAITING_MAX if way.bytes_per_s is None else 1
        self._chunk = CHUNK_BYTES_MAX if way.bytes_per_s is None else max(1, way.bytes_per_s)
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(waiting)

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries all there is, then the end."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take(reader))
            tasks.create_task(self._give(writer))

    async def _take(self, reader: asyncio.StreamReader) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data = await reader.read(self._chunk)
            wait_ms = self._way.latency_ms + self._way.jitter_ms * self._luck.random()
            # Never before what was sent earlier: jitter delays a stream, it does not reorder it.
            self._due = max(self._due, loop.time() + wait_ms / 1000)
            await self._queue.put((self._due, data))
            if not data:
                return

    async def _give(self, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await self._queue.get()
            if (wait_s := due - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            await self.go.wait()
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            await self._pass(writer, data)

    async def _pass(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Writes what the weather lets through of it."""
        way, before = self._way, self._carried
        self._carried += len(data)
        limit = min(way.cut_after or _NEVER, way.stall_after or _NEVER)
        if self._carried >= limit:
            await self._drip(writer, data[: limit - before])
            if limit == way.cut_after:
                self._cut()
            self.go.clear()
            await self.go.wait()
            data = data[limit - before :]
        if way.repeat_after is not None and before <= way.repeat_after < self._carried:
            await self._drip(writer, data)
        await self._drip(writer, data)

    async def _drip(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        rate = self._way.bytes_per_s
        size = len(data) if rate is None else max(1, rate // DRIPS_PER_S)
        for first in range(0, len(data), size or 1):
            writer.write(data[first : first + size])
            await writer.drain()
            if rate is not None:
                await asyncio.sleep(1 / DRIPS_PER_S)


_NEVER = 1 << 62


class ChaosProxy:
    """Listens on a free loopback port and carries to `target` through a plan's weather."""

    def __init__(self, target: tuple[str, int], plan: Plan = fair, seed: int = 0) -> None:
        self.plan = plan
        self.connections = 0
        self.cuts = 0
        self.port = 0
        self._target = target
        self._seed = seed
        self._server: asyncio.Server | None = None
        self._live: dict[asyncio.Task[None], Callable[[], None]] = {}
        self._lanes: dict[asyncio.Task[None], tuple[_Lane, _Lane]] = {}

    async def start(self) -> None:
        """Takes connections from now on."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Ends every connection, and listens no more."""
        if self._server is not None:
            self._server.close()
        tasks = tuple(self._live)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cut(self) -> int:
        """Cuts all connections there are; says how many."""
        cuts = tuple(self._live.values())
        for cut in cuts:
            cut()
        return len(cuts)

    def stall(self, *, up: bool = True, down: bool = True) -> None:
        """Stops directions of all connections there are; the sockets stay open."""
        for lanes in self._lanes.values():
            for lane, is_meant in zip(lanes, (up, down), strict=True):
                if is_meant:
                    lane.go.clear()

    def flow(self) -> None:
        """Lets all go on."""
        for lanes in self._lanes.values():
            for lane in lanes:
                lane.go.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        task = asyncio.current_task()
        assert task is not None
        self._live[task] = lambda: self._cut(task)
        try:
            luck = Random(f"{self._seed}/{number}")
            await self._carry(self.plan(number, luck), luck, (reader, writer))
        except asyncio.CancelledError:
            # A cut, or the end of the proxy: nobody waits for this task's word.
            pass
        finally:
            self._live.pop(task, None)
            self._lanes.pop(task, None)
            writer.transport.abort()

    def _cut(self, task: asyncio.Task[None]) -> None:
        if self._live.pop(task, None) is not None:
            self.cuts += 1
            task.cancel()

    async def _carry(
        self,
        weather: Weather,
        luck: Random,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            async with asyncio.timeout(DIAL_S):
                limit = weather.window_bytes or CHUNK_BYTES_MAX
                server = await asyncio.open_connection(*self._target, limit=limit)
        except OSError:
            return
        _shrink(weather, client[1], server[1])
        cut = self._live[task]
        lanes = (_Lane(weather.up, luck, cut), _Lane(weather.down, luck, cut))
        self._lanes[task] = lanes
        try:
            with contextlib.suppress(ExceptionGroup):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(lanes[0].run(client[0], server[1]))
                    tasks.create_task(lanes[1].run(server[0], client[1]))
        finally:
            server[1].transport.abort()


def _shrink(weather: Weather, *writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if weather.window_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, weather.window_bytes)


@contextlib.asynccontextmanager
async def chaos_proxy(
    target: tuple[str, int], plan: Plan = fair, seed: int = 0
) -> AsyncIterator[ChaosProxy]:
    """A proxy that runs, and is gone afterwards."""
    proxy = ChaosProxy(target, plan, seed)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
