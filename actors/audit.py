"""The audit trail: follows the journal into the audit log, and sends its heads out of reach.

It lives beside the ledger, in a thread of its own, and like it reads the journal where that is
kept: no order waits for it. Killed anywhere it goes on after its last whole entry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog

from actors.clocks import Clocks
from actors.surveillance import Lookout
from ledger.audit_heads import AuditSettings, HeadPlace, places_of
from ledger.audit_log import AuditError, AuditLog
from ledger.faults import JournalError
from ledger.following import Followable, Tail, read_batch

POLL_S_MAX = 1.0
"""So long entries may wait for their disk at most: each look that finds some syncs them there, and
the router's commits wait for the same disk."""
RETRY_S = 1.0
NS_PER_MS = 1_000_000

log = structlog.get_logger()

OpenLog = Callable[[], AuditLog]


class AuditTrail:
    """A plain class: whoever runs it gives it a loop."""

    def __init__(
        self, open_log: OpenLog, journal: Followable, heads: Path, settings: AuditSettings,
        clocks: Clocks,
    ) -> None:  # fmt: skip
        self._open_log = open_log
        self._journal = journal
        self._settings = settings
        self._clocks = clocks
        self.lookout: Lookout | None = None
        self._places = places_of(heads, settings)
        self._poll_s = min(POLL_S_MAX, settings.head_ms / 1_000)
        self._failing: set[int] = set()
        self._head_size = -1
        self._head_ns = 0
        self._writer = ThreadPoolExecutor(1, "audit-writer")

    async def follow(self) -> None:
        """Follows the journal for ever; what goes wrong is logged, and tried again."""
        while True:
            try:
                await self._follow()
            except (AuditError, JournalError, OSError) as trouble:
                log.error("the audit log stands still", why=str(trouble))
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        trail: AuditLog | None = None
        tail: Tail | None = None
        try:
            trail = await self._in_writer(self._open_log)
            tail = await self._in_writer(trail.follow, self._journal)
            if self.lookout is not None:
                await self._in_writer(self.lookout.begin, self._journal, tail.position)
            self._head_size = -1
            log.info("audit", entries=trail.seal.size)
            while True:
                if not await self._in_writer(self.step, trail, tail):
                    await asyncio.sleep(self._poll_s)
        finally:
            if tail is not None:
                tail.close()
            if trail is not None:
                trail.close()

    def step(self, trail: AuditLog, tail: Tail) -> bool:
        """Writes one batch, and a head where one is due; False where the journal has no more."""
        records = read_batch(tail, self._settings.head_records)
        if records:
            trail.append(records)
            if self.lookout is not None:
                self.lookout.take(records)
        fresh = trail.seal.size - max(self._head_size, 0)
        waited_ms = (self._clocks.boot_ns() - self._head_ns) // NS_PER_MS
        is_due = fresh >= self._settings.head_records or waited_ms >= self._settings.head_ms
        if self._head_size < 0 or (fresh and is_due):
            self._send_head(trail)
        return bool(records)

    def _send_head(self, trail: AuditLog) -> None:
        head = trail.seal.head(self._clocks.utc_ns())
        for at, place in enumerate(self._places):
            self._put(at, place, head)
        self._head_size, self._head_ns = head.size, self._clocks.boot_ns()

    def _put(self, at: int, place: HeadPlace, head: Any) -> None:
        """One place that fails does not keep the others from it; it is told once."""
        try:
            place.put(head)
        except OSError as trouble:
            if at not in self._failing:
                log.error("a head of the audit log was not exported", why=str(trouble))
            self._failing.add(at)
        else:
            self._failing.discard(at)

    async def _in_writer(self, work: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work, *args)
