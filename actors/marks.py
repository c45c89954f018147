"""Send marks: the proof, after a crash, that an order was never sent.

Before the first byte of an order leaves, its intent number is written here. The file is a
shared mapping: it survives SIGKILL (the page belongs to the kernel) and proves nothing after a
power loss. An intent without its mark was never sent; one whose slot was reused since is
taken for sent.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

SLOTS = 65_536
_SLOT = struct.Struct("<QQ")


class Marks:
    """The mark file of one login. Intents rise; `last` is the highest ever marked."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, SLOTS * _SLOT.size)
            self._map = mmap.mmap(descriptor, SLOTS * _SLOT.size)
        finally:
            os.close(descriptor)
        self.last = max(intent for intent, _ in _SLOT.iter_unpack(self._map[:]))

    def write(self, intent: int, attempt: int) -> None:
        """Marks the intent as about to be sent."""
        _SLOT.pack_into(self._map, intent % SLOTS * _SLOT.size, intent, attempt)
        self.last = max(self.last, intent)

    def has(self, intent: int) -> bool:
        """False proves that it was never sent from this host."""
        found, _ = _SLOT.unpack_from(self._map, intent % SLOTS * _SLOT.size)
        return bool(found >= intent)

    def close(self) -> None:
        """Unmaps the file; the marks stay."""
        self._map.close()
