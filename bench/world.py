"""A whole deployment for benches and tests: real processes, real Ray, a throw-away home.

Everything is started by the supervisor under a temporary home with free ports, found by pid
through its beacon, and ended with the supervisor; nothing else on the machine is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from msgspec import Struct

from actors.beacon import read_beacon
from actors.paper import venue_book
from actors.paths import Paths, connection_role
from actors.settings import find_journal, journal_place, load
from domain.records import Record
from gateway.tokens import TokenStore, TokenTerms
from gateway.wire import Scope
from ledger import places
from ledger.agreement import VenueBook
from ledger.places import reader_of

READY_S = 90.0
STOP_S = 30.0
CONNECTION = "paper-oanda"
ACCOUNT = "paper"
OWNER = "o-bench"
BROKER_ACCOUNT = "101-001-1000001-001"
SPARE_ACCOUNT = "101-001-1000001-002"
"""An account at the paper broker that no connection of ours trades."""

SETTINGS = """
[deployment]
id = "{deployment}"
port = 0
health_port = 0
rest_port = 0
edges = {edges}
standbys = {standbys}
restarts_max = {restarts_max}

[[owners]]
id = "{owner}"

[[connections]]
id = "{connection}"
owner = "{owner}"
broker = "oanda"
broker_account_id = "{broker_account}"
account = "{account}"
simulator = "oanda"
instruments = {instruments}
visibility_horizon_ms = {horizon_ms}
{connection_more}

[[simulators]]
id = "oanda"
seed = 7
accounts = ["{spare_account}"]

[gateway.limits]
commands_per_s = 1000000
commands_burst = 1000000
cancels_per_s = 1000000
cancels_burst = 1000000
requests_per_s = 1000000
requests_burst = 1000000
in_flight_max = 100000

[compliance]
duplicate_window_ms = 0
max_quantity = "1000000"
max_notional = "2000000"

[compliance.market]
messages_per_s_max = 100000

[journal]
{journal}
"""

ALPACA = """
[[connections]]
id = "{connection}"
owner = "{owner}"
broker = "alpaca"
broker_account_id = "{broker_account}"
account = "{account}"
regime = "house"
simulator = "alpaca"
instruments = {instruments}
visibility_horizon_ms = {horizon_ms}
{connection_more}

[[simulators]]
id = "alpaca"
broker = "alpaca"
seed = 7
balance = 10000000
"""
ALPACA_CONNECTION = "paper-alpaca"
ALPACA_ACCOUNT = "PA0000000001"
SHARES = ("AAPL", "MSFT", "SPY")
COIN = "BTC/USD"

INSTRUMENTS = ("EUR/USD", "USD/JPY", "GBP/USD", "AUD/USD", "USD/CAD", "EUR/GBP")


class WorldOptions(Struct, frozen=True, kw_only=True):
    """What a bench may vary."""

    edges: int = 1
    standbys: int = 0
    """Processes that wait for each role."""
    restarts_max: int = 1_000
    """Benches kill more often than quarantine allows."""
    horizon_ms: int = 1_000
    instruments: tuple[str, ...] = INSTRUMENTS
    connection: str = "breaker_failures = 1000000"
    """More lines for the section of every connection."""
    extra: str = ""
    with_alpaca: bool = False
    """A second connection, in the other dialect, for shares and a coin."""
    journal: str = "segment_bytes = 67108864"
    """The lines of the settings' section of that name."""
    journal_url: str | None = None
    """A PostgreSQL that keeps the journal, in a schema of its own."""


