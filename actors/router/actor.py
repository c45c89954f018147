"""The router's I/O: links in and out, one commit per batch, and nothing said before it.

Everything that arrives in one turn of the loop is decided first, then committed together
(one write, one fdatasync), then told; a commit that takes long goes on beside the loop. Starting
is replaying: the journal, then the broker connections, which know what was under way.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from functools import partial
from typing import Any

import structlog
from msgspec.msgpack import Decoder
from msgspec.structs import replace

from actors import messages as m
from actors.beacon import Declared
from actors.link import Link, LinkOwner, dial, listen
from actors.paths import Paths, connection_role
from actors.router import refusals
from actors.router.changes import Changes
from actors.router.desk import Desk, rate_of
from actors.router.findings import write_findings
from actors.router.guards import Guards
from actors.router.lending import Lending
from actors.router.loading import load_book, note_rules
from actors.router.markets import Markets
from actors.router.orders import Orders
from actors.router.place import Place
from actors.router.protection import Protection
from actors.router.quotes import Quotes
from actors.router.reads import Reads
from actors.router.reports import Reports
from actors.router.sides import ComplianceSide, ConnectionSide, EdgeSide
from actors.router.signals import Signals
from actors.router.teller import Teller
from actors.router.venue import Venue
from actors.router.watching import Watching
from actors.router.writer import BATCH_MAX, Writer
from compliance.leases import Returned
from domain.audit import Retention
from domain.commands import (
    Answer,
    LoggedIn,
    Login,
    Logout,
    Query,
    QueryAnswer,
    ReadStream,
    StreamPage,
    Submit,
)
from domain.records import EpochStarted
from domain.screening import ScreenAnswer
from domain.signals import SignalRule
from ledger.journal import Journal
from ledger.projection import Books

TICK_S = 0.05
COMPLIANCE = "compliance"
"""The shard's name and its role."""
SNAPSHOT_RECORDS = 50_000
PAGE_MAX = 500

log = structlog.get_logger()


