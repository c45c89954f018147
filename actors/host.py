"""Runs a plain actor class in a process: its own thread, its own uvloop, its own end.

Under Ray the host is the actor: its constructor starts the thread, so a restart by Ray is a
whole start, which waits until the role is its own (standing_by.py). A bug that escapes a
callback ends the process (STYLE 10): the next one replays and starts clean.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import resource
import threading
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn

import structlog
import uvloop

from actors import messages as m
from actors import options
from actors.beacon import Beacon, Declared
from actors.clocks import SYSTEM_CLOCKS
from actors.link import Hello, Link, LinkOwner, listen
from actors.logs import configure_logs
from actors.paths import LEDGER_ROLE, Paths
from actors.settings import Settings, load
from actors.shard import until_gone, until_here
from actors.standing_by import ROUTER, stand_by
from actors.starts import WINDOW_NS, note_end, note_start
from ledger.shadow import Shadow

log = structlog.get_logger()

EXIT_BUG = 70
QUARANTINE_PAUSE_S = 5.0
RETIRE_S_MAX = 5.0


class Stage:
    """What an actor class is started with: settings, paths, clocks, and its sign of life.

    Who makes one has the role. `retire` is what to do before the process leaves it on request.
    """

    def __init__(self, role: str, home: Path) -> None:
        # A core file would hold the secrets that this process works with.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self.role = role
        self.paths = Paths(home)
        self.settings: Settings = load(self.paths.settings)
        self.incarnation = uuid.uuid4().hex[:12]
        self.clocks = SYSTEM_CLOCKS
        self.luck = random.random
        self.beacon = Beacon(self.paths.beacon(role))
        self.shadow: Shadow | None = None
        self.retire: Callable[[], Awaitable[None]] = _at_once
        restarts = note_start(self.paths.starts(role), self.clocks.boot_ns())
        is_too_often = restarts > self.settings.deployment.restarts_max
        self._calm_ns = self.clocks.boot_ns() + WINDOW_NS if is_too_often else 0

    @property
    def is_quarantined(self) -> bool:
        """Whether the role was restarted too often within the last minute."""
        return self.clocks.boot_ns() < self._calm_ns

    @property
    def hello(self) -> Hello:
        """How the process introduces itself now."""
        return Hello(
            role=self.role,
            deployment=self.settings.deployment.id,
            incarnation=self.incarnation,
            pid=os.getpid(),
            is_quarantined=self.is_quarantined,
        )

    def leave(self) -> NoReturn:
        """Ends this process, as it was asked to."""
        note_end(self.paths.starts(self.role))
        log.info("leaving the role")
        os._exit(0)


async def _at_once() -> None:
    """Nothing to do first."""


def run_stage(role: str, home: Path, start: Callable[[Stage], Awaitable[None]]) -> None:
    """Runs the role to its end on this thread. Any escaping exception ends the process."""
    paths = Paths(home)
    settings = load(paths.settings)
    configure_logs(paths.logs / f"{role}.log", settings.deployment.log_level, role)
    settle_memory()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.get_loop().set_exception_handler(_die)
            runner.run(_main(role, paths, settings, start))
    except BaseException as trouble:
        log.critical("the actor dies", exc_info=trouble)
        os._exit(EXIT_BUG)


def settle_memory() -> None:
    """Start-up garbage never goes away; to look at it again costs an order milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)


async def _main(
    role: str, paths: Paths, settings: Settings, start: Callable[[Stage], Awaitable[None]]
) -> None:
    shadow = await stand_by(role, paths, settings)
    is_tied = bool(settings.nodes) and role not in (ROUTER, LEDGER_ROLE)
    if is_tied:
        await until_here(paths.shard)
    stage = Stage(role, paths.home)
    stage.shadow = shadow
    gc.freeze()
    _control, _lock = await listen(
        paths.control(role), lambda: Link(stage.hello, m.control_inbox, Leaving(stage))
    )
    await sit_out(stage)
    stage.beacon.declare(Declared.WORKING)
    if not is_tied:
        await start(stage)
        return
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_leave_with_the_shard(stage))
        await start(stage)


async def _leave_with_the_shard(stage: Stage) -> None:
    """What trades on another machine needs nobody here."""
    await until_gone(stage.paths.shard)
    log.warning("the shard is on this machine no longer")
    stage.leave()


async def sit_out(stage: Stage) -> None:
    """A role that dies over and over waits a while before it is started again."""
    if stage.is_quarantined:
        log.error("quarantine: restarted too often", role=stage.role, pause_s=QUARANTINE_PAUSE_S)
        await asyncio.sleep(QUARANTINE_PAUSE_S)


class Leaving(LinkOwner[Any]):
    """Who asks a process to leave its role: what is under way is ended first."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._task: asyncio.Task[None] | None = None

    def received(self, _link: Link[Any], _message: Any) -> None:
        """Asked once is enough."""
        self._task = self._task or asyncio.get_running_loop().create_task(self._leave())

    async def _leave(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stage.retire(), RETIRE_S_MAX)
        self._stage.leave()


def _die(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    trouble = context.get("exception")
    if isinstance(trouble, OSError):
        # A peer that went away while we wrote: the link's own business.
        log.warning("socket trouble", why=str(trouble))
        return
    log.critical("the actor dies", what=context.get("message"), exc_info=trouble)
    os._exit(EXIT_BUG)


class ActorHost:
    """The Ray actor: hosts one role for as long as its process lives."""

    def __init__(self, role: str, home: str) -> None:
        faults = options.find_faults()
        assert not faults, f"Ray runs with other settings: {faults}"
        # Imported here, so that the driver that spawns actors need not load what they run.
        from actors.roles import starter_of

        self._role = role
        self._thread = threading.Thread(
            target=run_stage, args=(role, Path(home), starter_of(role)), name=role, daemon=True
        )
        self._thread.start()

    def status(self) -> dict[str, Any]:
        """Which process hosts the role."""
        return {"role": self._role, "pid": os.getpid(), "alive": self._thread.is_alive()}
