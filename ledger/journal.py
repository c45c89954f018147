"""The journal: what is in it happened; what is not did not.

    append(record)   into a buffer; nothing is promised yet
    commit()         one write, one fdatasync; then everything appended is durable

One process writes it, the holder of its lock, on that process's event loop: an fdatasync
costs about 0.1 ms there, a hand-over to a thread costs more. Segments (segment.py) are made
of real zeros ahead of time, by a thread that only ever touches the segment after this one.

Opening is recovering. The last segment is read to its end and a torn last commit cut off: its
records were promised to nobody. Whole records whose commit may not have returned are written
and synced again before they are believed, for after a failed fsync the page cache shows what
the disk may not have. Damage before the end, a gap, a foreign or a missing journal: we do not
start.

After JournalFailed the last commit is in doubt: `settle` writes its bytes anew in their place,
through a descriptor of its own (after a failed fdatasync the kernel counts the pages as clean,
so syncing again would prove nothing), and believes only what it then reads from the disk.

A full disk: the last `reserve_bytes` of a segment are for what must be written while no next
segment can be made: cancels, and what brokers tell. `has_room` says whether there is more than
that; who asks before it takes on new risk leaves the reserve to them. On a copy-on-write file
system zeros reserve nothing: do not keep a journal there.

A record is whole or absent. The records of one commit are no unit: after a crash the first
few of them may be there. Nothing is ever deleted here; archiving old segments is for others.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct

from domain.records import Record
from ledger import snapshot
from ledger.chain import Chain, SegmentFile, holds_journal, read_chain, segment_path
from ledger.codec import encode
from ledger.disk import (
    Disk,
    FileLock,
    create_zeroed,
    make_directory,
    open_file,
    read_file,
    sync_directory,
)
from ledger.faults import (
    JournalCorrupt,
    JournalExists,
    JournalFailed,
    JournalFull,
    JournalLost,
    RecordTooLarge,
)
from ledger.reader import Progress, replay
from ledger.segment import HEADER_BYTES, End, Header, encode_frame, encode_header, find_end
from ledger.snapshot import Snapshot
from ledger.spare import Spare

CLOSE_WAIT_S = 2.0
"""How long a segment in the making may still take when the journal is closed."""


class JournalSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which backend, and its terms; sizes in bytes.

    `local` keeps segments in the deployment's home; one in use keeps the size it was made with.
    When no further one can be made, its last `reserve_bytes` are for cancels and for events.
    `postgres` keeps tables in `schema`. Its URL is a secret: it is read from the environment
    variable `url_env` or the file `url_file`. A holder not heard of for `lease_ms` may be
    replaced; a commit waits at most `patience_ms` for a server that went away.
    """

    backend: Literal["local", "postgres"] = "local"
    segment_bytes: Annotated[int, Meta(ge=1024 * 1024, le=1024**3)] = 64 * 1024 * 1024
    reserve_bytes: Annotated[int, Meta(ge=64 * 1024, le=64 * 1024 * 1024)] = 16 * 1024 * 1024
    snapshots_kept: Annotated[int, Meta(ge=1, le=100)] = 2
    prepare_in_background: bool = True
    url_env: str | None = None
    url_file: str | None = None
    schema: Annotated[str, Meta(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = "fillgate_journal"
    lease_ms: Annotated[int, Meta(ge=1_000, le=60_000)] = 3_000
    patience_ms: Annotated[int, Meta(ge=100, le=20_000)] = 10_000


class Journal(Protocol):
    """What a router needs of a journal, wherever it is kept."""

    last: int
    """The number of the last record appended."""
    durable: int
    """The number of the last record committed."""
    is_remote: bool
    """Whether a commit waits for another process, which may be away."""

    def has_room(self) -> bool:
        """Whether there is room for more than what must be written down in any case."""

    def append(self, record: Record) -> None:
        """Adds record number `last` + 1 to the commit. Raises JournalFull, JournalFailed."""

    def commit(self) -> int:
        """Makes all appended records durable; returns the last number.

        Raises JournalFailed: in doubt until `settle`. Raises JournalFull: nothing was written, and
        what `last` no longer counts was dropped.
        """

    def settle(self) -> int:
        """Ends the doubt of a failed commit: all that was appended is durable now.

        Raises JournalFailed where it is still in doubt: ask again. Raises JournalLost where the
        journal is not ours to write any more.
        """

    def replay(self, after: int = 0, on_progress: Progress | None = None) -> Iterator[Record]:
        """The durable records after a number; may be read in another thread."""

    def snapshots(self) -> Iterator[Snapshot]:
        """Valid snapshots, newest first."""

    def close(self) -> None:
        """Gives the journal up; what was not committed is dropped."""


def init(directory: Path, deployment_id: str, settings: JournalSettings | None = None) -> None:
    """Makes a new journal, its first record number 1. Raises JournalExists, JournalLocked.

    A crash half-way leaves no journal, and init can be run again.
    """
    settings = settings or JournalSettings()
    make_directory(directory)
    lock = FileLock(directory)
    try:
        if holds_journal(directory):
            raise JournalExists(str(directory))
        header = encode_header(Header(deployment_id, 1, 1))
        create_zeroed(Disk(), segment_path(directory, 1), settings.segment_bytes, header)
    finally:
        lock.release()


class LocalJournal:
    """The journal in a local directory; the head of this file explains it."""

    def __init__(
        self,
        directory: Path,
        deployment_id: str,
        settings: JournalSettings | None = None,
        disk: Disk | None = None,
    ) -> None:
        """Takes the lock and recovers; `torn_bytes` were cut off. Raises JournalError."""
        self._directory = directory
        self._settings = settings or JournalSettings()
        self._disk = disk or Disk()
        self._spare = Spare(
            directory,
            self._settings.segment_bytes,
            self._disk,
            in_background=self._settings.prepare_in_background,
        )
        self.is_remote = False
        self.last = self.durable = self.torn_bytes = 0
        self._doubt: str | None = None
        self._is_closed = False
        self._entering: SegmentFile | None = None
        self._buffer = bytearray()
        self._fd = -1
        self._lock = FileLock(directory)
        try:
            self._recover(read_chain(directory, deployment_id))
        except OSError as error:
            self.close()
            raise JournalFailed(f"the journal could not be opened: {error}") from error
        except BaseException:
            self.close()
            raise

    def has_room(self) -> bool:
        """Whether the reserve is untouched, or the next segment lies ready.

        From the middle of the ordinary part on, a segment still in the making is hurried.
        """
        end = self._offset + len(self._buffer)
        if end <= self._ordinary_end // 2:
            return True
        return self._spare.is_ready() or end <= self._ordinary_end

    def append(self, record: Record) -> None:
        """Adds record number `last` + 1 to the next commit.

        Raises JournalFull or RecordTooLarge, and then nothing of it is kept; JournalFailed
        where the end of a segment forced a commit and that went wrong.
        """
        self._check()
        assert record.number == self.last + 1
        payload = encode(record)
        frame = encode_frame(payload, record.number, self.durable, record.schema)
        if self._offset + len(self._buffer) + len(frame) > self._size:
            self._make_room(len(frame))
            # Going on to the next segment commits, and the frame must say so.
            frame = encode_frame(payload, record.number, self.durable, record.schema)
        self._buffer += frame
        self.last = record.number

    def commit(self) -> int:
        """Makes all appended records durable; returns the last one's number.

        Raises JournalFailed: they may be durable or not, until `settle`.
        """
        self._check()
        if self._buffer:
            self._write(self._buffer, self._offset)
            self._keep_buffer()
        return self.durable

    def settle(self) -> int:
        """Writes anew what is in doubt, and believes what the disk then shows.

        Raises JournalFailed: still in doubt. Raises JournalLost where the journal is closed.
        """
        if self._is_closed:
            self._check()
        if self._doubt is not None:
            try:
                self._settle()
            except OSError as error:
                self._doubt = str(error)
                raise JournalFailed(f"the journal could not be written: {error}") from error
            self._doubt = None
        return self.durable

    def replay(self, after: int = 0, on_progress: Progress | None = None) -> Iterator[Record]:
        """The durable records after a number. Raises JournalCorrupt, JournalTooNew."""
        return replay(self._chain, after, self.durable, on_progress)

    def snapshots(self) -> Iterator[Snapshot]:
        """Valid snapshots, newest first."""
        return snapshot.read_all(self._directory, self._chain.deployment_id)

    def write_snapshot(self, number: int, state: bytes) -> None:
        """Keeps the state as of a durable record, and the one before. Raises OSError."""
        assert number <= self.durable
        taken = Snapshot(number=number, state=state)
        kept = self._settings.snapshots_kept
        snapshot.keep(self._directory, self._chain.deployment_id, taken, kept, self._disk)

    def close(self) -> None:
        """Gives the journal up; what was not committed is dropped. Twice does no harm."""
        self._is_closed = True
        self._spare.close(CLOSE_WAIT_S)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._lock.release()

    def _recover(self, chain: Chain) -> None:
        for draft in self._directory.glob("*.tmp"):
            draft.unlink()
        # A rename that a crash left unsynced could take a segment full of commits with it.
        sync_directory(self._directory)
        tail = chain.segments[-1]
        data = read_file(tail.path)
        end = find_end(data, tail.first, str(tail.path))
        self._chain = chain
        self._check_snapshots(tail, end)
        self._enter(tail.path, end.offset)
        self._make_certain(data, end)
        self.last = self.durable = end.last
        self.torn_bytes = end.torn_bytes
        if chain.spare is not None:
            self._spare.adopt(chain.spare)
        self._spare.begin(tail.header.segment + 1)

    def _check_snapshots(self, tail: SegmentFile, end: End) -> None:
        newest = snapshot.newest_number(self._directory)
        if newest > end.last:
            what = f"gone, though a snapshot was taken after record {newest}"
            raise JournalCorrupt(str(tail.path), end.offset, end.last + 1, what)

    def _make_certain(self, data: bytes, end: End) -> None:
        """Writes again what no later frame proves durable, and zeros over what is torn."""
        start = 0 if end.doubtful == HEADER_BYTES else end.doubtful
        self._write(data[start : end.offset] + bytes(end.torn_bytes), start)

    def _enter(self, path: Path, offset: int) -> None:
        fd = open_file(path, os.O_RDWR)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd
        self._offset = offset
        self._size = os.fstat(self._fd).st_size
        self._ordinary_end = self._size - self._settings.reserve_bytes

    def _check(self) -> None:
        if self._is_closed:
            raise JournalLost("the journal cannot be used: it is closed; open it again")
        if self._doubt is not None:
            why = f"{self._doubt}; settle it or open it again"
            raise JournalFailed(f"the journal cannot be used: {why}")

    def _write(self, data: bytes | bytearray, offset: int) -> None:
        # Set first: whatever interrupts us, an interrupt included, leaves the journal in doubt.
        self._doubt = "a write did not end"
        try:
            self._disk.write(self._fd, data, offset)
            self._disk.sync(self._fd)
        except OSError as error:
            self._doubt = str(error)
            raise JournalFailed(f"the journal could not be written: {error}") from error
        self._doubt = None

    def _keep_buffer(self) -> None:
        self._offset += len(self._buffer)
        self._buffer.clear()
        self.durable = self.last

    def _make_room(self, size: int) -> None:
        """Goes on to the next segment. Raises JournalFull where there is none."""
        most = self._settings.segment_bytes - HEADER_BYTES
        if size > most:
            raise RecordTooLarge(f"a record of {size} bytes; a segment takes {most}")
        following = self._chain.segments[-1].header.segment + 1
        path = self._spare.take(following)
        if path is None:
            why = self._spare.error or "the next segment is not ready"
            raise JournalFull(f"no room for a record: {why}; free disk space")
        self._rotate(path, following)
        if HEADER_BYTES + size > self._size:
            self._make_room(size)

    def _rotate(self, path: Path, segment: int) -> None:
        try:
            self.commit()
        except JournalFailed:
            self._spare.adopt(path)
            raise
        header = Header(self._chain.deployment_id, segment, self.last + 1)
        # From here on nothing more may go into the old segment: this one may be there already.
        self._entering = SegmentFile(path=path, header=header)
        self._doubt = "the next segment was not begun"
        try:
            self._begin_segment(self._entering)
        except OSError as error:
            self._doubt = str(error)
            raise JournalFailed(f"the next segment could not be begun: {error}") from error
        self._doubt = None

    def _begin_segment(self, entered: SegmentFile) -> None:
        self._enter(entered.path, HEADER_BYTES)
        self._disk.write(self._fd, encode_header(entered.header), 0)
        self._disk.sync(self._fd)
        self._entering = None
        self._chain = Chain(segments=(*self._chain.segments, entered), spare=None)
        self._spare.begin(entered.header.segment + 1)

    def _settle(self) -> None:
        """Raises OSError."""
        if self._entering is not None:
            self._begin_segment(self._entering)
            return
        self._enter(self._chain.segments[-1].path, self._offset)
        self._disk.write(self._fd, self._buffer, self._offset)
        self._disk.sync(self._fd)
        if self._disk.read_back(self._fd, len(self._buffer), self._offset) != self._buffer:
            raise OSError(errno.EIO, "the disk does not hold what was written")
        self._keep_buffer()
