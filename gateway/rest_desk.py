"""Asks the router for REST: one question, one answer, and the order's outcome where wanted.

What the router is told goes through the same backend, under refs of the same count, as what
WebSocket sessions ask. A question is answered here where the router is away or silent: with
outcome none where it was never sent, unknown where a command may have been written down.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from typing import Any

import msgspec
from msgspec import Struct

from domain.commands import Answer, FromRouter, Published, Query, QueryAnswer, Submit
from domain.errors import ErrorInfo, Outcome
from domain.streams import OrderUpdate
from gateway import errors, wire
from gateway.authority import Principal, Subject, authorize
from gateway.backend import Backend, Surroundings
from gateway.faults import find_request_fault
from gateway.passing import body_of
from gateway.rates import NS_PER_MS, Rates
from gateway.requests import COMMANDS, Now, find_deadline, query_args, tag_of

SESSION = "rest"
DRAIN_LOOK_S = 0.01
TICK_MS = 250
CALLERS_MAX = 10_000

Reply = Answer | QueryAnswer


class Caller(Struct):
    """A token in use: its rates, and how much of it is under way."""

    principal: Principal
    subject: Subject
    rates: Rates
    in_flight: int = 0


class Waiting(Struct):
    """A question under way; `watches` is set where the order's outcome is wanted."""

    future: asyncio.Future[Reply]
    asked_ns: int
    is_command: bool
    watches: dict[str, asyncio.Event] | None = None


