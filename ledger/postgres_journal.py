"""The journal in PostgreSQL: what lets a router move to another machine.

A commit is one statement and one round trip on the router's loop, as the local one's fdatasync
is: it raises the lease's `last`, if fence and `last` are what we know, and adds the records. The
database itself thereby refuses a deposed holder, a hole, and a record twice.

A commit whose answer is lost is never said again on a guess. In a new session the lease is taken
once more from ourselves, which waits for the old session's transaction if it has come so far,
and makes it void if it has not. Then `last` tells: the records are there, or can never be. In
the second case they are written again and nobody learns of it. A server that stays away longer
than `patience_ms` is JournalFailed, and `settle` goes on looking; another holder, or a `last` that
knows less than we were told, is JournalLost.

Backend of the same interface as the local one (journal.py); docs/decisions/0010 says why so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg

from domain.records import Record
from ledger import snapshot
from ledger.codec import encode
from ledger.faults import (
    JournalCorrupt,
    JournalError,
    JournalFailed,
    JournalFull,
    JournalLocked,
    JournalLost,
    JournalUnreachable,
)
from ledger.journal import JournalSettings
from ledger.postgres import Database, Session
from ledger.postgres_commit import Commits, InDoubt
from ledger.postgres_lease import Held, Lease
from ledger.postgres_reader import PostgresReader, last_of, replay
from ledger.reader import Progress
from ledger.segment import encode_frame
from ledger.snapshot import Snapshot

RETRY_S = 0.05

_KEEP = """
    INSERT INTO {snapshot} (number, state) VALUES (%s, %s)
    ON CONFLICT (number) DO UPDATE SET state = excluded.state
"""
_PRUNE = """
    DELETE FROM {snapshot} WHERE number NOT IN (
        SELECT number FROM {snapshot} ORDER BY number DESC LIMIT %s
    )
