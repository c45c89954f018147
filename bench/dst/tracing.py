"""Bytes on a link in words, for whoever reads a trace."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec

LINE_CHARS_MAX = 1_500


def describe(sender: str, reader: str, data: bytes) -> Iterator[str]:
    """One line a message, as far as the bytes begin and end with whole ones."""
    if "client" in (sender, reader):
        yield f"{len(data)} bytes of WebSocket"
        return
    start = 0
    while start + 4 <= len(data):
        (size,) = struct.unpack_from("<I", data, start)
        body = data[start + 4 : start + 4 + size]
        start += 4 + size
        try:
            yield _words(msgspec.msgpack.decode(body))
        except msgspec.DecodeError:
            yield f"a part of {size} bytes"


def _words(message: Any) -> str:
    if not isinstance(message, dict):
        return str(message)[:LINE_CHARS_MAX]
    kind = message.pop("type", "?")
    return f"{kind} {message}"[:LINE_CHARS_MAX]
