"""A journal that notes how long each intent waited for it: from its first word to its sync."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from domain import events as ev
from domain.records import Record
from domain.streams import OrderUpdate
from ledger.disk import Disk
from ledger.journal import Journal, LocalJournal

LAYOUT = struct.Struct("<QQ")


class Waited(Struct, frozen=True):
    """One intent's wait, and how much of it was the sync."""

    whole_ns: int
    sync_ns: int


class TimedDisk(Disk):
    """Adds up what syncs take."""

    def __init__(self) -> None:
        self.sync_ns = 0

    def sync(self, fd: int) -> None:
        """The same, timed."""
        start_ns = time.monotonic_ns()
        super().sync(fd)
        self.sync_ns += time.monotonic_ns() - start_ns


class TimedJournal:
    """The local journal, with a line in `output` for each intent it made durable."""

    def __init__(self, journal: Journal, output: Path) -> None:
        assert isinstance(journal, LocalJournal)
        self._journal = journal
        self._disk = journal._disk = TimedDisk()
        self._output = output.open("ab", buffering=0)
        self._intents = 0
        self._start_ns: int | None = None

    def __getattr__(self, name: str) -> Any:
        """Everything else is the journal's own."""
        return getattr(self._journal, name)

    def append(self, record: Record, **words: bool) -> None:
        """The same; the first of a commit starts the clock."""
        if self._start_ns is None:
            self._start_ns, self._disk.sync_ns = time.monotonic_ns(), 0
        self._intents += sum(is_intent(update.body) for update in record.updates)
        self._journal.append(record, **words)

    def commit(self) -> int:
        """The same; whoever had an intent in it waited for all of it."""
        last = self._journal.commit()
        if self._intents and self._start_ns is not None:
            whole_ns = time.monotonic_ns() - self._start_ns
            self._output.write(LAYOUT.pack(whole_ns, self._disk.sync_ns) * self._intents)
        self._intents, self._start_ns = 0, None
        return last


def is_intent(body: object) -> bool:
    """True for the record of an order about to be sent."""
    return isinstance(body, OrderUpdate) and isinstance(body.event, ev.Sending)


def read_waits(output: Path) -> Iterator[Waited]:
    """What was noted, in order."""
    return (Waited(*pair) for pair in LAYOUT.iter_unpack(output.read_bytes()))
