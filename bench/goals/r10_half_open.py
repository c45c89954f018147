"""R10: a dead line is noticed at both ends; a slow reader costs itself alone.

    python -m bench.goals.r10_half_open LINES SEED     (alone in a network namespace)

Lines die in two ways: behind a proxy that stops carrying while every socket stays open, and by
packets that the kernel drops (iptables, in a network namespace of its own; needs root). Some of
the dead clients may not connect again, so that the edge has to notice by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import time
from random import Random

import msgspec

from bench.bare_world import BareWorld, bare_world
from bench.chaos_proxy import ChaosProxy, chaos_proxy, fair
from bench.goal import Goal, Tally
from bench.lines import established
from bench.slow_reader import flood
from bench.stream_log import until_priced
from gateway.client import Client, ConnectionLostError

ACTS_S_MAX = 3.5
GIVES_UP_S = 12.0
LINES_A_FLOOD = 10
TOOLS = ("unshare", "ip", "iptables")


async def run(trials: int, seed: int) -> Tally:
    """Dead lines, half of them by dropped packets, and a flood past a slow reader."""
    tally = Tally(trials=trials)
    dropped = trials // 2 if trials >= LINES_A_FLOOD and can_drop() else 0
    async with bare_world() as world:
        await until_priced(world)
        async with chaos_proxy(("127.0.0.1", world.port), fair, seed) as proxy:
            await _kill_lines(world, proxy.port, Proxied(proxy), (trials - dropped, seed), tally)
        await flood(world, max(1, trials // LINES_A_FLOOD), seed, tally)
    if dropped:
        await _in_namespace(dropped, seed, tally)
    return tally


def can_drop() -> bool:
    """True where packets can be dropped in a namespace of our own."""
    return os.getuid() == 0 and all(shutil.which(tool) for tool in TOOLS)


# -- dead lines


class Proxied:
    """Lines through a proxy; it stops carrying, both ways or one."""

    def __init__(self, proxy: ChaosProxy) -> None:
        self._proxy = proxy

    async def kill(self, luck: Random) -> None:
        """All lines are dead from now on."""
        is_one_way = luck.random() < 0.5
        self._proxy.stall(up=True, down=not is_one_way)


class Dropped:
    """Lines whose packets the kernel drops."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def kill(self, _luck: Random) -> None:
        """All lines are dead from now on; new ones live."""
        for peer in established(self._port):
            for way in ("--sport", "--dport"):
                await _command("iptables", "-I", "INPUT", "-p", "tcp", way, str(peer), "-j", "DROP")


async def _command(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(*words)
    assert await process.wait() == 0, words


async def _kill_lines(
    world: BareWorld, port: int, line: Proxied | Dropped, plan: tuple[int, int], tally: Tally
) -> None:
    """Clients at rest on lines that die: how long until each end acts."""
    count, seed = plan
    luck = Random(seed)
    url = f"ws://127.0.0.1:{port}"
    clients = [
        Client.connect(url, world.token, f"dead-{number}", resume=number % 2 == 0)
        for number in range(count)
    ]
    async with contextlib.AsyncExitStack() as stack:
        for client in clients:
            await stack.enter_async_context(client)
        await asyncio.sleep(0.5 + luck.random())
        lines = established(world.port)
        await line.kill(luck)
        began = time.monotonic()
        ends = asyncio.create_task(_watch_edge(world, lines, began))
        acted = await asyncio.gather(*(_watch_client(client, began) for client in clients))
        seen = await ends
    kind = type(line).__name__.lower()
    for side, times in (("client", acted), ("edge", seen)):
        tally.samples_us.setdefault(f"{side} acts", []).extend(int(s * 1e6) for s in times)
        for took in times:
            if took > ACTS_S_MAX:
                tally.violations += 1
                tally.details.append(f"seed {seed}: {kind} line, the {side} took {took:.2f} s")
    tally.counts[f"{kind} lines"] = tally.counts.get(f"{kind} lines", 0) + count


async def _watch_client(client: Client, began: float) -> float:
    """When the client gave the line up."""
    lost = asyncio.create_task(_hear_of_loss(client))
    while not lost.done() and not client.reconnects and time.monotonic() - began < GIVES_UP_S:
        await asyncio.sleep(0.01)
    lost.cancel()
    return time.monotonic() - began


async def _hear_of_loss(client: Client) -> None:
    with contextlib.suppress(ConnectionLostError):
        async for _ in client.updates():
            pass


async def _watch_edge(world: BareWorld, lines: set[int], began: float) -> list[float]:
    """When the edge gave up each of the lines."""
    times: list[float] = []
    while len(times) < len(lines):
        now = time.monotonic() - began
        gone = lines - established(world.port)
        times += [now] * (len(gone) - len(times))
        if now > GIVES_UP_S:
            times += [now] * (len(lines) - len(times))
        await asyncio.sleep(0.01)
    return times


async def _in_namespace(lines: int, seed: int, tally: Tally) -> None:
    process = await asyncio.create_subprocess_exec(
        "unshare", "--net", sys.executable, "-m", "bench.goals.r10_half_open", str(lines),
        str(seed), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, "the part in a network namespace failed; see above"
    found = msgspec.json.decode(output.splitlines()[-1], type=Tally)
    tally.violations += found.violations
    tally.details += found.details
    tally.counts |= found.counts
    for name, samples in found.samples_us.items():
        tally.samples_us.setdefault(name, []).extend(samples)


async def _alone(lines: int, seed: int) -> Tally:
    await _command("ip", "link", "set", "lo", "up")
    tally = Tally(trials=lines)
    async with bare_world() as world:
        await _kill_lines(world, world.port, Dropped(world.port), (lines, seed), tally)
    return tally


GOAL = Goal(
    id="R10",
    says="a dead line is noticed at both ends within 3.5 s; a slow reader costs itself alone",
    unit="dead lines",
    short=6,
    long=400,
    batch=40,
    run=run,
    bars_us={"client acts max": 3_500_000, "edge acts max": 3_500_000},
)

if __name__ == "__main__":
    sys.stdout.buffer.write(
        msgspec.json.encode(asyncio.run(_alone(int(sys.argv[1]), int(sys.argv[2])))) + b"\n"
    )
