"""Spawns the actors of a deployment on its Ray cluster, then leaves: they live without it."""

from __future__ import annotations

import sys
from pathlib import Path

import ray

from actors import options
from actors.host import ActorHost
from actors.paths import Paths
from actors.roles import roles
from actors.settings import load


def deploy(home: Path, address: str) -> dict[str, int]:
    """The pids of all actors, started or found. Raises what Ray raises."""
    settings = load(Paths(home).settings)
    ray.init(
        address=address, namespace=options.NAMESPACE, log_to_driver=False, configure_logging=False
    )
    handles = [options.spawn(ray, ActorHost, role, str(home)) for role in roles(settings)]
    statuses = ray.get([handle.status.remote() for handle in handles], timeout=60)
    return {status["role"]: status["pid"] for status in statuses}


if __name__ == "__main__":
    deploy(Path(sys.argv[1]), sys.argv[2])
