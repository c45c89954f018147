"""What each role's process does from its start: the one place where parts are put together."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

import structlog

from actors import messages as m
from actors.beacon import Declared
from actors.calendars import build_calendars
from actors.compliance import ComplianceActor
from actors.connection import BrokerConnection, Login
from actors.connection_tally import figures_of as connection_figures
from actors.draining import drain
from actors.figures import FigurePage, publish
from actors.host import Stage
from actors.limit_store import LimitRefused, LimitStore
from actors.link import Link, listen
from actors.logs import conceal
from actors.marks import Marks, read_boot_id
from actors.pacing import pace_of
from actors.paths import LEDGER_ROLE, Paths, connection_role
from actors.prices import Prices
from actors.router.actor import Router
from actors.router.figures import figures_of as router_figures
from actors.router.files_trail import FilesTrail
from actors.router.place import Place
from actors.router.quarantine import look_at
from actors.router.tally import TracedTally
from actors.router.venue import Venue
from actors.settings import (
    ConnectionSettings,
    Settings,
    journal_place,
    read_store_url,
    read_token,
)
from actors.shard import take as take_shard
from actors.snapshot_maker import SnapshotMaker
from actors.standing_by import catch_up
from actors.tracing import make_tracer
from brokers.adapter import Adapter, AdapterSettings
from brokers.registry import BROKERS
from brokers.transport import Transport, TransportSettings
from compliance.settings import ComplianceSettings
from domain.accounts import BrokerAccount
from domain.records import HaltScope
from gateway.backend import Clocks
from ledger.faults import JournalLocked, JournalUnreachable
from ledger.journal import Journal
from ledger.places import open_journal, reader_of
from ledger.recovery import restore

WARM_CONNECTIONS = 8
LEDGER_NICENESS = 5
LOCK_RETRY_S = {"local": 0.02, "postgres": 0.2}
UNREACHABLE_RETRY_S = 0.5
LIMITS_LOOK_S = 1.0

log = structlog.get_logger()


def starter_of(role: str) -> Callable[[Stage], Awaitable[None]]:
    """The start of a role by its name."""
    if role == "router":
        return start_router
    if role == "compliance":
        return start_compliance
    if role == LEDGER_ROLE:
        return start_ledger
    return start_connection


def roles(settings: Settings) -> list[str]:
    """The roles that run as Ray actors, those on an order's way first."""
    connections = (connection_role(c.id) for c in settings.connections)
    return ["router", "compliance", *connections, LEDGER_ROLE]


def edge_roles(settings: Settings) -> list[str]:
    """The roles that the supervisor runs by itself: they must outlive Ray."""
    return [f"edge-{number}" for number in range(settings.deployment.edges)]


async def start_router(stage: Stage) -> None:
    """Replays the journal, takes the epoch, and routes for ever."""
    stage.beacon.declare(Declared.REPLAYING)
    settings = stage.settings
    journal = await _open_journal(stage)
    _shard = await take_shard(stage.paths.shard)
    books = stage.shadow.take_over(journal) if stage.shadow else restore(journal).books
    venues = {
        connection.id: Venue(
            settings=connection,
            adapter=_adapter(connection, token=""),
            exits_pass_halts=settings.compliance.exits_pass_halts,
        )
        for connection in settings.connections
    }
    maker = SnapshotMaker(stage.paths.home)
    place = Place(stage.clocks, stage.hello, read_boot_id(), stage.beacon, maker.begin)
    router = Router(journal, books, venues, place, settings.signals)
    router.lend(settings.compliance.market.firm_credit_max)
    router.guards.trail.files = FilesTrail(stage.paths)
    tracer = make_tracer(settings.traces, stage.role)
    if tracer is not None:
        router.desk.tally = TracedTally(tracer)
    stage.beacon.on_end = router.desk.tally.state_ended
    # Right after its start, for the epoch's record comes first.
    asyncio.get_running_loop().call_soon(look_at, router, stage.hello, HaltScope.ALL, "*")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(router.run(stage.paths))
        tasks.create_task(publish(_page(stage), lambda: router_figures(router)))


async def _open_journal(stage: Stage) -> Journal:
    """Waits for the lock, as an older router may take a moment to die, and for the server."""
    place = journal_place(stage.paths, stage.settings)
    conceal(place.url)
    while True:
        try:
            return open_journal(place)
        except JournalLocked:
            if stage.shadow is not None:
                catch_up(stage.shadow)
            await asyncio.sleep(LOCK_RETRY_S[place.settings.backend])
        except JournalUnreachable as trouble:
            log.warning("the journal's server is away", why=str(trouble))
            await asyncio.sleep(UNREACHABLE_RETRY_S)


