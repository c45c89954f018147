"""The supervisor: a plain root process that keeps everything else alive.

It owns the listening sockets (edges get copies, so no connect is refused while one restarts),
runs paper brokers, Ray's processes, edges and the watchdog, and ends them by pid. It imports
no Ray and holds no order; while it is away everything below goes on trading.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil
import structlog
from msgspec import Struct

from actors.cluster import ray_environment, start_ray
from actors.link import PathLock
from actors.logs import configure_logs
from actors.paper import paper_settings
from actors.paths import Paths
from actors.roles import edge_roles
from actors.settings import Settings, SimulatorSettings, load
from gateway.tls import TlsSettings, find_fault

PR_SET_CHILD_SUBREAPER = 36
BACKLOG = 1024
RESTART_PAUSES_S = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
STOP_S = 2.0
READY_S = 60.0
POLL_S = 0.05
PARTS = frozenset(
    {
        "actors.edge",
        "actors.watchdog",
        "actors.observer.main",
        "actors.deploy",
        "brokers.simulators.oanda",
        "brokers.simulators.alpaca",
    }
)
RAY_PARTS = ("gcs_server", "raylet", "dashboard.py", "monitor.py", "log_monitor.py")

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
        self._keepers: list[asyncio.Task[None]] = []
        self._sockets: list[socket.socket] = []
        self._lock = PathLock(paths.runtime / "supervisor.lock")
        self._simulators: dict[str, str] = {}

    async def run(self) -> None:
        """Starts everything, says when it is ready, and stops all of it at a signal.

        Raises AlreadyRunning, StartFailed, ClusterError.
        """
        if not self._lock.try_take():
            raise AlreadyRunning(f"a supervisor already runs for {self._paths.home}")
        configure_logs(
            self._paths.logs / "supervisor.log", self._settings.deployment.log_level, "supervisor"
        )
        _become_subreaper()
        await self._end_remains()
        self._paths.ready.unlink(missing_ok=True)
        self._catch_signals()
        try:
            await self._start()
            await self._stopping.wait()
        finally:
            self._say("stopping")
            await self._stop()

    async def _end_remains(self) -> None:
        """Ends what a supervisor that was killed left trading: this one starts its own."""
        remains = find_remains(self._paths)
        if remains:
            self._say(f"ending {len(remains)} processes that an earlier supervisor left")
            await asyncio.to_thread(_end, remains)

    def stop(self) -> None:
        """Asks for the end."""
        self._stopping.set()

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)

    async def _start(self) -> None:
        paths, settings = self._paths, self._settings
        tls = settings.deployment.tls
        if tls is not None and (fault := find_fault(tls)) is not None:
            raise StartFailed(fault)
        for simulator in settings.simulators:
            await self._start_simulator(simulator)
        sockets = listening, health, rest = self._bind()
        self._say("starting Ray")
        address = await start_ray(paths.runtime, settings.ray)
        self._say("starting the router, compliance and the broker connections")
        deploying = asyncio.create_task(self._deploy(address))
        for number, role in enumerate(edge_roles(settings)):
            self._keep(
                role,
                [sys.executable, "-m", "actors.edge", str(paths.home), str(number)],
                sockets,
            )
        await deploying
        for role, module in (("watchdog", "actors.watchdog"), ("observer", "actors.observer.main")):
            self._keep(role, [sys.executable, "-m", module, str(paths.home)], ())
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
        _write_json(paths.ready, running)
        self._say(f"ready at {running.url}")

    def _bind(self) -> tuple[socket.socket, socket.socket, socket.socket]:
        wanted = self._settings.deployment
        listening = _listen(wanted.host, wanted.port)
        health = _listen("127.0.0.1", wanted.health_port)
        rest = _listen(wanted.host, wanted.rest_port)
        self._sockets = [listening, health, rest]
        return listening, health, rest

    async def _start_simulator(self, simulator: SimulatorSettings) -> None:
        """Starts a paper broker and learns its address; it keeps that across restarts."""
        facts = self._paths.runtime / f"simulator-{simulator.id}.json"
        facts.unlink(missing_ok=True)
        wanted = self._paths.runtime / f"simulator-{simulator.id}.settings.json"
        wanted.write_bytes(paper_settings(simulator, self._settings, self._paths))
        wanted.chmod(0o600)
        command = [
            sys.executable,
            "-m",
            f"brokers.simulators.{simulator.broker}",
            "--settings",
            str(wanted),
            "--facts",
            str(facts),
        ]
        self._say(f"starting the paper broker {simulator.id}")
        self._keep(f"simulator-{simulator.id}", command, ())
        await _until(facts.exists)
        self._simulators[simulator.id] = json.loads(facts.read_text())["url"]

    async def _deploy(self, address: str) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "actors.deploy", str(self._paths.home), address,
            env=ray_environment(self._paths.runtime),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        output, _ = await process.communicate()
        if process.returncode:
            (self._paths.logs / "deploy.log").write_bytes(output)
            raise StartFailed(f"the actors did not start; see {self._paths.logs / 'deploy.log'}")

    # -- keeping

    def _keep(self, role: str, command: list[str], sockets: tuple[socket.socket, ...]) -> None:
        keeper = asyncio.create_task(self._keep_for_ever(role, command, sockets))
        self._keepers.append(keeper)

    async def _keep_for_ever(
        self, role: str, command: list[str], sockets: tuple[socket.socket, ...]
    ) -> None:
        failures = 0
        handles = [str(sock.fileno()) for sock in sockets]
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            started = loop.time()
            with (self._paths.logs / f"{role}.out").open("ab") as output:
                process = await asyncio.create_subprocess_exec(
                    *command, *handles,
                    pass_fds=[sock.fileno() for sock in sockets],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )  # fmt: skip
            code = await process.wait()
            if self._stopping.is_set():
                return
            log.warning("process ended", role=role, code=code)
            failures = 0 if loop.time() - started > 60 else failures + 1
            pause = (
                RESTART_PAUSES_S[min(failures - 1, len(RESTART_PAUSES_S) - 1)] if failures else 0
            )
            await asyncio.sleep(pause)

    async def _wait_until_ready(self, health_url: str) -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(int(READY_S / POLL_S)):
                if self._stopping.is_set() or await _is_ready(session, health_url):
                    return
                await asyncio.sleep(POLL_S)
        raise StartFailed(f"not ready after {READY_S:.0f} s; see {self._paths.logs}")

    # -- ending

    async def _stop(self) -> None:
        """Ends every process below this one: politely, then for good."""
        self._stopping.set()
        self._paths.ready.unlink(missing_ok=True)
        below = psutil.Process().children(recursive=True)
        await asyncio.to_thread(_end, below)
        await asyncio.to_thread(_end, psutil.Process().children(recursive=True))
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.wait_for(asyncio.to_thread(_reap), STOP_S)
        for sock in self._sockets:
            sock.close()


async def _is_ready(session: aiohttp.ClientSession, health_url: str) -> bool:
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


def find_remains(paths: Paths) -> list[psutil.Process]:
    """Processes of this deployment that nobody keeps: by its folders in their command lines."""
    own = {psutil.Process().pid, *(parent.pid for parent in psutil.Process().parents())}
    folders = (str(paths.runtime), str(paths.home))
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid in own or not _is_part(process, folders):
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            family = (process, *process.children(recursive=True))
            found.update({one.pid: one for one in family})
    return list(found.values())


def _is_part(process: psutil.Process, folders: tuple[str, ...]) -> bool:
    try:
        line = process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    is_ours = any(folder in word for folder in folders for word in line)
    return is_ours and any(word in PARTS or word.endswith(RAY_PARTS) for word in line)


def _end(processes: list[psutil.Process]) -> None:
    """Ends them politely, then for good."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, STOP_S)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, STOP_S)


def _become_subreaper() -> None:
    """Orphans below us become our children, so that they can be ended with us."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap() -> None:
    """Takes leave of every orphan that became ours, so that none stays as a zombie."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _listen(host: str, port: int) -> socket.socket:
    sock = socket.create_server((host, port), backlog=BACKLOG, reuse_port=False)
    sock.setblocking(False)
    sock.set_inheritable(True)
    return sock


def _write_json(path: Path, facts: Any) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(facts))
    partial.chmod(0o600)
    partial.rename(path)


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
