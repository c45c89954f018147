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


def environment(runtime: Path) -> dict[str, str]:
    """The environment of every Ray process of a deployment."""
    return {**RAY_ENVIRONMENT, "RAY_AUTH_TOKEN_PATH": str(runtime / "ray.token")}


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


def spawn(ray: Any, host: type, role: str, home: str) -> Any:
    """Starts (or finds) the actor of a role by its name. Raises what Ray raises."""
    named = ray.remote(**ACTOR)(host).options(name=role, namespace=NAMESPACE, get_if_exists=True)
    return named.remote(role, home)