async def start_compliance(stage: Stage) -> None:
    """Waits for a router and screens for it."""
    settings = stage.settings
    named = {c.regime for c in settings.connections} | set(settings.compliance.regimes.values())
    today = datetime.fromtimestamp(stage.clocks.utc_ns() // 10**9, UTC).date()
    calendars = build_calendars(named, today)
    store = LimitStore(stage.paths.limits, settings.compliance)
    limits = store.in_force(stage.clocks.utc_ns())
    actor = ComplianceActor(limits, stage.incarnation, calendars)
    actor.tracer = make_tracer(settings.traces, stage.role)
    server, _lock = await listen(
        stage.paths.socket("compliance"), lambda: Link(stage.hello, m.compliance_inbox, actor)
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve_forever())
        tasks.create_task(publish(_page(stage), actor.figures))
        tasks.create_task(follow_limits(actor, store, limits, stage.clocks))


async def follow_limits(
    actor: ComplianceActor, store: LimitStore, limits: ComplianceSettings, clocks: Clocks
) -> None:
    """Screens by what two persons approved, as soon as it is in force."""
    first, count = actor.incarnation, 0
    while True:
        await asyncio.sleep(LIMITS_LOOK_S)
        try:
            now = store.in_force(clocks.utc_ns())
        except LimitRefused as trouble:
            log.error("limits unreadable, those in force stay", why=str(trouble))
            continue
        if now != limits:
            limits, count = now, count + 1
            log.info("limits changed", count=count)
            actor.use(limits, f"{first}.{count}")


async def start_ledger(stage: Stage) -> None:
    """Follows the journal into the store and the audit log, behind everyone who trades."""
    # Imported here: SQL's libraries take time and memory that no other role should pay for.
    from actors.audit import AuditTrail
    from actors.ledger import Ledger
    from actors.ledger_reads import LedgerReads
    from actors.surveillance import Lookout
    from ledger.audit_log import AuditLog
    from ledger.shared_reading import SharedJournal
    from ledger.store_opening import open_store

    # This thread, and those it starts: the rows can wait where an order cannot.
    os.nice(LEDGER_NICENESS)
    settings, paths = stage.settings, stage.paths
    deployment, url = settings.deployment.id, read_store_url(settings.store)
    journal = SharedJournal(reader_of(journal_place(paths, settings)))
    ledger = Ledger(
        lambda: open_store(url, paths.store, deployment),
        journal,
        LedgerReads(settings.connections),
        settings.store,
    )
    trail = AuditTrail(
        lambda: AuditLog(paths.audit, deployment),
        journal,
        paths.audit_heads,
        settings.audit,
        stage.clocks,
    )
    trail.lookout = lookout = Lookout(settings.compliance.suspicion)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ledger.run(paths.socket(LEDGER_ROLE), stage.hello))
        tasks.create_task(publish(_page(stage), ledger.figures))
        tasks.create_task(trail.follow())
        tasks.create_task(lookout.run(paths, stage.hello))


async def start_connection(stage: Stage) -> None:
    """Waits for a router, then keeps the login connected."""
    name = stage.role.removeprefix("connection-")
    settings = next(c for c in stage.settings.connections if c.id == name)
    token = read_token(settings)
    conceal(token)
    transport = Transport(
        _transport_settings(settings, stage.paths), BROKERS[settings.broker].auth_headers(token)
    )
    transport.open()
    adapter = _adapter(settings, token)
    pace = pace_of(settings, adapter.capabilities.pace, has_limits(stage.settings, settings))
    exits_pass = stage.settings.compliance.exits_pass_halts
    login = Login(settings, adapter, transport, stage.luck, pace, exits_pass)
    marks = Marks(stage.paths.marks(name))
    marks.is_shared = bool(stage.settings.nodes)
    connection = BrokerConnection(login, marks, stage.incarnation, stage.clocks)
    connection.tally.tracer = make_tracer(stage.settings.traces, stage.role)
    stage.retire = partial(drain, connection)
    prices = Prices(connection)
    server, _lock = await listen(
        stage.paths.socket(stage.role), lambda: Link(stage.hello, m.connection_inbox, prices)
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve_forever())
        tasks.create_task(connection.run())
        tasks.create_task(prices.run())
        tasks.create_task(publish(_page(stage), lambda: connection_figures(connection, prices)))


def _page(stage: Stage) -> FigurePage:
    return FigurePage(stage.paths.figures(stage.role))


def has_limits(settings: Settings, connection: ConnectionSettings) -> bool:
    """Whether the broker counts requests; a paper broker does where it is told to."""
    simulators = {one.id: one.limits for one in settings.simulators}
    return simulators.get(connection.simulator or "", True)


def _adapter(settings: ConnectionSettings, token: str) -> Adapter:
    account = BrokerAccount(
        account=settings.account,
        connection=settings.id,
        owner=settings.owner,
        broker=settings.broker,
        environment=settings.environment,
        base_currency=settings.currency,
        type=settings.account_type,
        region=settings.region,
        regime=settings.regime,
    )
    return BROKERS[settings.broker].adapter(
        AdapterSettings(
            account=account,
            broker_account_id=settings.broker_account_id,
            token=token,
            feed=settings.feed,
        )
    )


def _transport_settings(settings: ConnectionSettings, paths: Paths) -> TransportSettings:
    rest, stream = BROKERS[settings.broker].hosts[settings.environment]
    if settings.simulator is not None:
        running = json.loads((paths.runtime / f"simulator-{settings.simulator}.json").read_text())
        rest, stream = running["url"], running["stream_url"]
    return TransportSettings(
        rest_url=settings.api_url or rest,
        stream_url=settings.stream_url or stream,
        connections_max=settings.sessions,
        warm_connections=min(settings.sessions, WARM_CONNECTIONS),
    )
