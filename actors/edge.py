"""An edge: client sessions on sockets passed by the supervisor, and links to everyone behind.

An edge holds no truth. It dies and is started again; clients come back with their cursors. It
runs outside Ray, so that no trouble of Ray's takes a client's connection away.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog
import uvloop
from aiohttp import web
from prometheus_client import CollectorRegistry

from actors import messages as m
from actors.beacon import Declared
from actors.edge_figures import figures_of, node_metrics
from actors.figures import FigurePage, publish
from actors.handles import offer_handles
from actors.host import Stage, settle_memory, sit_out
from actors.ledger_side import LedgerSide
from actors.link import Link, LinkOwner, dial, listen
from actors.logs import configure_logs
from actors.paths import LEDGER_ROLE, Paths, connection_role
from actors.settings import Settings, load
from actors.standing_by import stand_by
from actors.starts import note_end
from actors.tracing import Tracer, make_tracer
from domain.commands import Answer, Login, Logout, Published, Query, ReadStream, Refusals, Submit
from domain.errors import ErrorInfo
from gateway.backend import Status
from gateway.errors import refusal
from gateway.health import health_app
from gateway.metrics import GatewayCollector
from gateway.rest_server import RestServer
from gateway.server import GatewayServer
from gateway.tickets import TicketBox
from gateway.tls import Certificate
from gateway.tokens import TokenBook
from gateway.way import Way

JOURNAL_LINEAGE = 1
"""Stream numbers go on across router epochs; only another journal would start them anew."""

LAST_WORDS_S = 0.05
CERTIFICATE_LOOK_S = 1.0

log = structlog.get_logger()


class Sockets(NamedTuple):
    """Where an edge listens; all edges of a node share them."""

    clients: socket.socket
    health: socket.socket
    rest: socket.socket


class RouterSide(LinkOwner[Any]):
    """The edge's side of its link to the router."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._said: list[Any] = []

    def link_up(self, link: Link[Any]) -> None:
        """A router is there."""
        self._edge.router_up(link)

    def link_down(self, link: Link[Any]) -> None:
        """It is gone."""
        self.batch_ended()
        self._edge.router_down(link)

    def received(self, _link: Link[Any], message: Any) -> None:
        """An answer, updates, or how the router stands."""
        self._said.append(message)

    def batch_ended(self) -> None:
        """What came in one read goes to a client in one write."""
        said, self._said = self._said, []
        server = self._edge.server
        server.hold()
        try:
            for message in said:
                self._take(message)
        finally:
            server.let_go()

    def _take(self, message: Any) -> None:
        if isinstance(message, m.Standing):
            self._edge.stand(message)
        elif isinstance(message, m.TooOld):
            self._edge.read_old(message.read)
        else:
            if isinstance(message, Published):
                self._edge.saw(message.position)
            self._edge.deliver(message)

    def unread(self, link: Link[Any], frame: bytes, trouble: msgspec.MsgspecError) -> None:
        """What the router said in newer words is dropped: a stream's cursor shows the gap."""
        log.error("unread message of the router", why=str(trouble))


