"""The watchdog: sees what Ray does not, a process that hangs, and ends it by pidfd.

Every role answers pings on its link. A role silent for longer than its declared state allows
is killed, and its keeper (Ray, or the supervisor) starts it anew. A stopped process stops
beating too, whatever it had declared, and gets no more than a working one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import structlog
import uvloop

from actors import messages as m
from actors.beacon import SILENCE_MS_MAX, Declared, Reading, boot_ns, read_beacon
from actors.figures import FigurePage, Figures, publish
from actors.link import Hello, Link, LinkOwner, Ping, Pong, dial
from actors.logs import configure_logs
from actors.paths import Paths
from actors.roles import edge_roles, roles
from actors.settings import load

PING_S = 0.1
"""With the silence granted to a working role: one that hangs is ended within a second (goal R7)."""
STOPPED_MS_MAX = 3_000
"""A process that was never heard on its link is ended when it has not beaten for so long."""
MS = 1_000_000
_STARTED = 19
"""Where /proc/PID/stat says when it started, counted from behind its name."""

log = structlog.get_logger()


class Watched(LinkOwner[Any]):
    """One role under watch: when it last answered, and the process behind it."""

    def __init__(self, role: str, beacon: Path) -> None:
        self.role = role
        self._beacon = beacon
        self._link: Link[Any] | None = None
        self._pidfd: int | None = None
        self._answered_ns = 0
        self._number = 0
        self.kills = 0

    def link_up(self, link: Link[Any]) -> None:
        """The role answers: remember its process, not just its number."""
        assert link.peer is not None
        self._forget()
        if link.socket_pid not in (None, link.peer.pid):
            return  # a bridge: the process is on another machine, which has a watchdog of its own
        with contextlib.suppress(ProcessLookupError):
            self._pidfd = os.pidfd_open(link.peer.pid)
        self._link, self._answered_ns = link, boot_ns()

    def link_down(self, link: Link[Any]) -> None:
        """It died; whoever keeps it starts it again."""
        if link is self._link:
            self._forget()

    def _forget(self) -> None:
        self._link = None
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def answered(self) -> None:
        """A Pong came."""
        self._answered_ns = boot_ns()

    def look(self, own_lag_ns: int) -> None:
        """Pings, and kills where the silence is too long; our own lag is forgiven."""
        if self._link is None:
            self._end_if_stopped()
            return
        silent_ms = (boot_ns() - self._answered_ns - own_lag_ns) // MS
        if silent_ms > self._limit_ms():
            self._kill(silent_ms)
            return
        self._number += 1
        self._link.send(Ping(number=self._number))

    def _end_if_stopped(self) -> None:
        """Ends one that never said hello here and beats no more: it hung before we could ask."""
        reading = read_beacon(self._beacon)
        if reading is None:
            return
        silent_ms = (boot_ns() - reading.beat_ns) // MS
        if silent_ms <= STOPPED_MS_MAX or not _is_the_one(reading):
            return
        with contextlib.suppress(ProcessLookupError):
            self._pidfd = os.pidfd_open(reading.pid)
        self._kill(silent_ms)

    def _limit_ms(self) -> int:
        reading = read_beacon(self._beacon)
        working = SILENCE_MS_MAX[Declared.WORKING]
        if reading is None or (boot_ns() - reading.beat_ns) // MS > working:
            return working
        return SILENCE_MS_MAX[reading.declared]

    def _kill(self, silent_ms: int) -> None:
        self.kills += 1
        log.error("killed for its silence", role=self.role, silent_ms=silent_ms)
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        if self._link is not None:
            self._link.close()
        self._forget()


def _is_the_one(reading: Reading) -> bool:
    """True where the process of that number is the one that beat, and no later one."""
    if reading.pid in (0, 1, os.getpid()):
        return False
    try:
        fields = Path(f"/proc/{reading.pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    started_ns = int(fields[_STARTED]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return fields[0] not in "ZX" and started_ns <= reading.beat_ns


class _WatchLink(Link[Any]):
    """A link that hands pongs to the watched role."""

    def __init__(self, me: Hello, watched: Watched) -> None:
        super().__init__(me, m.watchdog_inbox, watched)
        self._watched = watched

    def pong(self, _message: Pong) -> None:
        """The role is there."""
        self._watched.answered()


async def watch(paths: Paths, names: list[str], me: Hello) -> None:
    """Watches the roles for ever."""
    watched = [Watched(name, paths.beacon(name)) for name in names]
    async with asyncio.TaskGroup() as tasks:
        for one in watched:
            path = paths.socket(one.role)
            tasks.create_task(dial(path, lambda one=one: _WatchLink(me, one)))  # type: ignore[misc]
        page = FigurePage(paths.figures("watchdog"))
        tasks.create_task(publish(page, lambda: _figures_of(watched)))
        while True:
            before = boot_ns()
            await asyncio.sleep(PING_S)
            own_lag_ns = max(0, boot_ns() - before - int(PING_S * 1e9))
            for one in watched:
                one.look(own_lag_ns)


def _figures_of(watched: list[Watched]) -> Figures:
    told = Figures()
    for one in watched:
        told.put("fillgate_watchdog_kills_total", one.kills, one.role)
    return told


def main(home: Path) -> None:
    """Runs the watchdog of a deployment."""
    paths = Paths(home)
    settings = load(paths.settings)
    configure_logs(paths.logs / "watchdog.log", settings.deployment.log_level, "watchdog")
    me = Hello(role="watchdog", deployment=settings.deployment.id, incarnation="", pid=os.getpid())
    names = [*roles(settings), *edge_roles(settings)]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(watch(paths, names, me))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
