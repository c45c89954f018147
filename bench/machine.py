"""What it was measured on: a number without its machine says nothing."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from msgspec import Struct

PACKAGES = (
    "aiohttp", "alpaca-py", "ccxt", "msgspec", "oandapyV20", "ray", "requests", "uvloop",
    "websockets",
)  # fmt: skip


class Machine(Struct, frozen=True, kw_only=True):
    """Processor, system, versions, and how busy it was before (one-minute load)."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    filesystem: str
    python: str
    packages: dict[str, str]
    load_before: float


def describe(journal: Path) -> Machine:
    """This machine; `journal` tells on which file system commits are made durable."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        cpu=cpu_model(Path("/proc/cpuinfo").read_text()) or platform.processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(memory / 2**30, 1),
        kernel=platform.release(),
        filesystem=filesystem_of(journal.resolve(), Path("/proc/mounts").read_text()),
        python=platform.python_version(),
        packages=dict(versions(PACKAGES)),
        load_before=round(os.getloadavg()[0], 2),
    )


def cpu_model(cpuinfo: str) -> str | None:
    """The processor's name in the words of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return None


def filesystem_of(path: Path, mounts: str) -> str:
    """The type of file system a path lies on, by the longest mount point above it."""
    best = ("", "unknown")
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split()
        if path.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


def versions(packages: Iterable[str]) -> list[tuple[str, str]]:
    """Those installed, with their versions."""
    found = []
    for name in packages:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found
