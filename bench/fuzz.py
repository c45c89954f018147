"""Inputs gone wrong, from a seed: whole documents bent at a node, and bytes bent anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63 - 1, -(2**63), 2**63, 2**64, 10**400, 1.5,
    -0.0, 1e308, "", "0", "-0", "-1", "1.5", "1e9", "1e999999999", "NaN", "Infinity", "-Infinity",
    "9" * 400, "0." + "0" * 400 + "1", "null", "true", " ", "\0", "\ud7ff", "😀" * 20, "x" * 70_000,
    "2026-01-01T00:00:00Z", "2026-13-45T99:99:99Z", "0000-00-00T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z", "2026-01-01T00:00:00.1234567890Z", "2026-01-01", "20260101",
    "1754300000.123456789", [], {}, [[]], [None], {"": None}, [[[[[[[[[[]]]]]]]]]],
)  # fmt: skip
RAW: tuple[bytes, ...] = (
    b"", b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"{", b"}", b"[", b"]", b'"', b",", b":",
    b"\\u0000", b"\\ud800", b"null", b"1e400", b"-", b"\x80", b"\x90", b"\xc1",
    b"\xc6\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc9\x00\x00\x00\x01", b"\xd9\xff",
    b"[" * 3_000, b"\x91" * 3_000, b'{"a":' * 2_000,
)  # fmt: skip
BYTES_MAX = 100_000
BENDS_MAX = 4


def bend(luck: Random, corpus: Sequence[bytes], words: Sequence[str]) -> bytes:
    """One of the corpus with something wrong in it, or now and then nothing."""
    data = luck.choice(corpus)
    kind = luck.random()
    if kind < 0.05:
        return data
    if kind < 0.7 and (bent := _bend_document(luck, data, words)) is not None:
        return bent
    for _ in range(luck.randint(1, BENDS_MAX)):
        data = _bend_bytes(luck, data, corpus)
    return data[:BYTES_MAX]


def _bend_document(luck: Random, data: bytes, words: Sequence[str]) -> bytes | None:
    """The document with some of its nodes replaced, dropped, doubled; None where it is none."""
    module = msgspec.json if data[:1] in b"{[" else msgspec.msgpack
    try:
        tree = module.decode(data)
        for _ in range(luck.randint(1, BENDS_MAX)):
            tree = _bend_node(luck, tree, words)
        bent: bytes = module.encode(tree)
    except (msgspec.MsgspecError, UnicodeError, OverflowError, RecursionError):
        return None
    return bent


def _bend_node(luck: Random, tree: Any, words: Sequence[str]) -> Any:
    """Walks down at random and changes what is there."""
    if isinstance(tree, dict) and tree and luck.random() < 0.85:
        key = luck.choice(list(tree))
        deed = luck.random()
        if deed < 0.12:
            return {name: value for name, value in tree.items() if name != key}
        if deed < 0.2:
            other = luck.choice(list(tree))
            return tree | {key: tree[other], other: tree[key]}
        return tree | {key: _bend_node(luck, tree[key], words)}
    if isinstance(tree, list) and tree and luck.random() < 0.85:
        place = luck.randrange(len(tree))
        deed = luck.random()
        if deed < 0.15:
            return tree[:place] + tree[place + 1 :]
        if deed < 0.3:
            return [*tree, tree[place]]
        return [*tree[:place], _bend_node(luck, tree[place], words), *tree[place + 1 :]]
    return luck.choice(words) if words and luck.random() < 0.5 else luck.choice(ODD)


def _bend_bytes(luck: Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    at = luck.randint(0, len(data))
    match luck.randrange(7):
        case 0 if data:
            at = min(at, len(data) - 1)
            return data[:at] + bytes([data[at] ^ 1 << luck.randrange(8)]) + data[at + 1 :]
        case 1:
            return data[:at]
        case 2:
            return data[:at] + luck.choice(RAW) + data[at:]
        case 3:
            end = min(len(data), at + luck.randint(1, 40))
            return data[:at] + data[end:]
        case 4:
            end = min(len(data), at + luck.randint(1, 40))
            return data[:end] + data[at:end] * luck.randint(1, 5) + data[end:]
        case 5:
            other = luck.choice(corpus)
            return data[:at] + other[luck.randint(0, len(other)) :]
        case _:
            return data[:at] + bytes(luck.randrange(256) for _ in range(3)) + data[at:]
