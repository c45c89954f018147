"""Spawns the actors of a deployment on its Ray cluster, then leaves: they live without it."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

import ray

from actors import options
from actors.host import ActorHost
from actors.paths import Paths
from actors.roles import roles
from actors.settings import Settings, load


def deploy(home: Path, address: str) -> dict[str, int]:
    """The pids of all hosts, started or found. Raises what Ray raises."""
    settings = load(Paths(home).settings)
    connect(address)
    handles = [options.spawn(ray, ActorHost, name, str(home)) for name in wanted_hosts(settings)]
    statuses = ray.get([handle.status.remote() for handle in handles], timeout=60)
    return {status["role"]: status["pid"] for status in statuses}


def connect(address: str) -> None:
    """Joins the cluster, under the settings of actors/options.py."""
    ray.init(
        address=address, namespace=options.NAMESPACE, log_to_driver=False, configure_logging=False
    )


def wanted_hosts(settings: Settings) -> list[str]:
    """The names of all hosts: those there are, and as many more as each role lacks."""
    found = found_hosts()
    return [
        name
        for role in roles(settings)
        for name in complete(role, found, 1 + settings.deployment.standbys, settings.cluster.node)
    ]


def found_hosts() -> list[str]:
    """The names of the hosts there are."""
    return [str(name) for name in ray.util.list_named_actors()]


def complete(role: str, found: list[str], wanted: int, node: str = "") -> list[str]:
    """The role's hosts on this node, filled up with free names to the number wanted."""
    names = [
        name for name in found if (options.role_of(name), options.node_of(name)) == (role, node)
    ]
    every = (options.host_name(role, number, node) for number in count())
    free = (name for name in every if name not in names)
    return names + [next(free) for _ in range(wanted - len(names))]


if __name__ == "__main__":
    deploy(Path(sys.argv[1]), sys.argv[2])
