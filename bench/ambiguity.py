"""Does evidence, and evidence alone, end every order of unknown outcome, and how soon?

Bursts of orders go to venues that lose answers, break them off, answer 5xx though the order is
booked, and book it late; every few bursts a venue is stopped while orders are on their way, and
goes on later with all that waits in its sockets. For each order that became UNKNOWN: what ended
it must be in the journal, as a word of the venue or as a complete no; how long it took counts
from when the venue answered (again). At the end client, journal and venues are compared.
"""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from random import Random
from signal import SIGCONT, SIGSTOP

from msgspec import Struct

from bench.hand_edge import STREAM
from bench.plain import SMALL_JOURNAL, Plain, plain
from bench.stories import SETTINGS
from bench.three_logs import find_differences
from bench.world import INSTRUMENTS, SHARES, WorldOptions
from domain import commands as c
from domain import events as ev
from domain.lifecycle import Status
from domain.orders import CancelOrder, NewOrder, OrderType, Side, TimeInForce
from domain.records import Record
from domain.streams import Notice, NoticeKind, OrderUpdate, StreamUpdate

HORIZON_MS = 500
OPTIONS = WorldOptions(
    horizon_ms=HORIZON_MS,
    journal=SMALL_JOURNAL,
    with_alpaca=True,
    # Answers are lost in rows here: no breaker shall stop the orders that are to lose theirs.
    connection="breaker_failures = 1000000",
)
HOSTILE = {
    "lost_reply": 0.3,
    "torn_share": 0.3,
    "late_landing": 0.25,
    "late_ms": [20, 400],
    "failed_applied": 0.3,
    "failed_ignored": 0.2,
    "repeated_event": 0.05,
    "reordered_event": 0.05,
    "unique_client_ids": False,
}
BURST = {"paper": (INSTRUMENTS, 8), "paper-alpaca": (SHARES, 16)}
"""By account: what is traded there, and how many orders of each at once: below the credits."""
OUTAGE_EVERY = 4
OUTAGE_S = 3.0
"""Longer than an answer is waited for, so that what is on its way becomes UNKNOWN."""
LONG_OUTAGE_S = 35.0
"""Longer than an order may be UNKNOWN without an alarm."""
ALARM_NS_MAX = 60_000_000_000
ALARMED_AFTER_NS = 31_000_000_000
PATIENCE_S = 60.0
WAIT_NS = 1_000_000_000
"""A doubt that began so shortly before an outage was not resolved before it."""
NS_PER_US = 1_000
EVIDENCE_MIN = 2
"""A complete no is said twice."""

ENDS = (ev.Accepted, ev.Triggered, ev.Fill, ev.Rejected, ev.Canceled, ev.Expired)


class Outage(Struct, frozen=True):
    """When the venue of an account was away (UTC)."""

    account: str
    start_ns: int
    end_ns: int

    def holds(self, doubt_ns: int) -> bool:
        """True where a doubt of that moment could not be resolved before the venue was back."""
        return self.start_ns - WAIT_NS <= doubt_ns < self.end_ns


class Found(Struct, kw_only=True):
    """What became of the orders of unknown outcome."""

    ambiguous: int = 0
    not_placed: int = 0
    alarms: int = 0
    faults: list[str] = []
    resolved_us: list[int] = []
    after_outage_us: list[int] = []


class Trial:
    """One deployment under bursts."""

    def __init__(self, deployment: Plain, luck: Random) -> None:
        self.deployment = deployment
        self.edge = deployment.edge
        self.outages: list[Outage] = []
        self._luck = luck
        self._bursts = 0

    async def run(self, wanted: int, with_long_outage: bool) -> None:
        """Bursts, until so many orders were ambiguous; the last outage may be a long one."""
        await self.deployment.until_ready()
        await self.deployment.treat(HOSTILE)
        while self._count() < wanted:
            await self._burst(OUTAGE_S if self._bursts % OUTAGE_EVERY == 1 else 0.0)
        if with_long_outage:
            await self._burst(LONG_OUTAGE_S)
        await self.deployment.treat({})
        await self._tidy()

    def _count(self) -> int:
        return sum(is_doubt(update) for update in self.edge.log)

    async def _burst(self, outage_s: float) -> None:
        self._bursts += 1
        await self.deployment.until_ready()
        orders = self._orders()
        placing = [
            asyncio.create_task(self.edge.say(order.client_order_id, c.Place(order=order)))
            for order in orders
        ]
        if outage_s:
            await self._stop_one(outage_s)
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*placing)
            await self.edge.rest()
        await self._tidy()

    async def _stop_one(self, outage_s: float) -> None:
        """Stops a venue once it has the first orders, and lets it go on later."""
        name = self._luck.choice(sorted(self.deployment.venues))
        venue = self.deployment.venues[name]
        seen = len(self.edge.log)
        first = self._luck.randint(1, len(SHARES))
        async with asyncio.timeout(PATIENCE_S):
            await self.edge.until(lambda: len(self.edge.log) >= seen + first)
        venue.send_signal(SIGSTOP)
        start_ns = time.time_ns()
        await asyncio.sleep(outage_s)
        self.outages.append(Outage(SETTINGS[name].account, start_ns, time.time_ns()))
        venue.send_signal(SIGCONT)

    def _orders(self) -> list[NewOrder]:
        found = [
            self._order(account, instrument, number)
            for account, (instruments, count) in BURST.items()
            for instrument in instruments
            for number in range(count)
        ]
        self._luck.shuffle(found)
        return found

    def _order(self, account: str, instrument: str, number: int) -> NewOrder:
        """A market order, or one that rests far away."""
        setting = next(x for x in SETTINGS.values() if x.account == account)
        rests = self._luck.random() < 0.5
        far = Decimal("80.000") if instrument.endswith("JPY") else setting.far
        name = f"a{self._bursts}-{instrument.replace('/', '')}-{number}"
        return NewOrder(
            client_order_id=name,
            account=account,
            instrument=instrument,
            side=Side.BUY if rests or self._luck.random() < 0.5 else Side.SELL,
            quantity=Decimal(self._luck.randint(1, 9)),
            type=OrderType.LIMIT if rests else OrderType.MARKET,
            time_in_force=TimeInForce.GTC if rests else setting.at_once,
            limit_price=far if rests else None,
        )

    async def _tidy(self) -> None:
        """Cancels what rests, as often as it takes: cancels, too, are answered badly."""
        number = 0
        async with asyncio.timeout(PATIENCE_S):
            while self.edge.working():
                number += 1
                cancel = c.Cancel(cancel=CancelOrder(all=True))
                await self.edge.say(f"tidy-{self._bursts}-{number}", cancel)
                await self.edge.rest()


