"""A node as the observer sees it: everyone's pages, and what can be seen of processes from outside.

A page counts while its process lives and the page is young. What a dead process left is not
shown: a gauge of the dead would be a lie, and a counter that starts anew is nothing new to
Prometheus.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

import psutil

from actors.beacon import boot_ns
from actors.cluster import ray_processes
from actors.figures import Figures, Published, read_figures
from actors.observer.metrics import Node
from actors.paths import LEDGER_ROLE, Paths
from actors.roles import edge_roles, roles
from actors.settings import Settings

OBSERVER_ROLE = "observer"
SUPERVISOR_ROLE = "supervisor"
RAY_ROLES = {"gcs_server": "ray-gcs", "raylet": "ray-raylet"}
RAY_EVERY_LOOKS = 10
"""To find processes by their command lines costs more than the rest of a look."""
AGE_NS_MAX = 5_000_000_000
STA_UNSYNC = 0x0040
STA_NANO = 0x2000
NS = 1_000_000_000


class NodeWatch:
    """Looks at a node again and again; restarts are counted from the first look on."""

    def __init__(self, paths: Paths, settings: Settings) -> None:
        self._paths = paths
        self._roles = [*roles(settings), *edge_roles(settings), "watchdog"]
        self._is_local = settings.journal.backend == "local"
        self._has_ray = settings.ray.address is None
        self._ray: dict[str, psutil.Process] = {}
        self._looks = 0
        self._pids: dict[str, int] = {}
        self._restarts = dict.fromkeys(self._roles, 0)

    def look(self) -> Node:
        """Everyone's figures now; a role that tells nothing still has its `fillgate_role_up`."""
        node = {role: self._look_at(role) for role in self._roles}
        supervisor = Figures()
        pid = _locked_by(self._paths.runtime / "supervisor.lock")
        supervisor.put("fillgate_role_up", int(pid is not None and _put_process(supervisor, pid)))
        node[SUPERVISOR_ROLE] = supervisor
        if self._has_ray:
            node |= self._look_at_ray()
        node[OBSERVER_ROLE] = self._look_at_machine()
        _put_process(node[OBSERVER_ROLE], os.getpid())
        _put_ledger_lag(node)
        return node

    def _look_at(self, role: str) -> Figures:
        page = read_figures(self._paths.figures(role))
        told = page.figures if page is not None and is_young(page) else Figures()
        is_up = page is not None and is_young(page) and _put_process(told, page.pid)
        if page is not None and is_up:
            before = self._pids.get(role, page.pid)
            self._restarts[role] += before != page.pid
            self._pids[role] = page.pid
        told = told if is_up else Figures()
        told.put("fillgate_role_up", int(is_up))
        told.put("fillgate_restarts_total", self._restarts[role])
        return told

    def _look_at_ray(self) -> Node:
        """Ray's own processes: no order passes them, but without them nobody is started again."""
        if self._looks % RAY_EVERY_LOOKS == 0 or not self._ray.keys() >= RAY_ROLES.keys():
            self._ray = ray_processes(self._paths.runtime)
        self._looks += 1
        node = {}
        for kind, role in RAY_ROLES.items():
            node[role] = told = Figures()
            process = self._ray.get(kind)
            is_up = process is not None and process.is_running() and _put_process(told, process.pid)
            told.put("fillgate_role_up", int(is_up))
        return node

    def _look_at_machine(self) -> Figures:
        told = Figures()
        if self._is_local:
            free = shutil.disk_usage(self._paths.journal).free
            told.put("fillgate_journal_free_bytes", free)
        _put_clock(told)
        return told


def is_young(page: Published) -> bool:
    """Whether its process laid the page lately."""
    return boot_ns() - page.at_ns <= AGE_NS_MAX


def _locked_by(path: Path) -> int | None:
    """The process whose number is in a lock file."""
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _put_process(told: Figures, pid: int) -> bool:
    """What the system says of a process; False where there is none."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            used = process.cpu_times()
            resident, is_dead = process.memory_info().rss, process.status() == psutil.STATUS_ZOMBIE
        files = process.num_fds()
    except psutil.Error:
        return False
    told.put("fillgate_process_resident_bytes", resident)
    told.put("fillgate_process_cpu_seconds_total", used.user + used.system)
    told.put("fillgate_process_open_files", files)
    return not is_dead


def _put_ledger_lag(node: Node) -> None:
    written = node["router"].values.get("fillgate_journal_records_total")
    laid_out = node[LEDGER_ROLE].values.get("fillgate_ledger_records_total")
    if written and laid_out:
        behind = max(0, int(written[""]) - int(laid_out[""]))
        node[OBSERVER_ROLE].put("fillgate_ledger_behind_records", behind)


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def _put_clock(told: Figures) -> None:
    """The kernel's word on its own clock; nothing where it gives none."""
    found = _Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(found)) < 0:
        return
    unit = NS if found.status & STA_NANO else 1_000_000
    told.put("fillgate_clock_synchronized", int(not found.status & STA_UNSYNC))
    told.put("fillgate_clock_offset_seconds", found.offset / unit)
    told.put("fillgate_clock_error_max_seconds", found.maxerror / 1_000_000)
