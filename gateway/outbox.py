"""What a client has yet to read: bounded, in order, quotes conflated.

While the transport takes bytes, frames go straight to it. When it says stop, replies and
durable events wait here in order, and of quotes only the newest of each instrument, which then
says how many it stands for; of a client that wants each they wait like the rest. Past the bound
the client is too slow: the connection is closed with the last number sent of each stream, and
the journal has the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from domain.quotes import Quote, conflate


class Outbox:
    """Frames between a session and its transport.

    `write` takes a frame at once; `sent` is the last number of each stream handed to it.
    """

    def __init__(self, write: Callable[[bytes], None], bytes_max: int) -> None:
        self.sent: dict[str, int] = {}
        self.unsent_bytes = 0
        self.is_paused = False
        self.conflated = 0
        self._write = write
        self.bytes_max = bytes_max
        self._waiting: deque[tuple[bytes, str | None, int]] = deque()
        self._quotes: dict[tuple[str, str], Quote] = {}

    @property
    def is_full(self) -> bool:
        """True where the client is too slow to be kept."""
        return self.unsent_bytes > self.bytes_max

    @property
    def is_half_full(self) -> bool:
        """True where the client should be told that it lags."""
        return self.unsent_bytes > self.bytes_max // 2

    def push(self, frame: bytes, stream: str | None = None, seq: int = 0) -> None:
        """Sends a reply, or a stream's entry, now or in its turn."""
        if self.is_paused:
            self._waiting.append((frame, stream, seq))
            self.unsent_bytes += len(frame)
            return
        if stream is not None:
            self.sent[stream] = seq
        self._write(frame)

    def hold_quote(self, quote: Quote) -> None:
        """Keeps a quote for later, in place of the one that waits already."""
        key = (quote.instrument, quote.connection)
        older = self._quotes.get(key)
        if older is not None:
            self.conflated += 1
            quote = conflate(older, quote)
        self._quotes[key] = quote

    def drop_quotes(self, instrument: str) -> None:
        """Forgets the quotes of an instrument no longer wanted."""
        for key in [key for key in self._quotes if key[0] == instrument]:
            del self._quotes[key]

    def pause(self) -> None:
        """The transport takes no more."""
        self.is_paused = True

    def resume(self) -> Iterator[Quote]:
        """The transport takes bytes again: sends what waits, then yields the quotes held.

        Stops where the transport says stop again.
        """
        self.is_paused = False
        while self._waiting and not self.is_paused:
            frame, stream, seq = self._waiting.popleft()
            self.unsent_bytes -= len(frame)
            self.push(frame, stream, seq)
        while self._quotes and not self.is_paused:
            key = next(iter(self._quotes))
            yield self._quotes.pop(key)

    def clear(self) -> None:
        """Drops all that waits; the connection is over."""
        self._waiting.clear()
        self._quotes.clear()
        self.unsent_bytes = 0
