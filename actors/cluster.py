"""Ray's own processes, started by hand: GCS and raylet, bound to this deployment's folder.

`ray start` puts them up and leaves; they become children of the supervisor (a subreaper), are
known by pid, and are ended by pid.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
from pathlib import Path

import psutil

from actors import options
from actors.settings import RaySettings

START_TIMEOUT_S = 60
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


async def start_ray(runtime: Path, settings: RaySettings) -> str:
    """Starts a head node and returns its address. Raises ClusterError."""
    port = free_port()
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head",
        f"--port={port}",
        "--node-ip-address=127.0.0.1",
        "--include-dashboard=false",
        "--include-log-monitor=false",
        "--no-monitor",
        "--disable-usage-stats",
        f"--num-cpus={settings.cpus}",
        f"--object-store-memory={settings.object_store_mib * 1024 * 1024}",
        f"--temp-dir={runtime / 'ray'}",
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
    return f"127.0.0.1:{port}"


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
