"""Cancels and amends on their way to the broker, and what became of them."""

from __future__ import annotations

import asyncio
from functools import partial

import structlog
from msgspec import Struct

from actors import messages as m
from actors.clocks import Clocks
from actors.gate import Gate
from actors.line import Line
from actors.pacing import Lane
from actors.retries import Luck, pauses_s
from actors.router import refusals
from brokers.adapter import Adapter, NotSent, OutcomeUnknown, VenueOrder, whole_terms
from domain import events as ev
from domain.errors import ErrorInfo
from domain.events import VenueEvent

Events = tuple[VenueEvent, ...]

log = structlog.get_logger()


class OrderChanges(Struct, frozen=True):
    """Whom to tell, and how long to wait for an answer.

    Events may be none: a broker may answer that it will try, and tell on its stream.
    """

    adapter: Adapter
    line: Line
    gate: Gate
    clocks: Clocks
    timeout_ms: int
    luck: Luck

    async def cancel(self, order: VenueOrder | None, message: m.SendCancel) -> Events:
        """What the broker said, or that nobody answered. `order` None cannot be said at all."""
        if order is None:
            return self._unanswered(ev.CancelRefused, message)
        # It does no harm to be heard twice, so it is said again whatever became of the first.
        for pause_s in pauses_s(self.luck):
            try:
                request = self.adapter.cancel(order)
                answer = await self.line.send(request, self.timeout_ms, Lane.CANCEL)
                return self.adapter.parse_canceled(order, answer, self.clocks.utc_ns()).events
            except (NotSent, OutcomeUnknown) as trouble:
                log.warning("cancel without an answer", order=message.order_id, why=str(trouble))
                await asyncio.sleep(pause_s)
        return self._unanswered(ev.CancelRefused, message)

    async def amend(self, order: VenueOrder | None, message: m.SendAmend) -> Events:
        """What the broker said, or that nobody answered. `order` None cannot be said at all."""
        if order is None:
            return self._unanswered(ev.AmendRefused, message)
        check = partial(self.gate.check, message)
        try:
            request = self.adapter.amend(order, whole_terms(message.terms))
            await self.line.wait(Lane.ORDER)
            answer = await self.line.send(request, self.timeout_ms, Lane.ORDER, check)
            return self.adapter.parse_amended(order, answer, self.clocks.utc_ns()).events
        except NotSent as trouble:
            return self.refuse_amend(message, str(trouble))
        except OutcomeUnknown:
            # Whether it took effect shows on the stream as Replaced; the overlay must not stay.
            return self._unanswered(ev.AmendRefused, message)

    def refuse_amend(self, message: m.SendAmend, why: str) -> Events:
        """Nothing was sent: why."""
        return (self._refusal(ev.AmendRefused, message, refusals.not_amended(why)),)

    def _unanswered(
        self,
        kind: type[ev.CancelRefused] | type[ev.AmendRefused],
        message: m.SendCancel | m.SendAmend,
    ) -> Events:
        what = "cancel" if kind is ev.CancelRefused else "amend"
        return (self._refusal(kind, message, refusals.unanswered(what)),)

    def _refusal(
        self,
        kind: type[ev.CancelRefused] | type[ev.AmendRefused],
        message: m.SendCancel | m.SendAmend,
        error: ErrorInfo,
    ) -> VenueEvent:
        return kind(
            at_ns=self.clocks.utc_ns(),
            venue_client_id=message.venue_client_id,
            broker_order_id=message.broker_order_id,
            error=error,
        )
