"""Writes batches down: on the loop while the disk is quick, beside it when it is not.

A quick commit costs less on the loop than any hand-over would (docs/decisions/0012). One that was
slow sends the next ones to a thread, for `CAREFUL_TIMES` as long as it took; the loop waits for
that thread a moment, and then turns on, with the batch under way. One that failed, or found no
room, goes there at once: the thread settles the doubt and writes until it is done, for what was
decided cannot be taken back and nobody has been told of it. Meanwhile, and for as long as there is
no room for more than the reserve, the desk takes on no new risk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

import structlog

from actors.beacon import Declared
from actors.router import refusals
from actors.router.desk import Desk
from actors.router.place import Place
from domain.audit import Retention
from domain.errors import ErrorInfo
from domain.records import Record, Settled
from domain.streams import NoticeKind
from ledger.faults import JournalError, JournalFull, JournalLost
from ledger.journal import Journal

SLOW_NS = 20_000_000
"""A commit that took longer is a sign of more to come."""

PATIENCE_S = 0.02
"""How long the loop waits for the thread."""

CAREFUL_TIMES = 100
"""So slow commits hold the loop for a hundredth of the time; a hiccup costs two seconds of care."""

CAREFUL_NS_MAX = 60_000_000_000
LATE_NS = 250_000_000
"""A batch under way for longer: no new risk. Orders would be stale soon (send-by)."""

CALM_NS = 1_000_000_000
"""Without trouble for so long, new risk is taken again."""

RETRY_S = 0.05
BATCH_MAX = 50_000
"""Records that wait for the batch under way; then commands are refused, even cancels."""

log = structlog.get_logger()


class Writer:
    """The one who writes to the journal, and who says when new risk must wait for it."""

    def __init__(self, journal: Journal, desk: Desk, place: Place) -> None:
        self.journal = journal
        self.is_busy = False
        self.wake: Callable[[], object] | None = None
        self._desk = desk
        self._clocks = place.clocks
        self._beacon = place.beacon
        self._careful_until_ns = 0
        self._calm_at_ns = 0
        self._since_ns = 0
        self._trouble: JournalError | None = None
        self._bug: BaseException | None = None
        self._todo: SimpleQueue[list[Record]] = SimpleQueue()
        self._is_left = False
        """Whether the loop turns on and is to be woken when the batch is done."""
        self._under_way = threading.Lock()
        self._thread: threading.Thread | None = None

    def write(self, records: list[Record]) -> bool:
        """True where they are durable now; False while they are under way (see `finish`)."""
        assert not self.is_busy
        now = self._clocks.boot_ns()
        if self.journal.is_remote or now < self._careful_until_ns or not self._write_here(records):
            self._hand_over(records, now)
            return self.finish(PATIENCE_S)
        took = self._clocks.boot_ns() - now
        if took > SLOW_NS:
            self._be_careful(now + took, took)
        if not self.journal.has_room():
            self.look()
        return True

    def finish(self, wait_s: float = 0) -> bool:
        """Whether the batch under way is durable by now. Raises what ended the thread's work."""
        if not self._under_way.acquire(timeout=wait_s):
            self._is_left = True
            # It may have ended just before we said that we are to be woken.
            if not self._under_way.acquire(blocking=False):
                return False
        self._under_way.release()
        if self._bug is not None:
            raise self._bug
        self.is_busy = False
        now = self._clocks.boot_ns()
        if now - self._since_ns > SLOW_NS:
            self._be_careful(now, now - self._since_ns)
        if self._trouble is not None:
            self.look()
            self._trouble = None
        return True

    @property
    def is_late(self) -> bool:
        """Whether a batch is under way for longer than anybody should wait for an answer."""
        return self.is_busy and self._clocks.boot_ns() - self._since_ns > LATE_NS

    def look(self) -> None:
        """Says at the desk whether new risk can be taken, and tells people when that changes."""
        now = self._clocks.boot_ns()
        trouble = self._trouble
        if trouble is not None or self.is_late:
            self._calm_at_ns = now + CALM_NS
        before = self._desk.closed
        closed = self._find_refusal(trouble, now)
        if closed is not before:
            self._desk.closed = closed
            self._tell(closed, trouble)

    def _find_refusal(self, trouble: JournalError | None, now: int) -> ErrorInfo | None:
        if isinstance(trouble, JournalFull) or not self.journal.has_room():
            return refusals.JOURNAL_FULL
        if now >= self._calm_at_ns:
            return None
        # Which it was does not change while it calms down.
        return self._desk.closed or refusals.JOURNAL_UNAVAILABLE

    def _tell(self, closed: ErrorInfo | None, trouble: JournalError | None) -> None:
        if closed is None:
            message = "the journal takes new orders again"
            log.warning("new orders are taken again", record=self.journal.durable)
        else:
            message = f"cancels alone are taken: {closed.message}"
            log.error("cancels alone are taken", code=closed.code, why=str(trouble or "it is late"))
        draft = self._desk.draft(Settled(why="the journal"), retention=Retention.SYSTEM)
        draft.notice(NoticeKind.JOURNAL, "journal", message, None)
        draft.close()

    def _be_careful(self, now: int, took: int) -> None:
        until_ns = now + min(took * CAREFUL_TIMES, CAREFUL_NS_MAX)
        self._careful_until_ns = max(self._careful_until_ns, until_ns)
        log.warning("a commit was slow", took_ms=took // 1_000_000)
        if took > LATE_NS:
            # What waited for us all the while is refused, not sent late.
            self._calm_at_ns = now + CALM_NS
            self.look()

    def _write_here(self, records: list[Record]) -> bool:
        self._declare(Declared.COMMITTING)
        try:
            self._put(records)
        except JournalLost:
            raise
        except JournalError as trouble:
            self._trouble = trouble
            return False
        finally:
            self._declare(Declared.WORKING)
        return True

    def _declare(self, state: Declared) -> None:
        if self._beacon is not None:
            self._beacon.declare(state)

    def _put(self, records: list[Record]) -> None:
        """Appends what is not in yet, and commits. Raises JournalError."""
        journal = self.journal
        for record in records:
            if record.number > journal.last:
                journal.append(record)
        journal.commit()

    def _hand_over(self, records: list[Record], now: int) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
            self._thread.start()
        self._under_way.acquire()
        self._is_left = False
        self.is_busy, self._since_ns = True, now
        self._todo.put(records)

    # -- in the thread

    def _run(self) -> None:
        while True:
            records = self._todo.get()
            try:
                self._write_until_done(records)
            except BaseException as bug:  # it ends the router, on its own loop
                self._bug = bug
            self._under_way.release()
            if self._is_left and self.wake is not None:
                self.wake()

    def _write_until_done(self, records: list[Record]) -> None:
        pause = threading.Event()
        while True:
            try:
                self.journal.settle()
                self._put(records)
                return
            except JournalLost:
                raise
            except JournalError as trouble:
                self._trouble = trouble
            pause.wait(RETRY_S)
