"""The processes of one deployment, put together as `actors/roles.py` does, on a simulated machine.

Each can be killed at any moment and started anew on what it left behind: the journal and the
send marks. A power cut kills all at once and takes the marks along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from random import Random
from types import SimpleNamespace
from typing import Any

from actors import link as link_module
from actors import messages as m
from actors.clocks import Clocks
from actors.compliance import ComplianceActor
from actors.connection import BrokerConnection, Login
from actors.edge import Edge, QuoteSide, RouterSide
from actors.link import Hello, Link, dial, listen
from actors.paths import connection_role
from actors.prices import Prices
from actors.router.actor import Router
from actors.router.place import Place
from actors.router.venue import Venue as RouterVenue
from actors.settings import (
    ConnectionSettings,
    DeploymentSettings,
    OwnerSettings,
    Settings,
    SimulatorSettings,
)
from bench.dst.loop import PROCESS, Process, SimLoop
from bench.dst.network import FakeSocket, Network
from bench.dst.storage import Crash, Disk, SimJournal, SimMarks
from bench.dst.venue import BROKER_ACCOUNT, Line, Venue
from brokers.adapter import AdapterSettings
from brokers.oanda import OandaAdapter
from brokers.registry import PAPER_TOKEN
from compliance.settings import ComplianceSettings
from domain.accounts import BrokerAccount
from domain.orders import TimeInForce
from domain.signals import Action, SignalRule, Sizing, SizingRule
from gateway.authority import Principal
from gateway.client import Client, ClientOptions
from gateway.wire import Role, Scope
from ledger.recovery import restore

UTC_START_NS = 1_790_000_000_000_000_000
BOOT_START_NS = 5_000_000_000_000
OWNER, ACCOUNT, CONNECTION = "alice", "acc-1", "paper-1"
ORDERS = f"orders/{OWNER}"
EDGE_URL = "ws://edge:1"
EDGE_ADDRESS = "edge:1"
ROLES = ("router", "compliance", "connection", "edge")
RULES = ComplianceSettings(
    duplicate_window_ms=0, max_quantity=Decimal(50_000), max_notional=Decimal(10_000_000)
)
SIGNALS = (
    SignalRule(
        name="story", account=ACCOUNT, match={"strategy": "story"},
        sizing=SizingRule(by=Sizing.SIGNAL, max=Decimal(5_000)), ignored=("strategy",),
        actions={"long": Action.BUY, "short": Action.SELL},
        time_in_force=TimeInForce.FOK,
    ),
)  # fmt: skip
HORIZON_MS = 500
ANSWER_MS = 1_000


def settings() -> Settings:
    """One owner, one login at the simulated OANDA, few credits."""
    connection = ConnectionSettings(
        id=CONNECTION, owner=OWNER, broker="oanda", broker_account_id=BROKER_ACCOUNT,
        account=ACCOUNT, regime="house", simulator="sim", credits=3,
        visibility_horizon_ms=HORIZON_MS, answer_timeout_ms=ANSWER_MS,
    )  # fmt: skip
    return Settings(
        deployment=DeploymentSettings(id="dst"),
        owners=(OwnerSettings(id=OWNER),),
        connections=(connection,),
        simulators=(SimulatorSettings(id="sim"),),
        compliance=RULES,
        signals=SIGNALS,
    )


SETTINGS = settings()
LOGIN = SETTINGS.connections[0]
BROKER_LOGIN = AdapterSettings(
    account=BrokerAccount(
        account=ACCOUNT, connection=CONNECTION, owner=OWNER, broker="oanda",
        environment=LOGIN.environment, base_currency="USD", regime="house",
    ),
    broker_account_id=BROKER_ACCOUNT, token=PAPER_TOKEN,
)  # fmt: skip
PRINCIPAL = Principal(
    token_id="t",  # noqa: S106 - opens nothing
    owner=OWNER,
    scopes=frozenset({Scope.TRADE, Scope.READ, Scope.ADMIN}),
)


class SimPath(str):
    """A path that only has a name."""

    def with_suffix(self, suffix: str) -> SimPath:
        """Its neighbor."""
        return SimPath(self + suffix)

    def stat(self) -> Any:
        """It is not there."""
        raise FileNotFoundError(self)

    def unlink(self, missing_ok: bool = False) -> None:
        """Nothing lies there."""

    def chmod(self, mode: int) -> None:
        """Nobody else is here."""


class SimPaths:
    """Where the sockets are."""

    tokens = tickets = SimPath("/none")

    def socket(self, role: str) -> Any:
        """A role's socket."""
        return SimPath(role)


