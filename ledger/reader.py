"""Reading a journal without owning it: replay, follow, verify.

A follower in another process may see a record a moment before its fdatasync has returned.
Such a record is lost only if the machine loses power in that moment, for a writer that
starts again keeps every whole record it finds. What needs more than that (a store of its own)
compares its cursor with the journal when it starts: `follow` refuses one that is ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from domain.records import Record
from ledger.chain import Chain, SegmentFile, check_reach, read_chain
from ledger.codec import decode
from ledger.disk import read_file
from ledger.faults import JournalCorrupt
from ledger.follower import Follower
from ledger.segment import HEADER_BYTES, check_tail, find_end, walk
from ledger.snapshot import Snapshot, read_all
from ledger.verification import JournalReport, verify

PROGRESS_RECORDS = 10_000

Progress = Callable[[int, int], None]
"""Called with (records done, last record) now and then during a long replay."""


class JournalReader:
    """Reads beside a running writer; holds no lock and changes nothing."""

    def __init__(self, directory: Path, deployment_id: str | None = None) -> None:
        self._directory = directory
        self._deployment_id = deployment_id

    def follow(self, after: int = 0) -> Follower:
        """Reads on from record `after` as the journal grows. Raises JournalError."""
        return Follower(self._directory, after, self._deployment_id)

    def replay(self, after: int = 0, on_progress: Progress | None = None) -> Iterator[Record]:
        """The records there are now after number `after`. Raises JournalError."""
        chain = read_chain(self._directory, self._deployment_id)
        tail = chain.segments[-1]
        last = find_end(read_file(tail.path), tail.first, str(tail.path)).last
        return replay(chain, after, last, on_progress)

    def last(self) -> int:
        """The number of the last record there is now. Raises JournalError."""
        chain = read_chain(self._directory, self._deployment_id)
        tail = chain.segments[-1]
        return find_end(read_file(tail.path), tail.first, str(tail.path)).last

    def snapshots(self) -> Iterator[Snapshot]:
        """Valid snapshots, newest first. Raises JournalError."""
        owner = read_chain(self._directory, self._deployment_id).deployment_id
        return read_all(self._directory, owner)

    def verify(self) -> JournalReport:
        """Reads every byte; lists faults and raises none. A commit under way may look torn."""
        return verify(self._directory, self._deployment_id)


def replay(
    chain: Chain, after: int, last: int, on_progress: Progress | None = None
) -> Iterator[Record]:
    """Records `after` + 1 to `last`. Raises JournalCorrupt, JournalTooNew."""
    check_reach(chain, after)
    at = chain.holding(after + 1)
    for index, segment in enumerate(chain.segments[at:], start=at):
        following = chain.segments[index + 1] if index + 1 < len(chain.segments) else None
        end = following.first - 1 if following else last
        for record in _replay_segment(segment, after, end):
            if on_progress is not None and record.number % PROGRESS_RECORDS == 0:
                on_progress(record.number, last)
            yield record
    if on_progress is not None:
        on_progress(last, last)


def _replay_segment(segment: SegmentFile, after: int, last: int) -> Iterator[Record]:
    if last < segment.first:
        return
    file = str(segment.path)
    data = read_file(segment.path)
    number, offset = segment.first - 1, HEADER_BYTES
    for number, schema, _, start, end in walk(data, HEADER_BYTES, segment.first):
        offset = end
        if number > after:
            yield decode(data[start:end], schema, number, file)
        if number == last:
            return
    check_tail(data, offset, number + 1, file)
    raise JournalCorrupt(file, offset, number + 1, f"damaged or gone; it must go on to {last}")
