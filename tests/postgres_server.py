"""A PostgreSQL server of the tests' own: on a Unix socket in a folder that is gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

INSTALLED = Path("/usr/lib/postgresql")
START_S = 30.0


def find_program(name: str) -> str | None:
    """The server's own programs are seldom on the path."""
    newest = sorted(INSTALLED.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return shutil.which(name) or next((str(path) for path in reversed(newest)), None)


def _as_server_user() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a running server's own database; skips where PostgreSQL is not installed."""
    initdb, server = find_program("initdb"), find_program("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed: nothing to run these tests against")
    folder = Path(tempfile.mkdtemp(prefix="fgpg-"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"
    made = [*_as_server_user(), initdb, "-D", str(data), "-U", "postgres", "-A", "trust", "-N"]
    subprocess.run(made, check=True, capture_output=True, cwd=folder)
    options = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off"}
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    running = subprocess.Popen(
        [*_as_server_user(), server, "-D", str(data), *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip
    url = f"postgresql://postgres@/postgres?host={folder}"
    try:
        _wait(url)
        yield url
    finally:
        running.terminate()
        running.wait(START_S)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.05)
