"""Reading the PostgreSQL journal without holding it: replay, follow, verify.

Commits queue at the lease's row, so who sees a record sees all before it: numbers have no
holes, and what is seen is durable. Still every number, length and checksum is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from domain.records import Record
from ledger import snapshot
from ledger.codec import decode
from ledger.faults import JournalCorrupt, JournalError, JournalUnreachable
from ledger.follower import READ_RECORDS
from ledger.postgres import Database, Session
from ledger.reader import PROGRESS_RECORDS, Progress
from ledger.segment import Frame, read_frame
from ledger.snapshot import Snapshot
from ledger.verification import JournalReport

PAGE_RECORDS = 500
FAULTS_MAX = 100

Row = tuple[int, bytes]

_PAGE = "SELECT number, frame FROM {record} WHERE number > %s ORDER BY number LIMIT %s"
_LAST = "SELECT last FROM {lease}"
_NEWEST = "SELECT coalesce(max(number), 0) FROM {snapshot}"
_SNAPSHOTS = "SELECT number FROM {snapshot} ORDER BY number DESC"
_STATE = "SELECT state FROM {snapshot} WHERE number = %s"
_HOLDER = """
    SELECT pid, host FROM {lease} WHERE EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND objsubid = 2
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid = {name}::regclass::oid AND objid::bigint = fence
    )
"""


class PostgresReader:
    """Reads beside a running writer; holds nothing and changes nothing."""

    def __init__(self, database: Database, deployment_id: str | None = None) -> None:
        self._database = database
        self._deployment_id = deployment_id

    def check(self) -> str:
        """Whose journal it is. Raises JournalError where there is none, or not ours."""
        with self._session():
            return self._owner

    def follow(self, after: int = 0) -> PostgresFollower:
        """Reads on from record `after` as the journal grows. Raises JournalError."""
        return PostgresFollower(self._database, after, self._deployment_id)

    def replay(self, after: int = 0, on_progress: Progress | None = None) -> Iterator[Record]:
        """The records there are now after number `after`. Raises JournalError."""
        with self._session() as session:
            last = last_of(self._database, session)
        return replay(self._database, after, last, on_progress)

    def last(self) -> int:
        """The number of the last record there is now. Raises JournalError."""
        with self._session() as session:
            return last_of(self._database, session)

    def snapshots(self) -> Iterator[Snapshot]:
        """Valid snapshots, newest first."""
        with self._session() as session:
            for number in self._numbers(session):
                found = self._snapshot(session, number)
                if found is not None:
                    yield found

    def holder(self) -> tuple[int, str] | None:
        """The process that holds the journal, and its host; None where nobody does."""
        query = self._database.text(_HOLDER, name=f"{self._database.schema}.lease")
        with self._session() as session, self._database.faults():
            row = session.execute(query).fetchone()
        return (row[0], row[1]) if row else None

    def verify(self) -> JournalReport:
        """Reads every byte; lists faults and raises none."""
        try:
            with self._session() as session:
                return self._verify(session)
        except JournalError as fault:
            return JournalReport(faults=(str(fault),))

    def _verify(self, session: Session) -> JournalReport:
        faults: list[str] = []
        records = size = 0
        where, last = self._database.where, last_of(self._database, session)
        expected = 1
        while rows := page(self._database, session, expected - 1, PAGE_RECORDS):
            for number, frame in rows:
                try:
                    record_of(where, (number, frame), expected)
                except JournalError as fault:
                    faults.append(str(fault))
                records, size, expected = records + 1, size + len(frame), number + 1
            if len(faults) >= FAULTS_MAX or rows[-1][0] >= last:
                break
        if expected <= last and not faults:
            faults.append(str(JournalCorrupt(where, 0, expected, f"gone; it must go on to {last}")))
        faults += [
            f"snapshot {number}: damaged; it can be removed, an older one serves"
            for number in self._numbers(session)
            if self._snapshot(session, number) is None
        ]
        return JournalReport(
            deployment_id=self._owner,
            records=records,
            bytes=size,
            first=1,
            last=expected - 1,
            faults=tuple(faults[:FAULTS_MAX]),
        )

    def _numbers(self, session: Session) -> list[int]:
        with self._database.faults():
            return [row[0] for row in session.execute(self._database.text(_SNAPSHOTS))]

    def _snapshot(self, session: Session, number: int) -> Snapshot | None:
        with self._database.faults():
            cursor = session.execute(self._database.text(_STATE), (number,), binary=True)
            row = cursor.fetchone()
        return snapshot.decode(bytes(row[0]), self._owner) if row else None

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._database.connect("reader", "any") as session:
            self._owner = self._database.check_owner(session, self._deployment_id)
            yield session


class PostgresFollower:
    """A cursor. `position` is the last record it has given. It never waits: poll it."""

    def __init__(self, database: Database, after: int, deployment_id: str | None) -> None:
        """Finds the place after record `after`. Raises JournalError, also where it is not there."""
        self._database = database
        self._deployment_id = deployment_id
        self._session: Session | None = None
        self.position = after
        last = last_of(database, self._connected())
        if last < after:
            self.close()
            what = f"the reader has seen record {after}, but the journal ends before it"
            raise JournalCorrupt(database.where, 0, after, what)

    def read(self, limit: int = READ_RECORDS) -> list[Record]:
        """The next records, at most `limit`; none where there are no more yet.

        Raises JournalUnreachable while the server is away; a later read goes on.
        """
        try:
            rows = page(self._database, self._connected(), self.position, limit)
        except JournalUnreachable:
            self.close()
            raise
        where, first = self._database.where, self.position + 1
        records = [record_of(where, row, number) for number, row in enumerate(rows, first)]
        self.position += len(records)
        return records

    def close(self) -> None:
        """Ends the reading; twice does no harm."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _connected(self) -> Session:
        if self._session is None:
            session = self._database.connect("follower", "any")
            try:
                self._database.check_owner(session, self._deployment_id)
            except JournalError:
                session.close()
                raise
            self._session = session
        return self._session


