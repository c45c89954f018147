"""Keeps one process alive: starts it, watches it by pidfd, starts it again when it ends.

What is kept is written down (pid, its start in ticks since boot, command), so that a supervisor
that was killed has a successor which takes over what lives instead of ending it. A pidfd tells
of the end of any process of ours, a child or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import structlog
from msgspec import Struct
from msgspec.structs import replace

RESTART_PAUSES_S = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
CALM_S = 60.0

log = structlog.get_logger()


class Kept(Struct, frozen=True, kw_only=True):
    """A process that is kept; `started` tells it from a later one of the same number."""

    pid: int
    started: int
    command: tuple[str, ...]

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        return find_start(self.pid) == self.started


class Wanted(Struct, frozen=True, kw_only=True):
    """What to keep: its role, its command, what it inherits.

    `renew` makes the next command of the last one, where a restart may not say the same again.
    """

    role: str
    command: tuple[str, ...]
    handles: tuple[int, ...] = ()
    environment: dict[str, str] | None = None
    renew: Callable[[tuple[str, ...]], tuple[str, ...]] | None = None


def find_start(pid: int) -> int | None:
    """When the process started, in ticks since boot; None where it is gone, or dead already."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if words[0] in ("Z", "X") else int(words[19])


class Keeper:
    """Keeps one process; `tell` hears of each one that it starts."""

    def __init__(self, wanted: Wanted, logs: Path, tell: Callable[[str, Kept], None]) -> None:
        self.wanted = wanted
        self.kept: Kept | None = None
        self._output = logs / f"{wanted.role}.out"
        self._tell = tell
        self._children: list[subprocess.Popen[bytes]] = []

    async def run(self, found: Kept | None = None) -> None:
        """For ever; `found` is one that lives already."""
        loop = asyncio.get_running_loop()
        self.kept = found
        failures = 0
        while True:
            started = loop.time()
            kept = self.kept or self._begin()
            await until_ended(kept)
            self._reap(kept)
            if self.kept is not kept:
                continue  # it was replaced on purpose, by one that runs
            failures = 0 if loop.time() - started > CALM_S else failures + 1
            log.warning("process ended", role=self.wanted.role, pid=kept.pid, failures=failures)
            pause = RESTART_PAUSES_S[min(failures, len(RESTART_PAUSES_S)) - 1] if failures else 0
            await asyncio.sleep(pause)
            if self.wanted.renew is not None:
                self.wanted = replace(self.wanted, command=self.wanted.renew(kept.command))
            self.kept = None

    def _begin(self) -> Kept:
        self.kept = self.start()
        self._tell(self.wanted.role, self.kept)
        return self.kept

    def start(self) -> Kept:
        """One more process of the role, not yet the one that is kept."""
        wanted = self.wanted
        with self._output.open("ab") as output:
            child = subprocess.Popen(  # noqa: S603 - our own programs
                [*wanted.command, *map(str, wanted.handles)],
                pass_fds=wanted.handles,
                env=wanted.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._children.append(child)
        # One that died at once has no start any more, and the watch will notice.
        started = find_start(child.pid) or 0
        return Kept(pid=child.pid, started=started, command=wanted.command)

    def swap(self, kept: Kept) -> None:
        """Keeps this one from now on, and asks the one before to go."""
        before, self.kept = self.kept, kept
        self._tell(self.wanted.role, kept)
        if before is not None:
            send_signal(before, signal.SIGTERM)

    def give_up(self, kept: Kept) -> None:
        """Ends one that was started and is not wanted."""
        send_signal(kept, signal.SIGKILL)

    def _reap(self, kept: Kept) -> None:
        self._children = [child for child in self._children if child.poll() is None]
        with contextlib.suppress(ChildProcessError):
            os.waitpid(kept.pid, os.WNOHANG)  # an orphan that became ours


async def until_ended(kept: Kept) -> None:
    """Waits for the end of a process, whosesoever child it is."""
    if not kept.is_alive:
        return
    try:
        pidfd = os.pidfd_open(kept.pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(pidfd, _resolve, ended)
    try:
        if kept.is_alive:  # the number was not given away in between
            await ended
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def send_signal(kept: Kept, number: signal.Signals) -> None:
    """Sends it to that very process, or to none."""
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(kept.pid)
        try:
            if kept.is_alive:
                signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)
