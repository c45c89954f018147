"""Is any system call a bad moment to die? A deployment is killed at each one that says anything.

A process with router, compliance and connections (bench/plain.py) runs a story under a trace that
kills it as it is about to make the first, second, third ... call of a kind: a write to the journal,
its sync, a word on a socket or in the log. It starts again, the client says again what nobody
answered, and the logs of client, journal and venues are compared: nothing lost, nothing doubled,
no order left UNKNOWN, each event once. A sweep of a kind ends when a story is over unhurt.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections import Counter
from pathlib import Path
from random import Random

from msgspec import Struct

from bench.hand_edge import RouterAway
from bench.plain import SMALL_JOURNAL, Plain, plain
from bench.stories import SETTINGS, STORIES, close
from bench.three_logs import find_differences
from bench.world import WorldOptions
from domain import commands as c
from domain.orders import CancelOrder

CALLS = ("pwrite64", "fdatasync", "fsync", "sendto", "sendmsg", "write", "writev")
OPTIONS = WorldOptions(horizon_ms=100, journal=SMALL_JOURNAL, with_alpaca=True)
PATIENCE_S = 20.0
CALL = re.compile(r"^\d+ +(\w+)\(", re.MULTILINE)


class Point(Struct, frozen=True):
    """The call at which the process dies: the so-many-th of its kind in a story."""

    story: str
    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.story} at {self.call} {self.number}"


class Sweep:
    """One deployment, killed again and again; `found` is what was wrong, each thing once."""

    def __init__(self, deployment: Plain) -> None:
        self.deployment = deployment
        self.edge = deployment.edge
        self.found: dict[str, str] = {}
        self.crashes = 0
        self._runs = 0

    async def crash_at(self, point: Point) -> bool:
        """Runs the story into the point; True where it was reached. What was wrong is noted."""
        await self.deployment.until_ready()
        rules = ("-e", f"inject={point.call}:signal=SIGKILL:when={point.number}")
        tracer = await self._trace(Path("/dev/null"), point.call, *rules)
        is_over = await self._run(point.story)
        if is_over:
            tracer.send_signal(signal.SIGINT)
        await tracer.wait()
        if not is_over:
            self.crashes += 1
            await self.deployment.ended()
            await self.deployment.start()
            await self.deployment.until_ready()
        for fault in await self._find_faults():
            self.found.setdefault(fault, f"{point}: {fault}")
        return not is_over

    async def count_calls(self, story: str) -> Counter[str]:
        """How many calls of each kind the story makes."""
        await self.deployment.until_ready()
        output = self.deployment.paths.home / "calls"
        tracer = await self._trace(output, ",".join(CALLS))
        assert await self._run(story), f"{story} failed by itself"
        tracer.send_signal(signal.SIGINT)
        await tracer.wait()
        return Counter(CALL.findall(output.read_text()))

    async def _trace(self, output: Path, calls: str, *rules: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            "strace", "-f", "-o", str(output), "-e", f"trace={calls}", *rules,
            "-p", str(self.deployment.pid), stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        while b"attached" not in (line := await process.stderr.readline()):
            assert line, "strace could not attach"
        return process

    async def _run(self, story: str) -> bool:
        """True where the story came to its end."""
        self._runs += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                await STORIES[story](self.edge, f"{story}-{self._runs}")
        except RouterAway:
            return False
        return True

    async def _find_faults(self) -> list[str]:
        """The client says again what was not answered; then all three logs are compared."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.edge.say_again()
                await self.edge.rest()
                await self._tidy()
        except TimeoutError:
            moving = [x for x in self.edge.orders.values() if x.client_order_id]
            late = [f"{x.client_order_id} {x.status.value} {x.pending}" for x in moving[-5:]]
            return [f"not at rest after {PATIENCE_S:g} s: {late}"]
        return await find_differences(self.deployment)

    async def _tidy(self) -> None:
        """Ends every order and closes every position: the next story begins with nothing."""
        name = f"tidy-{self._runs}"
        await self.edge.say(name, c.Cancel(cancel=CancelOrder(all=True)))
        await self.edge.until(lambda: not self.edge.working())
        for setting in SETTINGS.values():
            await close(self.edge, f"{name}-{setting.account}", setting)
        await self.edge.rest()


class Found(Struct, kw_only=True):
    """What crashes showed."""

    points: int = 0
    crashes: int = 0
    faults: list[str] = []

    def add(self, sweep: Sweep, points: int) -> None:
        """What one deployment went through."""
        self.points += points
        self.crashes += sweep.crashes
        self.faults += sweep.found.values()


async def sweep_all() -> Found:
    """Every point of every story, a deployment for each story."""
    found = Found()
    for story in STORIES:
        async with plain(OPTIONS) as deployment:
            sweep = Sweep(deployment)
            points = [await _sweep_call(sweep, story, call) for call in CALLS]
            found.add(sweep, sum(points))
    return found


async def _sweep_call(sweep: Sweep, story: str, call: str) -> int:
    """How many calls of the kind the story makes, each of them a crash."""
    number = 1
    while await sweep.crash_at(Point(story, call, number)):
        number += 1
    return number - 1


async def sweep_some(count: int, luck: Random) -> Found:
    """So many points of one story at each venue, spread by luck over all their calls."""
    found = Found()
    async with plain(OPTIONS) as deployment:
        sweep = Sweep(deployment)
        points: list[Point] = []
        for where in ("oanda", "alpaca"):
            story = luck.choice([name for name in STORIES if name.startswith(where)])
            calls = await sweep.count_calls(story)
            points += [Point(story, call, n + 1) for call in CALLS for n in range(calls[call])]
        luck.shuffle(points)
        # A call more or less is luck: the last ones may not come this time.
        while sweep.crashes < count and points:
            await sweep.crash_at(points.pop())
        found.add(sweep, sweep.crashes)
    return found
