"""Records to bytes and back, across schema versions."""

from __future__ import annotations

from msgspec import MsgspecError
from msgspec.msgpack import Decoder, Encoder
from msgspec.structs import replace

from domain.records import SCHEMA, Record
from ledger.faults import JournalCorrupt, JournalTooNew

OLDEST_SCHEMA = SCHEMA - 1
"""Release N reads what N-1 wrote; fields are added with defaults, never renamed."""

encode = Encoder().encode
_decode = Decoder(Record).decode


def decode(payload: bytes, schema: int, number: int, file: str) -> Record:
    """The record in a frame. Raises JournalTooNew, or JournalCorrupt where it is none of ours."""
    if schema > SCHEMA:
        raise JournalTooNew(file, number, schema, SCHEMA)
    if schema < OLDEST_SCHEMA:
        what = f"schema {schema} is too old for this release; upgrade one release at a time"
        raise JournalCorrupt(file, 0, number, what)
    try:
        record = _decode(payload)
    except MsgspecError as error:
        raise JournalCorrupt(file, 0, number, f"whole, but no record: {error}") from error
    if record.number != number:
        raise JournalCorrupt(file, 0, number, f"holds record {record.number}")
    # The struct leaves its default out, so only the frame knows what an old record was.
    return record if record.schema == schema else replace(record, schema=schema)
