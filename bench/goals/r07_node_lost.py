"""R7, the node's half: the machine that trades is lost; another goes on, and the lost one is mute.

Two machines (network namespaces) share a PostgreSQL journal. What trades is moved to the one that
is not the head; then that one dies (SIGKILL to every process) or freezes (SIGSTOP to every process)
under orders. The head's router gets the journal, with its own broker connection; a frozen machine
is thawed afterwards. At the end client, journal and venue must agree: an order that the lost
machine had sent again, or late, would be one too many at the venue.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time

import msgspec

from bench.goal import Goal, Tally
from bench.kills import Log
from bench.namespaces import Machine, two_machines
from bench.steady import Steady, find_differences, until_priced
from bench.two_nodes import TwoNodes, two_nodes
from gateway.client import Client

RATE = 50
CALM_S = 2.0
REPLACED_S_MAX = 8.0
ACCEPTED_S_MAX = 60.0
THAWED_S = 6.0
RUN_S_MAX = 3_600.0


async def run(trials: int, seed: int) -> Tally:
    """Runs the trials inside the first machine's namespace."""
    with two_machines() as (first, second):
        process = await asyncio.create_subprocess_exec(
            *first.prefix, sys.executable, "-m", "bench.goals.r07_node_lost",
            str(trials), first.name, first.address, second.name, second.address,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        told, _ = await asyncio.wait_for(process.communicate(), RUN_S_MAX)
    if process.returncode:
        return Tally(trials=trials, violations=1, details=[f"seed {seed}: the run failed"])
    tally = msgspec.convert(json.loads(told.splitlines()[-1]), Tally)
    tally.details = [f"seed {seed}: {detail}" for detail in tally.details]
    tally.violations = len(tally.details)
    return tally


async def lose(trials: int, first: Machine, second: Machine) -> Tally:
    """By turns a dead machine and a frozen one."""
    tally = Tally(trials=trials, samples_us={"dead": [], "frozen": []})
    log = Log()
    async with two_nodes(first, second) as nodes:
        head = nodes.first
        async with Client.connect(head.url, head.token, "r07", on_event=log.take) as client:
            await until_priced(client)
            steady = Steady(client, log, RATE)
            for number in range(trials):
                how = "frozen" if number % 2 else "dead"
                await _one(nodes, steady, how, tally)
            await steady.stop()
        tally.details += await find_differences(head, log)
    tally.counts = {"orders": len(steady.sent)}
    tally.counts |= {f"refused {code}": n for code, n in steady.refusals().items()}
    return tally


async def _one(nodes: TwoNodes, steady: Steady, how: str, tally: Tally) -> None:
    """What trades is moved to the second machine, started anew if it was lost; then it is lost."""
    assert nodes.second.process is not None
    if nodes.second.process.returncode is not None:
        await nodes.second.start()
    await nodes.move()
    if await steady.accepted_after(time.monotonic(), ACCEPTED_S_MAX) is None:
        tally.details.append("the second machine took no order")
    await asyncio.sleep(CALM_S)
    await _lose(nodes, steady, how, tally)


async def _lose(nodes: TwoNodes, steady: Steady, how: str, tally: Tally) -> None:
    nodes.signal_all(signal.SIGSTOP if how == "frozen" else signal.SIGKILL)
    took_s = await steady.accepted_after(time.monotonic(), ACCEPTED_S_MAX)
    if took_s is None:
        tally.details.append(f"{how}: no order was accepted after {ACCEPTED_S_MAX} s")
    else:
        tally.samples_us[how].append(int(took_s * 1e6))
        if took_s > REPLACED_S_MAX:
            tally.details.append(f"{how}: replaced after {took_s:.1f} s")
    if how == "frozen":
        nodes.signal_all(signal.SIGCONT)
        await asyncio.sleep(THAWED_S)
    await nodes.end_second()


def main(trials: int, first: Machine, second: Machine) -> None:
    """Prints the tally as JSON."""
    tally = asyncio.run(lose(trials, first, second))
    print(msgspec.json.encode(tally).decode())


GOAL = Goal(
    id="R7-node",
    says="the machine that trades dies or freezes: another trades ≤ 8 s, the zombie sends 0",
    unit="machines lost",
    short=1,
    long=100,
    batch=4,
    run=run,
    bars_us={"dead p99": 8_000_000, "frozen p99": 8_000_000},
)


if __name__ == "__main__":
    main(int(sys.argv[1]), Machine(*sys.argv[2:4]), Machine(*sys.argv[4:6]))