def is_doubt(update: StreamUpdate) -> bool:
    """True where an order becomes UNKNOWN."""
    body = update.body
    return isinstance(body, OrderUpdate) and isinstance(body.event, ev.OutcomeUnknown)


class LookBack:
    """Every doubt and its end, from the journal's own entries."""

    def __init__(self, records: list[Record], outages: list[Outage]) -> None:
        self.found = Found()
        self._outages = outages
        self._doubts: dict[str, StreamUpdate] = {}
        self._alarms: dict[str, int] = {}
        for record in records:
            for update in record.updates:
                self._take(update)
        self.found.alarms = len(self._alarms)
        self.found.faults += [f"{name} is still UNKNOWN" for name in self._doubts]

    def _take(self, update: StreamUpdate) -> None:
        body = update.body
        if isinstance(body, Notice) and body.kind is NoticeKind.UNKNOWN_ORDER:
            self._alarms[body.order_id or ""] = update.at_ns
        if update.stream != STREAM or not isinstance(body, OrderUpdate):
            return
        if is_doubt(update):
            self.found.ambiguous += 1
            self._doubts[body.order_id] = update
        elif body.order_id in self._doubts and body.status is not Status.UNKNOWN:
            self._end(self._doubts.pop(body.order_id), update, body)

    def _end(self, doubt: StreamUpdate, end: StreamUpdate, body: OrderUpdate) -> None:
        name = body.client_order_id or body.order_id
        if not is_evidence(body.event):
            self.found.faults.append(f"{name} ended without evidence: {body.event}")
        self.found.not_placed += isinstance(body.event, ev.NotPlaced)
        self._time(body.account, doubt.at_ns, end.at_ns)
        alarm_ns = self._alarms.get(body.order_id)
        is_late = alarm_ns is not None and alarm_ns - doubt.at_ns > ALARM_NS_MAX
        if is_late or (alarm_ns is None and end.at_ns - doubt.at_ns > ALARMED_AFTER_NS):
            self.found.faults.append(f"{name} was UNKNOWN for too long without an alarm")

    def _time(self, account: str | None, start_ns: int, end_ns: int) -> None:
        """From the doubt on, or from when the venue was back."""
        backs = [x.end_ns for x in self._outages if x.account == account and x.holds(start_ns)]
        took_us = max(0, end_ns - max(start_ns, *backs, 0)) // NS_PER_US
        (self.found.after_outage_us if backs else self.found.resolved_us).append(took_us)


def is_evidence(event: ev.OrderEvent) -> bool:
    """True for a venue's own word on the order, and for a no that is complete."""
    if isinstance(event, ev.NotPlaced):
        return len(event.evidence) >= EVIDENCE_MIN
    return isinstance(event, ENDS) and bool(event.broker_order_id or event.venue_client_id)


async def try_doubts(wanted: int, seed: int, with_long_outage: bool) -> Found:
    """A deployment of its own, at least so many orders of unknown outcome, and what they show."""
    async with plain(OPTIONS) as deployment:
        trial = Trial(deployment, Random(seed))
        stuck = []
        try:
            await trial.run(wanted, with_long_outage)
        except TimeoutError:
            stuck.append("orders did not come to rest, or none would pass any more")
        found = LookBack(deployment.records(), trial.outages).found
        found.faults += stuck + await find_differences(deployment)
        return found