class Router:
    """Owns the journal. Plain class: the actor host gives it a loop."""

    def __init__(
        self,
        journal: Journal,
        books: Books,
        venues: dict[str, Venue],
        place: Place,
        signals: tuple[SignalRule, ...] = (),
    ) -> None:
        self.journal = journal
        self.place = place
        self.clocks = place.clocks
        self.me = place.me
        self.desk = Desk(books, books.epoch + 1, venues)
        self.writer = Writer(journal, self.desk, place)
        self.orders = Orders(self.desk)
        self.changes = Changes(self.desk, self.orders, Signals(self.desk, self.orders, signals))
        self.protection = Protection(self.desk, self.orders, self.changes)
        self.reports = Reports(self.desk, self.changes)
        self.guards = Guards(self.desk, self.changes)
        self.lending = Lending(self.desk, self.desk.to_compliance.append)
        self.reads = Reads(self.desk)
        self._quotes = Quotes(self.desk)
        self._markets = Markets(self.desk)
        self._watching = Watching(self.desk)
        self.teller = Teller(self.desk, self.writer)
        self.is_trading = False
        self._snapshot_at = books.number

    def lend(self, limit: Decimal | None) -> None:
        """Lends this much credit to compliance, all of it: there is one shard."""
        self.lending = Lending(self.desk, self.desk.to_compliance.append, limit)

    def start(self) -> None:
        """Takes the epoch: from here on every older router is fenced."""
        self.look_at_clocks()
        cause = EpochStarted(boot_id=self.place.boot_id, incarnation=self.me.incarnation)
        self.desk.draft(cause, retention=Retention.SYSTEM).close()
        self.reports.recover()
        self.guards.recover()
        self.flush()
        log.info("router", epoch=self.desk.epoch, records=self.desk.books.number)

    def look_at_clocks(self) -> None:
        """The desk decides by these until the next batch."""
        self.desk.now_ns = self.clocks.utc_ns()
        self.desk.boot_ns = self.clocks.boot_ns()
        stepped_ns = self._quotes.look()
        if stepped_ns:
            log.warning("the wall clock was set", by_s=stepped_ns / 1e9)
            # What was asked by the clock of before is answered by it.
            self.flush()
            self.say_the_news()
            if self.teller.compliance is not None:
                self.teller.compliance.send(m.SeeRates(rates=(), stepped_ns=stepped_ns))

    def flush(self) -> None:
        """Commits what was decided, then says what waited for it."""
        self.teller.flush()

    def say_the_news(self) -> None:
        """Tells what nobody waited for."""
        self.teller.say_the_news()

    # -- links

    async def serve(self, paths: Paths) -> None:
        """Listens for edges, dials everyone else, and ticks, for ever."""
        edge_side = EdgeSide(self)
        server, _lock = await listen(
            paths.socket("router"), lambda: Link(self.me, m.router_inbox, edge_side)
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve_forever())
            side = ComplianceSide(self)
            tasks.create_task(self._dial(paths, COMPLIANCE, m.router_from_compliance, side))
            for name in self.desk.venues:
                role, venue_side = connection_role(name), ConnectionSide(self, name)
                tasks.create_task(self._dial(paths, role, m.router_from_connection, venue_side))
            tasks.create_task(self._tick())

    async def _dial(
        self, paths: Paths, role: str, decoder: Decoder[Any], side: LinkOwner[Any]
    ) -> None:
        await dial(paths.socket(role), lambda: Link(self.me, decoder, side))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.look_at_clocks()
            self.writer.look()
            self.reports.tick()
            self.guards.tick()
            self._markets.write()
            for venue in self.desk.venues.values():
                self.orders.spend_credits(venue)
            self.flush()
            self.end_silent()
            self.say_the_news()
            self._watch()
            self._stand()
            self._snapshot()

    def end_silent(self) -> None:
        """A connection that does not confirm a halt is killed: then it sends nothing."""
        for name in self.changes.halts.find_silent():
            link = self.teller.connections.get(name)
            if link is not None:
                log.error("killed: it does not confirm a halt", connection=name)
                link.end_peer()

    def _watch(self) -> None:
        """Asks the connections for the prices that orders and positions need."""
        for name, wanted in self._watching.tick():
            link = self.teller.connections.get(name)
            if link is not None:
                link.send(wanted)

    def _snapshot(self) -> None:
        """Has one made of what is durable, by another process: see snapshot_maker.py."""
        durable = self.journal.durable
        if durable - self._snapshot_at >= SNAPSHOT_RECORDS:
            self._snapshot_at = durable
            self.place.take_snapshot(durable)

    # -- what the sides tell

    def edge_up(self, link: Link[Any]) -> None:
        """An edge came."""
        self.teller.edges.add(link)
        link.send(self._standing())

    def _stand(self) -> None:
        """Tells the edges when it changes whether orders get through."""
        venues = self.desk.venues.values()
        is_ready = self.orders.compliance is not None and self.desk.closed is None
        is_trading = is_ready and any(v.takes_orders for v in venues)
        if is_trading != self.is_trading:
            self.is_trading = is_trading
            for edge in self.teller.edges:
                edge.send(self._standing())

    def _standing(self) -> m.Standing:
        return m.Standing(is_trading=self.is_trading, position=self.journal.durable)

    def edge_down(self, link: Link[Any]) -> None:
        """An edge died: its sessions are disconnected now."""
        self.teller.edges.discard(link)
        self.guards.edge_lost(link)

    def from_edge(self, link: Link[Any], message: Any) -> None:
        """A command, a log-in, or a read."""
        match message:
            case Submit() if self.writer.is_busy and len(self.desk.records) >= BATCH_MAX:
                link.send(Answer(ref=message.ref, error=refusals.JOURNAL_SILENT))
            case Query() if self.writer.is_late:
                link.send(QueryAnswer(ref=message.ref, error=refusals.JOURNAL_UNAVAILABLE))
            case Submit():
                self.guards.sign(message.owner, message.session)
                self.changes.submit(link, message)
            case Login():
                self._login(link, message)
            case Logout():
                self.guards.logout(message)
            case ReadStream():
                self._read(link, message)
            case Query():
                # After the commit: a read must not tell what is not durable yet.
                self.desk.to_edges.append((link, self.reads.answer(message)))
            case m.Found():
                write_findings(self.desk, message.findings)

    def _login(self, link: Link[Any], login: Login) -> None:
        error = self.guards.login(link, login)
        books = self.desk.books
        accounts = tuple(
            venue.settings.account
            for venue in self.desk.venues.values()
            if venue.settings.owner == login.owner
        )
        own = [f"orders/{login.owner}", "connections", "admin"]
        own += [f"{kind}/{account}" for account in accounts for kind in ("account", "transactions")]
        answer = LoggedIn(
            ref=login.ref,
            last_cseq=books.last_cseq(login.owner, login.session),
            heads={stream: books.heads.get(stream, 0) for stream in own},
            accounts=accounts,
            error=error,
        )
        self.desk.to_edges.append((link, answer))

    def _read(self, link: Link[Any], read: ReadStream) -> None:
        books = self.desk.books
        limit = min(read.limit, PAGE_MAX)
        updates = books.read(read.stream, read.after, limit)
        if updates is None and not read.from_journal:
            known = replace(read, head=books.heads.get(read.stream, 0))
            self.desk.to_edges.append((link, m.TooOld(read=known)))
            return
        if updates is None:
            # The ledger is away: read from the whole journal, off the loop.
            asyncio.get_running_loop().run_in_executor(None, self._read_old, link, read, limit)
            return
        head = books.heads.get(read.stream, 0)
        page = StreamPage(ref=read.ref, stream=read.stream, head=head, updates=tuple(updates))
        self.desk.to_edges.append((link, page))

    def _read_old(self, link: Link[Any], read: ReadStream, limit: int) -> None:
        updates = []
        for record in self.journal.replay():
            updates += [u for u in record.updates if u.stream == read.stream and u.seq > read.after]
            if len(updates) >= limit:
                break
        head = self.desk.books.heads.get(read.stream, 0)
        page = StreamPage(
            ref=read.ref, stream=read.stream, head=head, updates=tuple(updates[:limit])
        )
        self._loop.call_soon_threadsafe(link.send, page)

    async def run(self, paths: Paths) -> None:
        """Starts and serves."""
        self._loop = asyncio.get_running_loop()
        self.writer.wake = partial(self._loop.call_soon_threadsafe, self.flush)
        self.start()
        if self.place.beacon is not None:
            self.place.beacon.declare(Declared.WORKING)
        await self.serve(paths)

    def connection_up(self, name: str, link: Link[Any]) -> None:
        """A broker connection answers: take it for our epoch."""
        self.teller.connections[name] = link
        self.reports.attach(name)
        self.flush()
        link.send(self._watching.say(name))

    def connection_down(self, name: str, link: Link[Any]) -> None:
        """A broker connection died."""
        if self.teller.connections.get(name) is link:
            del self.teller.connections[name]
            self.reports.lost(name)
            self.changes.halts.lost(name)

    def from_connection(self, name: str, message: Any) -> None:
        """Facts, or quotes."""
        match message:
            case m.Items():
                known = len(self.desk.books.accounts)
                self.reports.items(message)
                if len(self.desk.books.accounts) != known:
                    self._load_compliance()
            case m.Attached():
                before = self.desk.venues[name].instruments
                self.reports.attached(message)
                if self.desk.venues[name].instruments != before:
                    self._load_compliance()
            case m.Quotes():
                self._quoted(name, message)
            case m.MarketFacts():
                self._tell_market(self._markets.take(message.facts))
            case m.HaltsSet():
                self.changes.halts.confirmed(name, message.number)
            case m.Credits():
                self.reports.granted(message)

    def _quoted(self, name: str, message: m.Quotes) -> None:
        rates = self._quotes.take(name, message.quotes)
        if self.teller.compliance is not None:
            self.teller.compliance.send(m.SeeRates(rates=rates))

    def _tell_market(self, news: m.SeeMarket | None) -> None:
        if news is not None and self.teller.compliance is not None:
            self.teller.compliance.send(news)

    def compliance_up(self, link: Link[Any]) -> None:
        """Compliance answers: give it the book."""
        self.teller.compliance = link
        self._load_compliance()

    def _load_compliance(self) -> None:
        """Gives compliance the whole book; what it was looking at is asked again by the client."""
        self.orders.compliance_lost()
        self.flush()
        # The book holds all that compliance was still to be told.
        self.teller.forget_compliance()
        if self.teller.compliance is None:
            return
        self.teller.compliance.send(load_book(self.desk))
        self._tell_market(self._markets.all())
        quotes = (q for by_connection in self.desk.quotes.values() for q in by_connection.values())
        self.teller.compliance.send(m.SeeRates(rates=tuple(rate_of(quote) for quote in quotes)))

    def compliance_down(self, link: Link[Any]) -> None:
        """Nothing can be screened until it is back."""
        if self.teller.compliance is link:
            self.teller.compliance = None
            self.orders.compliance_lost()
            self.flush()

    def from_compliance(self, message: Any) -> None:
        """It is ready, or a verdict."""
        if isinstance(message, m.Loaded) and self.orders.has_exited:
            self._load_compliance()  # what went out meanwhile is not in its book
        elif isinstance(message, m.Loaded):
            note_rules(self.desk, message)
            self.lending.loaded(COMPLIANCE)
            self.orders.compliance = message.incarnation
            self.flush()
        elif isinstance(message, m.Wanted):
            self.lending.wanted(message)
            self.flush()
        elif isinstance(message, Returned):
            self.lending.returned(message)
            self.flush()
        elif isinstance(message, ScreenAnswer):
            self.orders.screened(message)
        elif isinstance(message, m.Found):
            write_findings(self.desk, message.findings)
            self.flush()
        elif isinstance(message, m.Tripped):
            self.changes.halts.trip(message.halts)
            self.flush()
