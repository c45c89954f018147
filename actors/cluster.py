"""Ray's own processes, started by hand: GCS and raylet, bound to this deployment's folder.

`ray start` puts them up and leaves; they become children of the supervisor (a subreaper), who
keeps them from then on by the commands that they were started with. A GCS finds its tables in
RocksDB again. A raylet that died is another node to the GCS, so the next one has another id.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
import sys
from pathlib import Path

import psutil
from msgspec import Struct

from actors import options
from actors.keeping import Kept, Wanted, find_start
from actors.settings import RaySettings, Settings

START_TIMEOUT_S = 60
PORTS = 200
"""How many ports Ray gets, from its first one on, where that is fixed."""
GCS = "gcs_server"
RAYLET = "raylet"
_NODE_ID = "--node_id="
_SOCKETS = ("--raylet_socket_name=", "--store_socket_name=")
_OURS = ("gcs_server", "raylet", "dashboard", "monitor.py", "log_monitor.py")


class ClusterError(Exception):
    """Ray did not start; the message holds what it said."""


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def ray_environment(runtime: Path) -> dict[str, str]:
    """This process's environment with the deployment's Ray settings, and its token made."""
    token = runtime / "ray.token"
    if not token.exists():
        descriptor = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, secrets.token_hex(32).encode())
        os.close(descriptor)
    return {**os.environ, **options.environment(runtime)}


def note_nodes(settings: Settings, runtime: Path) -> None:
    """Notes whether there are several machines, and takes the token that they share."""
    if not settings.nodes:
        (runtime / "nodes").unlink(missing_ok=True)
        return
    (runtime / "nodes").touch()
    assert settings.cluster.ray_token_file is not None
    token = runtime / "ray.token"
    token.touch(mode=0o600)
    token.write_text(Path(settings.cluster.ray_token_file).read_text().strip())


class Cluster(Struct, frozen=True, kw_only=True):
    """A node that was started: its cluster's address, its raylet, and the GCS where it is here."""

    address: str
    raylet: Kept
    gcs: Kept | None = None


async def start_ray(runtime: Path, settings: RaySettings, seat: Seat | None = None) -> Cluster:
    """Starts a node, with nothing of an earlier one. Raises ClusterError."""
    seat = seat or Seat()
    shutil.rmtree(runtime / "gcs", ignore_errors=True)
    port = settings.first_port or free_port()
    head = ["--head", f"--port={port}", "--include-dashboard=false", "--no-monitor"]
    if seat.head is not None:
        head = [f"--address={seat.head}:{port}"]
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", *head,
        f"--node-ip-address={seat.host}",
        "--include-log-monitor=false",
        "--disable-usage-stats",
        f"--num-cpus={settings.cpus}",
        f"--object-store-memory={settings.object_store_mib * 1024 * 1024}",
        f"--temp-dir={runtime / 'ray'}",
        f"--resources={json.dumps(seat.resources)}",
        *_fixed_ports(settings.first_port),
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command,
        env=ray_environment(runtime),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    output, _ = await asyncio.wait_for(process.communicate(), START_TIMEOUT_S)
    if process.returncode:
        raise ClusterError(output.decode(errors="replace"))
    found = {kind: _kept(process) for kind, process in ray_processes(runtime).items()}
    if RAYLET not in found or (seat.head is None and GCS not in found):
        raise ClusterError(f"GCS or raylet ended at once; see {runtime / 'ray'}")
    address = f"{seat.head or seat.host}:{port}"
    return Cluster(address=address, gcs=found.get(GCS), raylet=found[RAYLET])


class Seat(Struct, frozen=True, kw_only=True):
    """Where a node sits: its address, the head's where that is another, what it is known by."""

    host: str = "127.0.0.1"
    head: str | None = None
    resources: dict[str, float] = {}


def find_seat(settings: Settings) -> Seat:
    """This node's, by the settings."""
    if not settings.nodes:
        return Seat()
    own = next(node for node in settings.nodes if node.id == settings.cluster.node)
    first = settings.nodes[0]
    return Seat(
        host=own.host,
        head=None if own is first else first.host,
        resources={options.node_resource(own.id): 1.0},
    )


def _fixed_ports(first: int) -> list[str]:
    """Where Ray listens beside its first port, if that is fixed: agents, node, workers."""
    if not first:
        return []
    named = (
        "object-manager-port",
        "node-manager-port",
        "dashboard-agent-listen-port",
        "dashboard-agent-grpc-port",
        "runtime-env-agent-port",
        "metrics-export-port",
    )
    words = [f"--{name}={port}" for port, name in enumerate(named, first + 1)]
    workers = first + 1 + len(named)
    return [*words, f"--min-worker-port={workers}", f"--max-worker-port={first + PORTS - 1}"]


def _kept(process: psutil.Process) -> Kept:
    started = find_start(process.pid) or 0
    return Kept(pid=process.pid, started=started, command=tuple(process.cmdline()))


def wanted_gcs(runtime: Path, command: tuple[str, ...]) -> Wanted:
    """How the GCS is started again: as it was."""
    return Wanted(role=GCS, command=command, environment=ray_environment(runtime))


def wanted_raylet(runtime: Path, command: tuple[str, ...]) -> Wanted:
    """How the raylet is started again: as another node at the same sockets."""
    environment = ray_environment(runtime)
    return Wanted(role=RAYLET, command=command, environment=environment, renew=renew_raylet)


def renew_raylet(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command of the raylet after this one, whose sockets are removed."""
    node = next(word for word in command if word.startswith(_NODE_ID)).removeprefix(_NODE_ID)
    for word in command:
        if word.startswith(_SOCKETS):
            Path(word.partition("=")[2]).unlink(missing_ok=True)
    fresh = secrets.token_hex(len(node) // 2)
    return tuple(word.replace(node, fresh) for word in command)


def ray_processes(runtime: Path) -> dict[str, psutil.Process]:
    """Ray's own processes of this deployment, by their kind."""
    found = {}
    session = str(runtime / "ray")
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if any(session in word for word in line):
            kind = next((k for k in _OURS if any(k in word for word in line[:3])), None)
            if kind is not None:
                found[kind] = process
    return found
