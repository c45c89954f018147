"""A deployment without Ray or a supervisor: roles in plain processes, a paper broker, a wire tap.

For trials that must be many: it starts in a second. The edge is played by hand, in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from msgspec import Struct
from yarl import URL

from actors import messages as m
from actors.link import Hello, Link, LinkOwner, dial
from actors.paper import paper_settings
from actors.paths import Paths
from actors.settings import journal_place, load
from bench.wire_tap import WireTap
from bench.world import ACCOUNT, BROKER_ACCOUNT, CONNECTION, CONNECTION_ROLE, OWNER
from domain import commands as c
from domain.streams import OrderUpdate, StreamUpdate
from ledger import places

START_S = 30.0
ANSWER_S = 20.0
DEAD = frozenset("ZX")

SETTINGS = """
[deployment]
id = "small"

[[owners]]
id = "{owner}"

[[connections]]
id = "{connection}"
owner = "{owner}"
broker = "oanda"
broker_account_id = "{broker_account}"
account = "{account}"
regime = "house"
simulator = "sim"
visibility_horizon_ms = 200
{connection_extra}

[[simulators]]
id = "sim"
balance = 100000000
limits = {limits}

[journal]
segment_bytes = 16777216
reserve_bytes = 1048576
prepare_in_background = false

[compliance]
duplicate_window_ms = 0
max_quantity = "1000000"
max_notional = "2000000"

[compliance.market]
messages_per_s_max = 100000
"""


class Shape(Struct, frozen=True, kw_only=True):
    """What a goal may vary: which roles share a process, whether the broker counts requests."""

    processes: tuple[tuple[str, ...], ...] = (("router", "compliance", CONNECTION_ROLE),)
    limits: bool = False
    connection_extra: str = ""


class HandEdge(LinkOwner[Any]):
    """An edge by hand: answers by ref with the moment they came, and every order's updates."""

    def __init__(self) -> None:
        self.link: Link[Any] | None = None
        self.updates: dict[str, list[OrderUpdate]] = {}
        self.others: list[StreamUpdate] = []
        self.is_trading = False
        self.watch: Callable[[OrderUpdate], None] = _ignore
        self._answers: dict[int, asyncio.Future[tuple[int, Any]]] = {}
        self._refs = 0

    def link_up(self, link: Link[Any]) -> None:
        """The router is there."""
        self.link = link

    def link_down(self, link: Link[Any]) -> None:
        """It is gone."""
        self.link, self.is_trading = None, False

    def received(self, link: Link[Any], message: Any) -> None:
        """Its word."""
        if isinstance(message, m.Standing):
            self.is_trading = message.is_trading
        elif isinstance(message, c.Published):
            for update in message.updates:
                self._take(update)
        elif hasattr(message, "ref") and message.ref in self._answers:
            answer = self._answers.pop(message.ref)
            if not answer.done():
                answer.set_result((time.time_ns(), message))

    def _take(self, update: StreamUpdate) -> None:
        if not isinstance(update.body, OrderUpdate):
            self.others.append(update)
            return
        self.updates.setdefault(update.body.client_order_id or "", []).append(update.body)
        self.watch(update.body)

    async def say(self, command: Any) -> tuple[int, c.Answer]:
        """When the answer came (UTC ns), and the answer."""
        assert self.link is not None, "no router"
        self._refs += 1
        ref = self._refs
        future = self._answers[ref] = asyncio.get_running_loop().create_future()
        self.link.send(
            c.Submit(
                ref=ref, owner=OWNER, session="s", cseq=ref, request_id=f"r-{ref}",
                command=command, received_ns=time.time_ns(), by_admin=True,
            )
        )  # fmt: skip
        return await asyncio.wait_for(future, ANSWER_S)


class SmallWorld:
    """What runs, and how to hurt it."""

    def __init__(self, home: Path, shape: Shape) -> None:
        self.paths = Paths(home)
        self.shape = shape
        self.edge = HandEdge()
        self.tap: WireTap | None = None
        self.simulator_url = ""
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        """By the first of the roles they run."""
        self._running: list[asyncio.subprocess.Process] = []
        self._dialing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts everything and waits until orders can be taken."""
        self._prepare()
        await self._start_simulator()
        for roles in self.shape.processes:
            await self.start_process(*roles)
        if not self.shape.processes:
            return
        me = Hello(role="edge-0", deployment="small", incarnation="e", pid=os.getpid())
        path = self.paths.socket("router")
        dialing = dial(path, lambda: Link(me, m.edge_inbox, self.edge))
        self._dialing = asyncio.create_task(dialing)
        await self.until(lambda: self.edge.is_trading, START_S)

    def _prepare(self) -> None:
        self.paths.make()
        text = SETTINGS.format(
            owner=OWNER,
            connection=CONNECTION,
            broker_account=BROKER_ACCOUNT,
            account=ACCOUNT,
            limits=str(self.shape.limits).lower(),
            connection_extra=self.shape.connection_extra,
        )
        self.paths.settings.write_text(text)
        places.init(journal_place(self.paths, load(self.paths.settings)))

    async def _start_simulator(self) -> None:
        settings = load(self.paths.settings)
        wanted, facts = self.paths.runtime / "sim.settings.json", self.paths.runtime / "sim.json"
        wanted.write_bytes(paper_settings(settings.simulators[0], settings, self.paths))
        await self._spawn(
            "brokers.simulators.oanda", "--settings", str(wanted), "--facts", str(facts)
        )
        await self.until(facts.exists, START_S)
        self.simulator_url = json.loads(facts.read_text())["url"]
        self.tap = WireTap(URL(self.simulator_url).port or 0)
        told = {"url": self.tap.url, "stream_url": self.simulator_url}
        (self.paths.runtime / "simulator-sim.json").write_text(json.dumps(told))

    async def start_process(self, *roles: str) -> asyncio.subprocess.Process:
        """A process that runs the roles."""
        process = await self._spawn("bench.role_process", str(self.paths.home), *roles)
        self.processes[roles[0]] = process
        return process

    async def _spawn(self, module: str, *words: str) -> asyncio.subprocess.Process:
        output = (self.paths.home / f"{module}.out").open("ab")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *words, stdout=output, stderr=output
        )
        output.close()
        self._running.append(process)
        return process

    async def until(self, is_true: Callable[[], bool], limit_s: float = ANSWER_S) -> None:
        """Waits for it, looking every few milliseconds. Raises TimeoutError."""
        async with asyncio.timeout(limit_s):
            while not is_true():
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Ends what runs."""
        if self._dialing is not None:
            self._dialing.cancel()
        for process in self._running:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
                await process.wait()
        if self.tap is not None:
            self.tap.close()
        shutil.rmtree(self.paths.runtime, ignore_errors=True)


@contextlib.asynccontextmanager
async def small_world(shape: Shape | None = None) -> AsyncIterator[SmallWorld]:
    """A deployment that trades, and is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="fgs-") as folder:
        world = SmallWorld(Path(folder) / "home", shape or Shape())
        try:
            await world.start()
            yield world
        except TimeoutError:
            told = [path.read_text() for path in world.paths.home.glob("*.out")]
            raise RuntimeError("\n".join(told) or "too slow") from None
        finally:
            await world.stop()


def state_of(pid: int) -> str:
    """The kernel's letter for it: T is stopped; one of DEAD, or a process that is gone, is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def _ignore(_update: OrderUpdate) -> None:
    return None
