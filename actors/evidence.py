"""What became of an order whose answer never came: found, or proved absent, never guessed.

Negative evidence counts only after the visibility horizon, and only where two whole rounds
(by client id, in the open orders, in the history since the attempt) succeed and all say no.
A broker that cannot be asked is asked again, ever more seldom, for as long as it takes.
"""

from __future__ import annotations

import asyncio

import structlog
from msgspec import Struct

from actors import messages as m
from actors.broker_reads import BrokerReads
from brokers.adapter import BrokerError
from domain.events import VenueEvent

ROUNDS = 2
ROUND_PAUSE_S = 0.2
FAILED_PAUSE_S = 1.0
FAILED_PAUSE_S_MAX = 30.0

log = structlog.get_logger()


class Evidence(Struct, frozen=True):
    """Where to look, and how long to wait first (ms)."""

    reads: BrokerReads
    horizon_ms: int

    async def find(self, wanted: m.LookUp) -> m.Told | m.NoTrace:
        """What was found, or the complete no."""
        await asyncio.sleep(self.horizon_ms / 1000)
        said_no: list[str] = []
        failed_pause_s = FAILED_PAUSE_S
        while True:
            try:
                found, history = await self._look(wanted)
            except BrokerError as trouble:
                log.warning("look-up failed", order=wanted.order_id, why=str(trouble))
                said_no.clear()
                await asyncio.sleep(failed_pause_s)
                failed_pause_s = min(failed_pause_s * 2, FAILED_PAUSE_S_MAX)
                continue
            if found:
                # Told whole, though seen before: the router applies each fact once.
                return m.Told(events=(*history, *found))
            said_no.append(f"at {self.reads.clocks.utc_ns()}: no, after cursor {wanted.cursor}")
            if len(said_no) == ROUNDS:
                return m.NoTrace(order_id=wanted.order_id, evidence=tuple(said_no))
            await asyncio.sleep(ROUND_PAUSE_S)

    async def _look(
        self, wanted: m.LookUp
    ) -> tuple[tuple[VenueEvent, ...], tuple[VenueEvent, ...]]:
        """Events of the order wherever they are, and the history whole. Raises BrokerError."""
        name = wanted.venue_client_id
        history: tuple[VenueEvent, ...] = ()
        if wanted.cursor is not None:
            async for page in self.reads.pages(wanted.cursor):
                history += page.events
        known = await self.reads.look_up(name)
        working = await self.reads.working()
        reports = (*history, *known.events, *working.events)
        return tuple(e for e in reports if e.venue_client_id == name), history
