"""Reads an audit log to its end, and says whether it is what the heads say it was.

The chain tells where a line was changed; the heads tell what no chain can: that lines at the end
are gone, or that all was written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec
from msgspec import Struct

from ledger.audit_format import (
    Head,
    Header,
    Seal,
    encode_record,
    entry_of,
    segment_name,
    segment_of,
)
from ledger.audit_log import AuditDamaged, AuditError, read_header
from ledger.merkle import Prover, fold_proof, leaf_hash
from ledger.places import Reader

FAULTS_MAX = 20
PROGRESS_ENTRIES = 20_000
PROVED_MAX = 1_000_000


class _Numbered(Struct):
    """As much of a record as says which it is."""

    number: int


_number_of = msgspec.json.Decoder(_Numbered).decode

OnEntry = Callable[[int], None]
"""Called with the number of entries read, now and then."""


class AuditReport(Struct, frozen=True, kw_only=True):
    """What was found. No `faults`: every entry up to the newest head is what it was.

    `after_head` entries are newer than the newest head: only the chain and the journal speak for
    them.
    """

    deployment: str | None = None
    segments: int = 0
    entries: int = 0
    heads: int = 0
    head: Head | None = None
    after_head: int = 0
    faults: tuple[str, ...] = ()


class Proof(Struct, frozen=True, kw_only=True):
    """That an entry is in the log a head speaks of: the hashes from its leaf to the root (hex)."""

    entry: int
    leaf: str
    size: int
    path: tuple[str, ...]

    def holds(self, entry: bytes, head: Head) -> bool:
        """True where it leads from these very bytes to the head's root."""
        leaf = leaf_hash(entry)
        path = tuple(bytes.fromhex(node) for node in self.path)
        root = fold_proof(leaf, self.entry - 1, self.size, path)
        is_ours = self.size == head.size and self.leaf == leaf.hex()
        return is_ours and root is not None and root.hex() == head.root


def verify(
    directory: Path, heads: Sequence[Head], on_entry: OnEntry = lambda _: None
) -> AuditReport:
    """Checks every line against the chain, and the whole against every head."""
    reading = _Reading(directory, heads)
    try:
        for _ in reading.lines():
            if not reading.seal.size % PROGRESS_ENTRIES:
                on_entry(reading.seal.size)
    except (AuditError, OSError) as trouble:
        reading.faults.append(str(trouble))
    return reading.report()


def read_entries(directory: Path) -> Iterator[bytes]:
    """The entries there are, first to last, unchecked. Raises AuditError, OSError."""
    for path in segments_of(directory):
        for line in islice(_lines_of(path), 1, None):
            found = entry_of(line)
            if found is not None:
                yield found[1]


def prove(directory: Path, head: Head, numbers: Iterable[int]) -> Iterator[Proof]:
    """A proof for each entry (from 1) that the head covers. Raises AuditError, OSError."""
    wanted = sorted(number for number in numbers if 0 < number <= head.size)
    if len(wanted) > PROVED_MAX:
        raise AuditError(f"{len(wanted)} proofs at once; ask for at most {PROVED_MAX}")
    prover = Prover(head.size, frozenset(number - 1 for number in wanted))
    leaves: dict[int, str] = {}
    asked = frozenset(wanted)
    for number, entry in enumerate(read_entries(directory), 1):
        if number > head.size:
            break
        leaf = leaf_hash(entry)
        prover.add(leaf)
        if number in asked:
            leaves[number] = leaf.hex()
    for number in wanted:
        path = tuple(node.hex() for node in prover.proof(number - 1))
        yield Proof(entry=number, leaf=leaves[number], size=head.size, path=path)


def compare(directory: Path, journal: Reader, after: int) -> list[str]:
    """What of the entries after number `after` the journal tells otherwise. Raises JournalError.

    No head covers the newest entries yet: here the journal speaks for them. What a journal that
    lost records told before is passed over.
    """
    newer = list(islice(read_entries(directory), after, None))
    told: dict[int, bytes] = {}
    for entry in reversed(newer):
        number = _number_of(entry).number
        if not told or number < min(told):
            told[number] = entry
    if not told:
        return []
    first = min(told)
    known = {r.number: encode_record(r) for r in journal.replay(first - 1) if r.number in told}
    return [
        f"record {number} is not in the audit log as the journal has it"
        for number, entry in sorted(told.items())
        if known.get(number) != entry
    ][:FAULTS_MAX]


def segments_of(directory: Path) -> list[Path]:
    """The log's files in order. Raises AuditError where one is missing or there is none."""
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    numbers = sorted(number for name in names if (number := segment_of(name)) is not None)
    if not numbers:
        raise AuditError(f"no audit log in {directory}; it is made while `fillgate up` runs")
    missing = set(range(1, numbers[-1] + 1)) - set(numbers)
    if missing:
        raise AuditError(f"{directory}: {segment_name(min(missing))} is gone")
    return [directory / segment_name(number) for number in numbers]


def _lines_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


class _Reading:
    """One pass over a log."""

    def __init__(self, directory: Path, heads: Sequence[Head]) -> None:
        self._directory = directory
        self._heads = sorted(heads, key=lambda head: head.size)
        self.seal = Seal("")
        self.faults: list[str] = []
        self._segments = 0
        self._next = 0

    def lines(self) -> Iterator[None]:
        """Goes through every line; what is wrong stands in `faults`."""
        paths = segments_of(self._directory)
        for path in paths:
            self._segments += 1
            lines = _lines_of(path)
            self._enter(path, next(lines, b""))
            for line in lines:
                self._take(path, line, is_last=path is paths[-1])
                yield
                if len(self.faults) >= FAULTS_MAX:
                    return
        self._check_heads()
        if self._next < len(self._heads):
            size = self._heads[-1].size
            what = f"a head speaks of {size} entries, but only {self.seal.size} are here"
            self.faults.append(what)

    def report(self) -> AuditReport:
        """What was found."""
        newest = self._heads[-1] if self._heads else None
        return AuditReport(
            deployment=self.seal.deployment or None,
            segments=self._segments,
            entries=self.seal.size,
            heads=len(self._heads),
            head=newest,
            after_head=max(self.seal.size - (newest.size if newest else 0), 0),
            faults=tuple(self.faults),
        )

    def _enter(self, path: Path, line: bytes) -> None:
        header, _ = read_header(path, line)
        if self._segments == 1:
            self.seal = Seal(header.deployment)
            self._check_heads()
        wanted: Header = self.seal.header(self._segments)
        if header != wanted:
            raise AuditDamaged(path, "the first line is not what the segment before it ends with")

    def _take(self, path: Path, line: bytes, is_last: bool) -> None:
        found = entry_of(line)
        if found is None:
            if is_last and not line.endswith(b"\n"):
                return  # being written just now, or torn: promised to nobody
            raise AuditDamaged(path, f"the line after entry {self.seal.size} is no entry")
        chain = self.seal.add(found[1])
        if chain.encode() != found[0]:
            raise AuditDamaged(path, f"entry {self.seal.size} or one before it was changed")
        if self._next < len(self._heads) and self._heads[self._next].size == self.seal.size:
            self._check_heads()

    def _check_heads(self) -> None:
        """Compares with the heads made when the log was as long as it is now."""
        while self._next < len(self._heads) and self._heads[self._next].size <= self.seal.size:
            head = self._heads[self._next]
            ours = self.seal.head(head.at_ns)
            if head != ours:
                what = f"entries 1 to {head.size} are not those that the head over them speaks of"
                self.faults.append(what)
            self._next += 1
