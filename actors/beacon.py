"""A process's sign of life: which state it declares, and a beat that only a stopped process misses.

Links prove that the loop turns. While the loop may rightly stand still (starting, replaying,
waiting for the disk) a thread beats here instead, and the watchdog grants the state its own
limit. A stopped process beats no more, whatever it had declared.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

from msgspec import Struct

BEAT_S = 0.1
_PAGE = struct.Struct("<QQQQ")


class Declared(IntEnum):
    """What a process says it is doing; each has its own limit of silence on links."""

    WORKING = 0
    STARTING = 1
    REPLAYING = 2
    COMMITTING = 3


SILENCE_MS_MAX = {
    Declared.WORKING: 850,
    Declared.STARTING: 60_000,
    Declared.REPLAYING: 600_000,
    Declared.COMMITTING: 30_000,
}
assert SILENCE_MS_MAX.keys() == set(Declared)


class Reading(Struct, frozen=True):
    """What the beacon showed: whose it is, the state since when, the last beat (boot clock)."""

    pid: int
    declared: Declared
    since_ns: int
    beat_ns: int


def boot_ns() -> int:
    """Nanoseconds of the boot clock: the same in all processes of a host, never stepped."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Beacon:
    """Writes the sign of life of this process."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, mmap.PAGESIZE)
            self._map = mmap.mmap(descriptor, mmap.PAGESIZE)
        finally:
            os.close(descriptor)
        self.on_end: Callable[[Declared, int, int], None] | None = None
        """Told when a state ends: which, since when, and now."""
        self._state = Declared.STARTING
        self._since_ns = now = boot_ns()
        _PAGE.pack_into(self._map, 0, os.getpid(), self._state, now, now)
        self._stop = threading.Event()
        threading.Thread(target=self._beat, name="beacon", daemon=True).start()

    def declare(self, state: Declared) -> None:
        """Says what the process does from now on."""
        before, since_ns, now = self._state, self._since_ns, boot_ns()
        self._state, self._since_ns = state, now
        struct.pack_into("<QQ", self._map, 8, state, now)
        if self.on_end is not None:
            self.on_end(before, since_ns, now)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_S):
            struct.pack_into("<Q", self._map, 24, boot_ns())

    def stop(self) -> None:
        """Ends the beat; for tests that run a process's parts in their own."""
        self._stop.set()


def read_beacon(path: Path) -> Reading | None:
    """The last sign of life, or None where there never was one."""
    try:
        page = path.read_bytes()[: _PAGE.size]
    except FileNotFoundError:
        return None
    if len(page) < _PAGE.size:
        return None
    pid, state, since, beat = _PAGE.unpack(page)
    return Reading(pid, Declared(state), since, beat) if pid else None
