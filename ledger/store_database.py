"""Where the relational store lives, and how to talk to it: SQLite by default, PostgreSQL by URL.

SQLite runs with a write-ahead log and synchronous=NORMAL: a power cut may take the last commits
back, whole ones only, and the store then stands at an older record and reads on from there.
The journal alone promises anything, so nothing is lost by that and nobody waits for a disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.exc import DBAPIError

from ledger.store_faults import StoreFailed
from ledger.store_tables import SCHEMA

CACHE_KIB = 32 * 1024
WAL_PAGES = 4_000
"""After so many pages (16 MiB) SQLite moves what was committed into the file itself."""
BUSY_MS = 10_000
READERS_MAX = 2

# For the whole process, and all of it wants the digits as they are.
sqlite3.register_adapter(Decimal, str)

_SQLITE = sqlite.dialect(paramstyle="qmark")
_POSTGRESQL = psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call]


def find_url(text: str | None, file: Path) -> URL:
    """The database of a URL; without one, SQLite in the file."""
    if text is None:
        return URL.create("sqlite", database=str(file))
    url = make_url(text)
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    return url


class Database:
    """One database: transactions that write, and snapshots to read from."""

    def __init__(self, url: URL) -> None:
        self.place = url.render_as_string(hide_password=True)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        if self.is_sqlite and url.database:
            Path(url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._writer = _engine(url, writes=True)
        self._reader = _engine(url, writes=False)

    def compile(self, statement: Any) -> tuple[str, tuple[str, ...]]:
        """The statement as its driver takes it for many rows, and the names of a row's values.

        By place and not by name: the driver would look for every name of every row again.
        """
        compiled = statement.compile(dialect=_SQLITE if self.is_sqlite else _POSTGRESQL)
        return str(compiled), tuple(compiled.positiontup)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction; all of it is kept, or nothing where it raises. Raises StoreFailed."""
        with self._failing(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One moment of the store, whatever is written meanwhile. Raises StoreFailed."""
        with self._failing(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as trouble:
            raise StoreFailed(self.place, str(trouble.orig).strip()) from trouble

    def close(self) -> None:
        """Ends all connections; twice does no harm."""
        self._writer.dispose()
        self._reader.dispose()


def _engine(url: URL, writes: bool) -> Engine:
    pool = {"pool_size": 1 if writes else READERS_MAX, "max_overflow": 0}
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, **pool)
        event.listen(engine, "connect", _prepare_sqlite)
        begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine
    level = "READ COMMITTED" if writes else "REPEATABLE READ"
    engine = create_engine(url, pool_pre_ping=True, isolation_level=level, **pool)
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver would begin transactions by itself, and not before every statement.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        f"busy_timeout={BUSY_MS}",
        f"cache_size=-{CACHE_KIB}",
        f"wal_autocheckpoint={WAL_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    was = connection.autocommit
    connection.autocommit = True
    connection.execute(f"SET search_path TO {SCHEMA}")
    # As with SQLite: the journal promises, the store follows.
    connection.execute("SET synchronous_commit TO off")
    connection.autocommit = was
