"""Reads a whole journal and says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from ledger import snapshot
from ledger.chain import Chain, SegmentFile, read_chain
from ledger.codec import decode
from ledger.disk import read_file
from ledger.faults import JournalCorrupt, JournalError
from ledger.segment import HEADER_BYTES, End, find_end, walk


class JournalReport(Struct, frozen=True, kw_only=True):
    """What was found. No `faults`: every record is whole, readable and in its place.

    `segments` is 0 where the backend has none. `bytes` counts records only. `torn_bytes` is an
    unfinished last commit: nobody was promised it.
    """

    deployment_id: str | None = None
    segments: int = 0
    records: int = 0
    bytes: int = 0
    first: int | None = None
    last: int | None = None
    torn_bytes: int = 0
    faults: tuple[str, ...] = ()


def verify(directory: Path, deployment_id: str | None = None) -> JournalReport:
    """Checks every segment and snapshot; raises nothing about the journal's state."""
    try:
        chain = read_chain(directory, deployment_id)
    except (JournalError, OSError) as error:
        return JournalReport(faults=(str(error),))
    report = JournalReport(
        deployment_id=chain.deployment_id,
        segments=len(chain.segments),
        first=chain.segments[0].first,
        last=chain.segments[0].first - 1,
    )
    for index, segment in enumerate(chain.segments):
        report = _with_segment(report, segment, _last_wanted(chain, index))
    bad = snapshot.find_bad(directory, chain.deployment_id)
    spoiled = tuple(f"{name}: damaged; it can be removed, an older one serves" for name in bad)
    return replace(report, faults=report.faults + spoiled)


def _last_wanted(chain: Chain, index: int) -> int | None:
    """The record a segment must end with, by the header of the next."""
    return chain.segments[index + 1].first - 1 if index + 1 < len(chain.segments) else None


def _with_segment(
    report: JournalReport, segment: SegmentFile, last_wanted: int | None
) -> JournalReport:
    try:
        end = _read_segment(segment, last_wanted)
    except (JournalError, OSError) as error:
        return replace(report, faults=(*report.faults, str(error)))
    return replace(
        report,
        records=report.records + end.last - segment.first + 1,
        bytes=report.bytes + end.offset - HEADER_BYTES,
        last=end.last,
        torn_bytes=end.torn_bytes,
    )


def _read_segment(segment: SegmentFile, last_wanted: int | None) -> End:
    file = str(segment.path)
    data = read_file(segment.path)
    end = find_end(data, segment.first, file)
    for number, schema, _, start, stop in walk(data, HEADER_BYTES, segment.first):
        decode(data[start:stop], schema, number, file)
    if last_wanted is not None and (end.last != last_wanted or end.torn_bytes):
        what = f"damaged or gone; it must go on to {last_wanted} and then hold zeros"
        raise JournalCorrupt(file, end.offset, end.last + 1, what)
    return end
