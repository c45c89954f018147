"""How long until it trades, how soon after a crash, and how much memory does it take?

    python -m bench.life [--orders 1000000] [--clients 500] [--json]

`fillgate up` on a folder that is not there yet, and again in the same folder; a journal of so many
orders with its snapshot, opened and restored as a start does it; the memory (PSS: shared pages are
shared out) of an idle deployment with two brokers, by process; what each idle client adds to an
edge. Checked: it is ready when it says so, the journal's books are whole, every client is served.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from msgspec import Struct

from actors.paths import Paths
from bench.processors import ROLES, part_of
from bench.quote_fanout import Plan as QuotePlan
from bench.quote_fanout import connect, stand
from bench.recovery import make, measure
from bench.section import Figure, Section, finish, yardstick
from bench.world import ALPACA_ROLE, World, WorldOptions, world

READY_S = 120.0
STOP_S = 60.0
CALM_S = 5.0
MILLION = 1_000_000
SIMULATORS = "simulator"
OWN_PAGES = "Private_Dirty"
EXAMPLE = Path(__file__).parent.parent / "deploy" / "fillgate.example.toml"
"""What `fillgate init` writes, but for the names."""
FIXED_PORTS = ("port = 8765", "health_port = 8766", "rest_port = 8767")


class Plan(Struct, frozen=True, kw_only=True):
    """How long a journal, how many idle clients."""

    orders: int = MILLION
    clients: int = 500


async def run(plan: Plan) -> Section:
    """Everything, one after the other; the section, faults included."""
    section = Section(
        name="life",
        question="How long until it trades, how soon after a crash, with how much memory?",
        command="python -m bench.life",
        figures=[],
    )
    async with yardstick(section):
        section.figures += await time_starts(section)
        section.figures += time_recovery(plan.orders)
        section.figures += await weigh_deployment(section)
        section.figures += await weigh_clients(plan.clients)
    return section


# ---------------------------------------------------------------- starting


async def time_starts(section: Section) -> list[Figure]:
    """`fillgate up` in a new folder, and again in it."""
    with tempfile.TemporaryDirectory(prefix="fgl-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        settings = EXAMPLE.read_text()
        for line in FIXED_PORTS:
            assert f"\n{line}\n" in settings
            settings = settings.replace(f"\n{line}\n", f"\n{line.partition('=')[0]}= 0\n")
        (home / "fillgate.toml").write_text(settings)
        try:
            cold_s = await _start_once(home, "the first start", section)
            warm_s = await _start_once(home, "the next start", section)
        finally:
            shutil.rmtree(Paths(home).runtime, ignore_errors=True)
    return [
        Figure(name="`fillgate up`, new deployment, until ready", value=cold_s, unit="s"),
        Figure(name="`fillgate up`, again, until ready", value=warm_s, unit="s", bar=8.0),
    ]


async def _start_once(home: Path, name: str, section: Section) -> float:
    """Seconds until it says that it is ready; then it is asked, and stopped."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", "up", "--home", str(home), "--json",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(READY_S):
            ready, steps = await _until_ready(process)
        took_s = time.monotonic() - began
        section.notes.append(f"{name}: {', '.join(steps)}, ready {took_s:.1f} s")
        if not await _is_ready(ready["health_url"]):
            section.faults.append("it said that it was ready, and was not")
        return round(took_s, 2)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(STOP_S):
            await process.communicate()


async def _until_ready(
    process: asyncio.subprocess.Process,
) -> tuple[dict[str, Any], list[str]]:
    """What it says when it is ready, and when it told of each step."""
    assert process.stdout is not None
    began = time.monotonic()
    steps: list[str] = []
    async for line in process.stdout:
        said = json.loads(line)
        if "ready" in said:
            return dict(said["ready"]), steps
        steps.append(f"{said['step']} {time.monotonic() - began:.1f} s")
    raise RuntimeError(f"`fillgate up` ended with {await process.wait()} before it was ready")


async def _is_ready(url: str) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as answer:
        return answer.status == 200


# ---------------------------------------------------------------- recovering


