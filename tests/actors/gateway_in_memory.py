"""The whole order path in one thread and in virtual time: real actors, links that are queues.

Router, compliance and the broker connection are the real classes; each can be killed at any
moment and started anew on what it left behind (the journal, the send marks). A client keeps its
own log, asks again what was not answered, and reads on where it was. The venue is in memory.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from paper_venue import PaperAdapter, PaperTransport, PaperVenue
from router_world import (
    ACCOUNT,
    OWNER,
    PAPER,
    Crash,
    MemoryJournal,
    connection_settings,
    over_the_wire,
)
from virtual_time import virtual_clocks

from actors import messages as m
from actors.compliance import ComplianceActor
from actors.connection import BrokerConnection, Login
from actors.link import Hello, LinkOwner
from actors.marks import Marks
from actors.prices import Prices
from actors.replay import Replay, Table
from actors.router.actor import Place as Placement
from actors.router.actor import Router
from actors.router.desk import Venue
from actors.router.loading import load_book
from actors.router.sides import ComplianceSide, ConnectionSide, EdgeSide
from cli.rules import first_word, is_reproduced
from compliance.digest import words_of
from compliance.past import Past
from compliance.screen import Screener
from compliance.settings import ComplianceSettings
from domain import commands as c
from domain.errors import Retry
from domain.portfolio import ZERO
from domain.streams import NoticeKind, StreamUpdate
from ledger.agreement import compare_client, compare_venue, stream_of
from ledger.recovery import restore

ORDERS = f"orders/{OWNER}"
SETTLED_S = 12.0
AGAIN_S = 0.3
RULES = ComplianceSettings(
    duplicate_window_ms=0, max_quantity=Decimal(50_000), max_notional=Decimal(10_000_000)
)


class End:
    """One end of a link whose frames wait in the loop's queue."""

    def __init__(self, owner: LinkOwner[Any], inbox: str, peer: str) -> None:
        self.owner = owner
        self.peer = Hello(role=peer, deployment="test", incarnation="i", pid=1)
        self.other: End = self
        self.is_up = True
        self._inbox = inbox
        self._unread: list[Any] = []

    def send(self, message: Any) -> None:
        if self.is_up:
            other = self.other
            other._unread.append(over_the_wire(message, other._inbox))
            if len(other._unread) == 1:
                asyncio.get_running_loop().call_soon(other._hear)

    def send_all(self, messages: list[Any]) -> None:
        for message in messages:
            self.send(message)

    def _begin(self) -> None:
        if self.is_up:
            self.owner.link_up(self)  # type: ignore[arg-type]

    def _hear(self) -> None:
        """Reads all that came in this turn, as one batch."""
        batch, self._unread = self._unread, []
        for message in batch:
            if self.is_up:
                self.owner.received(self, message)  # type: ignore[arg-type]
        if self.is_up:
            self.owner.batch_ended()

    def close(self) -> None:
        """Both ends see it, the other one after what was sent before."""
        for end in (self, self.other):
            asyncio.get_running_loop().call_soon(end._end)

    def die(self) -> None:
        """The process of this end is gone: it hears and says nothing more."""
        self.is_up = False
        asyncio.get_running_loop().call_soon(self.other._end)

    def _end(self) -> None:
        if self.is_up:
            self.is_up = False
            self.owner.link_down(self)  # type: ignore[arg-type]


def connect(one: tuple[LinkOwner[Any], str, str], two: tuple[LinkOwner[Any], str, str]) -> End:
    """Links two owners, each given with its inbox and role; the first one's end."""
    first, second = End(one[0], one[1], two[2]), End(two[0], two[1], one[2])
    first.other, second.other = second, first
    for end in (second, first):
        # After all that an older link still had to say.
        asyncio.get_running_loop().call_soon(end._begin)
    return first


