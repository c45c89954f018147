"""S10: Ray takes no stranger: its ports are closed to other machines, its token to other users.

A deployment runs in one network namespace, the intruder in another. A trial is one port that
something listens on, tried from there; none may open. A program that listens on all interfaces
stands among them and must be reached, or the trial would prove nothing. It has a port of Ray's
block, so that deploy/close-ray-ports.sh, which several machines need, must close it afterwards.
A client without the token, or with another, must be refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from actors.cluster import PORTS, ray_environment
from bench.goal import Goal, Tally
from bench.namespaces import Machine, two_machines
from bench.world import World, WorldOptions, make_home

FIRST_PORT = 20_000
CLOSE = Path(__file__).parents[2] / "deploy" / "close-ray-ports.sh"
ASK_S = "1"
LET_IN_S_MAX = 20.0
IMPATIENT = {"RAY_gcs_rpc_server_reconnect_timeout_s": "3"}
"""A client that is refused tries again for as long."""


async def run(trials: int, seed: int) -> Tally:
    """Tries the ports of fresh deployments until there were as many trials."""
    tally = Tally(trials=0, counts={"open ports reached": 0, "clients refused": 0})
    luck = Random(seed)
    while tally.trials < trials:
        await _try_one(luck.randrange(FIRST_PORT, 60_000, PORTS), tally)
    tally.details = [f"seed {seed}: {detail}" for detail in tally.details]
    tally.violations = len(tally.details)
    return tally


async def _try_one(first: int, tally: Tally) -> None:
    with two_machines() as (ours, theirs), tempfile.TemporaryDirectory(prefix="fgw-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        extra = f"\n[ray]\nfirst_port = {first}\n"
        deployment = World(home, make_home(home, WorldOptions(extra=extra)))
        deployment.prefix = ours.prefix
        try:
            await deployment.start()
            _knock(ours, theirs, first, tally)
            await _try_tokens(deployment, ours, tally)
        finally:
            await deployment.stop()
            shutil.rmtree(deployment.paths.runtime, ignore_errors=True)


def _knock(ours: Machine, theirs: Machine, first: int, tally: Tally) -> None:
    open_port = first + PORTS - 1
    with _listening_everywhere(ours, open_port):
        ports = sorted(ours.listening())
        opened = _opened(ours, theirs, ports)
        if open_port not in opened:
            tally.details.append("an open port was not reached: the knocking proves nothing")
        strange = [port for port in opened if port != open_port]
        if strange:
            tally.details.append(f"open to other machines: {strange}")
        ours.run(str(CLOSE), str(first))
        if _opened(ours, theirs, [open_port]):
            tally.details.append("the firewall closes nothing")
    tally.trials += len(ports)
    tally.counts["open ports reached"] += len(opened)


@contextlib.contextmanager
def _listening_everywhere(machine: Machine, port: int) -> Iterator[None]:
    """A program with a port on all interfaces, as Ray had them."""
    command = [*machine.prefix, sys.executable, "-m", "http.server", str(port), "--bind", "::"]
    with tempfile.TemporaryDirectory() as empty:
        process = subprocess.Popen(  # noqa: S603 - Python's own
            command, cwd=empty, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while port not in machine.listening():
                time.sleep(0.05)
            yield
        finally:
            process.kill()
            process.wait()


def _opened(ours: Machine, theirs: Machine, ports: list[int]) -> list[int]:
    words = (sys.executable, "-m", "bench.knocking", ours.address, *map(str, ports))
    found: list[int] = json.loads(theirs.run(*words))
    return found


async def _try_tokens(deployment: World, ours: Machine, tally: Tally) -> None:
    """Ours opens; none and another do not; and only our user can read it."""
    runtime = deployment.paths.runtime
    token = runtime / "ray.token"
    mode = stat.S_IMODE(token.stat().st_mode)
    if mode != 0o600:
        tally.details.append(f"the token has mode {mode:o}")
    right = ray_environment(runtime)
    wrong = deployment.home / "wrong.token"
    wrong.write_text(secrets.token_hex(32))
    if not await _is_let_in(deployment, ours, right):
        tally.details.append("a client with the token was refused: the trial proves nothing")
    for what, words in (
        ("another token", {"RAY_AUTH_TOKEN_PATH": str(wrong)}),
        ("no token", {"RAY_AUTH_MODE": "disabled"}),
    ):
        if await _is_let_in(deployment, ours, {**right, **words}):
            tally.details.append(f"a client with {what} was let in")
        tally.counts["clients refused"] += 1


async def _is_let_in(deployment: World, ours: Machine, environment: dict[str, str]) -> bool:
    process = await asyncio.create_subprocess_exec(
        *ours.prefix, sys.executable, "-m", "actors.addressing",
        str(deployment.home), deployment.ready["ray_address"], ASK_S,
        env={**environment, **IMPATIENT, "PYTHONPATH": os.getcwd()},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        told, _ = await asyncio.wait_for(process.communicate(b"now\n"), LET_IN_S_MAX)
    except TimeoutError:
        process.kill()
        await process.communicate()
        return False
    return process.returncode == 0 and b'"pids"' in told


GOAL = Goal(
    id="S10",
    says="from another machine 0 ports open; a client without Ray's token is refused",
    unit="ports",
    short=10,
    long=200,
    batch=40,
    run=run,
)
