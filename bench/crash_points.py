"""Is any system call a bad moment to die? A deployment is killed at each one that says anything.

A process with router, compliance and connections (bench/plain.py) runs a story under a trace that
kills it as it is about to make the first, second, third ... call of a kind: a write to the journal,
its sync, a word on a socket or in the log. It starts again, the client says again what nobody
answered, and the logs of client, journal and venues are compared: nothing lost, nothing doubled,
no order left UNKNOWN, each event once. A sweep of a kind ends when a story is over unhurt.
Another sweep kills it in the middle of a story, and then at every call of its recovery.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
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
MIDDLE = 2
"""A recovery is after a crash at this sync of a story: an order is on its way."""
PATIENCE_S = 20.0
POINTS_MAX = 150
"""Of one kind of call: a recovery answers questions until it is over."""
LOOK_S = 0.005
DYING_S = 0.1
RECOVERED = ("oanda-crowded", "alpaca-changed")
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
        is_hit = await self._run_into(point)
        await self._judge(point, is_hit)
        return is_hit

    async def crash_again_at(self, point: Point) -> bool:
        """Kills it in the middle of the story, and again at a point of its recovery."""
        await self.deployment.until_ready()
        middle = Point(point.story, "fdatasync", MIDDLE)
        assert await self._run_into(middle), f"{middle} was not reached"
        await self.deployment.ended()
        await self.deployment.start(is_stopped=True)
        tracer = await self._trace_into(point)
        os.kill(self.deployment.pid, signal.SIGCONT)
        recovering = asyncio.create_task(self.deployment.until_ready())
        while self.deployment.is_alive() and not recovering.done():
            await asyncio.sleep(LOOK_S)
        is_over = recovering.done()
        recovering.cancel()
        is_hit = await self._end_trace(tracer, is_over=is_over)
        await self._judge(point, is_hit)
        return is_hit

    async def _run_into(self, point: Point) -> bool:
        tracer = await self._trace_into(point)
        is_over = await self._run(point.story)
        return await self._end_trace(tracer, is_over=is_over)

    async def _trace_into(self, point: Point) -> asyncio.subprocess.Process:
        rules = ("-e", f"inject={point.call}:signal=SIGKILL:when={point.number}")
        return await self._trace(Path("/dev/null"), point.call, *rules)

    async def _end_trace(self, tracer: asyncio.subprocess.Process, *, is_over: bool) -> bool:
        """True where it ended with the process it traced; only a living one is let go."""
        if is_over:
            tracer.send_signal(signal.SIGINT)
        await asyncio.wait_for(tracer.wait(), PATIENCE_S)
        if is_over:
            # The last call may have met it just now: it takes a moment to die.
            await asyncio.sleep(DYING_S)
        return not self.deployment.is_alive()

    async def _judge(self, point: Point, is_hit: bool) -> None:
        if is_hit:
            self.crashes += 1
            await self.deployment.ended()
            await self.deployment.start()
            await self.deployment.until_ready()
        for fault in await self._find_faults():
            self.found.setdefault(fault, f"{point}: {fault}")

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

    crashes: int = 0
    faults: list[str] = []

    def add(self, sweep: Sweep) -> None:
        """What one deployment went through."""
        self.crashes += sweep.crashes
        self.faults += sweep.found.values()


async def sweep_all() -> Found:
    """Every point of every story, a deployment for each story."""
    found = Found()
    for story in STORIES:
        async with plain(OPTIONS) as deployment:
            sweep = Sweep(deployment)
            await _sweep_story(sweep, story)
            found.add(sweep)
    return found


async def _sweep_story(sweep: Sweep, story: str) -> None:
    """Every call of the story, and for some stories of a recovery from its middle."""
    for call in CALLS:
        await _sweep_call(sweep.crash_at, story, call)
        if story in RECOVERED:
            await _sweep_call(sweep.crash_again_at, story, call)


async def _sweep_call(crash: Callable[[Point], Awaitable[bool]], story: str, call: str) -> None:
    """Every call of the kind, each of them a crash, until one is not reached."""
    number = 1
    while number <= POINTS_MAX and await crash(Point(story, call, number)):
        number += 1


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
        found.add(sweep)
    return found
