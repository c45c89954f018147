"""Whether Ray's ports are closed to other machines, as far as can be seen from this one."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import subprocess

import psutil

from actors.cluster import PORTS, ray_processes
from actors.paths import Paths
from actors.settings import RaySettings
from actors.supervisor import Running
from cli.checks import Check, ok, warn

TABLES = ("iptables", "ip6tables")
LOOK_S = 5.0
SCRIPT = "deploy/close-ray-ports.sh"


def check_ray_ports(paths: Paths, settings: RaySettings, running: Running | None) -> list[Check]:
    """A warning where Ray listens beyond loopback, unless the script's rules are in force."""
    name, first = "ray ports", settings.first_port
    if running is None:
        return [ok(name, "none open: not running")]
    outside = find_outside(paths)
    if not outside:
        return [ok(name, "on loopback alone")]
    if not first:
        fix = f"set first_port in fillgate.toml, [ray]; then, as root, {SCRIPT} FIRST_PORT"
        return [warn(name, f"open to other machines: {outside}", fix)]
    ports = f"{first} to {first + PORTS - 1}"
    if os.geteuid() != 0:
        fix = f"as root: {SCRIPT} {first}; and run this check as root to see it"
        return [warn(name, f"{ports}; only root can see whether they are closed", fix)]
    lacking = [table for table in TABLES if not _is_closed(table, first)]
    if lacking:
        fix = f"as root, at each boot: {SCRIPT} {first}"
        return [warn(name, f"{ports}, open to other machines ({', '.join(lacking)})", fix)]
    return [ok(name, f"{ports}, closed to other machines")]


def find_outside(paths: Paths) -> list[int]:
    """The ports of Ray's processes that other machines could reach."""
    found = set()
    for process in ray_processes(paths.runtime).values():
        with contextlib.suppress(psutil.Error):
            for one in (process, *process.children(recursive=True)):
                found.update(_outside_of(one))
    return sorted(found)


def _outside_of(process: psutil.Process) -> set[int]:
    return {
        socket.laddr.port
        for socket in process.net_connections(kind="tcp")
        if socket.status == psutil.CONN_LISTEN and not is_loopback(socket.laddr.ip)
    }


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach it; also where IPv4 stands within IPv6."""
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def _is_closed(table: str, first: int) -> bool:
    if shutil.which(table) is None:
        return False
    rule = f"INPUT ! -i lo -p tcp --dport {first}:{first + PORTS - 1} -j DROP"
    done = subprocess.run(  # noqa: S603 - the machine's own firewall, asked alone
        [table, "-C", *rule.split()], capture_output=True, timeout=LOOK_S, check=False
    )
    return done.returncode == 0
