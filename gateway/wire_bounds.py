"""How long and how large a word of the protocol may be."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from domain.signals import SIGNAL_SHAPE

INT64_MAX = 2**63 - 1
ROWS_MAX = 500

RequestId = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:\-]*$")
]
Sequence = Annotated[int, Meta(ge=0, le=INT64_MAX)]
Ordinal = Annotated[int, Meta(ge=1, le=INT64_MAX)]
OrderId = Annotated[str, Meta(min_length=1, max_length=64)]
StreamName = Annotated[str, Meta(min_length=1, max_length=160)]
SignalBody = Annotated[dict[str, Any], SIGNAL_SHAPE]
"""Texts by name; faults.py refuses anything else, naming the field."""
RowLimit = Annotated[int, Meta(ge=1, le=ROWS_MAX)]
