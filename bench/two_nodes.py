"""A deployment on two machines: two namespaces, a PostgreSQL journal, a paper broker between them.

What is here runs inside the first machine's namespace. Both machines run every role; the shard is
on the one whose router has the journal. PostgreSQL is reached over its Unix socket, which both
share, as they share the disk; everything else goes over the cable.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil

from actors import messages as m
from actors.cluster import free_port
from actors.link import Hello, Link, LinkOwner
from actors.paper import paper_settings
from actors.remains import find_remains
from actors.settings import load
from actors.shard import is_here
from bench.namespaces import Machine
from bench.postgres_server import postgres
from bench.world import World, WorldOptions, make_home
from brokers.registry import PAPER_TOKEN

BRIDGE_PORT = 8_770
FIRST_PORT = 21_000
FORWARD_PORT = 8_900
SHARD_S_MAX = 60.0
NODES = """
[ray]
first_port = {first_port}

[cluster]
node = "{node}"
ca_file = "{keys}/ca.crt"
cert_file = "{keys}/{node}.crt"
key_file = "{keys}/{node}.key"
ray_token_file = "{keys}/ray.token"

[[nodes]]
id = "n1"
host = "{first}"
port = {bridge_port}

[[nodes]]
id = "n2"
host = "{second}"
port = {bridge_port}
"""


class TwoNodes:
    """Both, and the ways to move what trades from one to the other and to lose one."""

    def __init__(self, first: World, second: World) -> None:
        self.first = first
        self.second = second

    async def move(self) -> None:
        """The first machine's router leaves the journal to the second's. Raises TimeoutError."""
        async with asyncio.timeout(SHARD_S_MAX):
            while not list(self._waiting()):
                await asyncio.sleep(0.05)
            while not is_here(self.second.paths.shard):
                if is_here(self.first.paths.shard):
                    await leave(self.first, "router")
                await asyncio.sleep(0.05)

    def _waiting(self) -> Iterator[int]:
        """The second machine's router, once it runs and is not the journal's holder."""
        with contextlib.suppress(AssertionError):
            pid = self.second.pid("router")
            if psutil.pid_exists(pid):
                yield pid

    def processes(self) -> list[psutil.Process]:
        """Every process of the second machine, its supervisor first."""
        assert self.second.process is not None
        top = psutil.Process(self.second.process.pid)
        found = {one.pid: one for one in (top, *top.children(recursive=True))}
        found |= {one.pid: one for one in find_remains(self.second.paths)}
        return list(found.values())

    def signal_all(self, number: signal.Signals) -> None:
        """To every process of the second machine."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    async def end_second(self) -> None:
        """Whatever is left of it is killed."""
        assert self.second.process is not None
        if self.second.process.returncode is None:
            self.signal_all(signal.SIGKILL)
            await self.second.process.wait()
        for process in find_remains(self.second.paths):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.second.paths.kept.unlink(missing_ok=True)
        self.second.paths.ready.unlink(missing_ok=True)


async def leave(deployment: World, role: str) -> None:
    """Asks the process that has the role to leave it."""
    name = load(deployment.paths.settings).deployment.id
    me = Hello(role="bench", deployment=name, incarnation="", pid=os.getpid())
    link: Link[object] = Link(me, m.watchdog_inbox, LinkOwner())
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
        path = str(deployment.paths.control(role))
        await loop.create_unix_connection(lambda: link, path)
        await asyncio.wait_for(link.greeted, 5.0)
        link.send(m.Leave())
        await asyncio.wait_for(asyncio.shield(link.closed), 10.0)


