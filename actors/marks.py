"""Send marks: the proof, after a crash, that an order was never sent.

Before the first byte of an order leaves, its intent number is written here. The file is a
shared mapping: it survives SIGKILL (the page belongs to the kernel) and proves nothing after a
power loss. An intent without its mark was never sent; one whose slot was reused since is
taken for sent, and so is every intent from before this file vouches: those given before the
machine's boot that the file names, or before there was a file.
"""

from __future__ import annotations

import mmap
import os
import struct
from hashlib import blake2b
from pathlib import Path

SLOTS = 65_536
_SLOT = struct.Struct("<QQ")
_HEAD = struct.Struct("<16sQ8x")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_boot_id() -> str:
    """The name of the machine's life since its last start."""
    return BOOT_ID.read_text().strip()


class Marks:
    """The mark file of one login. Intents rise; `last` is the highest ever marked."""

    def __init__(self, path: Path, boot_id: str | None = None) -> None:
        boot = read_boot_id() if boot_id is None else boot_id
        self._boot = blake2b(boot.encode(), digest_size=16).digest()
        self._map = self._open(path)
        # Behind the slots, where files of older releases end: they come out as of no boot.
        self._head = len(self._map) - _HEAD.size
        self._slots = self._head // _SLOT.size
        marked = _SLOT.iter_unpack(self._map[: self._head])
        self.last = max(intent for intent, _ in marked)
        written, floor = _HEAD.unpack_from(self._map, self._head)
        self._floor: int | None = floor if written == self._boot else None

    def _open(self, path: Path) -> mmap.mmap | bytearray:
        size = SLOTS * _SLOT.size + _HEAD.size
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, size)
            return mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)

    def vouch_after(self, intent: int) -> None:
        """From here on the file proves what was not sent; what was given before stays in doubt."""
        if self._floor is None:
            self._floor = intent
            _HEAD.pack_into(self._map, self._head, self._boot, intent)

    def write(self, intent: int, attempt: int) -> None:
        """Marks the intent as about to be sent."""
        _SLOT.pack_into(self._map, intent % self._slots * _SLOT.size, intent, attempt)
        self.last = max(self.last, intent)

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
