"""How many quotes a second can one edge hand to fifty clients, and whom does a slow one disturb?

    python -m bench.quote_fanout [--clients 50] [--quotes 4000] [--rate 2000] [--runs 15]
                                 [--seed 1] [--out bench/results] [--json]

A real edge in its own process, real logins and subscriptions (conflation off) over loopback; a
publisher in another process stands where the connection's does. Short turns, many times: as fast
as the edge takes quotes; on a schedule; on a schedule beside one more client that reads 1 KiB/s;
so that the machine's moods hit all alike. Every client's count, payload sizes and update numbers
are checked after each: a quote lost, doubled or out of order fails the bench. Latency is from the
publisher's stamp to the client's read. A message is one quote delivered to one client.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import msgspec
import psutil
import uvloop
from hdrh.histogram import HdrHistogram
from msgspec import Struct
from rich.console import Console
from rich.markdown import Markdown

from bench.histogram import NS_PER_MS
from bench.machine import describe
from bench.quote_readers import Reader, show_life
from bench.world import CONNECTION, WorldOptions, make_home

PROCESSES = 2
PAYLOAD_BYTES_MIN = 120
SLOW_BYTES_PER_S = 1_024
SLOW_WINDOW_BYTES = 4_096
READY_S = 30.0
SOURCE_WAIT_S = 5.0
WARM_UP = 2_000
FULL_SPEED_TIMES = 5
"""So many times the quotes of a paced run: at full speed they are gone in a moment."""
SETTINGS = """
[gateway]
connections_per_token_max = 1000
"""

console = Console(stderr=True)


class Plan(Struct, frozen=True, kw_only=True):
    """How many, how fast, how often, under which seed."""

    clients: int = 50
    quotes: int = 4_000
    rate: int = 2_000
    runs: int = 15
    seed: int = 1


class Child:
    """A process that answers each JSON line with one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, **words: Any) -> Any:
        """What it answers."""
        self.say(json.dumps(words))
        return await self.hear()

    def say(self, line: str) -> None:
        """A line on its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    async def hear(self) -> Any:
        """The next line of its stdout."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "a process of the bench died; its words are above"
        return json.loads(line)


class Stand:
    """The edge, what stands behind it, and the clients before it."""

    def __init__(self, edge: psutil.Process, source: Child, readers: list[Child]) -> None:
        self.edge = edge
        self.port = 0
        self.health_port = 0
        self.token = ""
        self._source = source
        self.readers = readers

    async def run(self, quotes: int, rate: int) -> dict[str, Any]:
        """One run, checked."""
        used = self.edge.cpu_times()
        reading = [asyncio.create_task(r.ask(wait_s=SOURCE_WAIT_S)) for r in self.readers]
        span = await self._source.ask(quotes=quotes, rate=rate)
        reports = await asyncio.gather(*reading)
        use = self.edge.cpu_times()
        clients = [client for report in reports for client in report["clients"]]
        latencies = HdrHistogram(1, 1 << 40, 3)
        for report in reports:
            latencies.add(HdrHistogram.decode(report["latencies"]))
        messages = sum(client["quotes"] for client in clients)
        took_s = (max(client["last_ns"] for client in clients) - span["start_ns"]) / 1e9
        cpu_s = use.user + use.system - used.user - used.system
        return {
            "messages": messages,
            "seconds": round(took_s, 3),
            "messages_per_s": int(messages / took_s),
            "cpu_us_per_message": round(cpu_s * 1e6 / messages, 3),
            **{f"{name}_ms": _at(latencies, at) for name, at in PERCENTILES.items()},
            "edge_rss_mib": round(self.edge.memory_info().rss / 2**20, 1),
            "faults": find_faults(clients, quotes),
        }

    async def metric(self, name: str) -> int:
        """A count of the edge's own."""
        url = f"http://127.0.0.1:{self.health_port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            text = await answer.text()
        found = [line for line in text.splitlines() if line.startswith(f"fillgate_gateway_{name}")]
        return int(float(found[0].split()[1]))


PERCENTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9}


def _at(latencies: HdrHistogram, percentile: float) -> float:
    return round(float(latencies.get_value_at_percentile(percentile)) / NS_PER_MS, 3)


