"""Candles out of the ticks seen: five-second ones kept, longer ones put together on request."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from msgspec import Struct

from brokers.simulators.book import Quote

BASE_S = 5
NS = 1_000_000_000
CANDLES_MAX = 20_000
SECONDS = {
    "S5": 5, "S10": 10, "S15": 15, "S30": 30,
    "M1": 60, "M2": 120, "M4": 240, "M5": 300, "M10": 600, "M15": 900, "M30": 1800,
    "H1": 3600, "H2": 7200, "H3": 10800, "H4": 14400, "H6": 21600, "H8": 28800, "H12": 43200,
    "D": 86400,
}  # fmt: skip


class Bar(Struct):
    """Open, high, low, close of one side."""

    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741 - the wire's word
    c: Decimal

    def add(self, price: Decimal) -> None:
        """Takes one price."""
        self.h = max(self.h, price)
        self.l = min(self.l, price)
        self.c = price

    def join(self, later: Bar) -> None:
        """Takes a later bar."""
        self.h, self.l, self.c = max(self.h, later.h), min(self.l, later.l), later.c

    def copy(self) -> Bar:
        """A bar of its own."""
        return Bar(self.o, self.h, self.l, self.c)


class Candle(Struct):
    """What one interval saw; `from_s` is its start, seconds UTC."""

    from_s: int
    bid: Bar
    ask: Bar
    ticks: int = 1


class Candles:
    """The last candles of every instrument."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[Candle]] = {}

    def add(self, quote: Quote) -> None:
        """Takes a tick."""
        kept = self._kept.get(quote.instrument)
        if kept is None:
            kept = self._kept[quote.instrument] = deque(maxlen=CANDLES_MAX)
        from_s = quote.at_ns // NS // BASE_S * BASE_S
        if kept and kept[-1].from_s == from_s:
            last = kept[-1]
            last.bid.add(quote.bid)
            last.ask.add(quote.ask)
            last.ticks += 1
            return
        bid, ask = quote.bid, quote.ask
        kept.append(Candle(from_s, Bar(bid, bid, bid, bid), Bar(ask, ask, ask, ask)))

    def of(self, instrument: str, seconds: int, count: int) -> list[Candle]:
        """The last candles of that length, oldest first."""
        made: list[Candle] = []
        for candle in self._kept.get(instrument, ()):
            from_s = candle.from_s // seconds * seconds
            if made and made[-1].from_s == from_s:
                made[-1].bid.join(candle.bid)
                made[-1].ask.join(candle.ask)
                made[-1].ticks += candle.ticks
            else:
                made.append(Candle(from_s, candle.bid.copy(), candle.ask.copy(), candle.ticks))
        return made[-count:]
