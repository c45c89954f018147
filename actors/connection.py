"""A broker connection: one login, its gate, its streams, and everything it has yet to tell.

The router dials in and attaches with its epoch; frames of an older epoch are dropped. An
order passes the gate (epoch, intent number, halts, send-by), leaves its mark, and is sent
once. Whatever is learned is an item, numbered per incarnation and kept until the router says
it is durable: so events outlive a router. On (re)connect the stream is opened first, then
everything since the durable cursor is read, then the account, so nothing falls between. Where
a line of the stream shows that one before it was lost, what happened since is read first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable
from typing import Any

import structlog
from msgspec import Struct

from actors import messages as m
from actors.broker_reads import BrokerReads
from actors.clocks import Clocks
from actors.evidence import Evidence
from actors.gate import is_halted
from actors.link import Link, LinkOwner
from actors.marks import Marks
from actors.order_changes import OrderChanges
from actors.outbox import Outbox, SeenEvents, Waiting
from actors.settings import ConnectionSettings
from brokers.adapter import (
    Adapter,
    BrokerError,
    NotSent,
    OutcomeUnknown,
    Report,
    Restless,
    VenueOrder,
)
from brokers.transport import Transport
from domain import events as ev
from domain.accounts import AccountSnapshot, ConnectionState, SessionState
from domain.instruments import Instrument
from domain.orders import NewOrder
from domain.records import Halted

BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
SYNC_PAUSES_S = (0.0, 0.05, 0.1, 0.2, 0.5)
"""After each try to read the account at rest; after the last it is a trouble like any other."""

log = structlog.get_logger()


class Login(Struct, frozen=True):
    """One login at one broker: its settings, its language, and the way there."""

    settings: ConnectionSettings
    adapter: Adapter
    transport: Transport


class BrokerConnection(LinkOwner[Any]):
    """One login at one broker. Plain class: the actor host gives it a loop and its links."""

    def __init__(self, login: Login, marks: Marks, incarnation: str, clocks: Clocks) -> None:
        self.settings = settings = login.settings
        self.adapter = login.adapter
        self.transport = login.transport
        self.marks = marks
        self.clocks = clocks
        self.epoch = 0
        self.last_intent = marks.last
        self.outbox = Outbox(settings.id, incarnation)
        self.seen = SeenEvents()
        self.instruments: dict[str, Instrument] = {}
        self.halts: tuple[Halted, ...] = ()
        self.in_flight: dict[int, str] = {}
        self._waiting = Waiting()
        self.state = SessionState.DISCONNECTED
        self.cursor: str | None = None
        self._missed: tuple[str, str | None] | None = None
        self.router: Link[Any] | None = None
        self._reads = BrokerReads(self.adapter, self.transport, clocks, settings.answer_timeout_ms)
        self._changes = OrderChanges(
            self.adapter, self.transport, clocks, settings.answer_timeout_ms
        )
        self._evidence = Evidence(self._reads, settings.visibility_horizon_ms)
        self._sought: set[str] = set()
        self._attached = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- links

    def link_down(self, link: Link[Any]) -> None:
        """The router is gone; what we learn waits in the outbox."""
        if link is self.router:
            self.router = None

    def received(self, link: Link[Any], message: Any) -> None:
        """A router's word. Frames of an older epoch are dropped."""
        if isinstance(message, m.Attach):
            self._attach(link, message)
        elif isinstance(message, m.Freed):
            self.outbox.free(message.incarnation, message.last)
        elif link is not self.router or message.epoch != self.epoch:
            log.warning("frame of another epoch dropped", kind=type(message).__name__)
        elif isinstance(message, m.Dispatch):
            self._dispatch(message)
        elif isinstance(message, m.SendCancel):
            self._spawn(self._cancel(message))
        elif isinstance(message, m.SendAmend):
            self._spawn(self._amend(message))
        elif isinstance(message, m.Probe):
            self._probe(message)
        elif isinstance(message, m.LookUp):
            self._spawn(self._find_evidence(message))
        elif isinstance(message, m.SetHalts):
            self.halts = message.halts
            link.send(m.HaltsSet(connection=self.settings.id, number=message.number))

    def _attach(self, link: Link[Any], attach: m.Attach) -> None:
        if attach.epoch < self.epoch:
            link.close()
            return
        if self.router is not None and self.router is not link:
            self.router.close()
        self.marks.settle(attach.last_intent)
        self.router, self.epoch, self.halts = link, attach.epoch, attach.halts
        # An intent of an older epoch is never sent now.
        self.last_intent = max(self.last_intent, attach.last_intent)
        self.outbox.free(attach.incarnation, attach.last)
        if not self._attached.is_set():
            self.cursor = attach.cursor
            self._attached.set()
        self._introduce()
        for items in self.outbox.again():
            link.send(items)

    def _introduce(self) -> None:
        if self.router is not None:
            self.router.send(
                m.Attached(
                    connection=self.settings.id,
                    epoch=self.epoch,
                    credits=self.settings.credits,
                    state=self.state,
                    instruments=tuple(self.instruments.values()),
                )
            )

    def tell(self, item: m.Item) -> None:
        """Numbers a fact and tells it; it is held until durable."""
        items = self.outbox.add(item, self._waiting.cursor(self.cursor))
        if self.router is not None:
            self.router.send(items)

    def _tell_events(self, events: tuple[ev.VenueEvent, ...], intent: int | None = None) -> None:
        fresh = self.seen.new_of(events)
        if fresh or intent is not None:
            self.tell(m.Told(events=fresh, intent=intent))

    # -- the gate

    def _dispatch(self, dispatch: m.Dispatch) -> None:
        if dispatch.intent <= self.last_intent:
            log.error("intent not above the last refused", intent=dispatch.intent)
            return
        self.last_intent = dispatch.intent
        refusal = self._gate(dispatch)
        if refusal:
            self.tell(m.GateRefused(intent=dispatch.intent, reason=refusal))
            return
        order = self._venue_order(dispatch.order, dispatch.venue_client_id)
        request = self.adapter.place(order)
        self.marks.write(dispatch.intent, dispatch.attempt)
        self.in_flight[dispatch.intent] = dispatch.venue_client_id
        self._waiting.expect(dispatch.venue_client_id)
        self._spawn(self._place(dispatch, order, request))

    def _gate(self, dispatch: m.Dispatch) -> str | None:
        """Why the order must not leave, or None; checked right before the write."""
        if self.state is not SessionState.CONNECTED:
            return "venue_unavailable"
        if dispatch.order.instrument not in self.instruments:
            return "unknown_instrument"
        place = (self.settings.id, self.settings.account, self.settings.broker)
        if is_halted(dispatch.order, self.halts, self.settings.owner, place):
            return "halted"
        if self.clocks.boot_ns() > dispatch.send_by_ns:
            return "stale"
        return None

    def _venue_order(
        self, order: NewOrder, venue_client_id: str, broker_order_id: str | None = None
    ) -> VenueOrder:
        return VenueOrder(
            order=order,
            instrument=self.instruments[order.instrument],
            venue_client_id=venue_client_id,
            broker_order_id=broker_order_id,
        )

    async def _place(self, dispatch: m.Dispatch, order: VenueOrder, request: Any) -> None:
        intent = dispatch.intent
        try:
            response = await self.transport.send(request, self.settings.answer_timeout_ms)
            report = self.adapter.parse_placed(order, response, self.clocks.utc_ns())
            held = self._waiting.answered(dispatch.venue_client_id)
            self._tell_events((*held, *report.events), intent)
        except NotSent as trouble:
            self.tell(m.GateRefused(intent=intent, reason=f"not_sent: {trouble}"))
        except OutcomeUnknown as trouble:
            self.tell(m.InDoubt(intent=intent, reason=str(trouble)))
        finally:
            self.in_flight.pop(intent, None)
            self._tell_events(self._waiting.answered(dispatch.venue_client_id))

    def _probe(self, probe: m.Probe) -> None:
        for intent in probe.intents:
            if intent in self.in_flight or self.outbox.speaks_of(intent):
                continue
            if self.marks.has(intent):
                self.tell(m.InDoubt(intent=intent, reason="marked as sent before a crash"))
            else:
                self.tell(m.GateRefused(intent=intent, reason="never sent: no send mark"))

    # -- cancels and amends

    async def _cancel(self, message: m.SendCancel) -> None:
        self._tell_events(await self._changes.cancel(self._working(message), message))

    async def _amend(self, message: m.SendAmend) -> None:
        self._tell_events(await self._changes.amend(self._working(message), message))

    def _working(self, message: m.SendCancel | m.SendAmend) -> VenueOrder | None:
        if message.order.instrument not in self.instruments:
            return None
        return self._venue_order(message.order, message.venue_client_id, message.broker_order_id)

    async def _find_evidence(self, wanted: m.LookUp) -> None:
        if wanted.order_id in self._sought:
            return
        self._sought.add(wanted.order_id)
        try:
            self.tell(await self._evidence.find(wanted))
        finally:
            self._sought.discard(wanted.order_id)

    # -- streams

    async def run(self) -> None:
        """Keeps the event stream and the account in step with the broker, for ever."""
        await self._attached.wait()
        failures = 0
        while True:
            try:
                await self.transport.warm_up()
                await self._load_instruments()
                await self._follow()
            except BrokerError as trouble:
                failures = 0 if self.is_ready() else failures + 1
                self._change(SessionState.RECONNECTING, str(trouble))
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
            while self.outbox.is_full:
                await asyncio.sleep(BACKOFF_S[0])

    async def _load_instruments(self) -> None:
        if self.instruments:
            return
        self.instruments = await self._reads.instruments()
        self._introduce()

    async def _follow(self) -> None:
        silence_ms = self.adapter.capabilities.heartbeat_ms * 2 + 500
        async with self.transport.open_lines(self.adapter.event_stream(), silence_ms) as lines:
            # Whatever happens from here on is on the stream; what was before is read now.
            await self._synchronize()
            self._change(SessionState.CONNECTED, "in step with the broker")
            rereads = self._spawn(self._reread_for_ever())
            try:
                await self._listen(lines)
            finally:
                rereads.cancel()

    async def _listen(self, lines: AsyncIterable[bytes]) -> None:
        async for line in lines:
            report = self.adapter.parse_event_line(line, self.clocks.utc_ns())
            if report.gap is not None:
                log.warning("the stream lost a line: the past is read", gap=report.gap)
                await self._read_past()
            self._take(report)
            if report.unread or self.outbox.is_full:
                raise BrokerError("words unknown, or too much to tell: it is read again")

    async def _reread_for_ever(self) -> None:
        """Reads the account again and again, where the stream does not tell all of it."""
        while (period_ms := self.adapter.capabilities.resync_ms) is not None:
            await asyncio.sleep(period_ms / 1_000)
            try:
                await self._synchronize()
            except BrokerError as trouble:
                # The stream alone says whether we are connected; the next turn comes.
                log.warning("the account was not read again", why=str(trouble))

    async def _read_past(self) -> None:
        if self.cursor is not None:
            async for page in self._reads.pages(self.cursor):
                self._take(page)

    def _take(self, report: Report) -> None:
        if report.is_heartbeat:
            self._compare_head(report.head)
            return
        # An order's events wait for the answer under way: both are one fact, and one commit.
        now = self._waiting.hold(report.events, self.cursor)
        if report.cursor is not None:
            self.cursor = report.cursor
        self._tell_events(now)
        self._tell_unread(report.unread)

    def _tell_unread(self, unread: tuple[str, ...]) -> None:
        for what in unread:
            if self.seen.is_new_word(what):
                self.tell(m.Unread(what=what))

    def _compare_head(self, head: str | None) -> None:
        """A broker that stays ahead of us over a whole period told us something we missed."""
        if head is None or head == self.cursor:
            self._missed = None
        elif self._missed == (head, self.cursor):
            raise BrokerError(f"the stream skipped something between {self.cursor} and {head}")
        else:
            self._missed = (head, self.cursor)

    async def _synchronize(self) -> None:
        for pause_s in SYNC_PAUSES_S:
            await self._read_past()
            told = self.outbox.next
            try:
                snapshot, working = await self._reads.account()
            except Restless:
                await asyncio.sleep(pause_s)
                continue
            # An order's answer that came meanwhile may tell of more than the account does.
            if told == self.outbox.next and self.cursor in (None, snapshot.cursor):
                self._tell_account(snapshot, working)
                return
            await asyncio.sleep(pause_s)
        raise BrokerError("the account moved during every try to read it at rest")

    def _tell_account(self, snapshot: AccountSnapshot, working: Report) -> None:
        self.cursor = snapshot.cursor
        orders = tuple(e for e in working.events if isinstance(e, ev.External))
        # What the account counts already must be told before it, awaited or not.
        self._tell_events(self._waiting.release())
        self._tell_events(tuple(e for e in working.events if not isinstance(e, ev.External)))
        self._tell_unread(working.unread)
        self.tell(m.SyncedAccount(snapshot=snapshot, open_orders=orders))

    def _change(self, state: SessionState, reason: str) -> None:
        if state is self.state:
            return
        self.state = state
        log.info("connection", id=self.settings.id, state=state.value, reason=reason)
        changed = ConnectionState(
            connection=self.settings.id,
            state=state,
            reason=reason,
            since_ns=self.clocks.utc_ns(),
        )
        self.tell(m.StateChanged(state=changed))

    def is_ready(self) -> bool:
        """What a Pong says: the broker is connected."""
        return self.state is SessionState.CONNECTED

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # A bug here must not be swallowed: the actor dies and starts clean (STYLE 10).
        if not task.cancelled() and task.exception() is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a task of the connection failed", "exception": task.exception()}
            )

    async def close(self) -> None:
        """Ends what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        with contextlib.suppress(BrokerError):
            await self.transport.close()
