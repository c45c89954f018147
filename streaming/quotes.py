"""Quotes for readers of every speed: the latest always, the lost ones counted, the still ones told.

Clocks come in as `now_ns` and must not run backwards; any origin will do.
"""

from __future__ import annotations

from domain.quotes import Quote, conflate, repeat

SECOND_NS = 1_000_000_000
THROTTLED_PER_S = 20
REPEAT_AFTER_NS = 750_000_000
"""Asked at least four times a second this keeps every still market told once a second."""
STREAM_SILENCE_NS_MAX = 10 * SECOND_NS
"""A stream unheard for longer is not vouched for: its quotes are no longer repeated."""

Key = tuple[str, str]


class Throttle:
    """At most so many quotes a second and key: the first at once, then the latest when due.

    For router and compliance, which need a fresh price and not each one.
    """

    def __init__(self, per_s: int = THROTTLED_PER_S) -> None:
        # Rounded up, so that no second ever holds one too many.
        self.interval_ns = -(-SECOND_NS // per_s)
        self._due_ns: dict[Key, int] = {}
        self._pending: dict[Key, Quote] = {}

    def offer(self, quote: Quote, now_ns: int) -> Quote | None:
        """Returns what to send at once, or None where it waits for its turn."""
        key = (quote.instrument, quote.connection)
        waiting = self._pending.pop(key, None)
        if waiting is not None:
            quote = conflate(waiting, quote)
        if now_ns < self._due_ns.get(key, now_ns):
            self._pending[key] = quote
            return None
        self._due_ns[key] = now_ns + self.interval_ns
        return quote

    def due(self, now_ns: int) -> list[Quote]:
        """The waiting quotes whose turn has come."""
        keys = [key for key in self._pending if self._due_ns[key] <= now_ns]
        for key in keys:
            self._due_ns[key] = now_ns + self.interval_ns
        return [self._pending.pop(key) for key in keys]

    def next_due_ns(self) -> int | None:
        """When to call `due` again, or None where nothing waits."""
        return min((self._due_ns[key] for key in self._pending), default=None)

    def drop(self, instrument: str) -> int:
        """Forgets an instrument; returns how many waiting updates went with it."""
        for key in [key for key in self._due_ns if key[0] == instrument]:
            del self._due_ns[key]
        keys = [key for key in self._pending if key[0] == instrument]
        return sum(self._pending.pop(key).conflated for key in keys)


class _Known:
    """The latest quote of an instrument, and when it was last told."""

    __slots__ = ("quote", "told_ns")

    def __init__(self, quote: Quote, now_ns: int) -> None:
        self.quote = quote
        self.told_ns = now_ns


class QuoteBook:
    """The latest quotes of one stream, when it was last heard, and which are due to be repeated.

    A stream that was lost or is silent vouches for nothing: its quotes stay and age, unrepeated.
    """

    def __init__(
        self,
        *,
        repeat_after_ns: int = REPEAT_AFTER_NS,
        stream_silence_ns_max: int = STREAM_SILENCE_NS_MAX,
    ) -> None:
        self._repeat_after_ns = repeat_after_ns
        self._stream_silence_ns_max = stream_silence_ns_max
        self._known: dict[str, _Known] = {}
        self._is_live = False
        self._heard_ns = 0
        self._heard_utc_ns: int | None = None

    def update(self, quote: Quote, now_ns: int) -> None:
        """Takes a quote as it is told."""
        self._known[quote.instrument] = _Known(quote, now_ns)

    def heard(self, now_ns: int, utc_ns: int) -> None:
        """The stream gave a sign of life, such as a heartbeat; `utc_ns` is told to clients."""
        self._is_live = True
        self._heard_ns, self._heard_utc_ns = now_ns, utc_ns

    def lost(self) -> None:
        """The stream ended."""
        self._is_live = False

    def find(self, instrument: str) -> Quote | None:
        """The latest quote, as it came."""
        known = self._known.get(instrument)
        return None if known is None else known.quote

    def latest(self, instrument: str) -> Quote | None:
        """The latest quote as a repeat, for who comes later; its `stream_ns` shows a dead line."""
        quote = self.find(instrument)
        return None if quote is None else repeat(quote, self._heard_utc_ns)

    def repeats(self, now_ns: int) -> list[Quote]:
        """The tradeable quotes not told for a while, as `unchanged`, where the stream lives."""
        if not self._is_live or now_ns - self._heard_ns > self._stream_silence_ns_max:
            return []
        told_before_ns = now_ns - self._repeat_after_ns
        due = [known for known in self._known.values() if known.told_ns <= told_before_ns]
        for known in due:
            known.told_ns = now_ns
        return [repeat(one.quote, self._heard_utc_ns) for one in due if one.quote.tradeable]

    def drop(self, instrument: str) -> None:
        """Forgets an instrument no longer followed."""
        self._known.pop(instrument, None)
