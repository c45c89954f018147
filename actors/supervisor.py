"""The supervisor: a plain root process that keeps everything else alive.

It owns the listening sockets (edges get copies, so no connect is refused while one restarts),
runs paper brokers, Ray's processes, edges and the watchdog, and ends them by pid. It imports
no Ray and holds no order; while it is away everything below goes on trading, and the next one
takes over what lives: processes by pid, sockets from the edges that hold them.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import aiohttp
import psutil
import structlog
from msgspec import Struct

from actors.cluster import (
    GCS,
    RAYLET,
    find_seat,
    note_nodes,
    ray_environment,
    start_ray,
    wanted_gcs,
    wanted_raylet,
)
from actors.handles import fetch_handles
from actors.keeping import Keeper, Kept, Wanted
from actors.legacy import Legacy, read_legacy, write_json
from actors.link import PathLock
from actors.logs import configure_logs
from actors.paper import paper_settings
from actors.paths import Paths
from actors.remains import become_subreaper, end, find_remains, reap
from actors.roles import edge_roles
from actors.rolling import Rolled, replace_edge
from actors.settings import Settings, SimulatorSettings, load
from gateway.tls import TlsSettings, find_fault

BACKLOG = 1024
STOP_S = 2.0
READY_S = 60.0
POLL_S = 0.05

log = structlog.get_logger()

Say = Callable[[str], None]


class AlreadyRunning(Exception):
    """Another supervisor holds this deployment."""


class StartFailed(Exception):
    """A part did not come up; the message says which and where its log is."""


class Running(Struct, frozen=True, kw_only=True):
    """What a running deployment tells about itself in `ready.json`."""

    pid: int
    url: str
    health_url: str
    rest_url: str = ""
    ray_address: str
    simulators: dict[str, str] = {}
    tls: TlsSettings | None = None


class Supervisor:
    """Keeps one deployment up on this node until told to stop."""

    def __init__(self, paths: Paths, settings: Settings, say: Say) -> None:
        # Whole paths in every command line: by them a later supervisor knows its own.
        self._paths = Paths(paths.home.resolve())
        self._settings = settings
        self._say = say
        self._stopping = asyncio.Event()
        self._rolling = asyncio.Event()
        self._keepers: dict[str, Keeper] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._sockets: list[socket.socket] = []
        self._lock = PathLock(paths.runtime / "supervisor.lock")
        self._simulators: dict[str, str] = {}
        self._kept: dict[str, Kept] = {}
        self._address = ""
        self._is_up = False

    async def run(self) -> None:
        """Starts everything, says when it is ready, and stops all of it at a signal.

        Raises AlreadyRunning, StartFailed, ClusterError.
        """
        if not self._lock.try_take():
            raise AlreadyRunning(f"a supervisor already runs for {self._paths.home}")
        configure_logs(
            self._paths.logs / "supervisor.log", self._settings.deployment.log_level, "supervisor"
        )
        become_subreaper()
        self._paths.ready.unlink(missing_ok=True)
        legacy = await self._find_legacy()
        self._catch_signals()
        try:
            await self._start(legacy)
            await self._serve()
        finally:
            self._say("stopping")
            await self._stop()

    async def _find_legacy(self) -> Legacy | None:
        """What an earlier supervisor left running; what it left half made is ended here."""
        legacy = read_legacy(self._paths.kept)
        remains = find_remains(self._paths)
        if legacy is not None and any(kept.is_alive for kept in legacy.kept.values()):
            self._say(f"taking over {len(remains)} processes that an earlier supervisor left")
            return legacy
        if remains:
            self._say(f"ending {len(remains)} processes that an earlier supervisor left")
            await asyncio.to_thread(end, remains)
        self._paths.kept.unlink(missing_ok=True)
        for pattern in ("*.starts", "*.waiting.*"):
            for stale in self._paths.runtime.glob(pattern):
                stale.unlink(missing_ok=True)
        return None

    def stop(self) -> None:
        """Asks for the end."""
        self._stopping.set()

    def roll(self) -> None:
        """Asks for a rolling replacement of all that trades."""
        self._rolling.set()

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGUSR2, self.roll)

    async def _start(self, legacy: Legacy | None) -> None:
        paths, settings = self._paths, self._settings
        tls = settings.deployment.tls
        if tls is not None and (fault := find_fault(tls)) is not None:
            raise StartFailed(fault)
        found = legacy.kept if legacy is not None else {}
        for simulator in settings.simulators:
            await self._start_simulator(simulator, found)
        sockets = listening, health, rest = self._listen(legacy)
        address = await self._start_ray(legacy)
        self._say("starting the router, compliance and the broker connections")
        deploying = asyncio.create_task(self._run_program("actors.deploy", address))
        handles = tuple(sock.fileno() for sock in sockets)
        for number, role in enumerate(edge_roles(settings)):
            command = (sys.executable, "-m", "actors.edge", str(paths.home), str(number))
            self._keep(Wanted(role=role, command=command, handles=handles), found)
        await deploying
        programs = {"watchdog": "actors.watchdog", "observer": "actors.observer.main"}
        if settings.nodes:
            programs = {"bridge": "actors.bridge"} | programs
        for role, module in programs.items():
            program = (sys.executable, "-m", module, str(paths.home))
            self._keep(Wanted(role=role, command=program), found)
        health_port = health.getsockname()[1]
        await self._wait_until_ready(f"http://127.0.0.1:{health_port}")
        secure = "" if settings.deployment.tls is None else "s"
        running = Running(
            pid=os.getpid(),
            url=f"ws{secure}://{settings.deployment.host}:{listening.getsockname()[1]}",
            health_url=f"http://127.0.0.1:{health_port}",
            rest_url=f"http{secure}://{settings.deployment.host}:{rest.getsockname()[1]}",
            tls=settings.deployment.tls,
            ray_address=address,
            simulators=self._simulators,
        )
        self._is_up = True
        self._write_legacy()
        write_json(paths.ready, running)
        self._say(f"ready at {running.url}")

    async def _start_ray(self, legacy: Legacy | None) -> str:
        """Ray's own processes: taken over, or new."""
        runtime = self._paths.runtime
        if legacy is not None:
            found, self._address = legacy.kept, legacy.ray_address
        else:
            self._say("starting Ray")
            note_nodes(self._settings, runtime)
            cluster = await start_ray(runtime, self._settings.ray, find_seat(self._settings))
            found, self._address = {RAYLET: cluster.raylet}, cluster.address
            if cluster.gcs is not None:
                found[GCS] = cluster.gcs
        if GCS in found:
            self._keep(wanted_gcs(runtime, found[GCS].command), found)
        self._keep(wanted_raylet(runtime, found[RAYLET].command), found)
        return self._address

    def _listen(self, legacy: Legacy | None) -> list[socket.socket]:
        """The sockets for clients, health and REST: from an edge that holds them, or new."""
        wanted = self._settings.deployment
        places: tuple[tuple[str, int], ...] = (
            (wanted.host, wanted.port),
            ("127.0.0.1", wanted.health_port),
            (wanted.host, wanted.rest_port),
        )
        if legacy is not None:
            places = legacy.listening
            for role in edge_roles(self._settings):
                handed = fetch_handles(self._paths.handles(role))
                if handed is not None and len(handed) == len(places):
                    self._sockets = handed
                    return handed
        self._sockets = [_listen(host, port) for host, port in places]
        return self._sockets

    async def _start_simulator(self, simulator: SimulatorSettings, found: dict[str, Kept]) -> None:
        """Starts a paper broker and learns its address; it keeps that across restarts."""
        role = f"simulator-{simulator.id}"
        facts = self._paths.runtime / f"{role}.json"
        wanted = self._paths.runtime / f"{role}.settings.json"
        if role not in found:
            facts.unlink(missing_ok=True)
            wanted.write_bytes(paper_settings(simulator, self._settings, self._paths))
            wanted.chmod(0o600)
            self._say(f"starting the paper broker {simulator.id}")
        command = (
            sys.executable,
            "-m",
            f"brokers.simulators.{simulator.broker}",
            "--settings",
            str(wanted),
            "--facts",
            str(facts),
        )
        self._keep(Wanted(role=role, command=command), found)
        await _until(facts.exists)
        self._simulators[simulator.id] = json.loads(facts.read_text())["url"]

    async def _run_program(self, module: str, *words: str) -> None:
        """Runs a program that may import Ray, to its end. Raises StartFailed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, str(self._paths.home), *words,
            env=ray_environment(self._paths.runtime),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        output, _ = await process.communicate()
        if process.returncode:
            told = self._paths.logs / f"{module.rpartition('.')[2]}.log"
            told.write_bytes(output)
            raise StartFailed(f"{module} failed; see {told}")

    # -- keeping

    def _keep(self, wanted: Wanted, found: dict[str, Kept]) -> None:
        keeper = Keeper(wanted, self._paths.logs, self._started)
        self._keepers[wanted.role] = keeper
        kept = found.get(wanted.role)
        if kept is not None:
            self._kept[wanted.role] = kept
        self._tasks.append(asyncio.create_task(keeper.run(kept)))

    def _started(self, role: str, kept: Kept) -> None:
        self._kept[role] = kept
        if self._is_up:
            self._write_legacy()

    def _write_legacy(self) -> None:
        listening = tuple(sock.getsockname()[:2] for sock in self._sockets)
        legacy = Legacy(ray_address=self._address, listening=listening, kept=self._kept)
        write_json(self._paths.kept, legacy)

    async def _serve(self) -> None:
        """Until the end; now and then a rolling replacement."""
        stopping = asyncio.create_task(self._stopping.wait())
        while not self._stopping.is_set():
            rolling = asyncio.create_task(self._rolling.wait())
            await asyncio.wait((stopping, rolling), return_when=asyncio.FIRST_COMPLETED)
            rolling.cancel()
            if self._rolling.is_set() and not self._stopping.is_set():
                self._rolling.clear()
                await self._roll()

    async def _roll(self) -> None:
        """Replaces what trades, one process after the other; says in a file how it went."""
        self._say("replacing every process, one by one")
        trouble = ""
        try:
            for role in edge_roles(self._settings):
                await replace_edge(self._keepers[role], self._paths)
            health = f"http://127.0.0.1:{self._sockets[1].getsockname()[1]}"
            await self._run_program("actors.roll", self._address, health)
        except (StartFailed, TimeoutError) as error:
            trouble = str(error) or "a process did not take over in time"
        self._say(trouble or "every process was replaced")
        if trouble:
            write_json(self._paths.rolled, Rolled(pid=os.getpid(), trouble=trouble))
        else:
            self._begin_anew()

    def _begin_anew(self) -> NoReturn:
        """Becomes what is installed now, and takes over from itself."""
        self._paths.ready.unlink(missing_ok=True)
        write_json(self._paths.rolled, Rolled(pid=os.getpid()))
        for sock in self._sockets:
            sock.close()  # the edges hold them
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # it would end who has no handler yet
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - the command that we are

    async def _wait_until_ready(self, health_url: str) -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(int(READY_S / POLL_S)):
                if self._stopping.is_set() or await is_ready(session, health_url):
                    return
                await asyncio.sleep(POLL_S)
        raise StartFailed(f"not ready after {READY_S:.0f} s; see {self._paths.logs}")

    # -- ending

    async def _stop(self) -> None:
        """Ends every process of the deployment: politely, then for good."""
        self._stopping.set()
        self._paths.ready.unlink(missing_ok=True)
        self._paths.kept.unlink(missing_ok=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _ in range(2):  # what one of them started while it ended goes, too
            await asyncio.to_thread(self._end_all)
        await asyncio.wait_for(asyncio.to_thread(reap), STOP_S)
        for sock in self._sockets:
            sock.close()

    def _end_all(self) -> None:
        below = psutil.Process().children(recursive=True)
        known = {process.pid for process in below}
        end([*below, *(p for p in find_remains(self._paths) if p.pid not in known)])


async def is_ready(session: aiohttp.ClientSession, health_url: str) -> bool:
    """Whether an edge says that orders get through."""
    try:
        async with session.get(f"{health_url}/readyz") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _until(is_true: Callable[[], bool]) -> None:
    """Waits for what another process does. Raises TimeoutError."""
    for _ in range(int(READY_S / POLL_S)):
        if is_true():
            return
        await asyncio.sleep(POLL_S)
    raise TimeoutError


def _listen(host: str, port: int) -> socket.socket:
    sock = socket.create_server((host, port), backlog=BACKLOG, reuse_port=False)
    sock.setblocking(False)
    sock.set_inheritable(True)
    return sock


def main(home: Path) -> None:
    """Runs the deployment of a home until a signal; raises what `Supervisor.run` raises."""
    paths = Paths(home)
    paths.make()

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    asyncio.run(Supervisor(paths, load(paths.settings), say).run())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
