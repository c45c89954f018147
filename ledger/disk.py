"""The few system calls the journal makes, behind one seam so that tests can make them fail."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from ledger.faults import JournalLocked, JournalMissing

ZEROS = bytes(1024 * 1024)
"""A piece. Smaller ones take turns with a busy loop so often that a segment came too late."""
DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


class Disk:
    """Writes and syncs; every method may raise OSError."""

    def write(self, fd: int, data: bytes | bytearray, offset: int) -> None:
        """Writes all of data at the offset."""
        written = os.pwrite(fd, data, offset)
        while written < len(data):
            written += os.pwrite(fd, data[written:], offset + written)

    def sync(self, fd: int) -> None:
        """Returns once what was written to fd is on the disk."""
        os.fdatasync(fd)

    def read_back(self, fd: int, size: int, offset: int) -> bytes:
        """What the disk holds, not what the page cache remembers of it; synced bytes only."""
        os.posix_fadvise(fd, offset, size, os.POSIX_FADV_DONTNEED)
        return os.pread(fd, size, offset)

    def reserve(self, fd: int, size: int) -> None:
        """Takes the space first: a full disk says so at once."""
        os.posix_fallocate(fd, 0, size)


def create_zeroed(
    disk: Disk,
    path: Path,
    size: int,
    head: bytes = b"",
    pause: Callable[[], object] = lambda: None,
) -> None:
    """Makes a file of zeros behind `head`, whole under its name or not at all. Raises OSError.

    Zeros are synced a piece at a time, with a pause after each: one large sync would hold up
    the journal's own for milliseconds.
    """
    draft = path.with_suffix(".tmp")
    fd = open_file(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        disk.reserve(fd, size)
        for offset in range(0, size, len(ZEROS)):
            disk.write(fd, ZEROS[: size - offset], offset)
            disk.sync(fd)
            pause()
        if head:
            disk.write(fd, head, 0)
        os.fsync(fd)
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    sync_directory(path.parent)


def open_file(path: Path, flags: int) -> int:
    """A descriptor that no child inherits; a new file is for its owner's eyes only."""
    return os.open(path, flags | os.O_CLOEXEC, FILE_MODE)


def read_file(path: Path) -> bytes:
    """All bytes. Read, not mapped: a bad sector is then an error, not a SIGBUS."""
    return path.read_bytes()


def sync_directory(directory: Path) -> None:
    """Makes names created, renamed or removed in the directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(directory: Path) -> None:
    """Makes the directory, for its owner alone, durable in its parent."""
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    directory.chmod(DIRECTORY_MODE)
    sync_directory(directory.parent)


class FileLock:
    """Ownership of a journal, for as long as this process keeps it open; see flock(2).

    A forked child would keep the lock alive: whoever holds one does not fork.
    """

    def __init__(self, directory: Path) -> None:
        """Takes the lock at once. Raises JournalMissing, JournalLocked."""
        if not directory.is_dir():
            raise JournalMissing(str(directory))
        path = directory / "journal.lock"
        self._fd = open_file(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise JournalLocked(str(directory), _read_pid(path)) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Gives the journal up; twice does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def find_holder(directory: Path) -> str | None:
    """Which process has the lock, in words; None where nobody has."""
    path = directory / "journal.lock"
    if not path.exists():
        return None
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _read_pid(path)
            return f"process {pid}" if pid else "another process"
    return None


def _read_pid(path: Path) -> int | None:
    text = path.read_text().strip()
    return int(text) if text.isdigit() else None
