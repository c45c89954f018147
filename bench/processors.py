"""Whose processor time was it: that of each of a deployment's processes, in ns.

The scheduler's own count (schedstat) is exact; the usual one counts in hundredths of a second,
which is the processor time of thirty orders.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from actors.paths import LEDGER_ROLE
from bench.world import CONNECTION_ROLE, World

ROLES = {
    "edge-0": "edge",
    "router": "router",
    "compliance": "compliance",
    CONNECTION_ROLE: "connection",
    LEDGER_ROLE: "ledger",
}
WORDS = (
    ("brokers.simulators", "simulator"),
    ("actors.watchdog", "watchdog"),
    ("gcs_server", "ray"),
    ("raylet", "ray"),
    ("ray", "ray"),
)
CLIENT = "client"
OTHER = "other"


class Meter:
    """Reads the processor time of the client (this process) and of all below a supervisor."""

    def __init__(self, deployment: World) -> None:
        named = {deployment.pid(role): part for role, part in ROLES.items()}
        self._parts = {os.getpid(): CLIENT}
        for process in deployment.descendants():
            known = named.get(process.pid)
            self._parts[process.pid] = known or part_of(process.cmdline())
        if deployment.process is not None:
            self._parts[deployment.process.pid] = "supervisor"

    def read(self) -> dict[str, int]:
        """ns so far by part; the parts of a process that has ended count no more."""
        found: dict[str, int] = {}
        for pid, part in self._parts.items():
            found[part] = found.get(part, 0) + processor_ns(pid)
        return found


def part_of(command: Iterable[str]) -> str:
    """Which part a command line runs."""
    text = " ".join(command)
    return next((part for word, part in WORDS if word in text), OTHER)


def processor_ns(pid: int) -> int:
    """Processor time of a process so far; 0 where it has ended."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return 0
    return sum(_thread_ns(thread, pid) for thread in threads)


def _thread_ns(thread: Path, pid: int) -> int:
    try:
        return int((thread / "schedstat").read_text().split()[0])
    except FileNotFoundError:
        return _coarse_ns(int(thread.name), pid)
    except OSError:
        return 0


def _coarse_ns(thread: int, pid: int) -> int:
    """For kernels without schedstat: the whole process, counted at its main thread."""
    if thread != pid or not psutil.pid_exists(pid):
        return 0
    times = psutil.Process(pid).cpu_times()
    return int((times.user + times.system) * 1e9)


def difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """What each part used between two readings."""
    return {part: max(after[part] - before.get(part, 0), 0) for part in after}


def total(uses: Iterable[dict[str, int]]) -> dict[str, int]:
    """The sum of several differences."""
    found: dict[str, int] = {}
    for use in uses:
        for part, ns in use.items():
            found[part] = found.get(part, 0) + ns
    return found


def us_per_order(use: dict[str, int], orders: int) -> dict[str, float]:
    """Microseconds of each part for one order, and their `total`."""
    shares = {part: round(ns / orders / 1_000, 1) for part, ns in sorted(use.items())}
    return {**shares, "total": round(sum(use.values()) / orders / 1_000, 1)}