class Client(LinkOwner[Any]):
    """A client behind an edge: its log of the order stream, and what still waits for an answer."""

    def __init__(self) -> None:
        self.end: End | None = None
        self.log: list[StreamUpdate] = []
        self.waiting: dict[int, c.Submit] = {}
        self.answers: dict[int, c.Answer] = {}
        self._refs = 0
        self._reading: int | None = None

    def link_up(self, link: Any) -> None:
        self.end = link
        for submit in self.waiting.values():
            link.send(submit)
        self._read_on()

    def link_down(self, link: Any) -> None:
        self.end, self._reading = None, None

    def say(self, command: Any, now_ns: int) -> None:
        self._refs += 1
        submit = c.Submit(
            ref=self._refs, owner=OWNER, session="s-1", cseq=self._refs,
            request_id=f"r-{self._refs}", command=command, received_ns=now_ns,
        )  # fmt: skip
        self.waiting[submit.ref] = submit
        self._send(submit)

    def _read_on(self) -> None:
        if self._reading is None and self.end is not None:
            self._refs += 1
            self._reading = self._refs
            after = self.log[-1].seq if self.log else 0
            self.end.send(
                c.ReadStream(ref=self._refs, owner=OWNER, stream=ORDERS, after=after, limit=100)
            )

    def received(self, link: Any, message: Any) -> None:
        if isinstance(message, c.Answer):
            assert message.ref not in self.answers, "answered twice"
            self._answered(message)
        elif isinstance(message, c.StreamPage):
            self._reading = None
            self._take(message.updates)
            if self.log and self.log[-1].seq < message.head:
                self._read_on()
        elif isinstance(message, c.Published):
            self._take(tuple(u for u in message.updates if u.stream == ORDERS))

    def _answered(self, answer: c.Answer) -> None:
        """What may be asked again under the same id is asked again, a little later."""
        submit = self.waiting.pop(answer.ref)
        self.answers[answer.ref] = answer
        errors = [d.error for d in answer.decided if d.error] + [answer.error]
        if any(error is not None and error.retry is Retry.SAME_ID for error in errors):
            asyncio.get_running_loop().call_later(AGAIN_S, self._ask_again, submit)

    def _ask_again(self, submit: c.Submit) -> None:
        self._refs += 1
        again = self.waiting[self._refs] = replace(submit, ref=self._refs)
        self._send(again)

    def _send(self, submit: c.Submit) -> None:
        if self.end is not None:
            self.end.send(submit)

    def _take(self, updates: tuple[StreamUpdate, ...]) -> None:
        """A gap is filled by reading; what came before is passed over, as a client does."""
        for update in updates:
            last = self.log[-1].seq if self.log else 0
            if update.seq == last + 1:
                self.log.append(update)
            elif update.seq > last:
                self._read_on()
                return


