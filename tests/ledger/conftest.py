"""Both databases that a store can live in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, make_url

from ledger.store_database import Database, find_url
from tests.postgres_server import postgres_url

__all__ = ["postgres_url"]

_numbers = count(1)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """An empty database of its own."""
    if request.param == "sqlite":
        return find_url(None, tmp_path / "store" / "store.sqlite")
    server = request.getfixturevalue("postgres_url")
    name = f"store_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return find_url(make_url(server).set(database=name).render_as_string(), tmp_path)


@pytest.fixture
def database(store_url: URL) -> Iterator[Database]:
    """The same, open."""
    made = Database(store_url)
    yield made
    made.close()
