"""The journal's PostgreSQL: how it is reached, its tables, and what its errors mean to us.

    lease      one row: whose journal, who holds it, under which fence number, the last record
    record     number, and the frame exactly as a local segment would hold it (segment.py)
    snapshot   number, and the bytes exactly as a local snapshot file would hold them

Sessions go to the server itself: a pooler that shares them would share the holder's lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict

from ledger.faults import (
    JournalError,
    JournalExists,
    JournalFailed,
    JournalForeign,
    JournalFull,
    JournalLocked,
    JournalMissing,
    JournalTooNew,
    JournalUnreachable,
    JournalUnsafe,
)

FORMAT = 1
CONNECT_S = 2

Session = psycopg.Connection[tuple[Any, ...]]

_LINK = {
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
}
"""A host that went silent is given up within seconds; the URL may say otherwise."""

_TERMS = """
    SET statement_timeout = 0;
    SET lock_timeout = 0;
    SET idle_session_timeout = 0;
    SET jit = off;
    SET plan_cache_mode = force_generic_plan
"""

_TABLES = """
    CREATE TABLE {lease} (
        is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
        format integer NOT NULL,
        deployment text NOT NULL,
        last bigint NOT NULL DEFAULT 0,
        fence bigint NOT NULL DEFAULT 0,
        holder text NOT NULL DEFAULT '',
        pid integer NOT NULL DEFAULT 0,
        host text NOT NULL DEFAULT '',
        expires timestamptz NOT NULL DEFAULT '-infinity'
    );
    CREATE TABLE {record} (number bigint PRIMARY KEY, frame bytea NOT NULL);
    ALTER TABLE {record} ALTER frame SET STORAGE EXTERNAL, SET (toast_tuple_target = 8160);
    CREATE TABLE {snapshot} (number bigint PRIMARY KEY, state bytea NOT NULL);
    INSERT INTO {lease} (format, deployment) VALUES ({format}, {deployment})
"""
"""Frames stay in the row and uncompressed: a commit should not pay for either."""


class Database:
    """Where the tables are. The URL is a secret, and nothing here shows it."""

    def __init__(self, url: str, schema: str) -> None:
        """Raises JournalUnreachable where the URL cannot be read."""
        try:
            self._words = conninfo_to_dict(url)
        except psycopg.Error:
            # The error would quote the URL.
            raise JournalUnreachable("PostgreSQL", "its URL is malformed") from None
        self.schema = schema
        host = self._words.get("host") or "this machine"
        name = self._words.get("dbname") or self._words.get("user") or "the default database"
        self.where = f"schema {schema} of {name} at {host}"

    def __repr__(self) -> str:
        return f"Database({self.where})"

    def text(self, query: str, **words: Any) -> sql.Composed:
        """A query with our tables' names, and literals, in their places."""
        tables = {
            name: sql.Identifier(self.schema, name) for name in ("lease", "record", "snapshot")
        }
        literals = {name: sql.Literal(value) for name, value in words.items()}
        return sql.SQL(query).format(**tables, **literals)

    def connect(self, purpose: str, target: str = "read-write") -> Session:
        """A session of ours, commits of its own. Raises JournalUnreachable."""
        words: dict[str, Any] = {**_LINK, "target_session_attrs": target, **self._words}
        words["application_name"] = f"fillgate {purpose}"
        with self.faults():
            session = psycopg.connect(**words, autocommit=True)
            try:
                session.execute(_TERMS)
            except BaseException:
                session.close()
                raise
        return session

    def check_safety(self, session: Session) -> None:
        """Raises JournalUnsafe where an acknowledged commit could be lost by a crash."""
        for setting, good in (("synchronous_commit", ("on", "remote_apply")), ("fsync", ("on",))):
            with self.faults():
                row = session.execute("SELECT current_setting(%s)", (setting,)).fetchone()
            assert row is not None
            if row[0] not in good:
                raise JournalUnsafe(self.where, setting, row[0])

    def check_owner(self, session: Session, deployment_id: str | None) -> str:
        """Whose journal it is. Raises JournalMissing, JournalForeign, JournalTooNew."""
        with self.faults():
            row = session.execute(self.text("SELECT format, deployment FROM {lease}")).fetchone()
        return self.check_row(row, deployment_id)

    def check_row(self, row: tuple[Any, ...] | None, deployment_id: str | None) -> str:
        """The same for a row that begins with format and deployment."""
        if row is None:
            raise JournalMissing(self.where)
        if row[0] > FORMAT:
            raise JournalTooNew(self.where, 0, row[0], FORMAT)
        if deployment_id is not None and row[1] != deployment_id:
            raise JournalForeign(self.where, row[1], deployment_id)
        return str(row[1])

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turns what the driver raises into what is wrong with the journal."""
        try:
            yield
        except psycopg.Error as error:
            raise self.fault(error) from error

    def fault(self, error: psycopg.Error) -> JournalError:
        """What an error of a statement means."""
        why = error.diag.message_primary or str(error).strip() or "the connection was lost"
        match error:
            case errors.UndefinedTable() | errors.InvalidSchemaName():
                return JournalMissing(self.where)
            case errors.LockNotAvailable():
                return JournalLocked(self.where, None)
            case errors.DiskFull():
                return JournalFull(f"{self.where} has no room: {why}; free disk space there")
            case psycopg.OperationalError():
                return JournalUnreachable(self.where, why)
        if error.sqlstate is None:  # the server said nothing, so it is the link
            return JournalUnreachable(self.where, why)
        return JournalFailed(f"{self.where}: {why} ({error.sqlstate})")


def is_url(text: str) -> bool:
    """Whether the driver can read it."""
    try:
        return bool(conninfo_to_dict(text))
    except psycopg.Error:
        return False


def init(database: Database, deployment_id: str) -> None:
    """Makes the tables, all or none of them. Raises JournalExists, JournalUnreachable."""
    with database.connect("init") as session:
        database.check_safety(session)
        if exists(database, session):
            raise JournalExists(database.where)
        try:
            with database.faults(), session.transaction():
                _make_tables(database, session, deployment_id)
        except JournalFailed as fault:
            # Another init was faster: its tables are whole, for they came in one transaction.
            if exists(database, session):
                raise JournalExists(database.where) from fault
            raise


def exists(database: Database, session: Session) -> bool:
    """Whether there is a journal, whosesoever."""
    with database.faults():
        row = session.execute("SELECT to_regclass(%s)", (f"{database.schema}.lease",)).fetchone()
    return row is not None and row[0] is not None


def _make_tables(database: Database, session: Session, deployment_id: str) -> None:
    known = session.execute("SELECT FROM pg_namespace WHERE nspname = %s", (database.schema,))
    if known.fetchone() is None:  # a role without the right to make one may be given one
        session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(database.schema)))
    session.execute(database.text(_TABLES, format=FORMAT, deployment=deployment_id))
