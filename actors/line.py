"""The way to a broker as the actors use it: under its rate limit, counted by its breaker.

Orders come with leave already granted and never wait here; cancels wait for nothing but the
limit itself; reads for their part of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial

from actors.breaker import Breaker
from actors.clocks import Clocks
from actors.gate import Shut
from actors.pacing import Budget, Lane
from brokers.adapter import NotSent, OutcomeUnknown, Request, Response
from brokers.limits import read_limits
from brokers.transport import Transport
from brokers.transport_http1 import Heard
from brokers.transport_websocket import Lines

SERVER_TROUBLE = 500


class Line:
    """One login's way to its broker. `paused` is called when the broker wants a pause."""

    def __init__(
        self, transport: Transport, breaker: Breaker, budget: Budget | None, clocks: Clocks
    ) -> None:
        self._transport = transport
        self._breaker = breaker
        self.budget = budget
        self._clocks = clocks
        self.paused: Callable[[], None] = _do_nothing

    async def send(
        self,
        request: Request,
        timeout_ms: int,
        lane: Lane,
        check: Callable[[], None] | None = None,
    ) -> Response:
        """The answer to what may change something; `check` is asked right before the first byte.

        Raises NotSent, Shut where the check did, or OutcomeUnknown.
        """
        if lane is not Lane.ORDER:
            await self.wait(lane)
        try:
            response = await self._transport.send(request, timeout_ms, check)
        except Shut:
            raise
        except (NotSent, OutcomeUnknown) as trouble:
            self._breaker.failed(str(trouble))
            raise
        self._answered(response)
        return response

    def begin(
        self, request: Request, timeout_ms: int, check: Callable[[], None], heard: Heard
    ) -> bool:
        """As `send` for an order, at once; False, with nothing done, where no connection is free.

        Raises Shut where the check did.
        """
        return self._transport.begin(request, timeout_ms, check, partial(self._hear, heard))

    def _hear(self, heard: Heard, outcome: Response | OutcomeUnknown) -> None:
        if isinstance(outcome, Response):
            self._answered(outcome)
        else:
            self._breaker.failed(str(outcome))
        heard(outcome)

    async def read(self, request: Request, timeout_ms: int) -> Response:
        """The answer to what changes nothing. Raises BrokerError."""
        await self.wait(Lane.READ)
        response = await self._transport.read(request, timeout_ms)
        self._see_limits(response)
        return response

    @asynccontextmanager
    async def open_lines(self, request: Request, silence_ms: int) -> AsyncGenerator[Lines, None]:
        """A stream, open; its opening is a request like any other. Raises BrokerError."""
        await self.wait(Lane.READ)
        async with self._transport.open_lines(request, silence_ms) as lines:
            yield lines

    async def warm_up(self) -> None:
        """Opens connections ahead. Raises BrokerError."""
        await self._transport.warm_up()

    async def close(self) -> None:
        """Closes every connection."""
        await self._transport.close()

    async def wait(self, lane: Lane) -> None:
        """Takes a place in the lane, once there is one."""
        if self.budget is None:
            return
        while wait_ms := self.budget.wait_ms(lane):
            await asyncio.sleep(wait_ms / 1_000)
        self.budget.take(lane)

    def _answered(self, response: Response) -> None:
        if response.status >= SERVER_TROUBLE:
            self._breaker.failed(f"HTTP {response.status}")
        else:
            self._breaker.succeeded()
        self._see_limits(response)

    def _see_limits(self, response: Response) -> None:
        if self.budget is None:
            return
        said = read_limits(response, self._clocks.utc_ns())
        if said.remaining is not None:
            self.budget.see_remaining(said.remaining)
        if said.pause_ms:
            self.budget.pause(said.pause_ms)
            self.paused()


def _do_nothing() -> None:
    return None
