"""A deployment of bare processes: every role as it is, without Ray, supervisor or watchdog.

    python -m bench.bare_world ROLE HOME

It starts in about two seconds, and any part can be killed and started again at any moment: what
a fault does to a role is not hidden behind what brings the role back. The command above is what
each role's process runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import psutil

from actors.host import run_stage
from actors.paper import paper_settings
from actors.paths import Paths, connection_role
from actors.roles import roles, starter_of
from actors.settings import find_journal, load
from bench.origin_tricks import ALLOWED
from bench.world import CONNECTION, WorldOptions, make_home
from domain.records import Record
from gateway.tokens import TokenStore, TokenTerms
from gateway.wire import Scope
from ledger.places import reader_of

READY_S = 60.0
STOP_S = 5.0
SERVING_S = 0.2
BACKLOG = 1_024
SIMULATOR = "simulator-oanda"
LIMITS = "[gateway.limits]\n"
OTHER_ORIGIN = "https://other.example"
EXTRA = f"""
[gateway]
connections_per_token_max = 10000
connections_max = 10000
origins = ["{ALLOWED}", "{OTHER_ORIGIN}"]
"""


class BareWorld:
    """The processes by role, the sockets of the edges, and the ways to hurt them."""

    def __init__(self, home: Path, token: str, edges: int) -> None:
        self.paths = Paths(home)
        self.token = token
        self.edges = [f"edge-{number}" for number in range(edges)]
        self.sockets = [_listening() for _ in range(3)]
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    @property
    def port(self) -> int:
        """Where the edges take WebSocket clients."""
        return int(self.sockets[0].getsockname()[1])

    @property
    def rest_port(self) -> int:
        """Where they take REST."""
        return int(self.sockets[2].getsockname()[1])

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}"

    def pid(self, role: str) -> int:
        """The process of a role."""
        return self._processes[role].pid

    def process(self, role: str) -> psutil.Process:
        """The same, to look at."""
        return psutil.Process(self.pid(role))

    def mint(self, *scopes: Scope, owner: str, expires_ns: int | None = None) -> str:
        """A new token; edges know it within a tick."""
        terms = TokenTerms(owner=owner, scopes=scopes, expires_ns=expires_ns)
        return TokenStore(self.paths.tokens).create(terms, time.time_ns(), os.urandom)

    def records(self) -> list[Record]:
        """The journal, whole, as a reader sees it."""
        return list(reader_of(find_journal(self.paths)).replay())

    # -- life

    async def start(self) -> None:
        """Starts every role and waits until orders get through."""
        await self.start_simulator()
        for role in roles(load(self.paths.settings)):
            await self.start_role(role)
        for role in self.edges:
            await self.start_role(role)
        await self.ready()

    async def start_simulator(self) -> None:
        """Starts the paper broker and waits for its address."""
        settings = load(self.paths.settings)
        facts, wanted = self.facts, self.paths.runtime / f"{SIMULATOR}.settings.json"
        facts.unlink(missing_ok=True)
        wanted.write_bytes(paper_settings(settings.simulators[0], settings, self.paths))
        words = ("brokers.simulators.oanda", "--settings", str(wanted), "--facts", str(facts))
        await self._spawn(SIMULATOR, *words)
        await self.until(facts.exists)

    @property
    def facts(self) -> Path:
        """Where the paper broker tells its addresses, and connections look for them."""
        return self.paths.runtime / f"{SIMULATOR}.json"

    def redirect(self, port: int) -> None:
        """Connections that start from now on find the paper broker at another port."""
        told = json.loads(self.facts.read_text())
        for name in ("url", "stream_url"):
            told[name] = f"http://127.0.0.1:{port}"
        self.facts.write_text(json.dumps(told))

    def broker_port(self) -> int:
        """Where the paper broker listens."""
        return int(json.loads(self.facts.read_text())["url"].rpartition(":")[2])

    async def start_role(self, role: str) -> None:
        """Starts one role; returns when its process is there, not yet its work."""
        home = str(self.paths.home)
        if not role.startswith("edge-"):
            await self._spawn(role, "bench.bare_world", role, home)
            return
        handles = [sock.fileno() for sock in self.sockets]
        words = ("actors.edge", home, role.removeprefix("edge-"), *map(str, handles))
        await self._spawn(role, *words, handles=handles)

    async def _spawn(self, role: str, *words: str, handles: list[int] | None = None) -> None:
        with (self.paths.logs / f"{role}.out").open("ab") as output:
            self._processes[role] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *words,
                pass_fds=handles or (), stdin=asyncio.subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    async def end(self, role: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends a role's process and waits until it is gone."""
        process = self._processes.pop(role)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        await process.wait()

    async def ready(self) -> None:
        """Waits until orders get through an edge."""
        url = f"http://127.0.0.1:{self.sockets[1].getsockname()[1]}/readyz"
        async with asyncio.timeout(READY_S), aiohttp.ClientSession() as session:
            while not await _is_ready(session, url):
                await asyncio.sleep(0.02)

    async def serving(self, role: str) -> None:
        """Waits until this edge, and no other one in its place, takes clients."""
        async with asyncio.timeout(READY_S):
            while not await self._takes(role):
                self.look()
                await asyncio.sleep(0.02)
        await asyncio.sleep(SERVING_S)

    async def _takes(self, role: str) -> bool:
        """True where its own link answers; its listeners follow at once."""
        try:
            _, writer = await asyncio.open_unix_connection(self.paths.socket(role))
        except OSError:
            return False
        writer.close()
        return True

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Waits for what another process does. Raises TimeoutError, or what a dead process said."""
        async with asyncio.timeout(READY_S):
            while not is_true():
                self.look()
                await asyncio.sleep(0.01)

    def look(self) -> None:
        """Raises RuntimeError where a process ended by itself, with its last words."""
        for role, process in self._processes.items():
            if process.returncode is not None:
                said = (self.paths.logs / f"{role}.out").read_text()[-2_000:]
                raise RuntimeError(f"{role} ended with {process.returncode}: {said}")

    async def stop(self) -> None:
        """Ends every process."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        async with asyncio.timeout(STOP_S):
            for process in self._processes.values():
                await process.wait()
        for sock in self.sockets:
            sock.close()


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def _listening() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    sock.setblocking(False)
    return sock


