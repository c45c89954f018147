"""A broker connection: one login, its gate, its streams, and everything it has yet to tell.

The router dials in and attaches with its epoch; frames of an older epoch are dropped. An
order passes the gate (epoch, numbers, names, halts, send-by), leaves its mark, and is sent once.
Whatever is learned is an item, numbered per incarnation and kept until the router says it is
durable: so events outlive a router. After repeated trouble the breaker lets only cancels pass.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any

import structlog
from msgspec import Struct

from actors import messages as m
from actors.breaker import Breaker
from actors.broker_reads import BrokerReads
from actors.clocks import Clocks
from actors.connection_tally import ConnectionTally
from actors.event_stream import EventStream, StreamOwner
from actors.evidence import Evidence
from actors.gate import Gate, Shut
from actors.granting import Granting
from actors.line import Line
from actors.link import Link, LinkOwner
from actors.marks import Marks
from actors.order_changes import OrderChanges
from actors.pacing import Budget
from actors.retries import Luck, even
from actors.sending import Outcome, Sending
from actors.settings import ConnectionSettings
from actors.telling import Telling
from brokers.adapter import (
    Adapter,
    BrokerError,
    NotSent,
    OutcomeUnknown,
    Pace,
    Response,
    Restless,
    VenueOrder,
)
from brokers.transport import Transport
from domain.accounts import BreakerState, ConnectionState, SessionState
from domain.instruments import Instrument
from domain.orders import NewOrder

log = structlog.get_logger()


class Login(Struct, frozen=True):
    """One login at one broker: its settings, its language, the way there, and what holds here.

    `pace` is the rate limit to keep; None where nobody counts.
    """

    settings: ConnectionSettings
    adapter: Adapter
    transport: Transport
    luck: Luck = even
    pace: Pace | None = None
    exits_pass_halts: bool = False


class BrokerConnection(LinkOwner[Any]):
    """One login at one broker. Plain class: the actor host gives it a loop and its links."""

    def __init__(self, login: Login, marks: Marks, incarnation: str, clocks: Clocks) -> None:
        self.settings = settings = login.settings
        self.adapter = login.adapter
        self.clocks = clocks
        self.luck = login.luck
        self.marks = marks
        self.gate = Gate(settings, marks, clocks, login.exits_pass_halts)
        budget = Budget(login.pace, clocks.boot_ns) if login.pace is not None else None
        self.breaker = Breaker(settings.breaker_failures, self._breaker_changed)
        self.line = Line(login.transport, self.breaker, budget, clocks)
        self.granting = Granting(settings.id, self.line, self._send_to_router)
        self.telling = Telling(settings.id, incarnation)
        self.instruments: dict[str, Instrument] = {}
        self.in_flight: dict[int, str] = {}
        self.tally = ConnectionTally(clocks.boot_ns)
        self.state = SessionState.DISCONNECTED
        self._reason = ""
        self._is_leaving = False
        timeout_ms = settings.answer_timeout_ms
        self.reads = BrokerReads(self.adapter, self.line, clocks, timeout_ms)
        self._changes = OrderChanges(
            self.adapter, self.line, self.gate, clocks, timeout_ms, self.luck
        )
        self._sending = Sending(
            self.line, self.gate, self.breaker, self.luck, timeout_ms, self._spawn
        )
        owner = StreamOwner(self._change, self.is_ready, self._load_instruments, self._spawn)
        self._stream = EventStream(self.line, self.reads, self.telling, owner)
        self._evidence = Evidence(self.reads, settings.visibility_horizon_ms)
        self._sought: set[str] = set()
        self._attached = asyncio.Event()
        self._refused: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # -- links

    @property
    def router(self) -> Link[Any] | None:
        """The router's link, while it is there."""
        return self.telling.router

    def _send_to_router(self, message: Any) -> None:
        if self.router is not None:
            self.router.send(message)

    def link_down(self, link: Link[Any]) -> None:
        """The router is gone; what we learn waits in the outbox."""
        if link is self.router:
            self.telling.router = None

    def received(self, link: Link[Any], message: Any) -> None:
        """A router's word. Frames of an older epoch are dropped."""
        if isinstance(message, m.Attach):
            self._attach(link, message)
        elif isinstance(message, m.Freed):
            self.telling.outbox.free(message.incarnation, message.last)
        elif link is not self.router or message.epoch != self.gate.epoch:
            log.warning("frame of another epoch dropped", kind=type(message).__name__)
        elif isinstance(message, m.Dispatch):
            self._dispatch(message)
        elif isinstance(message, m.SetHalts):
            self.gate.set_halts(message.number, message.halts)
            link.send(m.HaltsSet(connection=self.settings.id, number=message.number))
        else:
            self._asked(message)

    def _asked(self, message: Any) -> None:
        """What is no order and no halt."""
        match message:
            case m.SendCancel():
                self._spawn(self._cancel(message))
            case m.SendAmend():
                self._spawn(self._amend(message))
            case m.Probe():
                self._probe(message)
            case m.LookUp():
                self._spawn(self._find_evidence(message))
            case m.ResetBreaker():
                self.breaker.reset()
            case m.Resync():
                self._spawn(self._resync())

    def _attach(self, link: Link[Any], attach: m.Attach) -> None:
        if not self.gate.take_epoch(attach):
            self._refuse(link, attach.epoch)
            return
        telling = self.telling
        if self.router is not None and self.router is not link:
            self.router.close()
        telling.router = link
        self.marks.vouch_after(attach.last_intent)
        telling.outbox.free(attach.incarnation, attach.last)
        if not self._attached.is_set():
            telling.cursor = attach.cursor
            self._attached.set()
        self.granting.begin(attach.epoch)
        self._introduce()
        telling.tell_again()

    def _refuse(self, link: Link[Any], epoch: int) -> None:
        """An older router, or one of an older journal; it comes back every 20 ms, said once."""
        if epoch != self._refused:
            self._refused = epoch
            why = f"its epoch {epoch} is older than {self.gate.epoch}, which was served here"
            fix = "where no newer router runs: `fillgate restore` a backup into another --home"
            log.error("router refused", why=why, fix=fix)
        link.close()

    def _introduce(self) -> None:
        self._send_to_router(
            m.Attached(
                connection=self.settings.id,
                epoch=self.gate.epoch,
                credits=0 if self._is_leaving else self.settings.order_credits,
                state=self.state,
                instruments=tuple(self.instruments.values()),
                breaker=self.breaker.state,
                granted=self.granting.granted,
                per_order_us=self.granting.per_order_us,
            )
        )

    def leave(self) -> None:
        """Takes no more orders: another process is about to have this login."""
        self._is_leaving = True
        self._introduce()

    # -- orders

    def _dispatch(self, dispatch: m.Dispatch) -> None:
        taken_ns = self.clocks.boot_ns()
        if (fault := self.gate.find_number_fault(dispatch)) is not None:
            # Nothing is told of it: whoever has decided it has told.
            log.error("an order was not let through", intent=dispatch.intent, why=fault)
            return
        if not self._let_through(dispatch):
            return
        order = self._venue_order(dispatch.order, dispatch.venue_client_id)
        request = self.adapter.place(order)
        self.gate.mark(dispatch)
        self.in_flight[dispatch.intent] = dispatch.venue_client_id
        self.telling.waiting.expect(dispatch.venue_client_id)
        left_ns = self.tally.leaves(dispatch, taken_ns)
        self._sending.send(dispatch, request, partial(self._placed, dispatch, order, left_ns))
        self.granting.go_on()

    def _let_through(self, dispatch: m.Dispatch) -> bool:
        """True where it may leave; else the reason is told."""
        refusal = self.gate.find_refusal(dispatch)
        if refusal is not None and not refusal.is_proof:
            log.error("an order was not let through", intent=dispatch.intent, why=refusal.reason)
            self.telling.tell(m.InDoubt(intent=dispatch.intent, reason=refusal.reason))
            return False
        reason = refusal.reason if refusal is not None else self._find_obstacle(dispatch)
        if reason is not None:
            self.telling.tell(m.GateRefused(intent=dispatch.intent, reason=reason))
        return reason is None

    def _find_obstacle(self, dispatch: m.Dispatch) -> str | None:
        """Why the connection cannot send it, whatever the gate says."""
        if self.state is not SessionState.CONNECTED or not self.breaker.takes_orders:
            return "venue_unavailable"
        if dispatch.order.instrument not in self.instruments:
            return "unknown_instrument"
        return None if self.granting.spend() else "rate_limited"

    def _venue_order(
        self, order: NewOrder, venue_client_id: str, broker_order_id: str | None = None
    ) -> VenueOrder:
        return VenueOrder(
            order=order,
            instrument=self.instruments[order.instrument],
            venue_client_id=venue_client_id,
            broker_order_id=broker_order_id,
        )

    def _placed(
        self, dispatch: m.Dispatch, order: VenueOrder, left_ns: int, outcome: Outcome
    ) -> None:
        """Tells what became of it, and what the stream said of it meanwhile."""
        intent, telling = dispatch.intent, self.telling
        del self.in_flight[intent]
        held = telling.waiting.answered(dispatch.venue_client_id)
        try:
            if not isinstance(outcome, Response):
                raise outcome
            self.tally.answered(dispatch, left_ns)
            report = self.adapter.parse_placed(order, outcome, self.clocks.utc_ns())
        except NotSent as trouble:
            self.gate.unmark(dispatch)
            reason = str(trouble) if isinstance(trouble, Shut) else f"not_sent: {trouble}"
            telling.tell(m.GateRefused(intent=intent, reason=reason))
            telling.tell_events(held)
        except OutcomeUnknown as trouble:
            telling.tell(m.InDoubt(intent=intent, reason=str(trouble)))
            telling.tell_events(held)
        else:
            telling.tell_events((*held, *report.events), intent)

    def _probe(self, probe: m.Probe) -> None:
        for intent in probe.intents:
            if intent in self.in_flight or self.telling.outbox.speaks_of(intent):
                continue
            if self.marks.has(intent):
                self.telling.tell(m.InDoubt(intent=intent, reason="marked as sent before a crash"))
            else:
                self.telling.tell(m.GateRefused(intent=intent, reason="never sent: no send mark"))

    # -- cancels and amends

    async def _cancel(self, message: m.SendCancel) -> None:
        self.telling.tell_events(await self._changes.cancel(self._working(message), message))

    async def _amend(self, message: m.SendAmend) -> None:
        fault = self.gate.find_amend_fault(message)
        if fault is None and not self.breaker.takes_orders:
            fault = "venue_unavailable"
        if fault is not None:
            log.error("an amend was not let through", order=message.order_id, why=fault)
            if fault == "already sent":
                return
            self.telling.tell_events(self._changes.refuse_amend(message, fault))
            return
        self.telling.tell_events(await self._changes.amend(self._working(message), message))

    def _working(self, message: m.SendCancel | m.SendAmend) -> VenueOrder | None:
        if message.order.instrument not in self.instruments:
            return None
        return self._venue_order(message.order, message.venue_client_id, message.broker_order_id)

    async def _find_evidence(self, wanted: m.LookUp) -> None:
        if wanted.order_id in self._sought:
            return
        self._sought.add(wanted.order_id)
        try:
            self.telling.tell(await self._evidence.find(wanted))
        finally:
            self._sought.discard(wanted.order_id)

    # -- how it stands

    async def run(self) -> None:
        """Keeps the event stream and the account in step with the broker, for ever."""
        await self._attached.wait()
        await self._stream.run()

    async def _load_instruments(self) -> None:
        if self.instruments:
            return
        self.instruments = await self.reads.instruments()
        self._introduce()

    async def _resync(self) -> None:
        if self.is_ready():
            await self._stream.try_synchronize()

    def _change(self, state: SessionState, reason: str) -> None:
        if state is not self.state:
            self.state, self._reason = state, reason
            self._tell_state(reason)

    def _breaker_changed(self, state: BreakerState, why: str) -> None:
        if state is BreakerState.OPEN:
            self._spawn(self._try_again())
        self._tell_state(f"breaker {state.value}: {why}")

    async def _try_again(self) -> None:
        """Reads the account, which does no harm, once the broker has had its time."""
        await asyncio.sleep(self.settings.breaker_open_ms / 1_000)
        if not self.breaker.begin_trial():
            return
        trouble = None
        try:
            await self.reads.account()
        except Restless:
            pass  # It moves: so it answers.
        except BrokerError as error:
            trouble = str(error)
        self.breaker.end_trial(trouble)

    def _tell_state(self, reason: str) -> None:
        log.info("connection", id=self.settings.id, state=self.state.value, reason=reason)
        changed = ConnectionState(
            connection=self.settings.id,
            state=self.state,
            reason=reason,
            since_ns=self.clocks.utc_ns(),
            breaker=self.breaker.state,
        )
        self.telling.tell(m.StateChanged(state=changed))

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
        self.granting.stop()
        for task in tuple(self._tasks):
            task.cancel()
        with contextlib.suppress(BrokerError):
            await self.line.close()
