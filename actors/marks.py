"""Send marks: the proof, after a crash, that an order was never sent.

Before the first byte of an order leaves, its intent number is written here, with which order it
is for. The file is a shared mapping: it survives SIGKILL (the page belongs to the kernel) and
proves nothing after a power loss. An intent without its mark was never sent; one whose slot was
reused since is taken for sent, and so is every intent from before this file vouches: those given
before the machine's boot that the file names, by another machine, or before there was a file.
Behind the slots stand that boot, where vouching begins, and the newest router epoch ever served.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

SLOTS = 65_536
_SLOT = struct.Struct("<QQ")
_HEAD = struct.Struct("<16sQQ")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_boot_id() -> str:
    """The name of the machine's life since its last start."""
    return BOOT_ID.read_text().strip()


def mark_of(order_id: str) -> int:
    """An order's name in a mark: 64 bits of it."""
    return int.from_bytes(blake2b(order_id.encode(), digest_size=8).digest(), "little")


class Marks:
    """The mark file of one login. Intents rise; `last` is the highest ever marked."""

    def __init__(self, path: Path, boot_id: str | None = None) -> None:
        boot = read_boot_id() if boot_id is None else boot_id
        self._boot = blake2b(boot.encode(), digest_size=16).digest()
        self._map = self._open(path)
        # Behind the slots, where files of older releases end: they come out as of no boot.
        self._head = len(self._map) - _HEAD.size
        self._slots = self._head // _SLOT.size
        self.last = max(intent for intent, _ in self._marked())
        written, floor, self.epoch = _HEAD.unpack_from(self._map, self._head)
        self._floor: int | None = floor if written == self._boot else None
        self.is_shared = False
        """Whether another machine may give out intents, too."""

    def _open(self, path: Path) -> mmap.mmap | bytearray:
        size = SLOTS * _SLOT.size + _HEAD.size
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, size)
            return mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)

    def _write_head(self) -> None:
        boot, floor = (bytes(16), 0) if self._floor is None else (self._boot, self._floor)
        _HEAD.pack_into(self._map, self._head, boot, floor, self.epoch)

    def vouch_after(self, intent: int) -> None:
        """From here on the file proves what was not sent; what was given before stays in doubt."""
        if self._floor is None or (self.is_shared and intent > self.last):
            self._floor = intent
            self._write_head()

    def _marked(self) -> Iterator[tuple[int, int]]:
        return _SLOT.iter_unpack(bytes(self._map[: self._head]))

    def orders(self) -> tuple[int, ...]:
        """Which orders the marks are of, as `mark_of` names them, the oldest first."""
        return tuple(order for intent, order in sorted(self._marked()) if intent)

    def write(self, intent: int, order: int) -> None:
        """Marks the intent as about to be sent."""
        _SLOT.pack_into(self._map, intent % self._slots * _SLOT.size, intent, order)
        self.last = max(self.last, intent)

    def write_epoch(self, epoch: int) -> None:
        """From here on no router of an older epoch is served, whoever restarts."""
        self.epoch = epoch
        self._write_head()

    def has(self, intent: int) -> bool:
        """False proves that it was never sent from this host."""
        if self._floor is None or intent <= self._floor:
            return True
        found, _ = _SLOT.unpack_from(self._map, intent % self._slots * _SLOT.size)
        return bool(found >= intent)

    def close(self) -> None:
        """Unmaps the file; the marks stay."""
        if isinstance(self._map, mmap.mmap):
            self._map.close()
