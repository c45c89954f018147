"""Processes of a deployment that nobody keeps: found by its folders, ended by pid."""

from __future__ import annotations

import contextlib
import ctypes
import os

import psutil

from actors.paths import Paths

PR_SET_CHILD_SUBREAPER = 36
STOP_S = 2.0
PARTS = frozenset(
    {
        "actors.bridge",
        "actors.edge",
        "actors.watchdog",
        "actors.observer.main",
        "actors.deploy",
        "actors.roll",
        "brokers.simulators.oanda",
        "brokers.simulators.alpaca",
    }
)
RAY_PARTS = ("gcs_server", "raylet", "dashboard.py", "monitor.py", "log_monitor.py")
RAY_WORKER = "ray::"
"""How Ray names a worker; only its environment says whose it is."""


def find_remains(paths: Paths) -> list[psutil.Process]:
    """Every process of the deployment but this one and those above it."""
    own = {psutil.Process().pid, *(parent.pid for parent in psutil.Process().parents())}
    folders = (str(paths.runtime), str(paths.home))
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid in own or not _is_part(process, folders):
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            family = (process, *process.children(recursive=True))
            found.update({one.pid: one for one in family})
    return list(found.values())


def _is_part(process: psutil.Process, folders: tuple[str, ...]) -> bool:
    try:
        line = process.cmdline()
        if line and line[0].startswith(RAY_WORKER):
            return process.environ().get("RAY_AUTH_TOKEN_PATH", "").startswith(folders[0])
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    is_ours = any(folder in word for folder in folders for word in line)
    return is_ours and any(word in PARTS or word.endswith(RAY_PARTS) for word in line)


def end(processes: list[psutil.Process]) -> None:
    """Ends them politely, then for good."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, STOP_S)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, STOP_S)


def become_subreaper() -> None:
    """Orphans below us become our children, so that they can be ended with us."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> None:
    """Takes leave of every orphan that became ours, so that none stays as a zombie."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