def time_recovery(orders: int) -> list[Figure]:
    """A start's share that grows with the journal. The books are checked by what measures."""
    with tempfile.TemporaryDirectory(prefix="fg-recovery-") as folder:
        directory = Path(folder) / "journal"
        last = make(directory, orders)
        # In a process of its own: a heap full of what made the journal would slow it.
        command = [sys.executable, "-m", "bench.life", "--measure", str(directory)]
        more = [str(last), str(orders)]
        ended = subprocess.run(  # noqa: S603
            [*command, *more], check=True, capture_output=True
        )
    found = json.loads(ended.stdout)
    bar = 5.0 if orders >= MILLION else None
    return [
        Figure(
            name=f"a journal of {orders:,} orders, opened and restored",
            value=found["start_s"],
            unit="s",
            bar=bar,
        ),
        Figure(
            name=f"memory of a process that did that for {orders:,} orders",
            value=found["memory_mib"],
            unit="MiB",
            is_time=False,
        ),
    ]


# ---------------------------------------------------------------- memory


def memory_mib(pid: int, kind: str = "Pss") -> float:
    """A process's memory, shared pages shared out unless it is of another kind; 0 at its end."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    line = next(line for line in text.splitlines() if line.startswith(f"{kind}:"))
    return int(line.split()[1]) / 1024


async def weigh_deployment(section: Section) -> list[Figure]:
    """Every process of an idle deployment with two brokers."""
    async with world(WorldOptions(with_alpaca=True)) as deployment:
        await asyncio.sleep(CALM_S)
        parts = weigh(deployment)
    by_size = sorted(parts.items(), key=lambda row: -row[1])
    section.notes.append(
        "idle with two brokers, MiB by process: "
        + ", ".join(f"{part} {mib:.0f}" for part, mib in by_size)
    )
    own = sum(mib for part, mib in parts.items() if part != SIMULATORS)
    return [
        Figure(
            name="idle with two brokers, all of Fillgate and Ray",
            value=round(own, 1),
            unit="MiB",
            bar=900.0,
            is_time=False,
        ),
        Figure(
            name="the two simulated brokers beside it",
            value=round(parts.get(SIMULATORS, 0.0), 1),
            unit="MiB",
            is_time=False,
        ),
    ]


def weigh(deployment: World) -> dict[str, float]:
    """MiB by part."""
    assert deployment.process is not None
    roles = {**ROLES, ALPACA_ROLE: "connection"}
    named = {deployment.pid(role): part for role, part in roles.items()}
    found = {"supervisor": memory_mib(deployment.process.pid)}
    for process in deployment.descendants():
        part = named.get(process.pid) or part_of(process.cmdline())
        found[part] = found.get(part, 0.0) + memory_mib(process.pid)
    return found


async def weigh_clients(clients: int) -> list[Figure]:
    """What each client that is logged in, watches six instruments and is silent adds to an edge."""
    async with contextlib.AsyncExitStack() as stack:
        made = await stack.enter_async_context(stand(QuotePlan(clients=1)))
        # Its own pages alone: who shares the others changes with every process that starts.
        before = memory_mib(made.edge.pid, OWN_PAGES)
        await connect(stack, made, clients)
        await asyncio.sleep(CALM_S / 5)
        after = memory_mib(made.edge.pid, OWN_PAGES)
        served = await made.metric("connections")
    assert served >= clients, f"{served} of {clients} clients are connected"
    return [
        Figure(
            name=f"an edge's memory per idle client, {clients} of them",
            value=round((after - before) * 1024 / clients, 1),
            unit="KiB",
            is_time=False,
            slack=2.0,
        ),
        Figure(
            name="an edge with one client, its own pages",
            value=round(before, 1),
            unit="MiB",
            is_time=False,
        ),
    ]


def main(words: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=MILLION)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.measure is not None:
        directory, last, orders = asked.measure
        print(json.dumps(measure(Path(directory), int(last), int(orders))))
        return 0
    return finish(uvloop.run(run(Plan(orders=asked.orders, clients=asked.clients))), asked.json)


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
