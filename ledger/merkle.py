"""A Merkle tree as RFC 6962 has it: one root for any number of leaves, and short proofs.

A leaf is hashed with a zero byte before it, an inner node with a one, so none passes for the
other. Only the roots of whole subtrees are kept while a tree grows: about log2 of its size.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

Place = tuple[int, int]
"""A whole subtree: its height, and its number among those of that height."""

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry."""
    return sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of what stands above two nodes."""
    return sha256(b"\1" + left + right).digest()


class Tree:
    """Leaves so far, as the roots of the largest whole subtrees, left to right."""

    def __init__(self, size: int = 0, peaks: tuple[bytes, ...] = ()) -> None:
        """Goes on from a size and its peaks."""
        assert len(peaks) == size.bit_count()
        self.size = size
        self._peaks = list(peaks)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """What is needed to go on from here."""
        return tuple(self._peaks)

    def add(self, leaf: bytes) -> None:
        """Adds a leaf's hash."""
        peaks, size = self._peaks, self.size
        while size & 1:
            leaf = node_hash(peaks.pop(), leaf)
            size >>= 1
        peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The head of all leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        *left, root = self._peaks
        for peak in reversed(left):
            root = node_hash(peak, root)
        return root


class Prover:
    """Collects, while a tree of a known size grows once more, what proofs of some leaves need."""

    def __init__(self, size: int, indexes: frozenset[int]) -> None:
        """Proofs for the leaves at `indexes` (from 0) in the tree of the first `size` leaves."""
        assert all(0 <= index < size for index in indexes)
        self._size = size
        wanted = {index: [list(_whole(*part)) for part in _siblings(index, size)]
                  for index in indexes}  # fmt: skip
        self._wanted = wanted
        self._missing = {place for parts in wanted.values() for part in parts for place in part}
        self._nodes: dict[Place, bytes] = {}
        self._peaks: list[bytes] = []
        self._count = 0

    def add(self, leaf: bytes) -> None:
        """The next leaf's hash."""
        if self._count == self._size:
            return
        level, number, size = 0, self._count, self._count
        self._keep((level, number), leaf)
        while size & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            size >>= 1
            level, number = level + 1, number >> 1
            self._keep((level, number), leaf)
        self._peaks.append(leaf)
        self._count += 1

    def proof(self, index: int) -> tuple[bytes, ...]:
        """The hashes that lead from the leaf to the root, the nearest first."""
        assert self._count == self._size
        return tuple(self._fold(part) for part in self._wanted[index])

    def _keep(self, place: Place, node: bytes) -> None:
        if place in self._missing:
            self._nodes[place] = node

    def _fold(self, part: list[Place]) -> bytes:
        *left, last = part
        root = self._nodes[last]
        for place in reversed(left):
            root = node_hash(self._nodes[place], root)
        return root


def fold_proof(leaf: bytes, index: int, size: int, proof: tuple[bytes, ...]) -> bytes | None:
    """The root that a proof leads to, or None where it does not have the form of one."""
    if not 0 <= index < size or len(proof) != len(_siblings(index, size)):
        return None
    node, last = leaf, size - 1
    for sibling in proof:
        # The rightmost node of a level may have none beside it: it goes up as it is.
        while not index & 1 and index == last and last:
            index, last = index >> 1, last >> 1
        node = node_hash(sibling, node) if index & 1 else node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    return node


def _siblings(index: int, size: int) -> list[tuple[int, int]]:
    """The ranges of leaves beside the way from a leaf to the root, the nearest first."""
    found: list[tuple[int, int]] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def _whole(start: int, end: int) -> Iterator[Place]:
    """The whole subtrees a range of leaves is made of, left to right."""
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level
