"""Where the relational store lives, and how to talk to it: SQLite by default, PostgreSQL by URL.

SQLite runs with a write-ahead log and synchronous=NORMAL: a power cut may take the last commits
back, whole ones only, and the store then stands at an older record and reads on from there.
The journal alone promises anything, so nothing is lost by that and nobody waits for a disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from ledger.store_faults import StoreFailed
from ledger.store_tables import SCHEMA

CACHE_KIB = 32 * 1024
WAL_PAGES = 4_000
"""After so many pages (16 MiB) SQLite moves what was committed into the file itself."""
BUSY_MS = 10_000
READERS_MAX = 2


class StoreSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which database holds the store; without a URL, a SQLite file in the deployment's home.

    A URL with a password belongs into the environment variable that `url_env` names. One
    transaction takes `batch_records` at most, and waits `gather_ms` for more of them.
    """

    url: str | None = None
    url_env: str | None = None
    batch_records: Annotated[int, Meta(ge=1, le=10_000)] = 500
    gather_ms: Annotated[int, Meta(ge=0, le=1_000)] = 50


def find_faults(settings: StoreSettings) -> list[str]:
    """What is wrong with the settings, each with its fix."""
    if settings.url is not None and settings.url_env is not None:
        return ["[store]: url and url_env are both set; keep one of them"]
    if settings.url_env is not None and not os.environ.get(settings.url_env):
        return [f"[store]: environment variable {settings.url_env} is not set"]
    text = settings.url or os.environ.get(settings.url_env or "", "")
    if not text:
        return []
    try:
        url = make_url(text)
    except ArgumentError:
        return ["[store]: the URL cannot be read; it looks like postgresql://user@host/database"]
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        kind = url.get_backend_name()
        return [f"[store]: {kind} is not supported; use sqlite:///file or postgresql://..."]
    if settings.url is not None and url.password is not None:
        return ["[store] url: holds a password; put the URL into the environment, see url_env"]
    return []


def find_url(settings: StoreSettings, file: Path) -> URL:
    """The database of the settings; `file` is where SQLite keeps it by default."""
    text = settings.url or os.environ.get(settings.url_env or "", "")
    if not text:
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