class Gateway:
    """Everything of one deployment, with one client and one venue."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.clocks = virtual_clocks(loop)
        self.settings = connection_settings(
            credits=3, visibility_horizon_ms=500, answer_timeout_ms=1000
        )
        self.venue = PaperVenue(self.settings, page=5)
        self.transport = PaperTransport(self.venue)
        self.journal = MemoryJournal()
        self.client = Client()
        self.troubles: list[Any] = []
        self.router: Router | None = None
        self.connection: BrokerConnection | None = None
        self.compliance: ComplianceActor | None = None
        self._folder = folder
        self._ends: dict[str, list[End]] = {"router": [], "connection": [], "compliance": []}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {"router": [], "connection": []}
        self._starts = 0
        loop.set_exception_handler(self._trouble)
        self._market = loop.create_task(self._quote())

    def _trouble(self, _loop: Any, context: dict[str, Any]) -> None:
        trouble = context.get("exception")
        if isinstance(trouble, Crash):
            self.kill_router()
        else:
            self.troubles.append(trouble or context)

    async def _quote(self) -> None:
        while True:
            self.venue.quote_all(self.clocks.utc_ns())
            await asyncio.sleep(0.5)

    # -- life

    def _next(self, kind: str) -> str:
        self._starts += 1
        return f"{kind}{self._starts}"

    def start_what_is_down(self) -> None:
        """Brings up whatever is down, and connects it."""
        if self.compliance is None:
            self.compliance = ComplianceActor(RULES, self._next("k"))
            self._meet_compliance()
        if self.connection is None:
            self._start_connection()
            self._meet_connection()
        if self.router is None:
            self._start_router()

    def _start_router(self) -> None:
        self.journal.reopen()
        restored = restore(self.journal)
        assert restored.breaks == ()
        venues = {PAPER: Venue(settings=self.settings, adapter=PaperAdapter())}  # type: ignore[arg-type]
        me = Hello(role="router", deployment="test", incarnation=self._next("r"), pid=1)
        self.router = Router(
            self.journal, restored.books, venues, Placement(self.clocks, me, "boot")
        )
        self.router._loop = self.loop
        try:
            self.router.start()
            self._keep("router", self.router._tick())
            self._meet_compliance()
            self._meet_connection()
            end = connect(
                (EdgeSide(self.router), "router", "router"), (self.client, "edge", "edge-0")
            )
            self._ends["router"].append(end)
        except Crash:
            self.kill_router()

    def _start_connection(self) -> None:
        marks = Marks(self._folder / "paper.marks")
        login = Login(self.settings, PaperAdapter(), self.transport)  # type: ignore[arg-type]
        self.connection = BrokerConnection(login, marks, self._next("c"), self.clocks)
        self._prices = Prices(self.connection)
        self._keep("connection", self.connection.run())
        self._keep("connection", self._prices.run())

    def _keep(self, role: str, work: Any) -> None:
        task = self.loop.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks[role].append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._trouble(self.loop, {"exception": task.exception()})

    def _meet_compliance(self) -> None:
        if self.router is not None and self.compliance is not None:
            end = connect(
                (self.compliance, "compliance", "compliance"),
                (ComplianceSide(self.router), "router-from-compliance", "router"),
            )
            self._ends["compliance"].append(end)
            self._ends["router"].append(end.other)

    def _meet_connection(self) -> None:
        if self.router is not None and self.connection is not None:
            end = connect(
                (self._prices, "connection", "connection"),
                (ConnectionSide(self.router, PAPER), "router-from-connection", "router"),
            )
            self._ends["connection"].append(end)
            self._ends["router"].append(end.other)

    def _kill(self, role: str) -> None:
        for end in self._ends[role]:
            end.die()
        self._ends[role].clear()
        for task in self._tasks.get(role, ()):
            task.cancel()
        if role in self._tasks:
            self._tasks[role].clear()

    def kill_router(self) -> None:
        self._kill("router")
        self.router = None

    def kill_connection(self) -> None:
        connection, self.connection = self.connection, None
        self._kill("connection")
        if connection is not None:
            for task in connection._tasks:
                task.cancel()
            connection.tell = lambda _item: None  # type: ignore[method-assign]

    def kill_compliance(self) -> None:
        self._kill("compliance")
        self.compliance = None

    def stop(self) -> None:
        self._market.cancel()
        self.kill_router()
        self.kill_connection()
        self.kill_compliance()

    # -- the end of a story

    async def settle(self) -> None:
        """The venue behaves, everybody is up, and all that is under way comes to its end."""
        self.venue.fates.clear()
        self.venue.read_fates.clear()
        self.venue.is_down = False
        self.venue.is_silent = False
        self.venue.skips = 0
        self.journal.crash = None
        self.start_what_is_down()
        await asyncio.sleep(SETTLED_S)

    def differences(self) -> list[str]:
        """Everything that is not as it must be once all is settled."""
        assert self.router is not None
        found = [f"trouble: {trouble!r}" for trouble in self.troubles]
        records = list(self.journal.records())
        restored = restore(self.journal)
        found += [f"break: {b.what}" for b in restored.breaks]
        if restored.books.to_bytes() != self.router.desk.books.to_bytes():
            found.append("replay gives other books")
        books = restored.books
        orders = [books.orders.get(name) for name in books.orders.all_ids()]
        updates = [u for record in records for u in record.updates]
        agreement = compare_venue([o for o in orders if o], updates, self.venue.as_book())
        found += agreement.lost + agreement.doubled + agreement.differences
        found += [f"{agreement.unknown} unknown"] if agreement.unknown else []
        found += compare_client(stream_of(records, ORDERS), self.client.log)
        found += [f"never answered: {s.command}" for s in self.client.waiting.values()]
        found += [
            f"break: {u.body.message}"
            for u in updates
            if getattr(u.body, "kind", None) is NoticeKind.BREAK
        ]
        found += self._wrong_positions() + self._wrong_reservations()
        return found + self._not_replayed()

    def _not_replayed(self) -> list[str]:
        """Orders on which the journal's own inputs lead to another word than was given."""
        assert self.router is not None
        replay = Replay((Table(),), {})
        return [
            f"replayed: {screened.then} then, now {first_word(screened.now[0], ACCOUNT)}"
            for screened in replay.run(self.router.journal.replay())
            if not is_reproduced(screened)
        ]

    def _wrong_positions(self) -> list[str]:
        assert self.router is not None
        ours = self.router.desk.books.positions
        account = self.settings.account
        return [
            f"{name}: venue {held.quantity}"
            for name, held in self.venue.positions.items()
            if held.quantity != (p.quantity if (p := ours.get((account, name))) else ZERO)
        ]

    def _wrong_reservations(self) -> list[str]:
        """Compliance's running sums against a fresh start from the router's book."""
        assert self.router is not None
        assert self.compliance is not None
        screener = self.compliance.screener
        if screener is None:
            return ["compliance has no book"]
        desk = self.router.desk
        fresh = Screener(RULES, "fresh")
        book = m.compliance_inbox.decode(msgspec.msgpack.encode(load_book(desk)))
        assert isinstance(book, m.LoadBook)
        fresh.load(
            accounts=book.accounts,
            orders=book.orders,
            halts=book.halts,
            instruments=book.instruments,
            past=Past(histories=book.histories, equities=book.equities),
        )
        kept, anew = _reserved(screener), _reserved(fresh)
        if kept != anew:
            return [f"reserved {kept}, recomputed {anew}"]
        known, again = words_of(screener.book), words_of(fresh.book)
        return [] if known == again else [f"compliance knew {known}, and again {again}"]


def _reserved(screener: Screener) -> dict[str, Any]:
    orders: dict[str, Any] = {
        order_id: (o.account, o.instrument, o.sign, o.reserved, o.only_reduces, o.is_uncertain)
        for order_id, o in screener.book.orders.items()
    }
    for account, exposure in screener.book.accounts.items():
        for symbol in ("EUR/USD", "GBP/USD", "USD/JPY"):
            held = exposure.holding(symbol)
            orders[f"{account} {symbol}"] = (held.quantity, held.opening, held.reducing)
    return orders
