"""What became of an order whose answer never came: found, or proved absent, never guessed.

Negative evidence counts only after the visibility horizon, and only where two whole rounds
(by client id, in the open orders, in the history since the attempt) succeed and all say no.
"""

from __future__ import annotations

import asyncio

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
        history = Report()
        if wanted.cursor is not None:
            answer = await read(adapter.since(wanted.cursor), self.timeout_ms)
            history = adapter.parse_since(answer, now())
        answer = await read(adapter.look_up(name), self.timeout_ms)
        known = adapter.parse_looked_up(name, answer, now())
        answer = await read(adapter.account(), self.timeout_ms)
        working = adapter.parse_open_orders(answer, now())
        reports = (*history.events, *known.events, *working.events)
        return tuple(e for e in reports if e.venue_client_id == name), history.events
