"""A real PostgreSQL for a bench or a test: its own data, its own socket, gone at the end.

It listens on a Unix socket in a short temporary folder only. The server refuses to run as root,
so for root it runs as the user that Debian's package makes.
"""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

SERVER_USER = "postgres"
START_S = 30.0
ROLE = "fillgate"


class NoServer(Exception):
    """There is no server binary on this machine."""


def find_programs() -> Path | None:
    """The folder of the newest server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    if not found and on_path is not None:
        found.append(Path(on_path).resolve())
    return found[-1].parent if found else None


class PostgresServer:
    """One server process and its data."""

    def __init__(self, programs: Path, folder: Path, *settings: str) -> None:
        self._programs = programs
        self._settings = settings
        self.folder = folder
        self.log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(folder, SERVER_USER, SERVER_USER)
        words = ("-A", "trust", "-U", ROLE, "-E", "UTF8", "--no-locale", "--no-sync")
        _run(self._as_server("initdb", "-D", f"{folder}/data", *words))

    def url(self, database: str = "postgres", **words: str) -> str:
        """Where its databases are, by its socket."""
        given = "&".join(
            f"{name}={word}" for name, word in {"host": str(self.folder), **words}.items()
        )
        return f"postgresql:///{database}?user={ROLE}&{given}"

    @property
    def socket(self) -> Path:
        """For a proxy to talk to."""
        return self.folder / ".s.PGSQL.5432"

    def start(self) -> None:
        """Until it answers."""
        words = [word for setting in self._settings for word in ("-c", setting)]
        command = self._as_server(
            "postgres", "-D", f"{self.folder}/data", "-k", str(self.folder),
            "-c", "listen_addresses=", "-c", "max_connections=60", *words,
        )  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - ours
        deadline = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.url()).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends it: SIGINT is a fast shutdown, SIGQUIT an immediate one, as if by a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_S)
            self._process = None

    def crash(self) -> None:
        """An immediate end and a start that recovers, as `pg_ctl restart -m immediate`."""
        self.stop(signal.SIGQUIT)
        self.start()

    @contextlib.contextmanager
    def standby(self) -> Iterator[PostgresServer]:
        """Another server that follows this one by streaming replication; it is caught up."""
        folder = Path(tempfile.mkdtemp(prefix="fgpg-"))
        if os.geteuid() == 0:
            shutil.chown(folder, SERVER_USER, SERVER_USER)
        other = copy.copy(self)
        other.folder, other.log, other._process = folder, folder / "server.log", None
        words = ("-R", "-X", "stream", "-c", "fast", "-h", str(self.folder), "-U", ROLE)
        copying = self._as_server("pg_basebackup", "-D", f"{folder}/data", *words)
        try:
            _run(copying)
            other.start()
            yield other
        finally:
            other.stop(signal.SIGQUIT)
            shutil.rmtree(folder, ignore_errors=True)

    def promote(self) -> None:
        """Makes a standby the primary."""
        self.execute("SELECT pg_promote()")

    def execute(self, query: str, *words: object) -> list[tuple[Any, ...]]:
        """As its superuser; rows where there are any."""
        with psycopg.connect(self.url(), autocommit=True) as session:
            cursor = session.execute(query, words or None)
            return cursor.fetchall() if cursor.description else []

    def _as_server(self, program: str, *words: str) -> list[str]:
        command = [str(self._programs / program), *words]
        # The server ends with us, whatever ends us.
        identity = ["setpriv", "--pdeathsig", "INT"]
        if os.geteuid() == 0:
            identity += [f"--reuid={SERVER_USER}", f"--regid={SERVER_USER}", "--clear-groups"]
        return [*identity, *command]


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - the server's own


@contextlib.contextmanager
def postgres(*settings: str) -> Iterator[PostgresServer]:
    """A server, running; removed at the end. Raises NoServer."""
    programs = find_programs()
    if programs is None:
        raise NoServer("no PostgreSQL server binary here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="fgpg-"))
    server = PostgresServer(programs, folder, *settings)
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def journal_url(where: str) -> Iterator[str | None]:
    """What `--journal` means: None for `local`; `postgres` is a server for the bench alone."""
    if where == "local":
        yield None
    elif where == "postgres":
        with postgres() as server:
            yield server.url()
    else:
        yield where
