"""The newest updates of a durable stream, kept at hand so that most resumes need no journal."""

from __future__ import annotations

from msgspec import Struct
from msgspec.msgpack import Encoder

from domain.streams import StreamUpdate

TAIL_UPDATES_MAX = 10_000
TAIL_BYTES_MAX = 8 * 1024 * 1024

_encode = Encoder().encode


class Gap(Struct, frozen=True, kw_only=True):
    """An update that does not continue its stream: nothing was kept of it."""

    stream: str
    expected: int
    got: int

    @property
    def is_repeat(self) -> bool:
        """True for one seen before; else updates are missing and must be read."""
        return self.got < self.expected


class NeedOlder(Struct, frozen=True, kw_only=True):
    """Entries after `after` were asked for and the tail starts at `first`: ask the journal."""

    stream: str
    after: int
    first: int


class StreamTail:
    """The last updates of one stream, at most so many and so many bytes; oldest go first.

    `head` is the number of the newest entry known, 0 for none; a tail that starts late is
    made with the head it continues.
    """

    def __init__(
        self,
        stream: str,
        *,
        head: int = 0,
        updates_max: int = TAIL_UPDATES_MAX,
        bytes_max: int = TAIL_BYTES_MAX,
    ) -> None:
        self.stream = stream
        self.head = head
        self.bytes = 0
        self._first = head + 1
        self._updates_max = updates_max
        self._bytes_max = bytes_max
        self._kept: dict[int, tuple[StreamUpdate, int]] = {}

    def __len__(self) -> int:
        """How many updates are kept."""
        return len(self._kept)

    @property
    def first(self) -> int:
        """The number of the oldest update kept, or of the next one where none is."""
        return self._first

    def append(self, update: StreamUpdate, size: int | None = None) -> Gap | None:
        """Keeps the next update, or returns the Gap; `size` in bytes is measured if not told."""
        seq = update.seq
        if update.stream != self.stream or seq != self.head + 1:
            return Gap(stream=update.stream, expected=self.head + 1, got=seq)
        size = len(_encode(update)) if size is None else size
        self._kept[seq] = (update, size)
        self.head = seq
        self.bytes += size
        while len(self._kept) > self._updates_max or self.bytes > self._bytes_max:
            self._drop_oldest()
        return None

    def after(self, seq: int, limit: int) -> tuple[StreamUpdate, ...] | NeedOlder:
        """At most `limit` updates after `seq`, oldest first; none where it is at the head.

        A cursor beyond the head gets none either: another edge may have told the client
        updates that are still on their way here.
        """
        if seq + 1 < self._first:
            return NeedOlder(stream=self.stream, after=seq, first=self._first)
        last = min(self.head, seq + limit)
        return tuple(self._kept[number][0] for number in range(seq + 1, last + 1))

    def _drop_oldest(self) -> None:
        _, size = self._kept.pop(self._first)
        self.bytes -= size
        self._first += 1
