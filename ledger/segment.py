"""The segment file: a header, then frames without gaps, then zeros to the end of the file.

The zeros are really written when the file is made, so a commit changes no metadata and one
fdatasync is one disk write. Integers are little-endian.

    header  magic 8 | crc u32 | format u16 | 0 0 | segment u64 | first record u64 | deployment 64
    frame   marker 4 | crc u32 | length u32 | schema u16 | 0 0 | number u64 | durable u64 | payload

A crc covers all that follows it. `durable` is the last record known to be on the disk when
the frame was made: a frame therefore proves that every record up to it was durable. That
tells a torn last commit (its sectors may land in any order; nothing was promised; it is cut)
from a damaged record that somebody was told of (we refuse to start). The marker is no UTF-8,
so no text inside a record can pass for a frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct as Layout
from zlib import crc32

from msgspec import Struct

from ledger.faults import JournalCorrupt, RecordTooLarge

MAGIC = b"FGJOURNL"
FORMAT = 1
MARKER = b"\xf8FG\xff"
RECORD_BYTES_MAX = 16 * 1024 * 1024
DEPLOYMENT_BYTES_MAX = 64

_ZEROS = bytes(64 * 1024)
_HEADER = Layout("<8sI")
_HEADER_REST = Layout("<HxxQQ64s")
_FRAME = Layout("<4sIIHxxQQ")
_FRAME_REST = Layout("<IHxxQQ")
_CRC_FROM = 8
_HEADER_CRC_FROM = _HEADER.size
HEADER_BYTES = _HEADER.size + _HEADER_REST.size
FRAME_BYTES = _FRAME.size

Frame = tuple[int, int, int, int, int]
"""(number, schema, durable, payload start, end): a tuple, for replay reads millions."""


class Header(Struct, frozen=True):
    """Who a segment belongs to and where in the journal it stands."""

    deployment_id: str
    segment: int
    first: int
    format: int = FORMAT


class End(Struct, frozen=True, kw_only=True):
    """Where the whole frames of a segment end.

    `last` is the last record's number (the one before the segment where it is empty),
    `doubtful` the offset of the first frame no later frame proves durable, `used` the
    offset after the last byte that is not zero.
    """

    last: int
    offset: int
    doubtful: int
    used: int

    @property
    def torn_bytes(self) -> int:
        """What an unfinished commit left behind the last whole frame."""
        return max(self.used - self.offset, 0)


def encode_header(header: Header) -> bytes:
    """The first bytes of a segment."""
    name = header.deployment_id.encode()
    assert 0 < len(name) <= DEPLOYMENT_BYTES_MAX
    rest = _HEADER_REST.pack(header.format, header.segment, header.first, name)
    return _HEADER.pack(MAGIC, crc32(rest)) + rest


def decode_header(data: bytes) -> Header | None:
    """The header, or None where there is none: a segment not yet in use, or a damaged one."""
    if len(data) < HEADER_BYTES:
        return None
    magic, crc = _HEADER.unpack_from(data)
    if magic != MAGIC or crc32(data[_HEADER_CRC_FROM:HEADER_BYTES]) != crc:
        return None
    format_, segment, first, name = _HEADER_REST.unpack_from(data, _HEADER_CRC_FROM)
    return Header(name.rstrip(b"\0").decode(), segment, first, format_)


def encode_frame(payload: bytes, number: int, durable: int, schema: int) -> bytes:
    """A record ready to be written. Raises RecordTooLarge."""
    if len(payload) > RECORD_BYTES_MAX:
        raise RecordTooLarge(f"record {number} has {len(payload)} bytes, max {RECORD_BYTES_MAX}")
    rest = _FRAME_REST.pack(len(payload), schema, number, durable)
    crc = crc32(payload, crc32(rest))
    return b"".join((MARKER, crc.to_bytes(4, "little"), rest, payload))


def read_frame(data: bytes, offset: int) -> Frame | None:
    """The whole, undamaged frame at the offset, or None."""
    if len(data) - offset < FRAME_BYTES:
        return None
    marker, crc, length, schema, number, durable = _FRAME.unpack_from(data, offset)
    start = offset + FRAME_BYTES
    end = start + length
    if marker != MARKER or end > len(data) or length > RECORD_BYTES_MAX:
        return None
    if crc32(data[offset + _CRC_FROM : end]) != crc:
        return None
    return number, schema, durable, start, end


def frame_length(data: bytes, offset: int) -> int:
    """How long the frame at the offset says it is; unproven, 0 where none begins there."""
    if len(data) - offset < FRAME_BYTES or data[offset : offset + len(MARKER)] != MARKER:
        return 0
    length: int = _FRAME.unpack_from(data, offset)[2]
    return FRAME_BYTES + length if length <= RECORD_BYTES_MAX else 0


def walk(data: bytes, offset: int, expected: int) -> Iterator[Frame]:
    """Frames numbered `expected`, `expected` + 1 ... up to the first that is not there."""
    while (frame := read_frame(data, offset)) is not None and frame[0] == expected:
        yield frame
        offset = frame[4]
        expected += 1


def find_end(data: bytes, first: int, file: str) -> End:
    """Where a segment's frames end. Raises JournalCorrupt where a durable record is damaged."""
    offset = doubtful = HEADER_BYTES
    last, proven = first - 1, 0
    for number, _, durable, _, end in walk(data, HEADER_BYTES, first):
        if durable > proven:  # the first frame of a commit: all before it are proven
            proven, doubtful = durable, offset
        last, offset = number, end
    used = used_bytes(data)
    if used > offset:
        check_tail(data, offset, last + 1, file)
    return End(last=last, offset=offset, doubtful=doubtful, used=used)


def used_bytes(data: bytes) -> int:
    """How much is left without the zeros at the end; by blocks, for there are many."""
    end = len(data)
    while data.endswith(_ZEROS, 0, end):
        end -= len(_ZEROS)
    start = max(end - len(_ZEROS), 0)
    return start + len(data[start:end].rstrip(b"\0"))


def check_tail(data: bytes, offset: int, expected: int, file: str) -> None:
    """Raises JournalCorrupt where the bytes after the last frame are not just a torn commit."""
    frame = read_frame(data, offset)
    if frame is not None and frame[0] != expected:
        what = f"found record {frame[0]} in its place"
        raise JournalCorrupt(file, offset, expected, what)
    proof = _find_proof(data, offset, expected)
    if proof is not None:
        what = f"damaged, though the frame at offset {proof} proves that it was durable"
        raise JournalCorrupt(file, offset, expected, what)


def _find_proof(data: bytes, offset: int, number: int) -> int | None:
    """Where a frame stands that was made after record `number` had become durable."""
    at = data.find(MARKER, offset)
    while at >= 0:
        frame = read_frame(data, at)
        if frame is not None and frame[2] >= number:
            return at
        at = data.find(MARKER, at + 1)
    return None