class RestDesk:
    """Everything REST has asked and not been answered yet."""

    def __init__(self, backend: Backend, around: Surroundings) -> None:
        self._backend = backend
        self.around = around
        self._callers: OrderedDict[str, Caller] = OrderedDict()
        self._waiting: dict[int, Waiting] = {}
        self._watches: dict[str, list[asyncio.Event]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to give up what takes too long."""
        self._timer = asyncio.get_running_loop().call_later(TICK_MS / 1000, self._tick)

    async def drain(self) -> None:
        """Waits for the answers under way, for as long as an edge may."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.around.settings.drain_ms_max / 1000):
                while self._waiting:
                    await asyncio.sleep(DRAIN_LOOK_S)

    def stop(self) -> None:
        """Gives up all that is under way."""
        if self._timer is not None:
            self._timer.cancel()
        self.router_lost()

    def caller(self, principal: Principal) -> Caller:
        """Who asks, by the token; the one unheard for longest is forgotten beyond the maximum."""
        caller = self._callers.get(principal.token_id)
        accounts = self._backend.accounts_of(principal.owner)
        subject = Subject(owner=principal.owner, scopes=principal.scopes, accounts=accounts)
        if caller is None:
            caller = Caller(principal, subject, Rates(self.around.settings.limits))
            self._callers[principal.token_id] = caller
            if len(self._callers) > CALLERS_MAX:
                self._callers.popitem(last=False)
        else:
            self._callers.move_to_end(principal.token_id)
            caller.principal, caller.subject = principal, subject
        return caller

    def find_fault(self, caller: Caller, request: wire.Request) -> ErrorInfo | None:
        """Why the caller may not ask this now, or None; takes the permits."""
        return (
            caller.rates.find_fault(request, self.around.clocks.boot_ns())
            or authorize(caller.subject, request)
            or find_request_fault(request)
        )

    async def ask(
        self,
        caller: Caller,
        request: wire.Request,
        watches: dict[str, asyncio.Event] | None = None,
    ) -> Reply:
        """The router's answer; its `error` is set where there is none."""
        if not self.around.status().is_router_up:
            return Answer(ref=0, error=errors.router_unavailable(Outcome.NONE))
        if caller.in_flight >= self.around.settings.limits.in_flight_max:
            return Answer(ref=0, error=errors.rate_limited("requests under way", 100))
        message = self._message(caller, request)
        if isinstance(message, ErrorInfo):
            return Answer(ref=0, error=message)
        waiting = Waiting(
            future=asyncio.get_running_loop().create_future(),
            asked_ns=self.around.clocks.boot_ns(),
            is_command=_may_change_something(request),
            watches=watches,
        )
        self._waiting[message.ref] = waiting
        caller.in_flight += 1
        try:
            if isinstance(message, Submit):
                self._backend.submit(message)
            else:
                self._backend.query(message)
            return await waiting.future
        finally:
            caller.in_flight -= 1
            self._waiting.pop(message.ref, None)

    def _message(self, caller: Caller, request: wire.Request) -> Submit | Query | ErrorInfo:
        if type(request) not in COMMANDS:
            return self._query(caller, request)
        clocks = self.around.clocks
        now = Now(clocks.utc_ns(), clocks.boot_ns(), None)
        deadline = find_deadline(request, now)
        if isinstance(deadline, ErrorInfo):
            return deadline
        return Submit(
            ref=self.around.next_ref(),
            owner=caller.subject.owner,
            session=SESSION,
            cseq=0,
            request_id=request.id,
            command=COMMANDS[type(request)](request),
            received_ns=now.utc_ns,
            deadline_ns=deadline,
            by_admin=caller.subject.is_admin,
        )

    def _query(self, caller: Caller, request: wire.Request) -> Query:
        return Query(
            ref=self.around.next_ref(),
            owner=caller.subject.owner,
            what=tag_of(request),
            args=query_args(request),
            by_admin=caller.subject.is_admin,
        )

    # -- what the router says

    def deliver(self, message: FromRouter) -> None:
        """An answer to one of ours, or updates that someone waits for; all else is not for us."""
        if isinstance(message, Published):
            if self._watches:
                self._see(message)
        elif isinstance(message, Answer | QueryAnswer):
            waiting = self._waiting.pop(message.ref, None)
            if waiting is not None:
                self._watch_decided(waiting, message)
                _settle(waiting, message)

    def _watch_decided(self, waiting: Waiting, message: Reply) -> None:
        """From the very answer on, so that no update falls between."""
        if waiting.watches is None or not isinstance(message, Answer):
            return
        for decided in message.decided:
            if decided.order_id is not None and decided.error is None:
                event = waiting.watches[decided.order_id] = asyncio.Event()
                self._watches.setdefault(decided.order_id, []).append(event)

    def _see(self, message: Published) -> None:
        for update in message.updates:
            body = body_of(update)
            if isinstance(body, OrderUpdate):
                for event in self._watches.get(body.order_id, ()):
                    event.set()

    def unwatch(self, watches: dict[str, asyncio.Event]) -> None:
        """Nobody waits for these any more."""
        for order_id, event in watches.items():
            events = self._watches[order_id]
            events.remove(event)
            if not events:
                del self._watches[order_id]

    def router_lost(self) -> None:
        """The router is gone: all that was asked of it is answered here."""
        waiting, self._waiting = self._waiting, {}
        for asked in waiting.values():
            _settle(asked, Answer(ref=0, error=errors.router_unavailable(_doubt(asked))))

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(TICK_MS / 1000, self._tick)
        limit_ns = self.around.settings.answer_timeout_ms * NS_PER_MS
        late_ns = self.around.clocks.boot_ns() - limit_ns
        for ref in [ref for ref, asked in self._waiting.items() if asked.asked_ns < late_ns]:
            asked = self._waiting.pop(ref)
            _settle(asked, Answer(ref=0, error=errors.no_answer(_doubt(asked))))


def _may_change_something(request: wire.Request) -> bool:
    is_dry = isinstance(request, wire.SignalNew) and request.dry_run
    return isinstance(request, wire.NumberedRequest) and not is_dry


def _doubt(asked: Waiting) -> Outcome:
    return Outcome.UNKNOWN if asked.is_command else Outcome.NONE


def _settle(asked: Waiting, reply: Reply) -> None:
    """The client may have gone meanwhile."""
    if not asked.future.done():
        asked.future.set_result(reply)


def rows_of(reply: Reply) -> Any:
    """The answer's body as plain objects, equal to what a WebSocket client gets."""
    return None if reply.body is None else msgspec.msgpack.decode(reply.body)
