"""Whether Ray's ports are closed to other machines, as far as can be seen from this one."""

from __future__ import annotations

import os
import shutil
import subprocess

from actors.cluster import PORTS
from actors.settings import RaySettings
from actors.supervisor import Running
from cli.checks import Check, ok, warn

TABLES = ("iptables", "ip6tables")
LOOK_S = 5.0
SCRIPT = "deploy/close-ray-ports.sh"


def check_ray_ports(settings: RaySettings, running: Running | None) -> list[Check]:
    """A warning unless the rules that the script sets are in force."""
    name, first = "ray ports", settings.first_port
    if running is None:
        return [ok(name, "none open: not running")]
    if not first:
        fix = f"set first_port in fillgate.toml, [ray]; then, as root, {SCRIPT} FIRST_PORT"
        return [warn(name, "open to other machines, at any number", fix)]
    ports = f"{first} to {first + PORTS - 1}"
    if os.geteuid() != 0:
        fix = f"as root: {SCRIPT} {first}; and run this check as root to see it"
        return [warn(name, f"{ports}; only root can see whether they are closed", fix)]
    lacking = [table for table in TABLES if not _is_closed(table, first)]
    if lacking:
        fix = f"as root, at each boot: {SCRIPT} {first}"
        return [warn(name, f"{ports}, open to other machines ({', '.join(lacking)})", fix)]
    return [ok(name, f"{ports}, closed to other machines")]


def _is_closed(table: str, first: int) -> bool:
    if shutil.which(table) is None:
        return False
    rule = f"INPUT ! -i lo -p tcp --dport {first}:{first + PORTS - 1} -j DROP"
    done = subprocess.run(  # noqa: S603 - the machine's own firewall, asked alone
        [table, "-C", *rule.split()], capture_output=True, timeout=LOOK_S, check=False
    )
    return done.returncode == 0
