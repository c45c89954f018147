"""An order's way out: at once where a connection to the broker is at rest, else by a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from msgspec import Struct

from actors import messages as m
from actors.breaker import Breaker
from actors.gate import Gate, Shut
from actors.line import Line
from actors.pacing import Lane
from actors.retries import Luck, pauses_s
from brokers.adapter import NotSent, OutcomeUnknown, Request, Response

Outcome = Response | NotSent | OutcomeUnknown
Told = Callable[[Outcome], None]


class Sending(Struct, frozen=True):
    """Sends an order once; only where nothing can have been sent is it tried again."""

    line: Line
    gate: Gate
    breaker: Breaker
    luck: Luck
    timeout_ms: int
    spawn: Callable[[Coroutine[Any, Any, None]], object]

    def send(self, dispatch: m.Dispatch, request: Request, told: Told) -> None:
        """`told` is called once with what became of it, perhaps before this returns."""
        check = partial(self.gate.check, dispatch)
        try:
            if not self.line.begin(request, self.timeout_ms, check, told):
                self.spawn(self._wait_and_send(request, check, told))
        except Shut as trouble:
            told(trouble)

    async def _wait_and_send(self, request: Request, check: Callable[[], None], told: Told) -> None:
        try:
            outcome: Outcome = await self._try(request, check)
        except (NotSent, OutcomeUnknown) as trouble:
            outcome = trouble
        told(outcome)

    async def _try(self, request: Request, check: Callable[[], None]) -> Response:
        """The broker's answer; where nothing can have been sent, tried again until send-by."""
        for pause_s in pauses_s(self.luck):
            try:
                return await self.line.send(request, self.timeout_ms, Lane.ORDER, check)
            except NotSent as trouble:
                if isinstance(trouble, Shut) or not self.breaker.takes_orders:
                    raise
                await asyncio.sleep(pause_s)
                check()
        return await self.line.send(request, self.timeout_ms, Lane.ORDER, check)
