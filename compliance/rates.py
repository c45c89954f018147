"""Prices the screen was given, and what one currency is worth in another by them."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from compliance.magnitude import PRICE_MAX, is_usable
from domain.screening import Rate

PIVOTS = ("USD", "EUR")
"""Currencies a conversion may pass through where no pair joins the two."""

RATES_MAX = 5_000
"""Symbols remembered; a new one beyond is not taken, and what needs it fails closed."""

_ONE = Decimal(1)
_TWO = Decimal(2)
_ALWAYS_NS = 2**63 - 1


class Conversion(Struct, frozen=True, gc=False):
    """Units of the target currency per unit of the source, as of the older price used.

    Of a symbol that is no pair, it is the middle of its price.
    """

    rate: Decimal
    at_ns: int


SAME = Conversion(_ONE, _ALWAYS_NS)


class RateBook:
    """The newest sane price of each symbol."""

    def __init__(self) -> None:
        self._rates: dict[str, Rate] = {}
        self._middles: dict[str, Conversion] = {}
        self._legs: dict[str, tuple[str, str] | tuple[()]] = {}
        self._mids: dict[tuple[str, str], Conversion] = {}
        self._moved: dict[tuple[str, str], tuple[str, ...]] = {}

    def put(self, rate: Rate) -> None:
        """Takes a price that is usable and newer than the one held."""
        held = self._rates.get(rate.instrument)
        if held is not None and held.received_ns >= rate.received_ns:
            return
        if held is None and len(self._rates) >= RATES_MAX:
            return
        symbol, bid, ask = rate.instrument, rate.bid, rate.ask
        if not is_usable(bid, ask) or ask > PRICE_MAX:
            return
        self._rates[symbol] = rate
        self._middles[symbol] = middle = Conversion((bid + ask) / _TWO, rate.received_ns)
        if held is None:
            base, slash, quote = symbol.partition("/")
            self._legs[symbol] = (base, quote) if slash else ()
        legs = self._legs[symbol]
        if legs:
            self._mids[legs] = middle

    def move(self, by_ns: int) -> None:
        """The clock was set: all that is known is as old as it was."""
        if by_ns:
            for symbol, rate in self._rates.items():
                self._rates[symbol] = replace(rate, received_ns=rate.received_ns + by_ns)
                middle = self._middles[symbol]
                self._middles[symbol] = middle = Conversion(middle.rate, middle.at_ns + by_ns)
                if legs := self._legs[symbol]:
                    self._mids[legs] = middle

    def find(self, symbol: str, since_ns: int) -> Rate | None:
        """The symbol's price, or None where there is none received since."""
        rate = self._rates.get(symbol)
        return rate if rate is not None and rate.received_ns >= since_ns else None

    def middle(self, symbol: str) -> Conversion | None:
        """The middle of the symbol's newest price, and when that was received, however old."""
        return self._middles.get(symbol)

    def legs(self, symbol: str) -> tuple[str, str] | tuple[()]:
        """The two currencies of a pair whose price is known; nothing for other symbols."""
        return self._legs.get(symbol, ())

    def moved(self, symbol: str, target: str) -> tuple[str, ...]:
        """Currencies whose worth in the target may follow from this symbol's price."""
        key = (symbol, target)
        found = self._moved.get(key)
        if found is None:
            known = self._legs.get(symbol)
            if known is None:
                return ()
            joins = (target, *PIVOTS)
            found = tuple(
                leg
                for leg, other in zip(known, reversed(known), strict=True)
                if leg != target and other in joins
            )
            self._moved[key] = found
        return found

    def convert(self, source: str, target: str, since_ns: int = 0) -> Conversion | None:
        """What one unit is worth at mid, directly or by one pivot; None where unknown or older."""
        if source == target:
            return SAME
        found = self._mids.get((source, target))
        if found is None or (target, source) in self._mids:
            found = self._join(source, target)
        if found is not None and found.at_ns >= since_ns:
            return found
        for pivot in PIVOTS:
            first, second = self._join(source, pivot), self._join(pivot, target)
            if first is None or second is None:
                continue
            at_ns = min(first.at_ns, second.at_ns)
            if at_ns >= since_ns:
                return Conversion(first.rate * second.rate, at_ns)
        return None

    def _join(self, source: str, target: str) -> Conversion | None:
        """By one pair, either way round; the newer where both are quoted."""
        direct = self._mids.get((source, target))
        inverse = self._mids.get((target, source))
        if inverse is None or (direct is not None and direct.at_ns >= inverse.at_ns):
            return direct
        return Conversion(_ONE / inverse.rate, inverse.at_ns)