@contextlib.asynccontextmanager
async def bare_world(edges: int = 1, limits: str = "", rules: str = "") -> AsyncIterator[BareWorld]:
    """A bare deployment that trades; gone afterwards. Within `sharing` it is the shared one.

    `limits` come first in the settings' `[gateway.limits]`, `rules` at their end.
    """
    if _shared:
        yield _shared[0]
        return
    with tempfile.TemporaryDirectory(prefix="fgb-") as folder, _temporary(folder):
        home = Path(folder) / "home"
        home.mkdir()
        token = make_home(home, WorldOptions(edges=edges, extra=EXTRA + rules))
        settings = Paths(home).settings
        settings.write_text(settings.read_text().replace(LIMITS, LIMITS + limits, 1))
        world = BareWorld(home, token, edges)
        try:
            await world.start()
            yield world
        finally:
            await world.stop()


@contextlib.asynccontextmanager
async def sharing(limits: str = "") -> AsyncIterator[BareWorld]:
    """One deployment for all goals run meanwhile: starting one costs more than most of them."""
    async with bare_world(limits=limits) as world:
        _shared.append(world)
        try:
            yield world
        finally:
            _shared.clear()


_shared: list[BareWorld] = []


@contextlib.contextmanager
def _temporary(folder: str) -> Iterator[None]:
    """The runtime folder lies beside the home, here and in every process: both vanish together."""
    before, tempfile.tempdir = tempfile.tempdir, folder
    variable = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = folder
    try:
        yield
    finally:
        tempfile.tempdir = before
        del os.environ["TMPDIR"]
        if variable is not None:
            os.environ["TMPDIR"] = variable


CONNECTION_ROLE = connection_role(CONNECTION)

if __name__ == "__main__":
    os.umask(0o077)
    run_stage(sys.argv[1], Path(sys.argv[2]), starter_of(sys.argv[1]))
