"""Two machines on one: network namespaces with a cable between them. Needs root and iproute2."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

LISTENING = "0A"
"""A listening socket's state in /proc/net/tcp."""


class Machine(Struct, frozen=True):
    """One namespace and its address on the cable."""

    name: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """Words that run a command in it."""
        return ("ip", "netns", "exec", self.name)

    def run(self, *words: str, is_checked: bool = True) -> str:
        """Runs a command in it; what it says. Raises CalledProcessError."""
        return _run(*self.prefix, *words, is_checked=is_checked)

    def listening(self) -> set[int]:
        """Every TCP port that something listens on in it, on whichever address."""
        rows = self.run("cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
        found = [row.split() for row in rows if ":" in row]
        return {int(row[1].rpartition(":")[2], 16) for row in found if row[3] == LISTENING}


def find_lack() -> str | None:
    """What this machine lacks to make namespaces; None where nothing."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [program for program in ("ip", "iptables") if shutil.which(program) is None]
    return f"needs {' and '.join(missing)}" if missing else None


@contextlib.contextmanager
def two_machines() -> Iterator[tuple[Machine, Machine]]:
    """Two of them, connected; gone at the end."""
    mark = secrets.token_hex(3)
    net = f"10.{secrets.randbelow(200) + 20}.{secrets.randbelow(250)}"
    first = Machine(f"fg-{mark}-1", f"{net}.1")
    second = Machine(f"fg-{mark}-2", f"{net}.2")
    cables = (f"fg{mark}1", f"fg{mark}2")
    try:
        for machine in (first, second):
            _run("ip", "netns", "add", machine.name)
            machine.run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", cables[0], "type", "veth", "peer", "name", cables[1])
        for machine, cable in zip((first, second), cables, strict=True):
            _run("ip", "link", "set", cable, "netns", machine.name)
            machine.run("ip", "address", "add", f"{machine.address}/24", "dev", cable)
            machine.run("ip", "link", "set", cable, "up")
        yield first, second
    finally:
        for machine in (first, second):
            _run("ip", "netns", "delete", machine.name, is_checked=False)


def _run(*words: str, is_checked: bool = True) -> str:
    done = subprocess.run(  # noqa: S603 - the machine's own programs
        words, check=is_checked, capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    return done.stdout
