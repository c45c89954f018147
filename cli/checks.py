"""What a check is, and the checks of the machine: Python, packages, disk, clock, limits."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import resource
import shutil
import sys
import tempfile
import time
import tomllib
from enum import Enum
from pathlib import Path

import psutil
from msgspec import Struct

PYTHON_MIN = (3, 11)
FILES_MIN = 4_096
SYNC_ROUNDS = 40
SYNC_US_GOOD = 2_000
SYNC_US_MAX = 20_000
COPY_ON_WRITE = frozenset({"btrfs", "zfs", "bcachefs"})
REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"})
VOLATILE = frozenset({"tmpfs", "ramfs"})

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


class Level(Enum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(Struct, frozen=True, kw_only=True):
    """One thing looked at: what was found, and what to do about it."""

    name: str
    level: Level
    found: str
    fix: str = ""


def ok(name: str, found: str) -> Check:
    """As it should be."""
    return Check(name=name, level=Level.OK, found=found)


def warn(name: str, found: str, fix: str) -> Check:
    """It works, but not as well as it should."""
    return Check(name=name, level=Level.WARN, found=found, fix=fix)


def fail(name: str, found: str, fix: str) -> Check:
    """It cannot work like this."""
    return Check(name=name, level=Level.FAIL, found=found, fix=fix)


def check_python() -> list[Check]:
    """The interpreter's version and system."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < PYTHON_MIN:
        return [fail("python", version, "install Python 3.11 or newer")]
    if sys.platform != "linux":
        return [fail("python", f"{version} on {sys.platform}", "Fillgate runs on Linux")]
    return [ok("python", version)]


def required_packages() -> dict[str, str]:
    """The packages the project needs, with the one version of those that are pinned."""
    if PROJECT.is_file():
        wanted = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    else:
        wanted = importlib.metadata.requires("fillgate") or []
    named = (text.partition("==") for text in wanted)
    return {name.partition("[")[0]: pin for name, _, pin in named}


def check_packages() -> list[Check]:
    """Every package there, and those whose behavior was measured in that very version."""
    required = required_packages()
    checks = []
    for name, pin in required.items():
        if importlib.util.find_spec(name.replace("-", "_")) is None:
            checks.append(fail(f"package {name}", "not installed", "run `make install`"))
            continue
        version = importlib.metadata.version(name)
        if pin and version != pin:
            fix = f"run `make install`: {pin} is what was measured"
            checks.append(fail(f"package {name}", version, fix))
    pins = ", ".join(f"{name} {pin}" for name, pin in required.items() if pin)
    return checks or [ok("packages", f"{len(required)} installed, {pins} as measured")]


def check_disk(directory: Path, segment_bytes: int) -> list[Check]:
    """Room for the journal, what kind of file system, and how fast it syncs."""
    free = shutil.disk_usage(directory).free
    mib = f"{free // 2**20} MiB free"
    checks = [ok("disk space", mib)]
    if free < 2 * segment_bytes:
        checks = [fail("disk space", mib, f"two journal segments need {2 * segment_bytes} bytes")]
    elif free < 10 * segment_bytes:
        checks = [warn("disk space", mib, "a full disk stops new orders: free some")]
    return [*checks, *_check_file_system(directory), _judge_sync(time_sync_us(directory))]


def _check_file_system(directory: Path) -> list[Check]:
    kind = file_system(directory)
    if kind in REMOTE:
        return [fail("file system", kind, "keep the journal on a local disk")]
    if kind in COPY_ON_WRITE:
        return [warn("file system", kind, "copy-on-write reserves nothing: prefer ext4 or xfs")]
    if kind in VOLATILE:
        return [warn("file system", kind, "it forgets at power-off: for paper trading only")]
    return [ok("file system", kind)]


def file_system(directory: Path) -> str:
    """The type of the file system that holds the directory."""
    path = str(directory.resolve())
    best = max(
        (part for part in psutil.disk_partitions(all=True) if _holds(part.mountpoint, path)),
        key=lambda part: len(part.mountpoint),
        default=None,
    )
    return best.fstype if best is not None else "unknown"


def _holds(mount: str, path: str) -> bool:
    return path == mount or path.startswith(mount.rstrip("/") + "/")


def time_sync_us(directory: Path) -> int:
    """The median time of writing 4 KiB and fdatasync, in microseconds."""
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(bytes(4096 * SYNC_ROUNDS))
        file.flush()
        os.fsync(file.fileno())
        spans = []
        for number in range(SYNC_ROUNDS):
            started = time.perf_counter_ns()
            os.pwrite(file.fileno(), b"\1" * 4096, 4096 * number)
            os.fdatasync(file.fileno())
            spans.append(time.perf_counter_ns() - started)
    return sorted(spans)[SYNC_ROUNDS // 2] // 1000


def _judge_sync(median_us: int) -> Check:
    found = f"{median_us} µs median"
    if median_us > SYNC_US_MAX:
        return fail("fdatasync", found, "two syncs stand in each order's way: use an SSD")
    if median_us > SYNC_US_GOOD:
        return warn("fdatasync", found, "an NVMe disk with a write cache takes about 100 µs")
    return ok("fdatasync", found)


class _Timex(ctypes.Structure):
    """The head of struct timex; the rest is room for what the kernel writes."""

    _fields_ = (("modes", ctypes.c_uint), ("rest", ctypes.c_ubyte * 252))


CLOCK_UNSYNCHRONIZED = 5


def check_clock(last_record_ns: int | None) -> list[Check]:
    """Whether the clock is set by a time service, and has not gone back."""
    if last_record_ns is not None and time.time_ns() < last_record_ns:
        fix = "set the clock: orders would be dated before the journal's last record"
        return [fail("clock", "behind the journal's last record", fix)]
    timex = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if state in (CLOCK_UNSYNCHRONIZED, -1):
        fix = "run a time service (chrony, systemd-timesyncd), here or on the host"
        return [warn("clock", "the kernel does not know it to be synchronized", fix)]
    return [ok("clock", "synchronized")]


def check_limits(object_store_mib: int) -> list[Check]:
    """Open files, and shared memory for Ray."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = ok("open files", str(soft))
    if soft < FILES_MIN:
        files = warn("open files", str(soft), f"raise it: ulimit -n {max(FILES_MIN, hard)}")
    shared = Path("/dev/shm")  # noqa: S108 - where the kernel keeps shared memory
    free = shutil.disk_usage(shared).free // 2**20 if shared.is_dir() else 0
    memory = ok("shared memory", f"{free} MiB free")
    if free < object_store_mib:
        fix = f"Ray wants {object_store_mib} MiB in /dev/shm, and takes a slower file without"
        memory = warn("shared memory", f"{free} MiB free", fix)
    return [files, memory]
