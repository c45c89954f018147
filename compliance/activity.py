"""What an account did in the last while: messages, order sums, repeated executions, shorts.

Kept apart from what it holds (holding.py), because it is counted over time. Every count has a
length at which the oldest goes.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from domain.portfolio import ZERO

KEPT_MAX = 100_000
"""Entries of one window; beyond it the oldest are forgotten."""

_NS_PER_S = 1_000_000_000


class Window:
    """How much happened since a moment, as a running sum of two amounts."""

    __slots__ = ("_entries", "quantity", "value")

    def __init__(self) -> None:
        self._entries: deque[tuple[int, Decimal, Decimal]] = deque()
        self.quantity = ZERO
        self.value = ZERO

    def note(self, at_ns: int, quantity: Decimal, value: Decimal) -> None:
        """Adds what happened."""
        self._entries.append((at_ns, quantity, value))
        self.quantity += quantity
        self.value += value
        if len(self._entries) > KEPT_MAX:
            self._drop()

    def count(self, after_ns: int) -> int:
        """How often since, not counting that moment itself; the sums are as of then too."""
        while self._entries and self._entries[0][0] <= after_ns:
            self._drop()
        return len(self._entries)

    def _drop(self) -> None:
        _, quantity, value = self._entries.popleft()
        self.quantity -= quantity
        self.value -= value


class Activity:
    """One account's windows."""

    __slots__ = ("_messages", "_orders", "_repeats", "_shorts")

    def __init__(self) -> None:
        self._messages: deque[int] = deque(maxlen=KEPT_MAX)
        self._orders: dict[tuple[str, int], Window] = {}
        self._repeats: dict[tuple[str | None, str, int], deque[int]] = {}
        self._shorts: dict[str, Window] = {}

    def message(self, at_ns: int) -> None:
        """A new order, an amend or a cancel leaves."""
        self._messages.append(at_ns)

    def messages(self, now_ns: int) -> int:
        """Messages of the last second."""
        times, after_ns = self._messages, now_ns - _NS_PER_S
        while times and times[0] <= after_ns:
            times.popleft()
        return len(times)

    def orders(self, instrument: str, sign: int) -> Window:
        """Orders of one direction that passed."""
        window = self._orders.get((instrument, sign))
        if window is None:
            window = self._orders[instrument, sign] = Window()
        return window

    def repeat(self, key: tuple[str | None, str, int], at_ns: int, window_ns: int) -> int:
        """A strategy's order filled whole; how often that happened within the window, ends in."""
        times = self._repeats.setdefault(key, deque(maxlen=KEPT_MAX))
        times.append(at_ns)
        while times[0] < at_ns - window_ns:
            times.popleft()
        return len(times)

    def forget_repeats(self, tag: str | None) -> None:
        """A human let the strategy trade again."""
        for key in [key for key in self._repeats if key[0] == tag or tag is None]:
            del self._repeats[key]

    def sold_short(self, instrument: str, quantity: Decimal, at_ns: int) -> None:
        """A short sale filled: what was located for it is used up for the day."""
        window = self._shorts.get(instrument)
        if window is None:
            window = self._shorts[instrument] = Window()
        window.note(at_ns, quantity, ZERO)

    def shorted(self, instrument: str, since_ns: int) -> Decimal:
        """How much was sold short since, that moment included."""
        window = self._shorts.get(instrument)
        if window is None:
            return ZERO
        window.count(since_ns - 1)
        return window.quantity
