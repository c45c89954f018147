"""Send marks: the proof, after a crash, that an order was never sent.

Before the first byte of an order leaves, its intent number is written here. The file is a
shared mapping: it survives SIGKILL (the page belongs to the kernel) and proves nothing after a
power loss. An intent without its mark was never sent; one whose slot was reused since is
taken for sent. What was given out before this boot, or by another machine, is taken for sent, too:
`settle` notes, beside the marks, up to which intent that is.
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
        self._place = path.with_suffix(".place")
        self._is_settled = True
        self.floor = 0
        self.is_shared = False
        """Whether another machine may give out intents, too."""

    def doubt_unless(self, place: str) -> None:
        """What was marked elsewhere than in this place (a boot of a machine) proves nothing."""
        known, _, floor = _read(self._place).partition(" ")
        self._is_settled = known == place
        self.floor = int(floor) if self._is_settled and floor else 0
        self._name = place

    def settle(self, last_intent: int) -> None:
        """All intents so far were given out before this place was, or in part by another machine.

        They may have been sent.
        """
        if not self._is_settled or (self.is_shared and last_intent > self.last):
            self._is_settled, self.floor = True, last_intent
            self._place.write_text(f"{self._name} {last_intent}")

    def write(self, intent: int, attempt: int) -> None:
        """Marks the intent as about to be sent."""
        _SLOT.pack_into(self._map, intent % SLOTS * _SLOT.size, intent, attempt)
        self.last = max(self.last, intent)

    def has(self, intent: int) -> bool:
        """False proves that it was never sent from this host."""
        found, _ = _SLOT.unpack_from(self._map, intent % SLOTS * _SLOT.size)
        return bool(found >= intent) or intent <= self.floor or not self._is_settled

    def close(self) -> None:
        """Unmaps the file; the marks stay."""
        self._map.close()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
