"""How often a role's process was started again of late: too often is quarantine.

Ray restarts an actor without a limit of its own. So whoever takes a role notes it in a file
under the runtime folder, and an end that was asked for is noted, too: what is still noted as
running when the next one starts has crashed, or was killed.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

WINDOW_NS = 60_000_000_000
KEPT_MAX = 1_000


class Starts(Struct, kw_only=True):
    """What the file says: whether one runs, and when each restart was (boot clock)."""

    is_running: bool = False
    restarts_ns: list[int] = []


def note_start(path: Path, now_ns: int) -> int:
    """Notes that a process takes the role; how many restarts there were within the window."""
    found = _read(path)
    recent = [at for at in found.restarts_ns if 0 <= now_ns - at <= WINDOW_NS]
    if found.is_running:
        recent.append(now_ns)
    _write(path, Starts(is_running=True, restarts_ns=recent[-KEPT_MAX:]))
    return len(recent)


def note_end(path: Path) -> None:
    """Notes that the process ends because it was asked to."""
    found = _read(path)
    found.is_running = False
    _write(path, found)


def _read(path: Path) -> Starts:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Starts)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Starts()


def _write(path: Path, starts: Starts) -> None:
    partial = path.with_suffix(".starts.partial")
    partial.write_bytes(msgspec.json.encode(starts))
    partial.rename(path)
