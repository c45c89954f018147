"""Small files that many processes read and one at a time replaces: tokens, limits, keys."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODE = 0o600
Stamp = tuple[int, int, int]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """The right to replace the file, for one process at a time; waits for it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(path.with_suffix(".lock"), flags, MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace_whole(path: Path, data: bytes) -> None:
    """The file as `data`, for its owner's eyes: on the disk before it has its name."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(draft, flags, MODE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def stamp_of(path: Path) -> Stamp | None:
    """Differs where the file was replaced or written; None where it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_size)
