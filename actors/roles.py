"""What each role's process does from its start: the one place where parts are put together."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from actors import messages as m
from actors.beacon import Declared
from actors.calendars import build_calendars
from actors.compliance import ComplianceActor
from actors.connection import BrokerConnection, Login
from actors.host import Stage
from actors.link import Link, listen
from actors.marks import Marks
from actors.paths import LEDGER_ROLE, Paths, connection_role
from actors.prices import Prices
from actors.router.actor import Router
from actors.router.desk import Venue
from actors.router.place import Place
from actors.settings import (
    ConnectionSettings,
    Settings,
    journal_place,
    read_store_url,
    read_token,
)
from brokers.adapter import Adapter, AdapterSettings
from brokers.registry import BROKERS
from brokers.transport import Transport, TransportSettings
from domain.accounts import BrokerAccount
from ledger.faults import JournalLocked, JournalUnreachable
from ledger.journal import Journal
from ledger.places import open_journal, reader_of
from ledger.recovery import restore

WARM_CONNECTIONS = 8
LEDGER_NICENESS = 5
LOCK_RETRY_S = {"local": 0.02, "postgres": 0.2}
UNREACHABLE_RETRY_S = 0.5

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
    books = restore(journal).books
    venues = {
        connection.id: Venue(settings=connection, adapter=_adapter(connection, token=""))
        for connection in settings.connections
    }
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    place = Place(stage.clocks, stage.hello, boot_id, stage.beacon)
    router = Router(journal, books, venues, place, settings.signals)
    router.lend(settings.compliance.market.firm_credit_max)
    await router.run(stage.paths)


async def _open_journal(stage: Stage) -> Journal:
    """Waits for the lock, as an older router may take a moment to die, and for the server."""
    place = journal_place(stage.paths, stage.settings)
    while True:
        try:
            return open_journal(place)
        except JournalLocked:
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
    actor = ComplianceActor(settings.compliance, stage.incarnation, calendars)
    server, _lock = await listen(
        stage.paths.socket("compliance"), lambda: Link(stage.hello, m.compliance_inbox, actor)
    )
    await server.serve_forever()


async def start_ledger(stage: Stage) -> None:
    """Follows the journal into the store and the audit log, behind everyone who trades."""
    # Imported here: SQL's libraries take time and memory that no other role should pay for.
    from actors.audit import AuditTrail
    from actors.ledger import Ledger
    from actors.ledger_reads import LedgerReads
    from ledger.audit_log import AuditLog
    from ledger.store_opening import open_store

    # This thread, and those it starts: the rows can wait where an order cannot.
    os.nice(LEDGER_NICENESS)
    settings, paths = stage.settings, stage.paths
    deployment, url = settings.deployment.id, read_store_url(settings.store)
    journal = reader_of(journal_place(paths, settings))
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
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ledger.run(paths.socket(LEDGER_ROLE), stage.hello))
        tasks.create_task(trail.follow())


async def start_connection(stage: Stage) -> None:
    """Waits for a router, then keeps the login connected."""
    name = stage.role.removeprefix("connection-")
    settings = next(c for c in stage.settings.connections if c.id == name)
    token = read_token(settings)
    transport = Transport(
        _transport_settings(settings, stage.paths), BROKERS[settings.broker].auth_headers(token)
    )
    transport.open()
    login = Login(settings, _adapter(settings, token), transport)
    marks = Marks(stage.paths.marks(name))
    connection = BrokerConnection(login, marks, stage.incarnation, stage.clocks)
    prices = Prices(connection)
    server, _lock = await listen(
        stage.paths.socket(stage.role), lambda: Link(stage.hello, m.connection_inbox, prices)
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve_forever())
        tasks.create_task(connection.run())
        tasks.create_task(prices.run())


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