"""


def keep_snapshot(database: Database, deployment_id: str, taken: Snapshot, kept: int) -> None:
    """Writes a snapshot and removes all but the newest. Raises OSError."""
    data = snapshot.encode(deployment_id, taken)
    try:
        with database.connect("snapshot") as session, database.faults():
            session.execute(database.text(_KEEP), (taken.number, data))
            session.execute(database.text(_PRUNE), (kept,))
    except JournalError as error:
        raise OSError(str(error)) from error


class PostgresJournal:
    """One holder's journal; the head of this file explains it."""

    def __init__(
        self, database: Database, deployment_id: str, settings: JournalSettings | None = None
    ) -> None:
        """Takes the lease. Raises JournalError."""
        self._database = database
        self._deployment_id = deployment_id
        self._settings = settings or JournalSettings()
        self.is_remote = True
        self._lease = Lease(database, deployment_id, self._settings.lease_ms)
        self._frames: list[bytes] = []
        self._doubt: str | None = None
        self._is_closed = False
        self._fence = 0
        self._session: Session | None = None
        try:
            session = self._session = self._connect()
            self._enter(session, self._lease.take(session))
            self.last = self.durable = last_of(database, session)
        except BaseException:
            self.close()
            raise

    def has_room(self) -> bool:
        """Always: how much room the server has is its own matter, and known at the commit."""
        return True

    def append(self, record: Record) -> None:
        """Adds record number `last` + 1 to the commit. Raises JournalFailed, RecordTooLarge."""
        self._check()
        assert record.number == self.last + 1
        frame = encode_frame(encode(record), record.number, self.durable, record.schema)
        self._frames.append(frame)
        self.last = record.number

    def commit(self) -> int:
        """Makes all appended records durable; returns the last one's number.

        Raises JournalFailed: they may be durable or not, until `settle`. Raises JournalFull where
        the server has no room: nothing was written and all of it is dropped.
        """
        self._check()
        if self._frames:
            self._end(self._write)
        return self.durable

    def settle(self) -> int:
        """Looks for the records in doubt in a new session, and writes them where they are not.

        Raises JournalFailed: still in doubt. Raises JournalFull like `commit`. Raises JournalLost
        where another process has the journal, or it knows less than we were told.
        """
        if self._is_closed or self._lease.is_lost:
            self._check()
        if self._doubt is not None:
            self._end(self._settle_and_write)
        return self.durable

    def replay(self, after: int = 0, on_progress: Progress | None = None) -> Iterator[Record]:
        """The durable records after a number. Raises JournalCorrupt, JournalTooNew."""
        return replay(self._database, after, self.durable, on_progress)

    def snapshots(self) -> Iterator[Snapshot]:
        """Valid snapshots, newest first."""
        return PostgresReader(self._database, self._deployment_id).snapshots()

    def write_snapshot(self, number: int, state: bytes) -> None:
        """Keeps the state as of a durable record, and the one before. Raises OSError."""
        assert number <= self.durable
        taken = Snapshot(number=number, state=state)
        kept = self._settings.snapshots_kept
        keep_snapshot(self._database, self._deployment_id, taken, kept)

    def close(self) -> None:
        """Gives the journal up; what was not committed is dropped. Twice does no harm."""
        self._is_closed = True
        self._lease.release(self._session, self._fence)
        self._leave()

    def _check(self) -> None:
        if self._is_closed or self._lease.is_lost:
            why = "it is closed" if self._is_closed else "another process has taken it over"
            raise JournalLost(f"the journal cannot be used: {why}; open it again")
        if self._doubt is not None:
            why = f"{self._doubt}; settle it or open it again"
            raise JournalFailed(f"the journal cannot be used: {why}")

    def _end(self, write: Callable[[], None]) -> None:
        # Set first: whatever interrupts us, an interrupt included, leaves us in doubt.
        self._doubt = "a commit did not end"
        try:
            write()
        except JournalFull:
            self._frames.clear()
            self.last, self._doubt = self.durable, None
            raise
        except (JournalLost, JournalCorrupt) as error:
            self._doubt = str(error)
            raise JournalLost(f"the journal could not be written: {error}") from error
        except JournalError as error:
            self._doubt = str(error)
            raise JournalFailed(f"the journal could not be written: {error}") from error
        self._frames.clear()
        self.durable, self._doubt = self.last, None

    def _settle_and_write(self) -> None:
        doubt = InDoubt(self._doubt or "")
        if not self._settle(doubt, time.monotonic() + self._settings.patience_ms / 1_000):
            self._write()

    def _write(self) -> None:
        """Until the records are there. Raises JournalError."""
        deadline = time.monotonic() + self._settings.patience_ms / 1_000
        while True:
            assert self._session is not None
            try:
                if not self._commits.commit(self._fence, self.durable, self._frames):
                    raise JournalLost("another process has taken it over; nothing was written")
                return
            except InDoubt as doubt:
                if self._settle(doubt, deadline):
                    return

    def _settle(self, doubt: InDoubt, deadline: float) -> bool:
        """Whether the records in doubt are there; where not, they never will be."""
        self._leave()
        why: Exception = doubt
        while time.monotonic() < deadline:
            try:
                return self._is_written()
            except (JournalUnreachable, JournalLocked) as error:
                why = error
            time.sleep(RETRY_S)
        raise JournalFailed(f"the end of a commit could not be learned: {why}")

    def _is_written(self) -> bool:
        session = self._connect()
        try:
            held = self._lease.retake(session)
            if held.last not in (self.durable, self.last):
                what = f"the server knows {held.last} records, we were told {self.durable}"
                raise JournalCorrupt(self._database.where, 0, held.last + 1, what)
            self._enter(session, held)
        except BaseException:
            session.close()
            raise
        return held.last == self.last

    def _connect(self) -> Session:
        session = self._database.connect("router")
        try:
            self._database.check_safety(session)
        except BaseException:
            session.close()
            raise
        return session

    def _enter(self, session: Session, held: Held) -> None:
        self._commits = Commits(self._database, session)
        self._session, self._fence = session, held.fence

    def _leave(self) -> None:
        if self._session is not None:
            with suppress(psycopg.Error):
                self._session.close()
            self._session = None
