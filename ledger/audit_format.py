"""The audit log's lines: each journal record as JSON, behind a hash over all lines before it.

    segment  first line   {"deployment": ..., "segment": 1, "size": 0, "chain": ..., "peaks": []}
             other lines  <64 hex digits> <the record as JSON>
    head     one line     {"deployment": ..., "size": 812, "root": ..., "chain": ..., "at_ns": ...}

    leaf    SHA-256(0x00, JSON)                   chain   SHA-256(chain before, leaf)

A segment's first line holds what is needed to go on without the segments before it. The root is
RFC 6962's over all leaves (merkle.py). A head is what leaves this disk: whoever has it can prove
that the first `size` entries are what they were then, and no chain made anew changes that.
"""

from __future__ import annotations

import re
from hashlib import sha256

import msgspec
from msgspec import Struct

from ledger.merkle import Tree, leaf_hash

FORMAT = 1
HEX = 64
_NAME = re.compile(r"audit-(\d{8})\.jsonl")


class Header(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a segment begins: what came before it, in numbers and hashes (as hex)."""

    deployment: str
    segment: int
    size: int
    chain: str
    peaks: tuple[str, ...]
    format: int = FORMAT


class Head(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the log was at a moment: its first `size` entries, by one hash (as hex)."""

    deployment: str
    size: int
    root: str
    chain: str
    at_ns: int
    format: int = FORMAT


class Seal:
    """The chain and the tree over all entries so far."""

    def __init__(self, deployment: str) -> None:
        self.deployment = deployment
        self.chain = sha256(f"fillgate audit {FORMAT} {deployment}".encode()).digest()
        self.tree = Tree()

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self.tree.size

    def add(self, entry: bytes) -> str:
        """Takes the next entry; the chain over it as hex."""
        leaf = leaf_hash(entry)
        self.chain = sha256(self.chain + leaf).digest()
        self.tree.add(leaf)
        return self.chain.hex()

    def head(self, at_ns: int) -> Head:
        """All of it in one hash."""
        root, chain = self.tree.root().hex(), self.chain.hex()
        return Head(deployment=self.deployment, size=self.size, root=root, chain=chain, at_ns=at_ns)

    def header(self, segment: int) -> Header:
        """The first line of a segment that goes on from here."""
        return Header(
            deployment=self.deployment,
            segment=segment,
            size=self.size,
            chain=self.chain.hex(),
            peaks=tuple(peak.hex() for peak in self.tree.peaks),
        )

    def resume(self, header: Header) -> None:
        """Goes on from a segment's first line."""
        self.chain = bytes.fromhex(header.chain)
        self.tree = Tree(header.size, tuple(bytes.fromhex(peak) for peak in header.peaks))


def segment_name(segment: int) -> str:
    """A segment's file."""
    return f"audit-{segment:08d}.jsonl"


def segment_of(name: str) -> int | None:
    """The number of a segment's file, or None where it is none."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def line_of(seal: Seal, entry: bytes) -> bytes:
    """The entry's line; the seal is over it then."""
    return b"%s %s\n" % (seal.add(entry).encode(), entry)


def entry_of(line: bytes) -> tuple[bytes, bytes] | None:
    """A line's hash (hex) and entry, or None where it is not one."""
    if line[HEX : HEX + 2] != b" {" or not line.endswith(b"}\n"):
        return None
    return line[:HEX], line[HEX + 1 : -1]


encode_record = msgspec.json.Encoder(decimal_format="string").encode
encode_line = msgspec.json.encode
decode_header = msgspec.json.Decoder(Header).decode
decode_head = msgspec.json.Decoder(Head).decode
