"""Quotes for readers of every speed: the latest always, the lost ones counted, the still ones told.

A quote is kept by (instrument, connection), for its update counter belongs to both. Clocks
come in as `now_ns` and must not run backwards; any origin will do.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from domain.quotes import Quote

SECOND_NS = 1_000_000_000
THROTTLED_PER_S = 20
REPEAT_AFTER_NS = 750_000_000
"""Asked at least four times a second this keeps every still market told once a second."""
STREAM_SILENCE_NS_MAX = 10 * SECOND_NS
"""A stream unheard for longer is not vouched for: its quotes are no longer repeated."""

Key = tuple[str, str]


class _Slot:
    """What has gathered for one key since it was last delivered."""

    __slots__ = ("count", "high", "latest", "low", "merged")

    def __init__(self, quote: Quote) -> None:
        self.latest = quote
        self.count = quote.conflated
        self.high = quote.bid if quote.high is None else quote.high
        self.low = quote.ask if quote.low is None else quote.low
        self.merged = False

    def merge(self, quote: Quote) -> None:
        """Takes one more; a repeat never hides a real one."""
        self.count += quote.conflated
        self.merged = True
        was_repeat = self.latest.unchanged
        if quote.unchanged and not was_repeat:
            return
        self.latest = quote
        high = quote.bid if quote.high is None else quote.high
        low = quote.ask if quote.low is None else quote.low
        # A repeat stands for nothing: its prices are not of this span.
        if was_repeat or high > self.high:
            self.high = high
        if was_repeat or low < self.low:
            self.low = low

    def quote(self) -> Quote:
        """The latest, standing for all."""
        latest = self.latest
        if not self.merged:
            return latest
        if latest.unchanged:
            return replace(latest, conflated=self.count)
        return replace(latest, conflated=self.count, high=self.high, low=self.low)


class Conflator:
    """What one slow reader has yet to be told: per key one quote, however many it stands for.

    Bounded by the reader's subscriptions, never by time. The sum of `conflated` over what is
    taken and what is pending equals that over what was fed.
    """

    def __init__(self) -> None:
        self._pending: dict[Key, _Slot] = {}

    def __len__(self) -> int:
        """How many keys have something to tell."""
        return len(self._pending)

    def update(self, quote: Quote) -> None:
        """Takes a quote; the hot path."""
        key = (quote.instrument, quote.connection)
        slot = self._pending.get(key)
        if slot is None:
            self._pending[key] = _Slot(quote)
        else:
            slot.merge(quote)

    def take(self, limit: int | None = None) -> list[Quote]:
        """At most `limit` quotes, the longest waiting key first; they are pending no more."""
        keys = list(self._pending)[:limit]
        return [self._pending.pop(key).quote() for key in keys]

    def drop(self, instrument: str) -> int:
        """Forgets an instrument no longer followed; returns how many updates went with it."""
        keys = [key for key in self._pending if key[0] == instrument]
        return sum(self._pending.pop(key).count for key in keys)


class Throttle:
    """At most so many quotes a second and key: the first at once, then the latest when due.

    For router and compliance, which need a fresh price and not each one.
    """

    def __init__(self, per_s: int = THROTTLED_PER_S) -> None:
        # Rounded up, so that no second ever holds one too many.
        self.interval_ns = -(-SECOND_NS // per_s)
        self._due_ns: dict[Key, int] = {}
        self._pending: dict[Key, _Slot] = {}

    def offer(self, quote: Quote, now_ns: int) -> Quote | None:
        """Returns what to send at once, or None where it waits for its turn."""
        key = (quote.instrument, quote.connection)
        slot = self._pending.get(key)
        if slot is not None:
            slot.merge(quote)
        if now_ns < self._due_ns.get(key, now_ns):
            if slot is None:
                self._pending[key] = _Slot(quote)
            return None
        self._due_ns[key] = now_ns + self.interval_ns
        return quote if slot is None else self._pending.pop(key).quote()

    def due(self, now_ns: int) -> list[Quote]:
        """The waiting quotes whose turn has come."""
        keys = [key for key in self._pending if self._due_ns[key] <= now_ns]
        for key in keys:
            self._due_ns[key] = now_ns + self.interval_ns
        return [self._pending.pop(key).quote() for key in keys]

    def next_due_ns(self) -> int | None:
        """When to call `due` again, or None where nothing waits."""
        return min((self._due_ns[key] for key in self._pending), default=None)

    def drop(self, instrument: str) -> int:
        """Forgets an instrument; returns how many waiting updates went with it."""
        for key in [key for key in self._due_ns if key[0] == instrument]:
            del self._due_ns[key]
        keys = [key for key in self._pending if key[0] == instrument]
        return sum(self._pending.pop(key).count for key in keys)


class Ages(Struct, frozen=True, kw_only=True):
    """How old a price is, and how long its stream has been silent: a still market or a dead line.

    `stream_ns` None means that the stream was never heard.
    """

    tick_ns: int
    stream_ns: int | None


class _Known:
    """The latest quote of a key, when it came and when it was last told."""

    __slots__ = ("came_ns", "quote", "told_ns")

    def __init__(self, quote: Quote, now_ns: int) -> None:
        self.quote = quote
        self.came_ns = now_ns
        self.told_ns = now_ns


class QuoteBook:
    """The latest quote of every key, how old it is, and which are due to be repeated."""

    def __init__(
        self,
        *,
        repeat_after_ns: int = REPEAT_AFTER_NS,
        stream_silence_ns_max: int = STREAM_SILENCE_NS_MAX,
    ) -> None:
        self._repeat_after_ns = repeat_after_ns
        self._stream_silence_ns_max = stream_silence_ns_max
        self._known: dict[str, dict[str, _Known]] = {}
        self._heard: dict[str, tuple[int, int]] = {}

    def update(self, quote: Quote, now_ns: int) -> None:
        """Takes a quote as it is told; a repeat made elsewhere vouches for its stream alone."""
        known = self._known.setdefault(quote.instrument, {})
        kept = known.get(quote.connection)
        if kept is not None and quote.unchanged:
            kept.told_ns = now_ns
        else:
            known[quote.connection] = _Known(quote, now_ns)
        self._heard[quote.connection] = (now_ns, quote.stream_ns or quote.received_ns)

    def heard(self, connection: str, now_ns: int, utc_ns: int) -> None:
        """The price stream gave a sign of life (a heartbeat); `utc_ns` is told to clients."""
        self._heard[connection] = (now_ns, utc_ns)

    def latest(self, instrument: str) -> tuple[Quote, ...]:
        """The latest quote of each connection that has one: what a new subscriber is told first."""
        return tuple(known.quote for known in self._known.get(instrument, {}).values())

    def ages(self, instrument: str, connection: str, now_ns: int) -> Ages | None:
        """The two ages, or None where there is no quote."""
        known = self._known.get(instrument, {}).get(connection)
        if known is None:
            return None
        heard = self._heard.get(connection)
        return Ages(
            tick_ns=now_ns - known.came_ns,
            stream_ns=None if heard is None else now_ns - heard[0],
        )

    def repeats(self, instruments: Iterable[str], now_ns: int) -> list[Quote]:
        """The subscribed, tradeable quotes of live streams not told for a while, as `unchanged`."""
        told_before_ns = now_ns - self._repeat_after_ns
        repeats = []
        for instrument in instruments:
            for connection, known in self._known.get(instrument, {}).items():
                heard = self._heard.get(connection)
                if heard is None or now_ns - heard[0] > self._stream_silence_ns_max:
                    continue
                if known.told_ns <= told_before_ns and known.quote.tradeable:
                    known.told_ns = now_ns
                    repeats.append(_repeat(known.quote, heard[1]))
        return repeats

    def drop_instrument(self, instrument: str) -> None:
        """Forgets an instrument no longer followed."""
        self._known.pop(instrument, None)

    def drop_connection(self, connection: str) -> None:
        """Forgets that a stream lives: its quotes stay, ageing, and are not repeated."""
        self._heard.pop(connection, None)


def _repeat(quote: Quote, stream_ns: int) -> Quote:
    return replace(quote, unchanged=True, conflated=0, high=None, low=None, stream_ns=stream_ns)
