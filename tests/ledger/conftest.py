"""The two backends, for every story that speaks of the interface alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ledger.journal_backends import Backend, LocalBackend, PostgresBackend
from tests.postgres_server import PostgresServer, fresh_schema


@pytest.fixture(params=["local", "postgres"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A place for a journal; nothing is there yet."""
    if request.param == "local":
        return LocalBackend(tmp_path / "journal")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return PostgresBackend(server, fresh_schema())


@pytest.fixture
def stored(postgres_server: PostgresServer) -> PostgresBackend:
    """A place in PostgreSQL."""
    return PostgresBackend(postgres_server, fresh_schema())
