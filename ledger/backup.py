"""A copy of a local journal, taken beside its writer, and a journal made of such a copy.

A copy holds what the segments and snapshots hold, without the zeros behind it. Snapshots are read
before the segments, so none is of a record that the copy lacks; the last segment is read to its
last whole record. Whose journal it is stands in every header: a restored one is another
deployment's, so nothing of the first can be taken for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from domain.records import Record
from ledger import snapshot
from ledger.chain import Chain, SegmentFile, holds_journal, read_chain
from ledger.disk import Disk, create_zeroed, make_directory, open_file, read_file, sync_directory
from ledger.faults import JournalCorrupt, JournalExists
from ledger.journal import JournalSettings, LocalJournal
from ledger.segment import HEADER_BYTES, Header, encode_header, find_end
from ledger.verification import JournalReport, verify

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""


class Copied(Struct, frozen=True, kw_only=True):
    """Whose journal was copied, and up to which record."""

    deployment_id: str
    last: int


def copy(directory: Path, to: Path, told: Progress) -> Copied:
    """Copies a journal that may be written to meanwhile. Raises JournalError, OSError."""
    make_directory(to)
    # Snapshots first: none may be of a record that the segments do not hold yet.
    snapshots = tuple(snapshot.read_all(directory, read_chain(directory, None).deployment_id))
    chain = read_chain(directory, None)
    total = sum(len(one.state) for one in snapshots) + sum(_sizes(chain))
    done = 0
    for taken in snapshots:
        data = snapshot.encode(chain.deployment_id, taken)
        write_file(to / f"snapshot-{taken.number:020d}.state", data)
        done += len(taken.state)
        told(done, total)
    last = 0
    for segment in chain.segments:
        data, last = _read_segment(segment)
        write_file(to / segment.path.name, data)
        done += segment.path.stat().st_size
        told(done, total)
    sync_directory(to)
    return Copied(deployment_id=chain.deployment_id, last=last)


def make_journal(
    copied: Path, directory: Path, deployment_id: str, settings: JournalSettings, told: Progress
) -> JournalReport:
    """Makes a journal of a copy, for another deployment, and reads all of it.

    Raises JournalExists, JournalError, OSError.
    """
    make_directory(directory)
    if holds_journal(directory):
        raise JournalExists(str(directory))
    chain = read_chain(copied, None)
    snapshots = tuple(snapshot.read_all(copied, chain.deployment_id))
    total = sum(_sizes(chain)) + sum(len(one.state) for one in snapshots)
    done = 0
    for segment in chain.segments:
        _make_segment(segment, directory, deployment_id, settings)
        done += segment.path.stat().st_size
        told(done, total)
    for taken in snapshots:
        snapshot.write(directory, deployment_id, taken, Disk())
        done += len(taken.state)
        told(done, total)
    return verify(directory, deployment_id)


def append_to(
    directory: Path, deployment_id: str, settings: JournalSettings, records: list[Record]
) -> int:
    """Adds records to a journal that nobody runs on. Raises JournalError."""
    quick = replace(settings, prepare_in_background=False)
    journal = LocalJournal(directory, deployment_id, quick)
    try:
        for record in records:
            journal.append(record)
        return journal.commit()
    finally:
        journal.close()


def write_file(path: Path, data: bytes) -> None:
    """A new file with these bytes, on the disk when it returns. Raises OSError."""
    fd = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        Disk().write(fd, data, 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def _sizes(chain: Chain) -> Iterator[int]:
    return (segment.path.stat().st_size for segment in chain.segments)


def _read_segment(segment: SegmentFile) -> tuple[bytes, int]:
    """Its bytes up to the last whole record, and that record's number."""
    data = read_file(segment.path)
    end = find_end(data, segment.first, str(segment.path))
    return data[: end.offset], end.last


def _make_segment(
    segment: SegmentFile, directory: Path, deployment_id: str, settings: JournalSettings
) -> None:
    data = read_file(segment.path)
    old = segment.header
    header = encode_header(Header(deployment_id, old.segment, old.first, old.format))
    if len(data) < HEADER_BYTES:
        raise JournalCorrupt(str(segment.path), 0, old.first, "cut short")
    size = max(settings.segment_bytes, len(data))
    create_zeroed(Disk(), directory / segment.path.name, size, header + data[HEADER_BYTES:])
