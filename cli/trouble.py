"""What went wrong, as one clear sentence with its fix: no traceback ever reaches a user."""

from __future__ import annotations

import errno
import os
import secrets
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from actors.backups import BackupError
from actors.cluster import ClusterError
from actors.settings import SettingsError
from actors.supervisor import AlreadyRunning, StartFailed
from gateway.tokens import TokenError
from ledger.audit_log import AuditError
from ledger.faults import JournalError
from ledger.store_faults import StoreError

FAILED = 1
USAGE = 2
LOG_BYTES_MAX = 4 * 1024 * 1024


class Trouble(Exception):
    """A known trouble. `fix` is what to do about it; `code` a word for programs."""

    def __init__(self, message: str, fix: str = "", code: str = "failed") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.code = code


Explain = Callable[[Exception], Trouble]


def _settings(trouble: Exception) -> Trouble:
    assert isinstance(trouble, SettingsError)
    lines = "\n".join(f"  - {fault}" for fault in trouble.faults)
    fix = "correct them in fillgate.toml; deploy/fillgate.example.toml explains every key"
    return Trouble(f"the settings cannot be used:\n{lines}", fix, "settings")


def _already_running(trouble: Exception) -> Trouble:
    return Trouble(str(trouble), "use that one, or stop it with Ctrl-C", "already_running")


def _not_started(trouble: Exception) -> Trouble:
    return Trouble(str(trouble), "run `fillgate doctor`, then look into that log", "start_failed")


def _cluster(trouble: Exception) -> Trouble:
    lines = str(trouble).strip().splitlines() or ["no reason given"]
    return Trouble(f"Ray did not start: {lines[-1]}", "run `fillgate doctor`", "ray")


def _os_error(trouble: Exception) -> Trouble:
    assert isinstance(trouble, OSError)
    where = f": {trouble.filename}" if trouble.filename else ""
    fix = _OS_FIXES.get(trouble.errno or 0, "")
    return Trouble(f"{trouble.strerror or trouble}{where}", fix, "os")


_OS_FIXES = {
    errno.EADDRINUSE: "another program has the port; choose one in fillgate.toml, [deployment]",
    errno.EACCES: "run as the user who owns the deployment, or choose another --home",
    errno.EPERM: "run as the user who owns the deployment, or choose another --home",
    errno.ENOSPC: "free some disk space",
    errno.EROFS: "choose a --home on a disk that can be written",
    errno.ENOENT: "check the path",
    errno.ECONNREFUSED: "start the deployment with `fillgate up`",
}

KNOWN: tuple[tuple[type[Exception], Explain], ...] = (
    (SettingsError, _settings),
    (AlreadyRunning, _already_running),
    (StartFailed, _not_started),
    (ClusterError, _cluster),
    (JournalError, lambda trouble: Trouble(str(trouble), code="journal")),
    (AuditError, lambda trouble: Trouble(str(trouble), code="audit")),
    (StoreError, lambda trouble: Trouble(str(trouble), code="store")),
    (BackupError, lambda trouble: Trouble(str(trouble), code="backup")),
    (TokenError, lambda trouble: Trouble(str(trouble), code="token")),
    (OSError, _os_error),
)


def explain(trouble: Exception) -> Trouble | None:
    """The trouble in plain words, or None where it is not a known one."""
    if isinstance(trouble, Trouble):
        return trouble
    if isinstance(trouble, ExceptionGroup):
        found = [explain(inner) for inner in trouble.exceptions]
        return found[0] if found and all(found) else None
    for kind, describe in KNOWN:
        if isinstance(trouble, kind):
            return describe(trouble)
    return None


def write_down(trouble: Exception, log: Path) -> Trouble:
    """Logs what nobody foresaw, and returns the sentence that names the log entry."""
    reference = secrets.token_hex(4)
    text = "".join(traceback.format_exception(trouble))
    entry = f"--- {datetime.now(UTC).isoformat()} reference {reference}\n{text}"
    where = f"{log}, reference {reference}"
    try:
        _append(log, entry)
    except OSError:
        where = f"no log could be written; reference {reference}"
    what = f"this should not have happened: {type(trouble).__name__}"
    return Trouble(what, f"please report it with the log entry ({where})", "unexpected")


def _append(log: Path, entry: str) -> None:
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        flags |= os.O_TRUNC
    with os.fdopen(os.open(log, flags, 0o600), "a") as file:
        file.write(entry)