class SimTokens:
    """One token, for ever in force."""

    def refresh(self) -> bool:
        """It never changes."""
        return False

    def find(self, text: str, now_ns: int) -> Principal | None:
        """Whom it speaks for."""
        return PRINCIPAL

    def is_in_force(self, principal: Principal, now_ns: int) -> bool:
        """Always."""
        return True


class Host:
    """The machine: its clocks, which may step, and its boot."""

    def __init__(self, loop: SimLoop) -> None:
        self.step_ns = 0
        self._drift, self._since_ns = 0.0, 0
        self.boots = 1
        self._loop = loop
        self.clocks = Clocks(self._utc_ns, self._boot_ns)

    def set_drift(self, drift: float) -> None:
        """From now on the wall clock runs too fast by this share; it does not jump."""
        self.step_ns += self._drifted_ns()
        self._drift, self._since_ns = drift, self._loop.now_ns

    def _drifted_ns(self) -> int:
        return int((self._loop.now_ns - self._since_ns) * self._drift)

    def _utc_ns(self) -> int:
        return UTC_START_NS + self._loop.now_ns + self.step_ns + self._drifted_ns()

    def _boot_ns(self) -> int:
        return BOOT_START_NS + self._loop.now_ns


class Deployment:
    """All processes, and how they die and start."""

    def __init__(self, loop: SimLoop, luck: Random) -> None:
        self.loop = loop
        self.luck = luck
        self.host = Host(loop)
        self.network = Network(loop, Random(luck.random()))
        self.disk = Disk(Random(luck.random()), self._crashed)
        self.venue = Venue(loop, Random(luck.random()), self._venue_ns)
        self.processes: dict[str, Process] = {}
        self.parts: dict[str, Any] = {}
        self.troubles: list[str] = []
        self.on_change: Callable[[str, str], None] = lambda _what, _who: None
        self._locks: dict[str, Process] = {}
        self._starts = 0
        loop.on_trouble = self._trouble

    def _venue_ns(self) -> int:
        return UTC_START_NS + self.loop.now_ns

    # -- life and death

    def start(self, role: str) -> None:
        """A new process of the role, unless one is there."""
        running = self.processes.get(role)
        if running is not None and running.is_alive:
            return
        self._starts += 1
        process = self.processes[role] = Process(role)
        self.on_change("start", role)
        starter = getattr(self, f"_start_{role}")
        self.loop.start(process, starter(f"{role[0]}{self._starts}"))

    def kill(self, role: str) -> None:
        """Ends the process at once, in the middle of whatever it does."""
        process = self.processes.get(role)
        if process is not None and process.is_alive:
            self._end(process)

    def _end(self, process: Process) -> None:
        self.on_change("kill", process.name)
        process.is_alive = False
        self.parts.pop(process.name, None)
        self.network.bury(process)

    def _crashed(self) -> None:
        """In a commit: the process that runs ends in it."""
        process = PROCESS.get()
        assert process is not None
        self._end(process)

    def cut_power(self) -> None:
        """All of the machine ends; what was not synced is gone."""
        for role in ROLES:
            self.kill(role)
        self.disk.lose_power()
        self.host.boots += 1

    def start_all(self) -> None:
        """Whatever is down comes up."""
        for role in ROLES:
            self.start(role)

    def _trouble(self, process: Process | None, trouble: BaseException | str) -> None:
        if isinstance(trouble, Crash):
            return
        name = process.name if process is not None else "nobody"
        self.troubles.append(f"{name} died: {trouble!r}")
        self.on_change("trouble", self.troubles[-1])
        if process is not None and process.name in ROLES:
            self._end(process)

    def _hello(self, role: str, incarnation: str) -> Hello:
        return Hello(role=role, deployment="dst", incarnation=incarnation, pid=1)

    # -- the roles

    async def _start_router(self, incarnation: str) -> None:
        journal: Any = SimJournal(self.disk)
        restored = restore(journal)
        assert restored.breaks == (), restored.breaks
        venues = {CONNECTION: RouterVenue(settings=LOGIN, adapter=OandaAdapter(BROKER_LOGIN))}
        me = self._hello("router", incarnation)
        place = Place(self.host.clocks, me, f"boot-{self.host.boots}")
        router = self.parts["router"] = Router(journal, restored.books, venues, place, SIGNALS)
        await router.run(SimPaths())  # type: ignore[arg-type]

    async def _start_compliance(self, incarnation: str) -> None:
        actor = self.parts["compliance"] = ComplianceActor(RULES, incarnation)
        me = self._hello("compliance", incarnation)
        await self._serve("compliance", lambda: Link(me, m.compliance_inbox, actor))

    async def _start_connection(self, incarnation: str) -> None:
        role = connection_role(CONNECTION)
        login = Login(LOGIN, OandaAdapter(BROKER_LOGIN), Line(self.venue))  # type: ignore[arg-type]
        marks = SimMarks(self.disk, self.host.boots)
        connection = BrokerConnection(login, marks, incarnation, self.host.clocks)
        self.parts["connection"] = connection
        prices = Prices(connection)
        me = self._hello(role, incarnation)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._serve(role, lambda: Link(me, m.connection_inbox, prices)))
            tasks.create_task(connection.run())
            tasks.create_task(prices.run())

    async def _start_edge(self, incarnation: str) -> None:
        me = self._hello("edge-0", incarnation)
        stage: Any = SimpleNamespace(
            settings=SETTINGS, paths=SimPaths(), clocks=self.host.clocks,
            incarnation=incarnation, role="edge-0", hello=me,
        )  # fmt: skip
        edge = self.parts["edge"] = Edge(stage)
        edge.server._tokens = SimTokens()  # type: ignore[assignment]
        await edge.server.start([FakeSocket(EDGE_ADDRESS)])  # type: ignore[list-item]
        role = connection_role(CONNECTION)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                dial(SimPath("router"), lambda: Link(me, m.edge_from_router, RouterSide(edge)))  # type: ignore[arg-type]
            )
            tasks.create_task(
                dial(SimPath(role), lambda: Link(me, m.edge_inbox, QuoteSide(edge)))  # type: ignore[arg-type]
            )

    async def _serve(self, role: str, make: Callable[[], Link[Any]]) -> None:
        server, _lock = await listen(SimPath(role), make)  # type: ignore[arg-type]
        await server.serve_forever()

    def client(self, session: str, generation: int, cursors: dict[str, int]) -> Client:
        """A client of the owner; to be entered in its own process."""
        luck = Random(self.luck.random())
        options = ClientOptions(
            role=Role.TRADE, cursors=cursors, generation=generation,
            utc_ns=self.host.clocks.utc_ns, luck=luck.random,
        )  # fmt: skip
        return Client.connect(EDGE_URL, "fg_x", session, options=options)

    # -- locks

    async def take_lock(self, path: Any) -> Process:
        """Waits until whoever has the path's lock is dead."""
        process = PROCESS.get()
        assert process is not None
        while (holder := self._locks.get(str(path))) is not None and holder.is_alive:
            await asyncio.sleep(link_module.REDIAL_S)
        self._locks[str(path)] = process
        return process


@contextmanager
def simulated_locks(deployment: Deployment) -> Iterator[None]:
    """Path locks are the deployment's while this lasts: no file is touched."""
    real = link_module.take_lock
    link_module.take_lock = deployment.take_lock  # type: ignore[assignment]
    try:
        yield
    finally:
        link_module.take_lock = real
