"""Heads leave the log as soon as they are made: to a file of its own, a second one, syslog.

A copy the log's writer cannot change is what makes a truncated or rewritten log show. Heads are
only ever appended; where a second place cannot be reached the first goes on alone, and the next
head that gets there covers what was missed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ledger.audit_format import Head, decode_head, encode_line
from ledger.disk import open_file

SYSLOG_NOTICE = 13 * 8 + 5
"""Facility "log audit", severity notice (RFC 5424)."""
SEND_S_MAX = 0.2


class AuditSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the heads of the audit log go beside `audit-heads.jsonl` in the home.

    `heads_file` is best on another disk or machine; `syslog` is a socket's path or HOST:PORT
    (UDP). A head is made after `head_records` records, or `head_ms` after the last one.
    """

    heads_file: str | None = None
    syslog: Annotated[str, Meta(pattern=r"^(/.+|[^/\s]+:\d{1,5})$")] | None = None
    head_records: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    head_ms: Annotated[int, Meta(ge=10, le=60_000)] = 1_000


class HeadFile:
    """Heads, one a line, appended and synced."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, head: Head) -> None:
        """Durable on return. Raises OSError."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        fd = open_file(self.path, flags)
        try:
            os.write(fd, encode_line(head) + b"\n")
            os.fdatasync(fd)
        finally:
            os.close(fd)


class Syslog:
    """Heads, one a datagram."""

    def __init__(self, address: str) -> None:
        self._address = address

    def put(self, head: Head) -> None:
        """Hands it to the socket; nobody says whether it arrived. Raises OSError."""
        text = b"<%d>fillgate audit head %s" % (SYSLOG_NOTICE, encode_line(head))
        is_path = self._address.startswith("/")
        host, _, port = self._address.rpartition(":")
        with socket.socket(
            socket.AF_UNIX if is_path else socket.AF_INET, socket.SOCK_DGRAM
        ) as sender:
            sender.settimeout(SEND_S_MAX)
            sender.sendto(text, self._address if is_path else (host, int(port)))


HeadPlace = HeadFile | Syslog


def places_of(own: Path, settings: AuditSettings) -> tuple[HeadPlace, ...]:
    """Where heads go; the first is the deployment's own."""
    found: list[HeadPlace] = [HeadFile(own)]
    if settings.heads_file is not None:
        found.append(HeadFile(Path(settings.heads_file)))
    if settings.syslog is not None:
        found.append(Syslog(settings.syslog))
    return tuple(found)


def read_heads(path: Path) -> tuple[list[Head], list[str]]:
    """A file's heads in order, and what is wrong with it. Raises OSError.

    A line without its end was being written when the machine died: it is no fault.
    """
    lines = path.read_bytes().split(b"\n")[:-1]
    heads: list[Head] = []
    faults: list[str] = []
    for number, line in enumerate(lines, 1):
        try:
            head = decode_head(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            faults.append(f"{path}, line {number}: is no head")
            continue
        if heads and head.size < heads[-1].size:
            faults.append(f"{path}, line {number}: goes back to {head.size} entries")
        heads.append(head)
    return heads, faults


def newest(heads: Iterable[Head]) -> Head | None:
    """The one over the most entries."""
    return max(heads, key=lambda head: head.size, default=None)
