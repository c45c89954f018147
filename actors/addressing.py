"""Says when every actor of a deployment answers over Ray: for a person, or after a GCS was away.

    python -m actors.addressing HOME ADDRESS

Waits for a line on standard input, asks each host by its name until all have answered, and
prints their pids and how long that took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import ray

from actors.deploy import complete, connect, found_hosts
from actors.paths import Paths
from actors.roles import roles
from actors.settings import load

ASK_S = 2.0
PAUSE_S = 0.05


def ask(home: Path, address: str, within_s: float) -> dict[str, int]:
    """The pid of every host that must be there, by name. Raises TimeoutError."""
    settings = load(Paths(home).settings)
    deadline = time.monotonic() + within_s
    while True:
        try:
            if not ray.is_initialized():
                connect(address)
            found = found_hosts()
            hosts, node = 1 + settings.deployment.standbys, settings.cluster.node
            names = [
                name for role in roles(settings) for name in complete(role, found, hosts, node)
            ]
            return {name: _pid(name) for name in names}
        except (ConnectionError, ValueError, ray.exceptions.RayError) as trouble:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not all actors answer: {trouble}") from trouble
            time.sleep(PAUSE_S)


def _pid(name: str) -> int:
    host: Any = ray.get_actor(name)
    return int(ray.get(host.status.remote(), timeout=ASK_S)["pid"])


def main(home: Path, address: str, within_s: float) -> None:
    """Asks once told to, and prints what it found."""
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    pids = ask(home, address, within_s)
    print(json.dumps({"pids": pids, "took_s": round(time.monotonic() - began, 3)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
