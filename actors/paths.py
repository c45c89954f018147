"""Where a deployment keeps its things.

`home` holds what must last: settings, journal, tokens, send marks, paper books. `runtime` holds
sockets, locks, beacons and Ray's session; it is short, for socket paths end at 107 bytes,
private to the user, and may vanish at a reboot.
"""

from __future__ import annotations

import os
import tempfile
from hashlib import blake2b
from pathlib import Path

from msgspec import Struct


class Paths(Struct, frozen=True):
    """All paths of one deployment, from its home."""

    home: Path

    @property
    def settings(self) -> Path:
        """The settings file."""
        return self.home / "fillgate.toml"

    @property
    def journal(self) -> Path:
        """The journal's directory."""
        return self.home / "journal"

    @property
    def store(self) -> Path:
        """The ledger's store where that is SQLite's."""
        return self.home / "store" / "ledger.sqlite"

    @property
    def audit(self) -> Path:
        """The audit log's directory."""
        return self.home / "audit"

    @property
    def audit_heads(self) -> Path:
        """The audit log's heads, apart from it."""
        return self.home / "audit-heads.jsonl"

    @property
    def tokens(self) -> Path:
        """Bearer tokens, by hash."""
        return self.home / "tokens.json"

    @property
    def limits(self) -> Path:
        """Changes of limits, proposed and decided."""
        return self.home / "limits.json"

    @property
    def first_token(self) -> Path:
        """The token that `init` made for the first strategy, readable by its user alone."""
        return self.home / "first.token"

    @property
    def logs(self) -> Path:
        """One log file a process."""
        return self.home / "logs"

    @property
    def ready(self) -> Path:
        """What a running deployment tells about itself, as JSON."""
        return self.runtime / "ready.json"

    @property
    def runtime(self) -> Path:
        """Sockets, locks, beacons; the name is derived from the home."""
        name = blake2b(str(self.home.resolve()).encode(), digest_size=5).hexdigest()
        return Path(tempfile.gettempdir()) / f"fg-{name}"

    @property
    def kept(self) -> Path:
        """What a supervisor keeps, for its successor."""
        return self.runtime / "kept.json"

    @property
    def rolled(self) -> Path:
        """How the last rolling replacement went."""
        return self.runtime / "rolled.json"

    def marks(self, connection: str) -> Path:
        """The send marks of a login."""
        return self.home / "marks" / f"{connection}.marks"

    def book(self, simulator: str) -> Path:
        """The book of a paper broker."""
        return self.home / "paper" / f"{simulator}.json"

    def socket(self, role: str) -> Path:
        """The link of a role: `router`, `compliance`, `ledger`, `edge-0`, `connection-<id>`."""
        return self.runtime / f"{role}.sock"

    def place(self, role: str) -> Path:
        """The lock that makes one process the role's; others of it wait for it."""
        return self.runtime / f"{role}.place"

    @property
    def shard(self) -> Path:
        """The lock that a router holds while it has the journal: what trades is on this machine."""
        return self.runtime / "shard"

    def waiting(self, role: str, pid: int) -> Path:
        """There while the process waits for the role, ready to take it."""
        return self.runtime / f"{role}.waiting.{pid}"

    def starts(self, role: str) -> Path:
        """When the role's last processes started."""
        return self.runtime / f"{role}.starts"

    def control(self, role: str) -> Path:
        """Where the process that has the role can be asked to leave it."""
        return self.runtime / f"{role}.ctl.sock"

    def handles(self, role: str) -> Path:
        """Where an edge hands out the sockets that it listens on."""
        return self.runtime / f"{role}.handles"

    def beacon(self, role: str) -> Path:
        """The sign of life of a role."""
        return self.runtime / f"{role}.beacon"

    def figures(self, role: str) -> Path:
        """What a role last told of itself."""
        return self.runtime / f"{role}.figures"

    @property
    def metrics(self) -> Path:
        """The observer's page for Prometheus: all processes of this node."""
        return self.runtime / "metrics.prom"

    @property
    def observed(self) -> Path:
        """What the observer saw and judged last: everyone's figures, and the alarms."""
        return self.runtime / "observed.msgpack"

    @property
    def tickets(self) -> Path:
        """Tickets of browsers that wait to be used, by hash."""
        return self.runtime / "tickets"

    def make(self) -> None:
        """Creates the directories, for this user alone. Raises PermissionError on another's."""
        for path in (self.home, self.logs, self.home / "marks", self.home / "paper", self.runtime):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.runtime.stat().st_uid != os.getuid():
            raise PermissionError(f"{self.runtime} belongs to another user")


LEDGER_ROLE = "ledger"


def connection_role(connection: str) -> str:
    """The role name of a broker connection."""
    return f"connection-{connection}"
