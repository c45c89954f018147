"""What became of an order whose answer never came: found, or proved absent, never guessed.

Negative evidence counts only after the visibility horizon, and only where two whole rounds
(by client id, in the open orders, in the history since the attempt) succeed and all say no.
The horizon begins when the broker answers: one that stood still books what waited at its door
once it goes on. It is asked at once, and if it cannot be asked, again and often, for as long as
it takes. A round is for every order that is due: however many answers were lost, the account and
its past are read once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import structlog
from msgspec import Struct

from actors import messages as m
from actors.broker_reads import BrokerReads
from brokers.adapter import BrokerError, Report
from domain.events import VenueEvent

ROUNDS = 2
ROUND_PAUSE_S = 0.2
FAILED_PAUSE_S = 0.5
LOOK_UPS_AT_ONCE = 8

Events = tuple[VenueEvent, ...]

log = structlog.get_logger()


class Due(Struct, eq=False):
    """An order that the next round looks for; `seen` becomes its own events, and a history.

    `answers` are those of the round: the past, by client id, the open orders.
    """

    wanted: m.LookUp
    seen: asyncio.Future[tuple[Events, Events]]
    answers: list[Events] = []


class Evidence:
    """Where to look, and how long to wait first (ms)."""

    def __init__(self, reads: BrokerReads, horizon_ms: int) -> None:
        self.reads = reads
        self._horizon_ms = horizon_ms
        self._due: list[Due] = []
        self._round = asyncio.Lock()

    async def find(self, wanted: m.LookUp) -> m.Told | m.NoTrace:
        """What was found, or the complete no."""
        answers = False
        said_no: list[str] = []
        while len(said_no) < ROUNDS:
            try:
                found, history = await self._look(wanted)
            except BrokerError as trouble:
                log.warning("look-up failed", order=wanted.order_id, why=str(trouble))
                answers = False
                said_no.clear()
                await asyncio.sleep(FAILED_PAUSE_S)
                continue
            if found:
                # Told whole, though seen before: the router applies each fact once.
                return m.Told(events=(*history, *found))
            if answers:
                said_no.append(f"at {self.reads.clocks.utc_ns()}: no, after cursor {wanted.cursor}")
                if len(said_no) < ROUNDS:
                    await asyncio.sleep(ROUND_PAUSE_S)
            else:
                answers = True
                await asyncio.sleep(self._horizon_ms / 1000)
        return m.NoTrace(order_id=wanted.order_id, evidence=tuple(said_no))

    async def _look(self, wanted: m.LookUp) -> tuple[Events, Events]:
        """One round: the order's events wherever they are, and the history. Raises BrokerError.

        Whoever comes while a round is under way waits for the next, which is for all of them.
        """
        due = Due(wanted, asyncio.get_running_loop().create_future())
        self._due.append(due)
        async with self._round:
            if not due.seen.done():
                now, self._due = self._due, []
                await self._look_for_all(now)
        return due.seen.result()

    async def _look_for_all(self, due: list[Due]) -> None:
        """Settles each; what fails for one alone fails for that one."""
        cursors = {one.wanted.cursor for one in due}
        pasts = dict(zip(cursors, await asyncio.gather(*map(self._past, cursors)), strict=True))
        due = _go_on(due, [pasts[one.wanted.cursor] for one in due])
        known: list[Events | BrokerError] = []
        for start in range(0, len(due), LOOK_UPS_AT_ONCE):
            names = [one.wanted.venue_client_id for one in due[start : start + LOOK_UPS_AT_ONCE]]
            known += await asyncio.gather(*(_ask(self.reads.look_up(name)) for name in names))
        due = _go_on(due, known)
        if due:
            _go_on(due, [await _ask(self.reads.working())] * len(due))
        told: set[str | None] = set()
        for one in due:
            if not one.seen.done():
                _settle(one, told)

    async def _past(self, cursor: str | None) -> Events | BrokerError:
        events: Events = ()
        try:
            if cursor is not None:
                async for page in self.reads.pages(cursor):
                    events += page.events
        except BrokerError as trouble:
            return trouble
        return events


async def _ask(report: Awaitable[Report]) -> Events | BrokerError:
    try:
        return (await report).events
    except BrokerError as trouble:
        return trouble


def _go_on(due: list[Due], answers: list[Events | BrokerError]) -> list[Due]:
    """Those whose answer came, each with it; a round with a hole says nothing."""
    for one, answer in zip(due, answers, strict=True):
        if not isinstance(answer, BrokerError):
            one.answers.append(answer)
        elif not one.seen.done():  # else it was canceled meanwhile
            one.seen.set_exception(answer)
    return [one for one in due if not one.seen.done()]


def _settle(due: Due, told: set[str | None]) -> None:
    """The first found after a cursor tells that history for all."""
    wanted, history = due.wanted, due.answers[0]
    found = tuple(
        event
        for answer in due.answers
        for event in answer
        if event.venue_client_id == wanted.venue_client_id
    )
    due.seen.set_result((found, () if wanted.cursor in told else history))
    if found:
        told.add(wanted.cursor)
