"""Writing the audit log: every journal record again, in files that only ever grow.

It is made from the journal, after the fact, by whoever follows that; a killed writer reads here
how far it came and goes on, so no entry is missing and none is there twice. A last line that was
torn is cut off: the journal says it again. A journal that lost records nobody was promised (a
power cut) tells them differently: the entries stay, and what the journal says now follows them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from domain.records import Record
from ledger.audit_format import (
    Header,
    Seal,
    decode_header,
    encode_line,
    encode_record,
    entry_of,
    line_of,
    segment_name,
    segment_of,
)
from ledger.disk import make_directory, open_file, read_file, sync_directory
from ledger.following import Followable, Tail

SEGMENT_BYTES = 64 * 1024 * 1024
HEADER_BYTES_MAX = 16 * 1024
BACK_ENTRIES_MAX = 10_000
"""How many entries a journal may disown before a person must look at it."""

_decode_record = msgspec.json.Decoder(Record).decode


class AuditError(Exception):
    """Trouble with the audit log; the message names the fix."""


class AuditDamaged(AuditError):
    """An entry is not what was written."""

    def __init__(self, file: Path, what: str) -> None:
        fix = "keep it as it is, and run: fillgate audit verify"
        super().__init__(f"{file}: {what}; {fix}")


class AuditLog:
    """One deployment's audit log; one process writes it."""

    def __init__(
        self, directory: Path, deployment: str, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        """Takes the lock and finds the end. Raises AuditError, OSError."""
        self._directory = directory
        self._segment_bytes = segment_bytes
        self.seal = Seal(deployment)
        self._fd = self._lock = -1
        make_directory(directory)
        try:
            self._lock = _take_lock(directory)
            self._tail = self._open_last()
        except BaseException:
            self.close()
            raise

    def follow(self, journal: Followable) -> Tail:
        """A cursor after the last record that is both in the journal and here. Raises AuditError.

        Records the journal no longer knows are passed over, newest first.
        """
        if not self._tail:
            return journal.follow(0)
        last = journal.last()
        for entry in reversed(self._tail):
            number = _decode_record(entry).number
            if number > last:
                continue
            tail = journal.follow(number - 1)
            theirs = tail.read(1)
            if theirs and encode_record(theirs[0]) == entry:
                return tail
            tail.close()
        what = f"none of its last {len(self._tail)} entries is in the journal"
        raise AuditDamaged(self._path, what)

    def append(self, records: Sequence[Record]) -> None:
        """Adds the records, durable on return. Raises OSError: then it is to be opened again."""
        self._tail = []  # only a start asks for it
        if self._size >= self._segment_bytes:
            self._begin(self._segment + 1)
        lines = b"".join([line_of(self.seal, encode_record(record)) for record in records])
        self._write(lines)

    def close(self) -> None:
        """Gives it up; twice does no harm."""
        for fd in (self._fd, self._lock):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock = -1

    def _open_last(self) -> list[bytes]:
        names = [path.name for path in self._directory.iterdir()]
        numbers = sorted(number for name in names if (number := segment_of(name)) is not None)
        while numbers and self._is_unbegun(numbers[-1]):
            self._path_of(numbers.pop()).unlink()
        if not numbers:
            self._begin(1)
            return []
        if numbers[0] > 1 or numbers[-1] - numbers[0] + 1 != len(numbers):
            have = ", ".join(map(str, numbers))
            raise AuditDamaged(self._directory, f"of its segments only {have} are here")
        self._segment = numbers[-1]
        tail = self._read_last()
        if not tail and self._segment > 1:
            # A segment just begun: what the journal must know is in the one before.
            before = Seal(self.seal.deployment)
            tail = _read_entries(self._path_of(self._segment - 1), before)[0]
        return tail[-BACK_ENTRIES_MAX:]

    def _is_unbegun(self, segment: int) -> bool:
        """A crash may leave a segment without its first line: nothing was in it."""
        with self._path_of(segment).open("rb") as file:
            return b"\n" not in file.readline(HEADER_BYTES_MAX)

    def _read_last(self) -> list[bytes]:
        self._path = self._path_of(self._segment)
        entries, whole = _read_entries(self._path, self.seal)
        self._fd = open_file(self._path, os.O_WRONLY | os.O_APPEND)
        os.ftruncate(self._fd, whole)
        self._size = whole
        return entries

    def _begin(self, segment: int) -> None:
        path = self._path_of(segment)
        fd = open_file(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._path, self._segment, self._size = fd, path, segment, 0
        self._write(encode_line(self.seal.header(segment)) + b"\n")
        sync_directory(self._directory)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        os.fdatasync(self._fd)
        self._size += len(data)

    def _path_of(self, segment: int) -> Path:
        return self._directory / segment_name(segment)


def _take_lock(directory: Path) -> int:
    fd = open_file(directory / "audit.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise AuditError(f"the audit log in {directory} is held by another process") from None
    return fd


def _read_entries(path: Path, seal: Seal) -> tuple[list[bytes], int]:
    """A segment's entries, and how many bytes of it are whole. Raises AuditDamaged."""
    data = read_file(path)
    header, at = read_header(path, data)
    if header.deployment != seal.deployment:
        raise AuditDamaged(path, f"belongs to {header.deployment!r}, not {seal.deployment!r}")
    seal.resume(header)
    entries: list[bytes] = []
    while (end := data.find(b"\n", at) + 1) > 0:
        line = data[at:end]
        if b"\0" in line:  # a power cut leaves zeros where a line was to be
            break
        found = entry_of(line)
        if found is None or seal.add(found[1]).encode() != found[0]:
            raise AuditDamaged(path, f"entry {seal.size} is not what was written")
        entries.append(found[1])
        at = end
    return entries, at


def read_header(path: Path, data: bytes) -> tuple[Header, int]:
    """A segment's first line, and where the next begins. Raises AuditDamaged."""
    end = data.find(b"\n") + 1
    try:
        return decode_header(data[:end]), end
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise AuditDamaged(path, "the first line is no segment's") from None
