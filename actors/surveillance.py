"""Looks at what was traded, beside the audit trail, and tells the router what seems like abuse.

It reads the records that the audit trail has read anyway: no order waits for it, and none is read
twice. At a start it folds the last records before; what it finds again the router knows already.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import structlog

from actors import messages as m
from actors.link import Hello, Link, LinkOwner, dial
from actors.paths import Paths
from compliance.monitors.surveillance import Surveillance
from compliance.monitors.suspicion import SuspicionSettings
from domain.findings import Finding
from domain.records import Record
from ledger.following import Followable

LOOK_BACK_RECORDS = 200_000
FOUND_MAX = 1_000
"""Findings told again to a new router; the oldest are forgotten."""

log = structlog.get_logger()


class Lookout(LinkOwner[Any]):
    """A plain class. `begin` and `take` may be called on another thread than the loop's."""

    def __init__(self, settings: SuspicionSettings) -> None:
        self._settings = settings
        self._fold = Surveillance(settings)
        self._found: OrderedDict[str, Finding] = OrderedDict()
        self._link: Link[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, paths: Paths, me: Hello) -> None:
        """Keeps a link to the router, for ever."""
        self._loop = asyncio.get_running_loop()
        await dial(paths.socket("router"), lambda: Link(me, m.watchdog_inbox, self))

    def begin(self, journal: Followable, position: int) -> None:
        """Folds what is needed of the records up to a position. Raises JournalError."""
        self._fold = Surveillance(self._settings)
        after = max(position - LOOK_BACK_RECORDS, 0)
        tail = journal.follow(after)
        try:
            while tail.position < position:
                records = tail.read(min(position - tail.position, LOOK_BACK_RECORDS))
                if not records:
                    break
                self.take(records)
        finally:
            tail.close()

    def take(self, records: Iterable[Record]) -> None:
        """Folds the next records, and tells what they complete."""
        for record in records:
            for finding in self._fold.take(record):
                self._note(finding)

    def _note(self, finding: Finding) -> None:
        if finding.id in self._found:
            return
        self._found[finding.id] = finding
        if len(self._found) > FOUND_MAX:
            self._found.popitem(last=False)
        log.warning("suspicious trading", what=finding.kind.value, account=finding.account)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._tell, (finding,))

    def _tell(self, findings: tuple[Finding, ...]) -> None:
        if self._link is not None and findings:
            self._link.send(m.Found(findings=findings))

    def link_up(self, link: Link[Any]) -> None:
        """A router answers: it hears all of it, and writes down what it does not know."""
        self._link = link
        self._tell(tuple(self._found.values()))

    def link_down(self, link: Link[Any]) -> None:
        """It is gone."""
        if link is self._link:
            self._link = None