def replay(
    database: Database, after: int, last: int, on_progress: Progress | None = None
) -> Iterator[Record]:
    """Records `after` + 1 to `last`, in a session of its own. Raises JournalError."""
    with database.connect("replay", "any") as session:
        for record in _replay(database, session, after, last):
            if on_progress is not None and record.number % PROGRESS_RECORDS == 0:
                on_progress(record.number, last)
            yield record
    if on_progress is not None:
        on_progress(last, last)


def _replay(database: Database, session: Session, after: int, last: int) -> Iterator[Record]:
    number = after
    while number < last:
        rows = page(database, session, number, min(PAGE_RECORDS, last - number))
        if not rows:
            what = f"gone; it must go on to {last}"
            raise JournalCorrupt(database.where, 0, number + 1, what)
        for row in rows:
            number += 1
            yield record_of(database.where, row, number)


def page(database: Database, session: Session, after: int, limit: int) -> list[Row]:
    """The rows of the next records. Raises JournalError."""
    with database.faults():
        cursor = session.execute(database.text(_PAGE), (after, limit), binary=True)
        return [(row[0], bytes(row[1])) for row in cursor]


def last_of(database: Database, session: Session) -> int:
    """The last record's number, 0 where there is none; no snapshot may know of more."""
    with database.faults():
        row = session.execute(database.text(_LAST)).fetchone()
        newest = session.execute(database.text(_NEWEST)).fetchone()
    assert row is not None
    assert newest is not None
    last = int(row[0])
    if newest[0] > last:
        what = f"gone, though a snapshot was taken after record {newest[0]}"
        raise JournalCorrupt(database.where, 0, last + 1, what)
    return last


def record_of(where: str, row: Row, expected: int) -> Record:
    """The record in a row. Raises JournalCorrupt, JournalTooNew."""
    number, data = row
    if number != expected:
        raise JournalCorrupt(where, 0, expected, f"gone; the next one there is {number}")
    frame: Frame | None = read_frame(data, 0)
    if frame is None or frame[0] != number or frame[4] != len(data):
        raise JournalCorrupt(where, 0, number, "damaged")
    _, schema, _, start, end = frame
    return decode(data[start:end], schema, number, where)