class QuoteSide(LinkOwner[Any]):
    """The edge's side of its link to a broker connection: quotes."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def link_up(self, link: Link[Any]) -> None:
        """A connection is there: say what our clients watch."""
        self._edge.quote_links.add(link)
        link.send(self._edge.watched())

    def link_down(self, link: Link[Any]) -> None:
        """It is gone."""
        self._edge.quote_links.discard(link)

    def received(self, _link: Link[Any], message: Any) -> None:
        """Quotes, or what could be had."""
        if isinstance(message, m.Quotes):
            self._edge.server.quotes.deliver(message.quotes)
        elif isinstance(message, m.PriceOffer):
            self._edge.offers[message.connection] = Offer(message)


class Offer:
    """What a connection would price, ready to be asked."""

    def __init__(self, told: m.PriceOffer) -> None:
        self.instruments = frozenset(told.instruments)
        self.is_full = told.is_full


class Edge:
    """What stands behind the gateway's server: plain calls, sent on over links."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.tracer: Tracer | None = None
        self._router: Link[Any] | None = None
        self._status = Status(
            epoch=JOURNAL_LINEAGE,
            deployment=stage.settings.deployment.id,
            venues=tuple(connection.id for connection in stage.settings.connections),
            is_router_up=False,
        )
        self._position = 0
        self._watched: dict[str, None] = {}
        self._is_to_tell = False
        self.quote_links: set[Link[Any]] = set()
        self.offers: dict[str, Offer] = {}
        self._is_trading = False
        self._accounts: dict[str, frozenset[str]] = {
            owner.id: frozenset(
                c.account for c in stage.settings.connections if c.owner == owner.id
            )
            for owner in stage.settings.owners
        }
        wanted = stage.settings.deployment
        self._certificate = Certificate(wanted.tls) if wanted.tls is not None else None
        context = self._certificate.context if self._certificate is not None else None
        self.way = Way(context, wanted.plaintext)
        self.server = GatewayServer(
            self,
            TokenBook(stage.paths.tokens),
            stage.clocks,
            stage.settings.gateway,
        )
        self.ledger = LedgerSide(self.deliver, self._ask_router)
        tickets = TicketBox(stage.paths.tickets, stage.clocks.boot_ns, os.urandom)
        self.rest = RestServer(self, self.server, tickets, stage.incarnation)
        self.registry = CollectorRegistry()
        self.registry.register(GatewayCollector(self.server.counts, lambda: self._is_trading))

    async def _watch_certificate(self) -> None:
        """A renewed one is served from the next handshake on."""
        while self._certificate is not None:
            await asyncio.sleep(CERTIFICATE_LOOK_S)
            self._certificate.refresh()

    def deliver(self, message: Any) -> None:
        """An answer, or what was published: each server knows its own."""
        if self.tracer is not None and isinstance(message, Answer):
            self.tracer.end(message.ref, self._stage.clocks.utc_ns())
        self.server.deliver(message)
        self.rest.deliver(message)

    # -- the backend the servers see

    def submit(self, submit: Submit) -> None:
        """Sends a command on."""
        if self.tracer is not None:
            trace = self.tracer.begin(submit.ref, submit.received_ns)
            submit = msgspec.structs.replace(submit, trace=trace)
        self._send(submit)

    def login(self, login: Login) -> None:
        """Opens a session."""
        self._send(login)

    def logout(self, logout: Logout) -> None:
        """Closes a session's socket."""
        self._send(logout)

    def note(self, refusals: Refusals) -> None:
        """Tells who was not let in."""
        self._send(refusals)

    def read(self, read: ReadStream) -> None:
        """Reads a durable stream."""
        self._send(read)

    def query(self, query: Query) -> None:
        """Asks for rows, at least as new as what clients here have been told."""
        asked = int(query.args.get("at_least") or 0)
        newest = max(asked, self._position)
        self.ledger.ask(msgspec.structs.replace(query, at_least=newest))

    def read_old(self, read: ReadStream) -> None:
        """The router no longer holds it in memory."""
        self.ledger.ask(read)

    def _ask_router(self, asked: Query | ReadStream) -> None:
        """What the ledger does not answer; a page then comes from the whole journal."""
        if isinstance(asked, ReadStream):
            asked = msgspec.structs.replace(asked, from_journal=True)
        self._send(asked)

    def subscribe_quotes(self, instrument: str) -> None:
        """The first client here wants quotes of it."""
        self._watched[instrument] = None
        self._tell_watched_soon()

    def unsubscribe_quotes(self, instrument: str) -> None:
        """The last client here no longer does."""
        del self._watched[instrument]
        self._tell_watched_soon()

    def find_quote_fault(self, instrument: str) -> ErrorInfo | None:
        """Why nobody would price it; None also while a connection has yet to say what it could."""
        names = {connection.id for connection in self._stage.settings.connections}
        offers = self.offers.values()
        if names - self.offers.keys() or any(instrument in offer.instruments for offer in offers):
            return None
        field = f"streams.quotes/{instrument}"
        if any(offer.is_full for offer in offers):
            words = "its connection follows as many instruments as it may; unsubscribe from others"
            return refusal("too_many", words, field=field)
        words = f"no connection prices {instrument[:40]}; instruments.list names what can be had"
        return refusal("unknown_instrument", words, field=field)

    def accounts_of(self, owner: str) -> frozenset[str]:
        """The accounts that the settings give the owner."""
        return self._accounts.get(owner, frozenset())

    def status(self) -> Status:
        """The deployment as this edge sees it."""
        return self._status

    def _send(self, message: Any) -> None:
        if self._router is not None:
            self._router.send(message)

    def watched(self) -> m.WatchQuotes:
        """What our clients watch."""
        return m.WatchQuotes(instruments=tuple(self._watched))

    def _tell_watched_soon(self) -> None:
        """Once for all that one turn of the loop changes."""
        if not self._is_to_tell:
            self._is_to_tell = True
            asyncio.get_running_loop().call_soon(self._tell_watched)

    def _tell_watched(self) -> None:
        self._is_to_tell = False
        for link in self.quote_links:
            link.send(self.watched())

    # -- links

    def router_up(self, link: Link[Any]) -> None:
        """A router answers."""
        self._set_router(link)
        self.server.router_found()

    def router_down(self, link: Link[Any]) -> None:
        """What was asked of it may or may not have been written down."""
        if link is self._router:
            self._set_router(None)
            self._is_trading = False
            self.server.router_lost()
            self.rest.router_lost()

    def _set_router(self, link: Link[Any] | None) -> None:
        self._router = link
        self._status = msgspec.structs.replace(self._status, is_router_up=link is not None)

    def stand(self, standing: m.Standing) -> None:
        """The router says whether orders can be taken."""
        self._is_trading = standing.is_trading
        self.saw(standing.position)

    def saw(self, position: int) -> None:
        """The journal has come so far."""
        self._position = max(self._position, position)

    def health(self) -> Status:
        """Ready means that an order would get through: router, compliance and a connection."""
        return msgspec.structs.replace(self.status(), is_router_up=self._is_trading)

    async def run(self, sockets: Sockets) -> None:
        """Serves clients until told to stop, then lets them go cleanly."""
        stage = self._stage
        paths, me = stage.paths, stage.hello
        self.tracer = make_tracer(stage.settings.traces, stage.role)
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        control, _lock = await listen(
            paths.socket(stage.role), lambda: Link(me, m.watchdog_inbox, LinkOwner())
        )
        metrics = node_metrics(paths.metrics, self.registry)
        runner = web.AppRunner(health_app(self.health, metrics), access_log=None)
        await runner.setup()
        await web.SockSite(runner, sockets.health).start()
        offer_handles(paths.handles(stage.role), sockets)
        links = [loop.create_task(self._watch_certificate())]
        await self.server.start([sockets.clients], self.way)
        await self.rest.start([sockets.rest], self.way)
        links += [
            loop.create_task(
                dial(paths.socket("router"), lambda: Link(me, m.edge_from_router, RouterSide(self)))
            )
        ]
        page = FigurePage(paths.figures(stage.role))
        links.append(loop.create_task(publish(page, lambda: figures_of(self.server.counts))))
        path = paths.socket(LEDGER_ROLE)
        work = dial(path, lambda: Link(me, m.edge_from_ledger, self.ledger))
        links.append(loop.create_task(work))
        for connection in stage.settings.connections:
            path = paths.socket(connection_role(connection.id))
            work = dial(path, lambda: Link(me, m.edge_inbox, QuoteSide(self)))
            links.append(loop.create_task(work))
        log.info("edge serves", role=stage.role)
        await stopping.wait()
        await asyncio.gather(self.rest.stop(), self.server.stop())
        # Who left is still to be told: a link that closes drops what its socket has not taken.
        await asyncio.sleep(LAST_WORDS_S)
        for task in links:
            task.cancel()
        control.close()
        await runner.cleanup()


def main(home: Path, number: int, descriptors: tuple[int, int, int]) -> None:
    """Runs edge number `number` of a deployment on passed sockets: clients, health, REST."""
    role, paths = f"edge-{number}", Paths(home)
    settings = load(paths.settings)
    configure_logs(paths.logs / f"{role}.log", settings.deployment.log_level, role)
    sockets = Sockets(*(socket.socket(fileno=fd) for fd in descriptors))
    settle_memory()
    with (
        contextlib.suppress(asyncio.CancelledError),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_run(role, paths, settings, sockets))


async def _run(role: str, paths: Paths, settings: Settings, sockets: Sockets) -> None:
    await stand_by(role, paths, settings)
    stage = Stage(role, paths.home)
    await sit_out(stage)
    stage.beacon.declare(Declared.WORKING)
    await Edge(stage).run(sockets)
    note_end(paths.starts(role))


if __name__ == "__main__":
    os.umask(0o077)
    clients, health, rest = map(int, sys.argv[3:6])
    main(Path(sys.argv[1]), int(sys.argv[2]), (clients, health, rest))
