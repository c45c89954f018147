"""The prices the router knows, aged truly though the wall clock steps.

A price's age is told in UTC, which may be set by hours from one moment to the next. The boot
clock is never set: where the two part, the stamps of all that is known move along. What was
stamped before the step and arrives after it is known by an age that is just the step's.
"""

from __future__ import annotations

from msgspec.structs import replace

from actors.router.desk import Desk, rate_of
from domain.quotes import Quote
from domain.screening import Rate

MS = 1_000_000
STEP_NS = 100 * MS
"""Less is drift: the clocks are compared many times a second."""
STAMPED_BEFORE_NS = 15_000 * MS
"""So long after a step a stream may still be vouched for by a stamp of before."""
EARLY_NS = 2_000 * MS


class Quotes:
    """Takes quotes to the desk, and moves their stamps when the clock steps."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._ahead_ns: int | None = None
        self._stepped_ns = 0
        self._stepped_at_ns = 0

    def look(self) -> int:
        """How far the wall clock has been set since the last look; the desk's quotes follow."""
        desk = self._desk
        ahead_ns, before_ns = desk.now_ns - desk.boot_ns, self._ahead_ns
        self._ahead_ns = ahead_ns
        if before_ns is None or abs(ahead_ns - before_ns) < STEP_NS:
            return 0
        stepped_ns = ahead_ns - before_ns
        self._stepped_ns, self._stepped_at_ns = stepped_ns, desk.boot_ns
        for by_connection in desk.quotes.values():
            for name, quote in by_connection.items():
                by_connection[name] = _moved(quote, stepped_ns)
        return stepped_ns

    def take(self, connection: str, quotes: tuple[Quote, ...]) -> tuple[Rate, ...]:
        """Keeps a connection's quotes; the rates they are for compliance."""
        kept = tuple(self._trued(quote) for quote in quotes)
        for quote in kept:
            self._desk.quotes.setdefault(quote.instrument, {})[connection] = quote
        return tuple(rate_of(quote) for quote in kept)

    def _trued(self, quote: Quote) -> Quote:
        """The quote, by the clock of now where its stamp is of before the last step."""
        desk, stepped_ns = self._desk, self._stepped_ns
        if not stepped_ns or desk.boot_ns - self._stepped_at_ns > STAMPED_BEFORE_NS:
            return quote
        age_ns = desk.now_ns - (quote.stream_ns or quote.received_ns)
        is_of_before = -EARLY_NS <= age_ns - stepped_ns <= STAMPED_BEFORE_NS
        return _moved(quote, stepped_ns) if is_of_before else quote


def _moved(quote: Quote, by_ns: int) -> Quote:
    stream_ns = quote.stream_ns + by_ns if quote.stream_ns is not None else None
    return replace(quote, received_ns=quote.received_ns + by_ns, stream_ns=stream_ns)
