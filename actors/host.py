"""Runs a plain actor class in a process: its own thread, its own uvloop, its own end.

Under Ray the host is the actor: its constructor starts the thread, so a restart by Ray is a
whole start. A bug that escapes a callback ends the process (STYLE 10): the next one replays
and starts clean.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import resource
import threading
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog
import uvloop

from actors import options
from actors.beacon import Beacon, Declared
from actors.clocks import SYSTEM_CLOCKS
from actors.link import Hello
from actors.logs import configure_logs
from actors.paths import Paths
from actors.settings import Settings, load

log = structlog.get_logger()

EXIT_BUG = 70


class Stage:
    """What an actor class is started with: settings, paths, clocks, and its sign of life."""

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
        self.hello = Hello(
            role=role,
            deployment=self.settings.deployment.id,
            incarnation=self.incarnation,
            pid=os.getpid(),
        )


def run_stage(role: str, home: Path, start: Callable[[Stage], Awaitable[None]]) -> None:
    """Runs the role to its end on this thread. Any escaping exception ends the process."""
    stage = Stage(role, home)
    configure_logs(stage.paths.logs / f"{role}.log", stage.settings.deployment.log_level, role)
    # Start-up garbage never goes away; looking at it again costs milliseconds on the order path.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.get_loop().set_exception_handler(_die)
            runner.run(_main(stage, start))
    except BaseException as trouble:
        log.critical("the actor dies", exc_info=trouble)
        os._exit(EXIT_BUG)


async def _main(stage: Stage, start: Callable[[Stage], Awaitable[None]]) -> None:
    stage.beacon.declare(Declared.WORKING)
    await start(stage)


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
