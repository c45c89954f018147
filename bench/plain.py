"""A deployment without Ray: router, compliance and broker connections on one loop, in one process.

The classes are those that run as actors, started as their own processes would start them; the
venues are the real simulators, each a process of its own. So one kill ends all three roles at
once, one trace sees every system call of theirs, and a start takes a fraction of a second: the
process is forked from one that has imported everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import uvloop

from actors import roles
from actors.host import EXIT_BUG, Stage
from actors.logs import configure_logs
from actors.paper import paper_settings, venue_book
from actors.paths import LEDGER_ROLE, Paths
from actors.settings import Settings, find_journal, load
from bench.hand_edge import HandEdge, RouterAway
from bench.stories import SETTINGS, limit
from bench.timed_journal import TimedJournal
from bench.world import (
    ALPACA_ACCOUNT,
    BROKER_ACCOUNT,
    INSTRUMENTS,
    SHARES,
    WorldOptions,
    make_home,
)
from domain import commands as c
from domain.records import Record
from ledger.agreement import VenueBook
from ledger.places import open_journal, reader_of

SMALL_JOURNAL = """segment_bytes = 4194304
reserve_bytes = 65536
prepare_in_background = false"""
READY_S = 20.0
LOOK_S = 0.01
STOPPED = "stopped"
DEAD = ("Z", "X")
STILL = {"source": "none"}
BROKER_ACCOUNTS = {"oanda": BROKER_ACCOUNT, "alpaca": ALPACA_ACCOUNT}
PAIR_PRICES = {"USD_JPY": ("109.990", "110.010")}
PRICES = {
    "oanda": {
        symbol.replace("/", "_"): PAIR_PRICES.get(symbol.replace("/", "_"), ("1.09990", "1.10010"))
        for symbol in INSTRUMENTS
    },
    "alpaca": dict.fromkeys(SHARES, ("99.99", "100.01")),
}


def fork_on_demand(home: Path, timed: str | None) -> None:
    """For each line on standard input: forks the roles, says their pid, waits for their end.

    Where the line says so they stop before their first step, until somebody lets them go on.
    """
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            if line.strip() == STOPPED:
                os.kill(os.getpid(), signal.SIGSTOP)
            if timed is not None:
                time_the_journal(home / timed)
            try:
                run_roles(home)
            finally:
                os._exit(EXIT_BUG)
        say(pid)
        os.waitpid(pid, 0)
        say("ended")


def time_the_journal(output: Path) -> None:
    """From here on in this process, which ends with the roles."""
    vars(roles)["open_journal"] = lambda place: TimedJournal(open_journal(place), output)


def say(word: object) -> None:
    """A line for the parent."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def run_roles(home: Path) -> None:
    """Every role on an order's way, until the process is killed."""
    settings = load(Paths(home).settings)
    configure_logs(Paths(home).logs / "plain.log", settings.deployment.log_level, "plain")
    uvloop.run(_run_roles(home, settings))


async def _run_roles(home: Path, settings: Settings) -> None:
    async with asyncio.TaskGroup() as tasks:
        for role in roles.roles(settings):
            if role != LEDGER_ROLE:
                tasks.create_task(_play(role, home))


async def _play(role: str, home: Path) -> None:
    await roles.starter_of(role)(Stage(role, home))


