"""Reads on in a journal that another process writes."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from domain.records import Record
from ledger.chain import SegmentFile, check_reach, read_chain, read_header, segment_path
from ledger.codec import decode
from ledger.disk import open_file
from ledger.faults import JournalCorrupt
from ledger.segment import HEADER_BYTES, MARKER, Frame, check_tail, frame_length, walk

CHUNK_BYTES = 256 * 1024
READ_RECORDS = 1_000


class Follower:
    """A cursor. `position` is the last record it has given. It never waits: poll it."""

    def __init__(self, directory: Path, after: int, deployment_id: str | None) -> None:
        """Finds the place after record `after`. Raises JournalError, also where it is not there."""
        chain = read_chain(directory, deployment_id)
        check_reach(chain, after)
        self._directory = directory
        self._fd = -1
        self._enter(chain.segments[chain.holding(after + 1)])
        while self.position < after:
            if not self._next_frames(after - self.position)[1]:
                self.close()
                what = f"the reader has seen record {after}, but the journal ends before it"
                raise JournalCorrupt(str(self._segment.path), self._offset, after, what)

    def read(self, limit: int = READ_RECORDS) -> list[Record]:
        """The next records, at most `limit`; none where there are no more yet."""
        data, frames = self._next_frames(limit)
        file = str(self._segment.path)
        return [
            decode(data[start:end], schema, number, file)
            for number, schema, _, start, end in frames
        ]

    def close(self) -> None:
        """Ends the reading; twice does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _enter(self, segment: SegmentFile) -> None:
        self.close()
        self._segment = segment
        self._fd = open_file(segment.path, os.O_RDONLY)
        self._offset = HEADER_BYTES
        self.position = segment.first - 1

    def _next_frames(self, limit: int) -> tuple[bytes, list[Frame]]:
        """Frames not yet given, from this segment or the next, and the bytes they lie in."""
        data, frames = self._take(limit)
        if frames:
            return data, frames
        following = self._following()
        if following is not None:
            # Only now is this segment sealed: what it got since the first look comes first.
            data, frames = self._take(limit)
            if frames:
                return data, frames
            self._check_sealed(following)
            self._enter(following)
            return self._take(limit)
        self._check_damage(data)
        return data, frames

    def _take(self, limit: int) -> tuple[bytes, list[Frame]]:
        data = self._look()
        frames = list(islice(walk(data, 0, self.position + 1), limit))
        if frames:
            self.position = frames[-1][0]
            self._offset += frames[-1][4]
        return data, frames

    def _look(self) -> bytes:
        data = os.pread(self._fd, CHUNK_BYTES, self._offset)
        longer = frame_length(data, 0)
        return data if longer <= len(data) else os.pread(self._fd, longer, self._offset)

    def _following(self) -> SegmentFile | None:
        path = segment_path(self._directory, self._segment.header.segment + 1)
        header = read_header(path) if path.exists() else None
        return SegmentFile(path=path, header=header) if header else None

    def _check_sealed(self, following: SegmentFile) -> None:
        if following.first != self.position + 1:
            what = f"damaged or gone; it must go on to {following.first - 1}"
            number = self.position + 1
            raise JournalCorrupt(str(self._segment.path), self._offset, number, what)

    def _check_damage(self, data: bytes) -> None:
        """A commit under way may look torn; only one that a second look finds torn is damage."""
        if MARKER in data:
            again = self._look()
            if not any(walk(again, 0, self.position + 1)):
                check_tail(again, 0, self.position + 1, str(self._segment.path))
