"""The next segment, made of zeros beside the loop's own work, so that rotation need not wait."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

from ledger.chain import segment_path
from ledger.disk import Disk, create_zeroed

PAUSE_S = 0.005
"""Between two pieces of zeros: commits go first, as long as nobody waits for the segment."""


class Spare:
    """At most one segment ahead; made by a thread, or at once where `in_background` is off."""

    def __init__(self, directory: Path, size: int, disk: Disk, *, in_background: bool) -> None:
        self._directory = directory
        self._size = size
        self._disk = disk
        self._in_background = in_background
        self._thread: Thread | None = None
        self._hurry = Event()
        self._ready: Path | None = None
        self.error: OSError | None = None

    def adopt(self, path: Path) -> None:
        """An earlier run made it already."""
        self._ready = path

    def begin(self, segment: int) -> None:
        """Starts to make it, unless it is there or under way."""
        if self._ready is not None or self._thread is not None:
            return
        path = segment_path(self._directory, segment)
        if not self._in_background:
            self._make(path)
            return
        self._hurry.clear()
        self._thread = Thread(target=self._make, args=(path,), name="journal-spare", daemon=True)
        self._thread.start()

    def take(self, segment: int, wait_s: float) -> Path | None:
        """The segment, waited for at most `wait_s`; None where there is none (see `error`).

        One that failed is begun again, so a disk that has room again is noticed here.
        """
        self.begin(segment)
        self.settle(wait_s)
        path, self._ready = self._ready, None
        return path

    def settle(self, wait_s: float) -> None:
        """Lets a thread under way end, and hurries it where there is any wait."""
        thread = self._thread
        if thread is not None:
            if wait_s > 0:
                self._hurry.set()
            thread.join(wait_s)
            self._thread = thread if thread.is_alive() else None

    def _make(self, path: Path) -> None:
        self.error = None
        try:
            create_zeroed(self._disk, path, self._size, pause=self._pause)
        except OSError as error:
            self.error = error
        else:
            self._ready = path

    def _pause(self) -> None:
        if self._in_background:
            self._hurry.wait(PAUSE_S)