class Plain:
    """The process, the venues behind it, and the client before it."""

    def __init__(self, home: Path, timed: str | None = None) -> None:
        self.paths = Paths(home)
        self._timed = timed
        self.settings = load(self.paths.settings)
        self.edge = HandEdge(self.paths.socket("router"), self.settings.deployment.id)
        self.pid = 0
        """The process that hosts the roles now; 0 where there is none."""
        self._forks: asyncio.subprocess.Process | None = None
        self.venues: dict[str, asyncio.subprocess.Process] = {}
        self._urls: dict[str, str] = {}
        self._http: aiohttp.ClientSession | None = None
        self._dialing: asyncio.Task[None] | None = None

    # -- life

    async def open(self) -> None:
        """Starts the venues, the roles and the client."""
        self._http = aiohttp.ClientSession()
        await asyncio.gather(
            self._start_forks(), *(self._start_venue(one.id) for one in self.settings.simulators)
        )
        self._dialing = asyncio.create_task(self.edge.run())
        await self.start()

    async def _start_forks(self) -> None:
        self._forks = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.plain", str(self.paths.home),
            *((self._timed,) if self._timed is not None else ()),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip

    async def start(self, *, is_stopped: bool = False) -> None:
        """Starts the roles; what they need to recover is in the home and at the venues."""
        assert self.pid == 0
        assert self._forks is not None
        assert self._forks.stdin is not None
        self._forks.stdin.write(f"{STOPPED if is_stopped else 'start'}\n".encode())
        self.pid = int(await self._heard())
        while is_stopped and self._state() != "T":
            await asyncio.sleep(0.002)

    async def _heard(self) -> str:
        assert self._forks is not None
        assert self._forks.stdout is not None
        return (await self._forks.stdout.readline()).decode().strip()

    def is_alive(self) -> bool:
        """False from the roles' death on."""
        return self._state() not in DEAD

    def _state(self) -> str:
        """The kernel's letter for what the process does; X where it is gone."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return "X"

    async def ended(self) -> None:
        """Waits until the process is gone and the client has noticed."""
        assert await self._heard() == "ended"
        self.pid = 0
        while self.edge.is_up:
            await asyncio.sleep(0.002)

    async def close(self) -> None:
        """Ends everything that was started here."""
        if self._dialing is not None:
            self._dialing.cancel()
            await asyncio.wait([self._dialing])
        if self._forks is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._forks.pid, signal.SIGKILL)
            await self._forks.wait()
        for venue in self.venues.values():
            with contextlib.suppress(ProcessLookupError):
                venue.send_signal(signal.SIGCONT)
                venue.terminate()
            await venue.wait()
        if self._http is not None:
            await self._http.close()

    async def _start_venue(self, name: str) -> None:
        wanted = next(one for one in self.settings.simulators if one.id == name)
        settings = json.loads(paper_settings(wanted, self.settings, self.paths))
        path = self.paths.runtime / f"simulator-{name}.settings.json"
        path.write_text(json.dumps({**settings, "feed": STILL, "state": None}))
        facts = self.paths.runtime / f"simulator-{name}.json"
        module = f"brokers.simulators.{wanted.broker}"
        with (self.paths.logs / f"simulator-{name}.log").open("wb") as output:
            self.venues[name] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, "--settings", str(path), "--facts", str(facts),
                stdout=output, stderr=output,
            )  # fmt: skip
        async with asyncio.timeout(READY_S):
            while not facts.exists():
                await asyncio.sleep(0.01)
        self._urls[name] = json.loads(facts.read_text())["url"]

    # -- the venues

    async def simulate(self, name: str, path: str, body: object | None = None) -> Any:
        """Asks a simulator's control endpoints, which are no part of the broker."""
        assert self._http is not None
        method = "GET" if body is None else "POST"
        async with self._http.request(method, self._urls[name] + path, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def quote(self) -> None:
        """The markets quote once: they are still else."""
        for name in self.venues:
            ticks = [
                {"instrument": symbol, "bid": bid, "ask": ask}
                for symbol, (bid, ask) in PRICES[name].items()
            ]
            await self.simulate(name, "/sim/ticks", {"ticks": ticks})

    async def until_ready(self) -> None:
        """Until orders at every venue would pass; the markets quote meanwhile."""
        async with asyncio.timeout(READY_S):
            for name in self.venues:
                probe = c.Place(order=limit(SETTINGS[name], "ready"), dry_run=True)
                while not await self._would_pass(probe):
                    await self.quote()
                    await asyncio.sleep(LOOK_S)

    async def _would_pass(self, probe: c.Place) -> bool:
        if not self.edge.is_trading:
            return False
        with contextlib.suppress(RouterAway):
            body = (await self.edge.try_out(probe)).body
            return body is not None and bool(msgspec.msgpack.decode(body)["passes"])
        return False

    async def treat(self, hostility: dict[str, Any]) -> None:
        """All venues from now on."""
        for name in self.venues:
            await self.simulate(name, "/sim/hostility", hostility)

    async def book(self) -> VenueBook:
        """The venues' own books, of the accounts that are traded."""
        books = [
            venue_book(await self.simulate(name, "/sim/book"), BROKER_ACCOUNTS[name])
            for name in self.venues
        ]
        return VenueBook(
            orders=tuple(order for book in books for order in book.orders),
            fills=tuple(fill for book in books for fill in book.fills),
        )

    def records(self) -> list[Record]:
        """The journal, whole, as a reader sees it."""
        return list(reader_of(find_journal(self.paths)).replay())


@contextlib.asynccontextmanager
async def plain(options: WorldOptions, timed: str | None = None) -> AsyncIterator[Plain]:
    """A deployment, up; ended and removed at the end. `timed` names a file for timed_journal.py."""
    with tempfile.TemporaryDirectory(prefix="fgp-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        make_home(home, options)
        deployment = Plain(home, timed)
        try:
            await deployment.open()
            yield deployment
        finally:
            await deployment.close()
            _remove(deployment.paths.runtime)


def _remove(runtime: Path) -> None:
    for path in runtime.iterdir():
        if path.is_file() or path.is_socket():
            os.unlink(path)
    with contextlib.suppress(OSError):
        runtime.rmdir()


if __name__ == "__main__":
    fork_on_demand(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
