"""The next segment, made of zeros beside the loop's own work, so that rotation need not wait."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

from ledger.chain import segment_path
from ledger.disk import Disk, create_zeroed

PAUSE_S = 0.005
"""Between two pieces of zeros: commits go first, as long as nobody waits for the segment."""

RETRY_S = 0.25
"""After a failure: so soon is room on a disk that was full noticed."""


class Spare:
    """At most one segment ahead; made by a thread, or at once where `in_background` is off."""

    def __init__(self, directory: Path, size: int, disk: Disk, *, in_background: bool) -> None:
        self._directory = directory
        self._size = size
        self._disk = disk
        self._in_background = in_background
        self._thread: Thread | None = None
        self._segment = 0
        self._hurry = Event()
        self._stopped = Event()
        self._ready: Path | None = None
        self.error: OSError | None = None

    def adopt(self, path: Path) -> None:
        """It was made already."""
        self._ready = path

    def begin(self, segment: int) -> None:
        """Starts to make it, unless it is there or under way."""
        self._segment = segment
        if self._ready is not None or self._is_under_way():
            return
        if not self._in_background:
            self._try_to_make()
            return
        self._hurry.clear()
        self._thread = Thread(target=self._make, name="journal-spare", daemon=True)
        self._thread.start()

    def is_ready(self) -> bool:
        """Whether the next segment is there. Who asks needs it soon, so it is hurried."""
        if self._ready is None:
            self._hurry.set()
            if not self._in_background:
                self._try_to_make()
        return self._ready is not None

    def take(self, segment: int) -> Path | None:
        """The segment; None where it is not there yet, or cannot be made (see `error`)."""
        self.begin(segment)
        if not self.is_ready():
            return None
        path, self._ready = self._ready, None
        return path

    def close(self, wait_s: float) -> None:
        """Makes no more; one under way is hurried, and waited for at most so long."""
        self._stopped.set()
        self._hurry.set()
        if self._thread is not None:
            self._thread.join(wait_s)

    def _is_under_way(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _make(self) -> None:
        while not self._try_to_make():
            if self._stopped.wait(RETRY_S):
                return

    def _try_to_make(self) -> bool:
        path = segment_path(self._directory, self._segment)
        try:
            create_zeroed(self._disk, path, self._size, pause=self._pause)
        except OSError as error:
            self.error = error
            return False
        self._ready, self.error = path, None
        return True

    def _pause(self) -> None:
        if self._in_background:
            self._hurry.wait(PAUSE_S)
