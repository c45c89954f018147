"""Where a session stands in a durable stream: never a hole, never an entry twice.

What is published and is the next number is sent. Older is dropped. A number too high means
something was missed: from then on pages are read until they join what is published.
"""

from __future__ import annotations

from collections.abc import Iterator

from domain.commands import StreamPage
from domain.streams import StreamUpdate

PAGE_ENTRIES_MAX = 500
FROM_NOW = 2**62
"""A number no stream reaches: reading after it yields no entry, and tells the head."""


class Cursor:
    """Where one stream goes on.

    `next` is the number to send next, None until the head is known; `head` the last known;
    `is_unsure` where only a page can tell whether there is more.
    """

    __slots__ = ("acked", "head", "is_reading", "is_unsure", "next")

    def __init__(self, after: int | None, head: int = 0) -> None:
        self.next = None if after is None else after + 1
        self.head = head
        self.is_reading = False
        self.is_unsure = False
        self.acked = 0

    @property
    def needs_page(self) -> bool:
        """True where entries exist, or may exist, that were not sent, and no page is asked for."""
        return not self.is_reading and (
            self.is_unsure or self.next is None or self.next <= self.head
        )

    @property
    def read_after(self) -> int:
        """The number to read after."""
        return FROM_NOW if self.next is None else self.next - 1

    def offer(self, seq: int) -> bool:
        """True where a published entry is to be sent now."""
        self.head = max(self.head, seq)
        if self.is_reading or seq != self.next:
            return False
        self.next += 1
        return True

    def take_page(self, page: StreamPage) -> Iterator[StreamUpdate]:
        """The entries of a page that are to be sent, in order."""
        self.is_reading = self.is_unsure = False
        self.head = max(self.head, page.head)
        if self.next is None:
            self.next = page.head + 1
        for update in page.updates:
            if update.seq == self.next:
                self.next += 1
                yield update