def find_faults(clients: list[dict[str, int]], quotes: int) -> list[str]:
    """What any client did not get as it was sent."""
    faults = []
    for number, client in enumerate(clients):
        if client["quotes"] != quotes or client["stands_for"] != quotes:
            got = f"{client['quotes']} of {quotes} quotes, for {client['stands_for']} updates"
            faults.append(f"client {number}: {got}")
        if client["holes"]:
            faults.append(f"client {number}: {client['holes']} updates out of order")
        if client["payload_min"] < PAYLOAD_BYTES_MIN:
            faults.append(f"client {number}: a payload of {client['payload_min']} bytes")
    return faults


class SlowClient:
    """Reads 1 KiB a second; its quotes are conflated."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._task: asyncio.Task[None] | None = None
        self._reader: Reader | None = None
        self.is_closed = False

    async def __aenter__(self) -> SlowClient:
        """Connects, then reads."""
        stand = self._stand
        self._reader = await asyncio.to_thread(
            Reader, stand.port, stand.token, "slow", True, SLOW_WINDOW_BYTES
        )
        self._task = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        assert self._reader is not None
        loop = asyncio.get_running_loop()
        while await loop.sock_recv(self._reader.sock, SLOW_BYTES_PER_S // 10):
            await asyncio.sleep(0.1)
            show_life([self._reader])
        self.is_closed = True

    async def __aexit__(self, *_: object) -> None:
        """Goes away."""
        assert self._task is not None
        assert self._reader is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._reader.sock.close()


@contextlib.asynccontextmanager
async def _child(*words: str, **more: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *words, stdin=pipe, stdout=pipe, limit=2**26, **more
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def stand(plan: Plan) -> AsyncIterator[Stand]:
    """Everything up and subscribed; ended and removed at the end."""
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fgq-"))
        home = Path(folder) / "home"
        home.mkdir()
        token = make_home(home, WorldOptions(extra=SETTINGS))
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
            sock.listen(1_024)
        numbers = [sock.fileno() for sock in sockets]
        behind = _child("bench.quote_source", str(home), CONNECTION, str(plan.seed))
        source = Child(await stack.enter_async_context(behind))
        await source.hear()
        served = _child("actors.edge", str(home), "0", *map(str, numbers), pass_fds=numbers)
        edge = await stack.enter_async_context(served)
        made = Stand(psutil.Process(edge.pid), source, [])
        made.port, made.health_port, _ = (sock.getsockname()[1] for sock in sockets)
        made.token = token
        await _until_logs_in(made)
        await connect(stack, made, plan.clients)
        yield made


async def _until_logs_in(made: Stand) -> None:
    """The edge dials by itself; a first client tells when it has."""
    async with asyncio.timeout(READY_S):
        while True:
            with contextlib.suppress(AssertionError, OSError):
                first = await asyncio.to_thread(
                    Reader, made.port, made.token, "first", True, SLOW_WINDOW_BYTES
                )
                first.sock.close()
                return
            await asyncio.sleep(0.1)


async def connect(stack: contextlib.AsyncExitStack, made: Stand, clients: int) -> None:
    """So many clients more, logged in and subscribed."""
    processes = min(PROCESSES, clients)
    for number in range(processes):
        share = len(range(number, clients, processes))
        words = ("bench.quote_readers", str(made.port), str(share))
        reader = Child(await stack.enter_async_context(_child(*words)))
        reader.say(made.token)
        made.readers.append(reader)
    for reader in made.readers[-processes:]:
        await reader.hear()


async def measure(plan: Plan) -> dict[str, Any]:
    """All runs; those with and without the slow client take turns."""
    machine = describe(Path.cwd())
    runs: dict[str, list[dict[str, Any]]] = {part: [] for part in RUNS}
    async with stand(plan) as made:
        await made.run(WARM_UP, 0)
        for number in range(plan.runs):
            console.print(f"run {number + 1}/{plan.runs}", style="dim")
            # Another order each time: nobody always runs after the same neighbor.
            for part in list(RUNS)[:: 1 if number % 2 == 0 else -1]:
                runs[part].append(await RUNS[part](made, plan))
    return summarize(plan, runs) | {"machine": msgspec.to_builtins(machine)}


async def _at_full_speed(made: Stand, plan: Plan) -> dict[str, Any]:
    return await made.run(plan.quotes * FULL_SPEED_TIMES, 0)


async def _alone(made: Stand, plan: Plan) -> dict[str, Any]:
    return await made.run(plan.quotes, plan.rate)


async def _beside_slow(made: Stand, plan: Plan) -> dict[str, Any]:
    async with SlowClient(made) as slow:
        before = await made.metric("quotes_conflated_total")
        figures = await made.run(plan.quotes, plan.rate)
        figures["conflated"] = await made.metric("quotes_conflated_total") - before
        figures["slow_closed"] = slow.is_closed
    return figures


RUNS: dict[str, Callable[[Stand, Plan], Awaitable[dict[str, Any]]]] = {
    "full_speed": _at_full_speed,
    "alone": _alone,
    "beside_slow": _beside_slow,
}


def summarize(plan: Plan, runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The median of each figure, and each run's own."""
    middle = {
        part: {
            name: round(median(run[name] for run in some), 3)
            for name in some[0]
            if name not in ("faults", "slow_closed")
        }
        for part, some in runs.items()
    }
    faults = [fault for some in runs.values() for run in some for fault in run["faults"]]
    p99 = middle["alone"]["p99_ms"], middle["beside_slow"]["p99_ms"]
    return {
        "plan": msgspec.to_builtins(plan),
        "passed": not faults,
        "faults": faults[:10],
        "edge_rss_mib": max(run["edge_rss_mib"] for some in runs.values() for run in some),
        "p99_change_percent": round((p99[1] / p99[0] - 1) * 100, 1) if p99[0] else 0.0,
        "slow_closed": sum(run["slow_closed"] for run in runs["beside_slow"]),
        "median": middle,
        "runs": runs,
    }


