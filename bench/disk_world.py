"""A bare deployment on a disk that can be full, broken or slow: what the faults are made of.

Full is a file system in memory with a small size, and a file that takes what is left of it. Errors
and delays are put by `strace` on the router's own system calls. Both need root.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path

import aiohttp
from msgspec.json import decode

from actors.paper import venue_book
from bench.bare_world import BareWorld
from bench.world import BROKER_ACCOUNT, INSTRUMENTS, OWNER, WorldOptions, make_home
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.streams import StreamUpdate
from gateway import wire
from gateway.client import Client, Refused
from ledger.agreement import Agreement, VenueBook, compare_client, compare_venue, stream_of
from ledger.projection import Books

SEGMENT_BYTES = 1024 * 1024
DISK_BYTES = 7 * SEGMENT_BYTES
JOURNAL = f"segment_bytes = {SEGMENT_BYTES}\nreserve_bytes = {SEGMENT_BYTES // 4}"
STREAM = f"orders/{OWNER}"
WATCHDOG = "watchdog"
WAIT_S = 30.0


def find_lack() -> str | None:
    """Why the faults cannot be made here, or None."""
    if os.getuid() != 0:
        return "faults of a disk are made by root alone"
    missing = [tool for tool in ("strace", "mount") if shutil.which(tool) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


class DiskWorld(BareWorld):
    """The deployment, its watchdog, and its disk."""

    @property
    def ballast(self) -> Path:
        """What takes the room on the disk."""
        return self.paths.journal / "ballast"

    def fill_disk(self) -> None:
        """No room is left for a further segment."""
        free = shutil.disk_usage(self.paths.journal).free
        with self.ballast.open("wb") as file, contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(free, 1))

    async def watch(self) -> None:
        """Starts the watchdog: it ends a role that is silent for too long."""
        await self._spawn(WATCHDOG, "actors.watchdog", str(self.paths.home))

    def logged(self, role: str, message: str) -> list[dict[str, object]]:
        """The lines of a role's log that say it, oldest first."""
        lines = (self.paths.logs / f"{role}.log").read_text().splitlines()
        found = (decode(line, type=dict[str, object]) for line in lines)
        return [line for line in found if line.get("message") == message]

    async def book(self) -> VenueBook:
        """The paper broker's own book."""
        url = decode(self.facts.read_bytes())["url"] + "/sim/book"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return venue_book(await answer.json(), BROKER_ACCOUNT)


@contextlib.asynccontextmanager
async def disk_world() -> AsyncIterator[DiskWorld]:
    """A deployment whose journal has a file system of its own; gone afterwards."""
    with _own_temp() as folder, _small_disk(folder / "home" / "journal"):
        home = folder / "home"
        world = DiskWorld(home, make_home(home, WorldOptions(journal=JOURNAL)), 1)
        try:
            await world.start()
            await world.watch()
            yield world
        finally:
            await world.stop()


@contextlib.contextmanager
def _own_temp() -> Iterator[Path]:
    """Where everything temporary is made meanwhile, by our processes as well."""
    before, temp = tempfile.tempdir, os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="fgd-") as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before
            os.environ.pop("TMPDIR")
            os.environ.update({"TMPDIR": temp} if temp is not None else {})


@contextlib.contextmanager
def _small_disk(directory: Path) -> Iterator[None]:
    directory.mkdir(mode=0o700, parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(directory)]
    subprocess.run(words, check=True)  # noqa: S603 - a folder of our own
    try:
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)  # noqa: S603, S607 - the same


class Fault:
    """A fault on the system calls of a process, from `__aenter__` to `__aexit__`."""

    def __init__(self, pid: int, calls: str, inject: str, folder: Path) -> None:
        self._words = [
            "strace", "-f", "-qq", "-ttt", "-p", str(pid), "-e", f"trace={calls}",
            "-e", f"inject={calls}:{inject}", "-o", str(folder / "strace.out"),
        ]  # fmt: skip
        self._out = folder / "strace.out"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Fault:
        self._out.unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            *self._words, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(WAIT_S):
            while not self._out.exists():
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # every thread of it is taken one after the other
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    def times(self) -> list[float]:
        """When calls were tampered with, seconds of the system clock."""
        lines = self._out.read_text().splitlines()
        return [float(line.split()[1]) for line in lines if "INJECTED" in line or "DELAYED" in line]


# -- clients


class ClientLog:
    """What the client library applied of its orders' stream."""

    def __init__(self) -> None:
        self.updates: list[StreamUpdate] = []

    def take(self, event: wire.Ev) -> None:
        """One event, as the client library applies it."""
        if event.stream == STREAM:
            self.updates.append(
                StreamUpdate(stream=event.stream, seq=event.seq, at_ns=event.at_ns, body=event.body)
            )


def limit_order(name: str) -> NewOrder:
    """An order that rests far from the market."""
    return NewOrder(
        client_order_id=name,
        instrument=INSTRUMENTS[0],
        side=Side.BUY,
        quantity=Decimal(100),
        type=OrderType.LIMIT,
        limit_price=Decimal("0.50000"),
        time_in_force=TimeInForce.GTC,
    )


async def until(is_so: Callable[[], bool], seconds: float = WAIT_S) -> bool:
    """Whether it comes to be so in time."""
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        await asyncio.sleep(0.005)
    return is_so()


async def until_priced(client: Client) -> None:
    """Until everything traded has a price. Raises TimeoutError."""
    async with asyncio.timeout(WAIT_S):
        while not await _is_priced(client):
            await asyncio.sleep(0.1)


async def _is_priced(client: Client) -> bool:
    try:
        res = await client.query(wire.QuoteGet, instruments=INSTRUMENTS)
    except Refused:
        return False
    return {quote["instrument"] for quote in res.body} == set(INSTRUMENTS)


async def compare(world: DiskWorld, log: ClientLog, durable: set[str]) -> Agreement:
    """Client, journal and broker against each other; `durable` are the orders we were told are."""
    records = world.records()
    books = Books()
    for record in records:
        books.apply(record)
    journaled = stream_of(records, STREAM)
    found = (books.orders.get(name) for name in books.orders.all_ids())
    orders = [order for order in found if order is not None]
    agreement = compare_venue(orders, journaled, await world.book())
    agreement.differences += compare_client(journaled, log.updates)
    known = {order.client_order_id for order in orders}
    agreement.lost += [f"{name}: told durable, not in the journal" for name in durable - known]
    return agreement
