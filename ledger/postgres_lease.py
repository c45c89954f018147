"""Who may write the PostgreSQL journal: a fence number, a session's lock, and a lease.

The fence number alone keeps the journal right: each commit names it and goes in only while it
is the row's. Whoever takes over raises it under the row's lock, so that a commit of the old
holder is either in before or never.

Who may take over is a matter of patience alone. The holder's session has an advisory lock on
its fence number, which the server drops the moment the session ends: a holder killed is
replaced at once. A holder that is stopped, or cut off, keeps its session: it is replaced
when its lease has run out, by the server's clock, and some more. A thread renews the lease,
for a replay may be long and a quiet hour longer.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from secrets import token_hex
from threading import Event, Thread

from msgspec import Struct

from ledger.faults import JournalError, JournalLocked, JournalLost
from ledger.postgres import Database, Session

SKEW_MS = 1_000
"""How far the clock of a server that takes over from another may be ahead of it."""

RETAKE_LOCK_MS = 1_000
RAISES_MAX = 16

_ROW = """
    SELECT format, deployment, fence, last, holder, pid, host,
        expires < clock_timestamp() - {skew} * interval '1 ms'
    FROM {lease} FOR UPDATE
"""
_TAKE = """
    UPDATE {lease} SET fence = {fence}, holder = {holder}, pid = {pid}, host = {host},
        expires = clock_timestamp() + {lease_ms} * interval '1 ms'
    RETURNING fence, last
"""
_RENEW = """
    UPDATE {lease} SET expires = clock_timestamp() + {lease_ms} * interval '1 ms'
    WHERE holder = {holder}
"""
_LOCK = "SELECT pg_try_advisory_lock(%s::regclass::oid::integer, %s::integer)"
_IS_GONE = "SELECT pg_try_advisory_xact_lock(%s::regclass::oid::integer, %s::integer)"
_UNLOCK = "SELECT pg_advisory_unlock(%s::regclass::oid::integer, %s::integer)"


class Held(Struct, frozen=True):
    """What a holder gets: its fence number, and the number of the last record there is."""

    fence: int
    last: int


class Lease:
    """One holder's claim; `holder` is its own for ever, the fence number may rise under it."""

    def __init__(self, database: Database, deployment_id: str, lease_ms: int) -> None:
        self._database = database
        self._deployment_id = deployment_id
        self._lease_ms = lease_ms
        self.holder = token_hex(16)
        self._renewal: Renewal | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the renewal found another holder."""
        return self._renewal is not None and self._renewal.is_lost

    def take(self, session: Session) -> Held:
        """Becomes the holder. Raises JournalLocked, JournalMissing, JournalForeign."""
        with self._database.faults(), session.transaction():
            row = session.execute(self._database.text(_ROW + "NOWAIT", skew=SKEW_MS)).fetchone()
            self._database.check_row(row, self._deployment_id)
            assert row is not None
            fence, pid, host, is_expired = row[2], row[5], row[6], row[7]
            if not self._try_lock(session, _IS_GONE, fence) and not is_expired:
                raise JournalLocked(self._database.where, pid, host)
            held = self._raise_fence(session, fence)
        connect = partial(self._database.connect, "lease")
        self._renewal = Renewal(connect, self._renew, self._lease_ms / 4_000)
        self._renewal.start()
        return held

    def retake(self, session: Session) -> Held:
        """Goes on in a new session: what the old one may still say comes too late after this.

        Waits for a commit that is under way there. Raises JournalLost where another took over.
        """
        with self._database.faults(), session.transaction():
            session.execute(f"SET LOCAL lock_timeout = {RETAKE_LOCK_MS}")
            row = session.execute(self._database.text(_ROW, skew=SKEW_MS)).fetchone()
            self._database.check_row(row, self._deployment_id)
            assert row is not None
            if row[4] != self.holder:
                raise JournalLost(f"the journal was taken over by process {row[5]} on {row[6]}")
            return self._raise_fence(session, row[2])

    def release(self, session: Session | None, fence: int) -> None:
        """Lets the next one in without a wait; does its best."""
        if self._renewal is not None:
            self._renewal.stop()
        if session is not None:
            with suppress(JournalError), self._database.faults():
                self._try_lock(session, _UNLOCK, fence)

    def _raise_fence(self, session: Session, fence: int) -> Held:
        # A session that died half-way through this may still have the lock of a number or two.
        raised = range(fence + 1, fence + 1 + RAISES_MAX)
        free = next((number for number in raised if self._try_lock(session, _LOCK, number)), None)
        if free is None:
            raise JournalLocked(self._database.where, None)
        words = {
            "fence": free,
            "holder": self.holder,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "lease_ms": self._lease_ms,
        }
        row = session.execute(self._database.text(_TAKE, **words)).fetchone()
        assert row is not None
        return Held(*row)

    def _try_lock(self, session: Session, query: str, fence: int) -> bool:
        row = session.execute(query, (f"{self._database.schema}.lease", fence)).fetchone()
        return row is not None and bool(row[0])

    def _renew(self, session: Session) -> bool:
        """Whether we are still the holder."""
        query = self._database.text(_RENEW, holder=self.holder, lease_ms=self._lease_ms)
        with self._database.faults():
            # It need not be durable, and must not keep a commit waiting for the disk.
            session.execute("SET synchronous_commit = off")
            return session.execute(query).rowcount == 1


class Renewal(Thread):
    """Renews in a session of its own; a server that is away is tried again each turn."""

    def __init__(
        self, connect: Callable[[], Session], renew: Callable[[Session], bool], every_s: float
    ) -> None:
        super().__init__(name="journal-lease", daemon=True)
        self._connect = connect
        self._renew = renew
        self._every_s = every_s
        self._stopped = Event()
        self.is_lost = False

    def run(self) -> None:
        """Until stopped, or another holder is found."""
        session: Session | None = None
        while not self._stopped.wait(self._every_s) and not self.is_lost:
            try:
                session = session or self._connect()
                self.is_lost = not self._renew(session)
            except JournalError:
                _close(session)
                session = None
        _close(session)

    def stop(self) -> None:
        """Ends it; a renewal under way ends by itself."""
        self._stopped.set()


def _close(session: Session | None) -> None:
    if session is not None:
        session.close()