def markdown(result: dict[str, Any]) -> str:
    """The figures as a table, and what they were measured on."""
    plan, machine = result["plan"], result["machine"]
    names = {
        "full_speed": "as fast as the edge takes them",
        "alone": f"{plan['rate']} quotes/s",
        "beside_slow": f"{plan['rate']} quotes/s, one more reads 1 KiB/s",
    }
    lines = [
        f"# Quotes to {plan['clients']} clients from one edge",
        "",
        "| | messages/s | p50 ms | p99 ms | p99.9 ms | edge CPU us/message |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for part, words in names.items():
        row = result["median"][part]
        figures = [f"{row['messages_per_s']:,.0f}", row["p50_ms"], row["p99_ms"], row["p999_ms"]]
        cells = [*figures, row["cpu_us_per_message"]]
        lines.append(f"| {words} | " + " | ".join(str(cell) for cell in cells) + " |")
    slow = result["median"]["beside_slow"]["conflated"]
    lines += [
        "",
        f"p99 beside the slow client: {result['p99_change_percent']:+} %. Its own quotes: "
        f"{slow:,.0f} conflated a run, closed {result['slow_closed']} times; edge RSS "
        f"{result['edge_rss_mib']} MiB.",
        "",
        f"Checked: {'every count and update number right' if result['passed'] else 'FAILED'}. "
        f"Median of {plan['runs']}, seed {plan['seed']}; {machine['cpu']}, {machine['cores']} "
        f"cores, Linux {machine['kernel']}, Python {machine['python']}, load before "
        f"{machine['load_before']}.",
        *(f"- {fault}" for fault in result["faults"]),
        "",
    ]
    return "\n".join(lines)


def read_plan() -> tuple[Plan, Path, bool]:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for field in msgspec.structs.fields(Plan):
        parser.add_argument(f"--{field.name}", type=int, default=field.default)
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    given = {name: getattr(words, name) for name in Plan.__struct_fields__}
    return Plan(**given), words.out, words.json


if __name__ == "__main__":
    asked, folder, is_json = read_plan()
    started = time.monotonic()
    answer = uvloop.run(measure(asked))
    answer["took_s"] = round(time.monotonic() - started, 1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "quote_fanout.json").write_text(json.dumps(answer, indent=2) + "\n")
    (folder / "quote_fanout.md").write_text(markdown(answer))
    if is_json:
        print(json.dumps(answer))
    else:
        Console().print(Markdown(markdown(answer)))
    sys.exit(0 if answer["passed"] else 1)
