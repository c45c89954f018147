"""The broker's event stream, followed for ever, and the account kept in step with it.

The stream is opened first, then everything since the durable cursor is read, then the account,
so nothing falls between. Where a line shows that one before it was lost, what happened since is
read first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine

import structlog
from msgspec import Struct

from actors.broker_reads import BrokerReads
from actors.line import Line
from actors.telling import Telling
from brokers.adapter import BrokerError, Report, Restless
from domain.accounts import SessionState

BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
SYNC_PAUSES_S = (0.0, 0.05, 0.1, 0.2, 0.5)
"""After each try to read the account at rest; after the last it is a trouble like any other."""

log = structlog.get_logger()


class StreamOwner(Struct, frozen=True):
    """Whom the stream tells how it stands, and what must be known before it is followed."""

    changed: Callable[[SessionState, str], None]
    is_ready: Callable[[], bool]
    prepare: Callable[[], Awaitable[None]]
    spawn: Callable[[Coroutine[None, None, None]], asyncio.Task[None]]


class EventStream:
    """One login's stream of events."""

    def __init__(
        self, line: Line, reads: BrokerReads, telling: Telling, owner: StreamOwner
    ) -> None:
        self._line = line
        self._reads = reads
        self._telling = telling
        self._owner = owner
        self._missed: tuple[str, str | None] | None = None

    async def run(self) -> None:
        """Follows it; what breaks it is told, and it is opened again."""
        failures = 0
        while True:
            try:
                await self._line.warm_up()
                await self._owner.prepare()
                await self._follow()
            except BrokerError as trouble:
                failures = 0 if self._owner.is_ready() else failures + 1
                self._owner.changed(SessionState.RECONNECTING, str(trouble))
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
            while self._telling.outbox.is_full:
                await asyncio.sleep(BACKOFF_S[0])

    async def _follow(self) -> None:
        adapter = self._reads.adapter
        silence_ms = adapter.capabilities.heartbeat_ms * 2 + 500
        async with self._line.open_lines(adapter.event_stream(), silence_ms) as lines:
            # Whatever happens from here on is on the stream; what was before is read now.
            await self.synchronize()
            self._owner.changed(SessionState.CONNECTED, "in step with the broker")
            rereads = self._owner.spawn(self._reread_for_ever())
            try:
                await self._listen(lines)
            finally:
                rereads.cancel()

    async def _listen(self, lines: AsyncIterable[bytes]) -> None:
        async for line in lines:
            now_ns = self._reads.clocks.utc_ns()
            report = self._reads.adapter.parse_event_line(line, now_ns)
            if report.gap is not None:
                log.warning("the stream lost a line: the past is read", gap=report.gap)
                await self.read_past()
            self._take(report)
            if report.unread or self._telling.outbox.is_full:
                raise BrokerError("words unknown, or too much to tell: it is read again")

    async def _reread_for_ever(self) -> None:
        """Reads the account again and again, where the stream does not tell all of it."""
        while (period_ms := self._reads.adapter.capabilities.resync_ms) is not None:
            await asyncio.sleep(period_ms / 1_000)
            await self.try_synchronize()

    async def try_synchronize(self) -> str | None:
        """Reads the account again; the trouble in words, where that failed."""
        try:
            await self.synchronize()
        except BrokerError as trouble:
            # The stream alone says whether we are connected; the next turn comes.
            log.warning("the account was not read again", why=str(trouble))
            return str(trouble)
        return None

    async def read_past(self) -> None:
        """What happened since the cursor. Raises BrokerError."""
        if self._telling.cursor is not None:
            async for page in self._reads.pages(self._telling.cursor):
                self._take(page)

    def _take(self, report: Report) -> None:
        telling = self._telling
        if report.is_heartbeat:
            self._compare_head(report.head)
            return
        # An order's events wait for the answer under way: both are one fact, and one commit.
        now = telling.waiting.hold(report.events, telling.cursor)
        if report.cursor is not None:
            telling.cursor = report.cursor
        telling.tell_events(now)
        telling.tell_unread(report.unread)

    def _compare_head(self, head: str | None) -> None:
        """A broker that stays ahead of us over a whole period told us something we missed."""
        cursor = self._telling.cursor
        if head is None or head == cursor:
            self._missed = None
        elif self._missed == (head, cursor):
            raise BrokerError(f"the stream skipped something between {cursor} and {head}")
        else:
            self._missed = (head, cursor)

    async def synchronize(self) -> None:
        """Reads the account at rest and tells it. Raises BrokerError."""
        telling = self._telling
        for pause_s in SYNC_PAUSES_S:
            await self.read_past()
            told = telling.outbox.next
            try:
                snapshot, working = await self._reads.account()
            except Restless:
                await asyncio.sleep(pause_s)
                continue
            # An order's answer that came meanwhile may tell of more than the account does.
            if told == telling.outbox.next and telling.cursor in (None, snapshot.cursor):
                telling.tell_account(snapshot, working)
                return
            await asyncio.sleep(pause_s)
        raise BrokerError("the account moved during every try to read it at rest")
