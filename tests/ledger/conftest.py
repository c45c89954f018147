"""The two backends of the journal, and both databases that a store can live in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, make_url

from ledger.store_database import Database, find_url
from tests.ledger.journal_backends import Backend, LocalBackend, PostgresBackend
from tests.postgres_server import PostgresServer, fresh_schema

_numbers = count(1)


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


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """An empty database of its own."""
    if request.param == "sqlite":
        return find_url(None, tmp_path / "store" / "store.sqlite")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"store_{next(_numbers)}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return find_url(make_url(server.url()).set(database=name).render_as_string(), tmp_path)


@pytest.fixture
def database(store_url: URL) -> Iterator[Database]:
    """The same, open."""
    made = Database(store_url)
    yield made
    made.close()
