"""The PostgreSQL server of the tests; a test that needs one is skipped where none can run."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

import pytest

from bench import postgres_server as real
from bench.postgres_server import ROLE, SERVER_USER, PostgresServer

__all__ = ["ROLE", "SERVER_USER", "PostgresServer", "fresh_schema", "postgres"]


@contextlib.contextmanager
def postgres(*settings: str) -> Iterator[PostgresServer]:
    """A server for one test, which may hurt it."""
    if real.find_programs() is None:
        pytest.skip("no PostgreSQL server binary here: apt-get install postgresql")
    with real.postgres(*settings) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all who do not hurt it; durable, as a real one is."""
    with postgres() as server:
        yield server


def fresh_schema() -> str:
    """A name no other test uses."""
    return f"j_{secrets.token_hex(4)}"
