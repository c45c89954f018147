"""The segments of a journal in order, and the one that lies ready for later."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from ledger.disk import open_file, read_file
from ledger.faults import JournalCorrupt, JournalForeign, JournalMissing, JournalTooNew
from ledger.segment import FORMAT, HEADER_BYTES, Header, decode_header, used_bytes

_NAME = re.compile(r"segment-(\d{8})\.log")


class SegmentFile(Struct, frozen=True, kw_only=True):
    """A segment in use."""

    path: Path
    header: Header

    @property
    def first(self) -> int:
        """The number of its first record."""
        return self.header.first


class Chain(Struct, frozen=True, kw_only=True):
    """Segments in use, oldest first, never none; and the spare where there is one."""

    segments: tuple[SegmentFile, ...]
    spare: Path | None

    @property
    def deployment_id(self) -> str:
        """Whose journal it is."""
        return self.segments[0].header.deployment_id

    def holding(self, number: int) -> int:
        """The index of the segment that holds, or will hold, the record."""
        at = len(self.segments) - 1
        while at > 0 and self.segments[at].first > number:
            at -= 1
        return at


def segment_path(directory: Path, segment: int) -> Path:
    """Where a segment lives."""
    return directory / f"segment-{segment:08d}.log"


def holds_journal(directory: Path) -> bool:
    """Whether any segment is there."""
    return directory.is_dir() and any(_numbered(directory))


def read_chain(directory: Path, deployment_id: str | None) -> Chain:
    """The segments of the journal in `directory`.

    Raises JournalMissing, JournalForeign, JournalCorrupt (a segment missing between two, or
    a damaged header), JournalTooNew. Without a deployment id any one deployment will do.
    """
    if not holds_journal(directory):
        raise JournalMissing(str(directory))
    segments: list[SegmentFile] = []
    unused: list[Path] = []
    for number, path in sorted(_numbered(directory)):
        header = read_header(path)
        if header is None and segments and _is_unused(path):
            unused.append(path)
            continue
        if header is None:
            raise JournalCorrupt(str(path), 0, 0, "the file header is damaged")
        _check_header(header, path, number, segments[-1] if segments else None)
        _check_owner(header, path, deployment_id)
        deployment_id = header.deployment_id
        segments.append(SegmentFile(path=path, header=header))
    return Chain(segments=tuple(segments), spare=unused[0] if unused else None)


def check_reach(chain: Chain, after: int) -> None:
    """Raises JournalCorrupt where the records that follow `after` were taken away."""
    oldest = chain.segments[0]
    if oldest.first > after + 1:
        what = f"records {after + 1} to {oldest.first - 1} are in no segment here"
        raise JournalCorrupt(str(oldest.path), 0, after + 1, what)


def read_header(path: Path) -> Header | None:
    """The segment's header, or None where it is not in use or damaged."""
    fd = open_file(path, os.O_RDONLY)
    try:
        return decode_header(os.pread(fd, HEADER_BYTES, 0))
    finally:
        os.close(fd)


def _numbered(directory: Path) -> Iterator[tuple[int, Path]]:
    for path in directory.iterdir():
        match = _NAME.fullmatch(path.name)
        if match:
            yield int(match[1]), path


def _is_unused(path: Path) -> bool:
    """A header may be torn by a power cut, but then no record was written behind it."""
    return used_bytes(read_file(path)) <= HEADER_BYTES


def _check_header(header: Header, path: Path, number: int, before: SegmentFile | None) -> None:
    if header.format > FORMAT:
        raise JournalTooNew(str(path), header.first, header.format, FORMAT)
    wanted = before.header.segment + 1 if before else number
    if header.segment != wanted or number != wanted:
        what = f"this is segment {header.segment} where segment {wanted} must be"
        raise JournalCorrupt(str(path), 0, header.first, what)


def _check_owner(header: Header, path: Path, wanted: str | None) -> None:
    if wanted is not None and header.deployment_id != wanted:
        raise JournalForeign(str(path), header.deployment_id, wanted)
