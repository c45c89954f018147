"""A process's figures: plain numbers while it works, laid once a second on a page others read.

The page is a file mapped into memory, so to publish is to encode and to copy: some tens of
microseconds a second, no system call, no lock, nothing an order could wait for. Readers (the
observer, `fillgate top`) need nothing of the process; a page names its pid and its age, so
what a dead process left is known as such. `actors/observer/metrics.py` has the table of names.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import struct
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from actors.beacon import boot_ns

PERIOD_S = 1.0
PAGE_BYTES = 128 * 1024
"""More than that is not published: the page grows old, which the observer tells."""
READ_TRIES_MAX = 5
FRESH_MAX = 100_000
"""Observations between two looks; of more the oldest go uncounted."""
_HEAD = struct.Struct("<QQQQ")
_NUMBER = struct.Struct("<Q")
_NUMBER_AT = 8

US, MS = 1_000, 1_000_000
BOUNDS_NS = (
    50 * US, 100 * US, 200 * US, 500 * US,
    1 * MS, 2 * MS, 5 * MS, 10 * MS, 20 * MS, 50 * MS, 100 * MS, 200 * MS, 500 * MS,
    1_000 * MS, 2_000 * MS, 5_000 * MS,
)  # fmt: skip
"""Upper ends of a latency's buckets, 50 µs to 5 s; one more bucket has the rest."""


LONGEST_NS = 3_600_000 * MS
"""What took longer counts as an hour."""


class Spread(Struct, frozen=True, array_like=True):
    """A latency as published: how many in each bucket, and the sum."""

    counts: tuple[int, ...]
    total_ns: int

    def quantile_ns(self, share: float) -> int | None:
        """The end of the bucket that the quantile lies in; None where nothing was timed."""
        left = sum(self.counts) * share
        if not left:
            return None
        for bound, count in zip(BOUNDS_NS, self.counts, strict=False):
            left -= count
            if left <= 0:
                return bound
        return BOUNDS_NS[-1]

    def since(self, before: Spread | None) -> Spread:
        """What came after `before`; all of it where the process was started anew."""
        if before is None or sum(before.counts) > sum(self.counts):
            return self
        pairs = zip(self.counts, before.counts, strict=True)
        return Spread(tuple(now - then for now, then in pairs), self.total_ns - before.total_ns)


class Latency:
    """A latency being timed: `observe(ns)` is an append; sorting into buckets waits."""

    def __init__(self) -> None:
        self._fresh: deque[int] = deque(maxlen=FRESH_MAX)
        self.observe = self._fresh.append
        self._counts = [0] * (len(BOUNDS_NS) + 1)
        self._total_ns = 0

    def spread(self) -> Spread:
        """As it stands."""
        fresh = self._fresh
        while fresh:
            # Nonsense where a clock was stepped between two readings: figures end nobody.
            ns = min(max(0, fresh.popleft()), LONGEST_NS)
            self._counts[bisect_left(BOUNDS_NS, ns)] += 1
            self._total_ns += ns
        return Spread(tuple(self._counts), self._total_ns)


class Figures(Struct, kw_only=True, omit_defaults=True):
    """Numbers by metric, then by its label's value ("" where it has no label)."""

    values: dict[str, dict[str, int | float]] = {}
    spreads: dict[str, dict[str, Spread]] = {}

    def put(self, name: str, value: int | float, label: str = "") -> None:
        """One number."""
        self.values.setdefault(name, {})[label] = value

    def put_all(self, name: str, by_label: Mapping[str, int | float]) -> None:
        """One number for each of a label's values."""
        if by_label:
            self.values.setdefault(name, {}).update(by_label)

    def put_latency(self, name: str, latency: Latency, label: str = "") -> None:
        """One latency."""
        self.spreads.setdefault(name, {})[label] = latency.spread()


class Published(Struct, frozen=True):
    """What a page showed: whose it is, and when it was laid there (boot clock)."""

    pid: int
    at_ns: int
    figures: Figures


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Figures).decode


class FigurePage:
    """The page of this process. A number that is odd while it is written tells a reader to wait."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, PAGE_BYTES)
            self._map = mmap.mmap(descriptor, PAGE_BYTES)
        finally:
            os.close(descriptor)
        (last,) = _NUMBER.unpack_from(self._map, _NUMBER_AT)
        self._number = last + last % 2

    def write(self, figures: Figures) -> bool:
        """Lays the figures on the page; False where they have no room there."""
        body = _encode(figures)
        if len(body) > PAGE_BYTES - _HEAD.size:
            return False
        _NUMBER.pack_into(self._map, _NUMBER_AT, self._number + 1)
        self._map[_HEAD.size : _HEAD.size + len(body)] = body
        self._number += 2
        _HEAD.pack_into(self._map, 0, os.getpid(), self._number, boot_ns(), len(body))
        return True


def read_figures(path: Path) -> Published | None:
    """What is on a page, or None where there never was anything."""
    for _ in range(READ_TRIES_MAX):
        with contextlib.suppress(FileNotFoundError, struct.error, msgspec.DecodeError):
            found = _read_once(path)
            if found is not None:
                return found
    return None


def _read_once(path: Path) -> Published | None:
    with path.open("rb", buffering=0) as file:
        page = file.read(PAGE_BYTES)
        pid, number, at_ns, size = _HEAD.unpack_from(page)
        file.seek(_NUMBER_AT)
        if number % 2 or not pid or _NUMBER.unpack(file.read(_NUMBER.size)) != (number,):
            return None
    return Published(pid, at_ns, _decode(page[_HEAD.size : _HEAD.size + size]))


async def publish(page: FigurePage, collect: Callable[[], Figures]) -> None:
    """Lays figures on the page once a second, for ever."""
    while True:
        page.write(collect())
        await asyncio.sleep(PERIOD_S)
