"""Which classes run as Ray actors, under which settings: the whole contract with Ray.

Ray places, names, watches and restarts; it is never asked while an order is on its way. The
settings are part of the program: they are given to every Ray process by the supervisor and
asserted inside every actor.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

RAY_ENVIRONMENT = {
    # The default of 15 costs up to a third of the saturation rate.
    "RAY_worker_niceness": "0",
    "RAY_worker_oom_score_adjustment": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    # By default all actors die 60 s after the GCS; so they trade on.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "3600",
    # A GCS that is started again knows its actors still.
    "RAY_gcs_storage": "rocksdb",
    # By default workers follow their raylet within a second. They trade on, fenced by their locks,
    # while the next raylet gets their successors, who wait.
    "RAY_raylet_death_check_interval_milliseconds": "2000000000",
    "RAY_health_check_period_ms": "300",
    "RAY_health_check_timeout_ms": "600",
    "RAY_health_check_failure_threshold": "3",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_DEDUP_LOGS": "0",
}

ACTOR = {
    # No task retries: a retry would repeat effects.
    "max_restarts": -1,
    "max_task_retries": 0,
    "num_cpus": 0,
    "lifetime": "detached",
}

NAMESPACE = "fillgate"


LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray then takes 127.0.0.1 for the node's address and listens there alone, on any system.

Otherwise it puts the machine's own address in its place and listens on all interfaces.
"""


def environment(runtime: Path) -> dict[str, str]:
    """The environment of every Ray process of a deployment."""
    return {
        **RAY_ENVIRONMENT,
        **({} if spans_machines(runtime) else LOOPBACK_ONLY),
        "RAY_AUTH_TOKEN_PATH": str(runtime / "ray.token"),
        "RAY_gcs_storage_path": str(runtime / "gcs"),
    }


def spans_machines(runtime: Path) -> bool:
    """Whether the deployment has several machines, as its supervisor notes here."""
    return (runtime / "nodes").exists()


def find_faults() -> list[str]:
    """Where this process is not under the settings above; each with what it should be."""
    faults = [
        f"{name} is {os.environ.get(name)!r}, must be {value!r}"
        for name, value in RAY_ENVIRONMENT.items()
        if os.environ.get(name) != value
    ]
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    parents = os.getpriority(os.PRIO_PROCESS, os.getppid())
    if niceness > parents:
        faults.append(f"niceness is {niceness}, must be that of the raylet, {parents}")
    adjusted = int(Path("/proc/self/oom_score_adj").read_text())
    if adjusted > 0:
        faults.append(f"oom_score_adj is {adjusted}, must be 0 or below")
    return faults


def spawn(ray: Any, host: type, name: str, home: str) -> Any:
    """Starts (or finds) a host by its name, on the node that it names. Raises what Ray raises."""
    node = node_of(name)
    where = {"resources": {node_resource(node): 0.001}} if node else {}
    named = ray.remote(**ACTOR)(host).options(
        name=name, namespace=NAMESPACE, get_if_exists=True, **where
    )
    return named.remote(role_of(name), home)


def host_name(role: str, number: int, node: str = "") -> str:
    """The name of a role's host; all hosts of a role are alike, and one of them has the role."""
    return f"{role}.{number}@{node}" if node else f"{role}.{number}"


def role_of(name: str) -> str:
    """The role that a host is for."""
    return name.partition("@")[0].rpartition(".")[0]


def node_of(name: str) -> str:
    """The node that a host is on; empty where there is one alone."""
    return name.partition("@")[2]


def node_resource(node: str) -> str:
    """What Ray calls a node of ours, to place actors on it."""
    return f"fillgate-{node}"
