"""Cancels and amends on their way to the broker, and what became of them."""

from __future__ import annotations

import asyncio

import structlog
from msgspec import Struct

from actors import messages as m
from actors.clocks import Clocks
from actors.router.refusals import unanswered
from brokers.adapter import Adapter, NotSent, OutcomeUnknown, VenueOrder, whole_terms
from brokers.transport import Transport
from domain import events as ev
from domain.events import VenueEvent

Events = tuple[VenueEvent, ...]

CANCEL_PAUSES_S = (0.05, 0.1, 0.2)
"""A cancel is safe to say again: after each of these, when nobody answered."""

log = structlog.get_logger()


class OrderChanges(Struct, frozen=True):
    """Whom to tell, and how long to wait for an answer.

    Events may be none: a broker may answer that it will try, and tell on its stream.
    """

    adapter: Adapter
    transport: Transport
    clocks: Clocks
    timeout_ms: int

    async def cancel(self, order: VenueOrder | None, message: m.SendCancel) -> Events:
        """What the broker said, or that nobody answered. `order` None cannot be said at all."""
        if order is None:
            return self._unanswered(ev.CancelRefused, message)
        for pause_s in CANCEL_PAUSES_S:
            try:
                answer = await self.transport.send(self.adapter.cancel(order), self.timeout_ms)
                return self.adapter.parse_canceled(order, answer, self.clocks.utc_ns()).events
            except (NotSent, OutcomeUnknown) as trouble:
                log.warning("cancel without an answer", order=message.order_id, why=str(trouble))
                await asyncio.sleep(pause_s)
        return self._unanswered(ev.CancelRefused, message)

    async def amend(self, order: VenueOrder | None, message: m.SendAmend) -> Events:
        """What the broker said, or that nobody answered. `order` None cannot be said at all."""
        if order is None or self.clocks.boot_ns() > message.send_by_ns:
            return self._unanswered(ev.AmendRefused, message)
        try:
            request = self.adapter.amend(order, whole_terms(message.terms))
            answer = await self.transport.send(request, self.timeout_ms)
            return self.adapter.parse_amended(order, answer, self.clocks.utc_ns()).events
        except (NotSent, OutcomeUnknown):
            # Whether it took effect shows on the stream as Replaced; the overlay must not stay.
            return self._unanswered(ev.AmendRefused, message)

    def _unanswered(
        self,
        kind: type[ev.CancelRefused] | type[ev.AmendRefused],
        message: m.SendCancel | m.SendAmend,
    ) -> Events:
        refused = kind(
            at_ns=self.clocks.utc_ns(),
            venue_client_id=message.venue_client_id,
            broker_order_id=message.broker_order_id,
            error=unanswered("cancel" if kind is ev.CancelRefused else "amend"),
        )
        return (refused,)
