"""A whole deployment in one event loop: real roles, real sockets, the OANDA simulator.

Each role is started as its process would start it, on settings from a file. An edge is played
by hand, or is the real one. Only Ray, the supervisor and the watchdog are left out.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from actors import messages as m
from actors import roles
from actors.host import Stage
from actors.link import Hello, Link, LinkOwner, dial
from actors.paper import venue_book
from actors.paths import Paths, connection_role
from actors.router.actor import Router
from brokers.registry import PAPER_TOKEN
from brokers.simulators.book import AccountSettings
from brokers.simulators.engine import EngineSettings
from brokers.simulators.oanda import Login, OandaSettings, OandaSimulator
from brokers.simulators.ticks import Tick
from brokers.transport import Transport
from domain import commands as c
from domain.lifecycle import Status
from domain.streams import StreamUpdate
from ledger.agreement import VenueBook
from ledger.journal import JournalSettings, init

OWNER = "alice"
ACCOUNT = "acc-1"
BROKER_ACCOUNT = "101-001-1000001-001"
CONNECTION = "paper-1"
WAIT_S = 20
SEGMENT_BYTES = 1024 * 1024
MIDDLES = {"EUR_USD": "1.10000", "USD_JPY": "110.000", "GBP_USD": "1.30000"}
RESTING = (Status.LIVE, Status.PARTIALLY_FILLED)


def settings_text(broker: str, broker_account_id: str, regime: str) -> str:
    """One owner, one account at one simulated broker."""
    return f"""
[deployment]
id = "test"

[[owners]]
id = "{OWNER}"

[[connections]]
id = "{CONNECTION}"
owner = "{OWNER}"
broker = "{broker}"
broker_account_id = "{broker_account_id}"
account = "{ACCOUNT}"
regime = "{regime}"
simulator = "sim"
sessions = 4
visibility_horizon_ms = 200

[[simulators]]
id = "sim"
broker = "{broker}"

[journal]
segment_bytes = {SEGMENT_BYTES}
reserve_bytes = 65536
prepare_in_background = false

