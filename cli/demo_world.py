"""The demo's deployment: a throw-away one of its own, and the paper broker's market in it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct

from actors.paper import venue_book
from actors.paths import Paths
from actors.supervisor import Running
from brokers.simulators.ticks import BadTicks, Tick, read_ticks, tick_files
from cli.init import make_deployment
from cli.trouble import Trouble
from cli.up import read_running
from ledger.agreement import VenueBook

START_S = 90.0
STOP_S = 20.0
TICKS_A_PUSH = 4
PUSH_S = 0.02
GENERATOR_SPEED = 40.0
PAIRS = ("EUR/USD", "USD/JPY", "GBP/USD")
SIMULATOR_TIMEOUT = aiohttp.ClientTimeout(total=10.0)

SETTINGS = """\
[deployment]
id = "{deployment}"
port = 0
health_port = 0
rest_port = 0

[[owners]]
id = "{owner}"

[[connections]]
id = "oanda-paper"
owner = "{owner}"
broker = "oanda"
broker_account_id = "101-001-1000001-001"
account = "oanda-paper"
simulator = "paper"
instruments = {instruments}

[[connections]]
id = "alpaca-paper"
owner = "{owner}"
broker = "alpaca"
broker_account_id = "PA0000000001"
account = "alpaca-paper"
regime = "house"
simulator = "paper-alpaca"
instruments = {shares}

[[simulators]]
id = "paper"
seed = {seed}
speed = {speed}

[[simulators]]
id = "paper-alpaca"
broker = "alpaca"
seed = {seed}
speed = {speed}
{ticks}
"""
SHARES = ("AAPL", "SPY", "TSLA")
COIN = "BTC/USD"
COIN_TICKS = "BTC_USDT"
"""Recorded against a coin that is a dollar: the paper broker plays them as BTC/USD."""


class Ticks(Struct, frozen=True, kw_only=True):
    """Recorded ticks of pairs, by the pair as OANDA writes it; and the file of a coin's, if any."""

    by_symbol: dict[str, tuple[Tick, ...]]
    coin: Path | None = None

    @property
    def instruments(self) -> list[str]:
        """The pairs as we write them."""
        return sorted(symbol.replace("_", "/") for symbol in self.by_symbol)


def load_ticks(path: Path) -> Ticks:
    """All ticks of a file, or of a folder's files. Raises Trouble."""
    found: dict[str, list[Tick]] = {}
    coin = None
    try:
        for file in tick_files(path):
            for tick in read_ticks(file):
                found.setdefault(tick.instrument, []).append(tick)
            if found.pop(COIN_TICKS, None):
                coin = file.resolve()
    except BadTicks as bad:
        fix = "--ticks takes a CSV (ts_utc_ns,instrument,bid,ask) or a folder of them"
        raise Trouble(f"the ticks cannot be read: {bad}", fix, "ticks") from None
    if not found and coin is None:
        raise Trouble(f"there are no ticks in {path}", "name another --ticks", "ticks")
    return Ticks(by_symbol={name: tuple(rows) for name, rows in found.items()}, coin=coin)


def wanted(ticks: Ticks | None) -> list[str]:
    """What the demo trades: the recorded pairs, or the generated ones; shares; a coin."""
    return [*(ticks.instruments if ticks is not None else PAIRS), *SHARES, COIN]


@contextlib.asynccontextmanager
async def throw_away(
    ticks: Ticks | None, seed: int, is_kept: Callable[[], bool]
) -> AsyncIterator[Paths]:
    """A deployment of our own, up and ready; at the end only what is kept is left of it."""
    folder = Path(tempfile.mkdtemp(prefix="fillgate-demo-"))
    paths = Paths(folder / "home")
    text = SETTINGS.format(
        deployment=f"d-{secrets.token_hex(4)}",
        owner=f"o-{secrets.token_hex(4)}",
        instruments=json.dumps(ticks.instruments if ticks is not None else list(PAIRS)),
        shares=json.dumps([*SHARES, COIN]),
        ticks=f'ticks = "{ticks.coin}"' if ticks is not None and ticks.coin else "",
        seed=seed,
        speed=GENERATOR_SPEED,
    )
    try:
        make_deployment(paths, text)
        process = await _start(paths)
        try:
            await _until_ready(paths, process)
            yield paths
        finally:
            await _stop(process)
    finally:
        gone = (paths.runtime,) if is_kept() else (paths.runtime, folder)
        await asyncio.to_thread(_remove, *gone)


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


async def _start(paths: Paths) -> asyncio.subprocess.Process:
    with (paths.logs / "up.out").open("wb") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli.main", "--home", str(paths.home), "up",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Its own group: Ctrl-C is ours to pass on, after the books were compared.
            start_new_session=True,
        )  # fmt: skip


async def _until_ready(paths: Paths, process: asyncio.subprocess.Process) -> Running:
    async with asyncio.timeout(START_S):
        while (running := read_running(paths)) is None:
            if process.returncode is not None:
                lines = (paths.logs / "up.out").read_text().strip().splitlines()
                raise Trouble(
                    f"the demo's deployment did not start: {' '.join(lines[-2:])}",
                    "run `fillgate doctor`",
                    "start_failed",
                )
            await asyncio.sleep(0.05)
    return running


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


class PaperBrokers:
    """The simulators' own controls, which no broker has: their markets and their books."""

    def __init__(self, session: aiohttp.ClientSession, urls: dict[str, str]) -> None:
        self._session = session
        self._urls = urls

    async def _ask(self, url: str, path: str, body: object | None = None) -> Any:
        method = "GET" if body is None else "POST"
        async with self._session.request(method, url + path, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def book(self) -> VenueBook:
        """Every order and fill they have booked."""
        books = [venue_book(await self._ask(url, "/sim/book")) for url in self._urls.values()]
        return VenueBook(
            orders=tuple(order for book in books for order in book.orders),
            fills=tuple(fill for book in books for fill in book.fills),
        )

    async def replay(self, ticks: Ticks) -> None:
        """Plays the pairs' ticks in place of the market's own, each in a loop, for ever."""
        if not ticks.by_symbol:
            return
        url = next(iter(self._urls.values()))
        await self._ask(url, "/sim/replay", {"action": "stop"})
        market = _endless(ticks)
        while True:
            rows = [row for _ in range(TICKS_A_PUSH) for row in next(market)]
            await self._ask(url, "/sim/ticks", {"ticks": rows})
            await asyncio.sleep(PUSH_S)


@contextlib.asynccontextmanager
async def paper_brokers(running: Running) -> AsyncIterator[PaperBrokers]:
    """The controls of the deployment's paper brokers, the pairs' first. Raises Trouble."""
    if not running.simulators:
        fix = "the demo compares with a simulator's book: use one with [[simulators]]"
        raise Trouble("this deployment has no paper broker", fix, "no_simulator")
    async with aiohttp.ClientSession(timeout=SIMULATOR_TIMEOUT) as session:
        yield PaperBrokers(session, running.simulators)


def _endless(ticks: Ticks) -> Iterator[list[dict[str, str]]]:
    """The next tick of every instrument, again and again; the simulator dates them itself."""
    streams = [itertools.cycle(rows) for rows in ticks.by_symbol.values()]
    while True:
        yield [_row(next(stream)) for stream in streams]


def _row(tick: Tick) -> dict[str, str]:
    row = {"instrument": tick.instrument, "bid": str(tick.bid), "ask": str(tick.ask)}
    if tick.bid_size is not None and tick.ask_size is not None:
        row |= {"bid_size": str(tick.bid_size), "ask_size": str(tick.ask_size)}
    return row
