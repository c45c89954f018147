"""Send marks: the proof, after a crash, that an order was never sent.

Before the first byte of an order leaves, its intent number is written here, with which order it
is for. The file is a shared mapping: it survives SIGKILL (the page belongs to the kernel) and
proves nothing after a power loss. An intent without its mark was never sent; one whose slot was
reused since is taken for sent. Behind the slots stands the newest router epoch ever served.
"""

from __future__ import annotations

import mmap
import os
import struct
from hashlib import blake2b
from pathlib import Path

SLOTS = 65_536
_SLOT = struct.Struct("<QQ")
_EPOCH_AT = SLOTS * _SLOT.size


def mark_of(order_id: str) -> int:
    """An order's name in a mark: 64 bits of it."""
    return int.from_bytes(blake2b(order_id.encode(), digest_size=8).digest(), "little")


class Marks:
    """The mark file of one login. Intents rise; `last` is the highest ever marked."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, (SLOTS + 1) * _SLOT.size)
            self._map = mmap.mmap(descriptor, (SLOTS + 1) * _SLOT.size)
        finally:
            os.close(descriptor)
        self.last = max(intent for intent, _ in self._slots())
        self.epoch: int = _SLOT.unpack_from(self._map, _EPOCH_AT)[0]

    def _slots(self) -> list[tuple[int, int]]:
        return list(_SLOT.iter_unpack(self._map[:_EPOCH_AT]))

    def orders(self) -> tuple[int, ...]:
        """Which orders the marks are of, as `mark_of` names them, the oldest first."""
        return tuple(order for intent, order in sorted(self._slots()) if intent)

    def write(self, intent: int, order: int) -> None:
        """Marks the intent as about to be sent."""
        _SLOT.pack_into(self._map, intent % SLOTS * _SLOT.size, intent, order)
        self.last = max(self.last, intent)

    def write_epoch(self, epoch: int) -> None:
        """From here on no router of an older epoch is served, whoever restarts."""
        _SLOT.pack_into(self._map, _EPOCH_AT, epoch, 0)
        self.epoch = epoch

    def has(self, intent: int) -> bool:
        """False proves that it was never sent from this host."""
        found, _ = _SLOT.unpack_from(self._map, intent % SLOTS * _SLOT.size)
        return bool(found >= intent)

    def close(self) -> None:
        """Unmaps the file; the marks stay."""
        self._map.close()