[compliance]
duplicate_window_ms = 0
"""


SETTINGS = settings_text("oanda", BROKER_ACCOUNT, "house")


class HandEdge(LinkOwner[Any]):
    """An edge by hand: answers by ref, and every update as published."""

    def __init__(self) -> None:
        self.link: Link[Any] | None = None
        self.published: list[StreamUpdate] = []
        self.is_trading = asyncio.Event()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._refs = 0

    def link_up(self, link: Link[Any]) -> None:
        self.link = link

    def received(self, link: Link[Any], message: Any) -> None:
        if isinstance(message, m.Standing) and message.is_trading:
            self.is_trading.set()
        elif isinstance(message, c.Published):
            self.published += message.updates
        elif hasattr(message, "ref"):
            self._answers.pop(message.ref).set_result(message)

    async def ask(self, make: Callable[[int], Any]) -> Any:
        assert self.link is not None
        self._refs += 1
        future = self._answers[self._refs] = asyncio.get_running_loop().create_future()
        self.link.send(make(self._refs))
        return await asyncio.wait_for(future, WAIT_S)

    async def say(self, command: Any) -> c.Answer:
        answer = await self.ask(
            lambda ref: c.Submit(
                ref=ref, owner=OWNER, session="s-1", cseq=ref, request_id=f"r-{ref}",
                command=command, received_ns=1,
            )
        )  # fmt: skip
        assert isinstance(answer, c.Answer)
        return answer


class Deployment:
    """What runs, and the broker behind it."""

    def __init__(self, folder: Path, simulator: OandaSimulator) -> None:
        self.paths = Paths(folder / "home")
        self.simulator = simulator
        self.edge = HandEdge()
        self.routers: list[Router] = []
        self.transports: list[Transport] = []
        self._stages: list[Stage] = []
        self._tasks: list[asyncio.Task[Any]] = []

    @property
    def router(self) -> Router:
        return self.routers[-1]

    def prepare(self) -> None:
        """What `init` and the supervisor leave for the roles."""
        self.paths.make()
        self.paths.settings.write_text(SETTINGS)
        small = JournalSettings(
            segment_bytes=SEGMENT_BYTES, reserve_bytes=65_536, prepare_in_background=False
        )
        init(self.paths.journal, "test", small)
        facts = {"url": self.simulator.url, "stream_url": self.simulator.stream_url}
        (self.paths.runtime / "simulator-sim.json").write_text(json.dumps(facts))

    def stage(self, role: str) -> Stage:
        stage = Stage(role, self.paths.home)
        self._stages.append(stage)
        return stage

    def keep(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        return task

    async def start(self) -> None:
        for role in ("router", "compliance", connection_role(CONNECTION)):
            self.start_role(role)
        name = self._stages[0].settings.deployment.id
        me = Hello(role="edge-0", deployment=name, incarnation="e", pid=os.getpid())
        path = self.paths.socket("router")
        self.keep(dial(path, lambda: Link(me, m.edge_inbox, self.edge)))
        self.keep(self._quote())
        await asyncio.wait_for(self.edge.is_trading.wait(), WAIT_S)
        await self.until(lambda: len(self.router.desk.quotes) >= len(MIDDLES))

    def start_role(self, role: str) -> asyncio.Task[Any]:
        return self.keep(roles.starter_of(role)(self.stage(role)))

    async def _quote(self) -> None:
        while True:
            self.move()
            await asyncio.sleep(0.2)

    def move(self, **middles: str) -> None:
        """The market quotes, at other prices where said."""
        for symbol, middle in (MIDDLES | middles).items():
            pip = Decimal("0.01") if symbol.endswith("JPY") else Decimal("0.0001")
            tick = Tick(
                at_ns=self.simulator.clock.now_ns(), instrument=symbol,
                bid=Decimal(middle) - pip, ask=Decimal(middle) + pip,
            )  # fmt: skip
            self.simulator.feed(tick)

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Waits, looking every few milliseconds; whoever died in between ends the wait."""
        async with asyncio.timeout(WAIT_S):
            while not is_true():
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.005)

    async def rest(self) -> None:
        """Until nothing is under way any more."""
        await self.until(self._is_at_rest)

    def _is_at_rest(self) -> bool:
        orders = self.router.desk.books.orders.open.values()
        return all(order.status in RESTING and order.pending is None for order in orders)

    async def book(self) -> VenueBook:
        """The broker's own book."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.simulator.url + "/sim/book") as answer,
        ):
            return venue_book(await answer.json())

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=WAIT_S)
        for stage in self._stages:
            stage.beacon.stop()
        for router in self.routers:
            router.journal.close()
        for transport in self.transports:
            await transport.close()


def _remember(monkeypatch: pytest.MonkeyPatch, name: str, made: list[Any]) -> None:
    """Keeps what the roles make of a kind: a process would take it along at its end."""
    make = getattr(roles, name)

    def remember(*args: Any) -> Any:
        made.append(make(*args))
        return made[-1]

    monkeypatch.setattr(roles, name, remember)


@asynccontextmanager
async def deployment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Deployment]:
    """A deployment that trades, and is gone afterwards."""
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr(roles, "LEDGER_NICENESS", 0)  # nobody can take it back from this process
    settings = OandaSettings(
        engine=EngineSettings(
            accounts=(AccountSettings(id=BROKER_ACCOUNT, balance=Decimal(1_000_000)),)
        ),
        logins=(Login(token=PAPER_TOKEN),),
        heartbeat_ms=500,
    )
    async with OandaSimulator(settings) as simulator:
        running = Deployment(folder, simulator)
        _remember(monkeypatch, "Router", running.routers)
        _remember(monkeypatch, "Transport", running.transports)
        running.prepare()
        await running.start()
        try:
            yield running
        finally:
            await running.stop()
