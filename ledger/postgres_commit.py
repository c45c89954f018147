"""One commit's exchange with PostgreSQL: one statement, one round trip, three ways it can end.

Said over libpq itself, with a deadline of our own: a server that hangs, or a link cut without a
word, must not hold the router for ever. libpq tells of the end of a statement before the end of
its transaction, so only a whole exchange without an error counts as done.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Sequence

import psycopg
from psycopg import pq

from ledger.faults import JournalError
from ledger.postgres import Database, Session

ANSWER_S_MAX = 5.0
"""Far above any sync that ends; then the answer is looked for in another session."""

STATEMENT = b"commit"
BYTEA_OID = 17
GONE_CLASSES = ("25", "57")
"""SQLSTATE classes of a server that is going away, or is no longer the one to write to."""

_COMMIT = """
    WITH held AS (
        UPDATE {lease} SET last = last + cardinality($3::bytea[])
        WHERE fence = $1::bigint AND last = $2::bigint
        RETURNING true
    )
    INSERT INTO {record} (number, frame)
    SELECT $2::bigint + place, frame
    FROM held, unnest($3::bytea[]) WITH ORDINALITY AS given (frame, place)
"""
"""The update waits for the row and looks at it again: a fence raised meanwhile finds none."""


class InDoubt(Exception):
    """The exchange did not end: the records may be there, or come to be there later."""


class Commits:
    """The prepared commit of one session."""

    def __init__(self, database: Database, session: Session) -> None:
        self._database = database
        self._pgconn = session.pgconn
        query = database.text(_COMMIT).as_bytes(session)
        with database.faults():
            result = self._pgconn.prepare(STATEMENT, query)
            if result.status != pq.ExecStatus.COMMAND_OK:
                raise database.fault(_error_of(result))

    def commit(self, fence: int, last: int, frames: Sequence[bytes]) -> bool:
        """Adds the frames after record `last`; False where that is not ours to do any more.

        Raises InDoubt, or JournalError where the server refused it: then nothing was written.
        """
        given = [struct.pack(">q", fence), struct.pack(">q", last), _array(frames)]
        results = self._exchange(given, time.monotonic() + ANSWER_S_MAX)
        bad = [result for result in results if result.status != pq.ExecStatus.COMMAND_OK]
        if bad:
            raise self._judge(bad[0])
        if len(results) != 1 or self._pgconn.status != pq.ConnStatus.OK:
            raise InDoubt("the answer ended too soon")
        written = results[0].command_tuples
        assert written in (0, len(frames))
        return written == len(frames)

    def _exchange(self, given: list[bytes], deadline: float) -> list[pq.abc.PGresult]:
        pgconn = self._pgconn
        results: list[pq.abc.PGresult] = []
        try:
            pgconn.send_query_prepared(STATEMENT, given, [pq.Format.BINARY] * len(given))
            while pgconn.flush():
                self._await(select.POLLIN | select.POLLOUT, deadline)
                pgconn.consume_input()
            while True:
                while pgconn.is_busy():
                    self._await(select.POLLIN, deadline)
                    pgconn.consume_input()
                result = pgconn.get_result()
                if result is None:
                    return results
                results.append(result)
        except psycopg.Error as error:
            raise InDoubt(str(error).strip()) from error

    def _await(self, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(self._pgconn.socket, event)
        if not poll.poll(max(deadline - time.monotonic(), 0) * 1_000):
            raise InDoubt(f"no answer within {ANSWER_S_MAX} s")

    def _judge(self, result: pq.abc.PGresult) -> InDoubt | JournalError:
        """A plain error is the whole transaction's; one that ends the session proves nothing."""
        field = result.error_field
        state = (field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        is_plain = field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) == b"ERROR"
        error = _error_of(result)
        if is_plain and self._pgconn.status == pq.ConnStatus.OK and state[:2] not in GONE_CLASSES:
            return self._database.fault(error)
        return InDoubt(str(error).strip() or "the connection was lost")


def _error_of(result: pq.abc.PGresult) -> psycopg.Error:
    return psycopg.errors.error_from_result(result)


def _array(frames: Sequence[bytes]) -> bytes:
    """A bytea[] as PostgreSQL sends it: one dimension, no nulls, counted from 1."""
    parts = [struct.pack(">iiIii", 1, 0, BYTEA_OID, len(frames), 1)]
    for frame in frames:
        parts += (struct.pack(">i", len(frame)), frame)
    return b"".join(parts)