@contextlib.asynccontextmanager
async def two_nodes(first: Machine, second: Machine) -> AsyncIterator[TwoNodes]:
    """Both up, the first one with the shard; gone at the end."""
    with postgres() as server, tempfile.TemporaryDirectory(prefix="fgw-") as name:
        folder = Path(name)
        make_keys(folder)
        port = free_port()
        worlds = _make_homes(folder, server.url(), (first, second), port)
        with _broker(folder, worlds[0], (first, second), port):
            nodes = TwoNodes(*worlds)
            try:
                await worlds[0].start()
                worlds[0].ready["simulators"] = {"oanda": f"http://127.0.0.1:{port}"}
                await worlds[1].start()
                yield nodes
            finally:
                await nodes.end_second()
                await worlds[0].stop()
                shutil.rmtree(worlds[0].paths.runtime, ignore_errors=True)
                shutil.rmtree(worlds[1].paths.runtime, ignore_errors=True)


def _make_homes(
    folder: Path, journal_url: str, machines: tuple[Machine, Machine], port: int
) -> tuple[World, World]:
    homes = [folder / "n1", folder / "n2"]
    for home in homes:
        home.mkdir()
    token = make_home(homes[0], WorldOptions(journal_url=journal_url))
    text = (homes[0] / "fillgate.toml").read_text()
    (folder / "simulated.toml").write_text(text)
    (folder / "oanda.token").write_text(PAPER_TOKEN)
    url = f"http://127.0.0.1:{port}"
    way = f'api_url = "{url}"\nstream_url = "{url}"\ntoken_file = "{folder}/oanda.token"\n'
    text = text.replace('simulator = "oanda"\n', way)
    start, end = text.index("[[simulators]]"), text.index("[gateway.limits]")
    text = text[:start] + text[end:]
    shutil.copy(homes[0] / "tokens.json", homes[1] / "tokens.json")
    worlds = []
    for home, machine, node in zip(homes, machines, ("n1", "n2"), strict=True):
        rest = NODES.format(
            first_port=FIRST_PORT, node=node, keys=folder, bridge_port=BRIDGE_PORT,
            first=machines[0].address, second=machines[1].address,
        )  # fmt: skip
        (home / "fillgate.toml").write_text(text + rest)
        world = World(home, token)
        world.paths.make()
        world.prefix = machine.prefix
        worlds.append(world)
    return worlds[0], worlds[1]


@contextlib.contextmanager
def _broker(
    folder: Path, first: World, machines: tuple[Machine, Machine], port: int
) -> Iterator[None]:
    """The paper broker on the first machine's loopback, and the second one's way to it."""
    settings = load(folder / "simulated.toml")
    wanted, facts = folder / "simulator.json", folder / "facts.json"
    simulator = settings.simulators[0]
    made = json.loads(paper_settings(simulator, settings, first.paths))
    wanted.write_text(json.dumps({**made, "port": port}))
    outside = (machines[0].address, str(FORWARD_PORT))
    inside = ("127.0.0.1", str(port))
    words = ("--settings", str(wanted), "--facts", str(facts))
    programs = [
        (machines[0], ("brokers.simulators.oanda", *words)),
        (machines[0], ("bench.forward", *outside, *inside)),
        (machines[1], ("bench.forward", *inside, *outside)),
    ]
    with contextlib.ExitStack() as stack:
        for machine, program in programs:
            command = [*machine.prefix, sys.executable, "-m", *program]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - ours
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def make_keys(folder: Path) -> None:
    """A CA, a certificate for each node, and one token for Ray."""
    (folder / "ray.token").touch(mode=0o600)
    (folder / "ray.token").write_text(secrets.token_hex(32))
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    ca = ("-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.crt")
    _openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=fillgate", *ca)
    for node in ("n1", "n2"):
        _openssl(
            "req", "-x509", *curve, "-days", "2", "-subj", f"/CN={node}",
            "-addext", f"subjectAltName=DNS:{node}", "-addext", "basicConstraints=CA:FALSE",
            "-CA", f"{folder}/ca.crt", "-CAkey", f"{folder}/ca.key",
            "-keyout", f"{folder}/{node}.key", "-out", f"{folder}/{node}.crt",
        )  # fmt: skip


def _openssl(*words: str) -> None:
    program = shutil.which("openssl")
    assert program is not None
    subprocess.run([program, *words], check=True, capture_output=True)  # noqa: S603 - ours
