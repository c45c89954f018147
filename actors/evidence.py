"""What became of an order whose answer never came: found, or proved absent, never guessed.

Negative evidence counts only after the visibility horizon, and only where two whole rounds
(by client id, in the open orders, in the history since the attempt) succeed and all say no.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import structlog
from msgspec import Struct

from actors import messages as m
from actors.clocks import Clocks
from brokers.adapter import Adapter, BrokerError, Report
from brokers.transport import Transport
from domain.events import VenueEvent

ROUNDS = 2
ROUND_PAUSE_S = 0.2
FAILED_PAUSE_S = 1.0
TRIES_MAX = 300
PAGES_MAX = 10_000

log = structlog.get_logger()


class Evidence(Struct, frozen=True):
    """Where to look, how long to wait first, and how long for an answer (ms)."""

    adapter: Adapter
    transport: Transport
    clocks: Clocks
    horizon_ms: int
    timeout_ms: int

    async def find(self, wanted: m.LookUp) -> m.Told | m.NoTrace | None:
        """What was found, or the complete no; None where the broker could not be asked."""
        await asyncio.sleep(self.horizon_ms / 1000)
        said_no: list[str] = []
        for _ in range(TRIES_MAX):
            try:
                found, history = await self._look(wanted)
            except BrokerError as trouble:
                log.warning("look-up failed", order=wanted.order_id, why=str(trouble))
                said_no.clear()
                await asyncio.sleep(FAILED_PAUSE_S)
                continue
            if found:
                # Told whole, though seen before: the router applies each fact once.
                return m.Told(events=(*history, *found))
            said_no.append(f"at {self.clocks.utc_ns()}: no, after cursor {wanted.cursor}")
            if len(said_no) == ROUNDS:
                return m.NoTrace(order_id=wanted.order_id, evidence=tuple(said_no))
            await asyncio.sleep(ROUND_PAUSE_S)
        return None

    async def _look(
        self, wanted: m.LookUp
    ) -> tuple[tuple[VenueEvent, ...], tuple[VenueEvent, ...]]:
        """Events of the order wherever they are, and the history whole. Raises BrokerError."""
        adapter, read, now = self.adapter, self.transport.read, self.clocks.utc_ns
        name = wanted.venue_client_id
        history: tuple[VenueEvent, ...] = ()
        if wanted.cursor is not None:
            async for page in self.pages(wanted.cursor):
                history += page.events
        answer = await read(adapter.look_up(name), self.timeout_ms)
        known = adapter.parse_looked_up(name, answer, now())
        answer = await read(adapter.account(), self.timeout_ms)
        working = adapter.parse_open_orders(answer, now())
        reports = (*history, *known.events, *working.events)
        return tuple(e for e in reports if e.venue_client_id == name), history

    async def pages(self, cursor: str) -> AsyncIterator[Report]:
        """What happened after the cursor, page by page, to its end. Raises BrokerError."""
        for _ in range(PAGES_MAX):
            answer = await self.transport.read(self.adapter.since(cursor), self.timeout_ms)
            page = self.adapter.parse_since(answer, self.clocks.utc_ns())
            yield page
            if page.cursor is None or page.cursor == cursor:
                return
            cursor = page.cursor
        raise BrokerError(f"more than {PAGES_MAX} pages of history")