class World:
    """A running deployment and the ways to look at it and to hurt it."""

    def __init__(self, home: Path, token: str) -> None:
        self.home = home
        self.paths = Paths(home)
        self.token = token
        self.ready: dict[str, Any] = {}
        self.process: asyncio.subprocess.Process | None = None
        self.prefix: tuple[str, ...] = ()
        """What the supervisor is started under: a network namespace."""

    @property
    def url(self) -> str:
        """Where clients connect."""
        return str(self.ready["url"])

    @property
    def simulator_url(self) -> str:
        """The paper broker's REST address."""
        return str(self.ready["simulators"]["oanda"])

    async def start(self) -> None:
        """Starts the supervisor and waits until orders can be taken."""
        output = (self.home / "up.out").open("wb")
        self.process = await asyncio.create_subprocess_exec(
            *self.prefix,
            sys.executable,
            "-m",
            "actors.supervisor",
            str(self.home),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        async with asyncio.timeout(READY_S):
            while not self.paths.ready.exists():
                if self.process.returncode is not None:
                    raise RuntimeError((self.home / "up.out").read_text())
                await asyncio.sleep(0.05)
        self.ready = json.loads(self.paths.ready.read_text())

    async def stop(self) -> int:
        """Stops the supervisor as Ctrl-C does; returns its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(STOP_S):
            return await self.process.wait()

    def pid(self, role: str) -> int:
        """The process that hosts a role now."""
        reading = read_beacon(self.paths.beacon(role))
        assert reading is not None, f"{role} never started"
        return reading.pid

    def kill(self, role: str) -> int:
        """kill -9; returns the pid that died."""
        pid = self.pid(role)
        os.kill(pid, signal.SIGKILL)
        return pid

    def descendants(self) -> list[psutil.Process]:
        """Every process below the supervisor."""
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def records(self) -> list[Record]:
        """The journal, whole, as a reader sees it."""
        return list(reader_of(find_journal(self.paths)).replay())

    async def simulate(
        self, path: str, body: object | None = None, simulator: str = "oanda"
    ) -> Any:
        """Asks a simulator's control endpoints, which are no part of the broker."""
        url = f"{self.ready['simulators'][simulator]}{path}"
        async with aiohttp.ClientSession() as session:
            method = "GET" if body is None else "POST"
            async with session.request(method, url, json=body) as answer:
                answer.raise_for_status()
                return await answer.json()

    async def book(self) -> VenueBook:
        """The simulators' own books, of the accounts that we trade."""
        accounts = {"oanda": BROKER_ACCOUNT, "alpaca": ALPACA_ACCOUNT}
        books = [
            venue_book(await self.simulate("/sim/book", simulator=name), accounts[name])
            for name in self.ready["simulators"]
        ]
        return VenueBook(
            orders=tuple(order for book in books for order in book.orders),
            fills=tuple(fill for book in books for fill in book.fills),
        )


def make_home(home: Path, options: WorldOptions) -> str:
    """Writes settings, journal and a token; returns the token."""
    paths = Paths(home)
    paths.make()
    deployment = f"d-{secrets.token_hex(4)}"
    text = SETTINGS.format(
        deployment=deployment,
        edges=options.edges,
        standbys=options.standbys,
        restarts_max=options.restarts_max,
        owner=OWNER,
        broker_account=BROKER_ACCOUNT,
        connection=CONNECTION,
        account=ACCOUNT,
        instruments=json.dumps(list(options.instruments)),
        horizon_ms=options.horizon_ms,
        connection_more=options.connection,
        spare_account=SPARE_ACCOUNT,
        journal=options.journal,
    )
    if options.journal_url is not None:
        text += _keep_journal_at(options.journal_url, home)
    if options.with_alpaca:
        text += ALPACA.format(
            owner=OWNER,
            broker_account=ALPACA_ACCOUNT,
            connection=ALPACA_CONNECTION,
            account=ALPACA_CONNECTION,
            instruments=json.dumps([*SHARES, COIN]),
            horizon_ms=options.horizon_ms,
            connection_more=options.connection,
        )
    paths.settings.write_text(text + options.extra)
    places.init(journal_place(paths, load(paths.settings)))
    terms = TokenTerms(owner=OWNER, scopes=tuple(Scope))
    return TokenStore(paths.tokens).create(terms, time.time_ns(), os.urandom)


def _keep_journal_at(url: str, home: Path) -> str:
    """The rest of the settings' last section."""
    secret = home / "journal.url"
    secret.touch(mode=0o600)
    secret.write_text(url)
    schema = f"w_{secrets.token_hex(4)}"
    return f'backend = "postgres"\nurl_file = "{secret}"\nschema = "{schema}"\n'


@contextlib.asynccontextmanager
async def world(options: WorldOptions | None = None) -> AsyncIterator[World]:
    """A deployment, up; ended and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="fgw-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        token = make_home(home, options or WorldOptions())
        deployment = World(home, token)
        try:
            await deployment.start()
            yield deployment
        finally:
            await deployment.stop()
            shutil.rmtree(deployment.paths.runtime, ignore_errors=True)


CONNECTION_ROLE = connection_role(CONNECTION)
ALPACA_ROLE = connection_role(ALPACA_CONNECTION)
