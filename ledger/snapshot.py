"""Snapshots: a fold of the journal up to a record, so that a start need not read it all.

A snapshot is a convenience and never the truth: a bad one is passed over for the one before,
and without any the whole journal is replayed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from struct import Struct as Layout
from zlib import crc32

from msgspec import Struct

from ledger.disk import Disk, open_file, sync_directory

MAGIC = b"FGSNAPSH"
FORMAT = 1

_HEADER = Layout("<8sI")
_REST = Layout("<HxxQQ64s")
_STATE_FROM = _HEADER.size + _REST.size
_NAME = re.compile(r"snapshot-(\d{20})\.state")


class Snapshot(Struct, frozen=True, kw_only=True):
    """The state after record `number`, as the writer encoded it."""

    number: int
    state: bytes


def write(directory: Path, deployment_id: str, snapshot: Snapshot, disk: Disk) -> Path:
    """Puts a snapshot beside the journal, whole or not at all. Raises OSError."""
    path = directory / f"snapshot-{snapshot.number:020d}.state"
    draft = path.with_suffix(".tmp")
    fd = open_file(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        disk.write(fd, encode(deployment_id, snapshot), 0)
        disk.sync(fd)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    draft.rename(path)
    sync_directory(directory)
    return path


def keep(
    directory: Path, deployment_id: str, snapshot: Snapshot, kept: int, disk: Disk | None = None
) -> None:
    """Writes a snapshot and removes all but the newest. Raises OSError."""
    write(directory, deployment_id, snapshot, disk or Disk())
    prune(directory, kept)


def prune(directory: Path, kept: int) -> None:
    """Removes all but the newest."""
    for path in _paths(directory)[kept:]:
        path.unlink(missing_ok=True)


def read_all(directory: Path, deployment_id: str) -> Iterator[Snapshot]:
    """The valid snapshots, newest first."""
    for path in _paths(directory):
        snapshot = read(path, deployment_id)
        if snapshot is not None:
            yield snapshot


def read(path: Path, deployment_id: str) -> Snapshot | None:
    """The snapshot in the file, or None where it is damaged, foreign or cannot be read."""
    try:
        with path.open("rb") as file:
            # In two, for the state of a million orders takes a while to copy.
            return _check(file.read(_STATE_FROM), file.read(), deployment_id)
    except OSError:
        return None


def decode(data: bytes, deployment_id: str) -> Snapshot | None:
    """The snapshot in the bytes, or None where they are damaged or foreign."""
    return _check(data[:_STATE_FROM], data[_STATE_FROM:], deployment_id)


def _check(head: bytes, state: bytes, deployment_id: str) -> Snapshot | None:
    if len(head) < _STATE_FROM:
        return None
    magic, crc = _HEADER.unpack_from(head)
    format_, number, length, name = _REST.unpack_from(head, _HEADER.size)
    found = crc32(state, crc32(head[_HEADER.size :]))
    is_whole = magic == MAGIC and length == len(state) and crc == found
    is_ours = format_ == FORMAT and name.rstrip(b"\0") == deployment_id.encode()
    return Snapshot(number=number, state=state) if is_whole and is_ours else None


def newest_number(directory: Path) -> int:
    """The record the newest snapshot was taken after, by its name; 0 where there is none."""
    return max((int(path.name[9:29]) for path in _paths(directory)), default=0)


def find_bad(directory: Path, deployment_id: str) -> tuple[str, ...]:
    """File names of the snapshots that cannot be used."""
    return tuple(path.name for path in _paths(directory) if read(path, deployment_id) is None)


def encode(deployment_id: str, snapshot: Snapshot) -> bytes:
    """A snapshot as it is kept."""
    name = deployment_id.encode()
    rest = _REST.pack(FORMAT, snapshot.number, len(snapshot.state), name)
    crc = crc32(snapshot.state, crc32(rest))
    return b"".join((_HEADER.pack(MAGIC, crc), rest, snapshot.state))


def _paths(directory: Path) -> list[Path]:
    found = [path for path in directory.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)
