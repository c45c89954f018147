"""Market data as Alpaca tells it: quotes, the trades between them, bands and halts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from brokers.simulators.alpaca_listings import EXCHANGES, is_crypto
from brokers.simulators.alpaca_sockets import Moment
from brokers.simulators.book import Listing, Quote

Point = dict[str, Any]
SHARES_SHOWN, COINS_SHOWN = Decimal(100), Decimal("0.5")
BAND = Decimal("0.05")
"""Limit Up-Limit Down: five percent around the reference price, for the stocks listed here."""
BAND_STEP = Decimal("0.01")
"""A new reference price is one that is a percent away from the old."""
HALTED = {"sc": "H", "sm": "Trading Halt", "rc": "T1", "rm": "Halt News Pending"}
RESUMED = {"sc": "T", "sm": "Trading Resumption", "rc": "T3", "rm": "News and Resumption Times"}
RESTRICTED = {"sc": "E", "sm": "Short Sale Restriction", "rc": "", "rm": ""}


class Print(Struct, frozen=True):
    """One trade on the tape."""

    number: int
    price: Decimal
    size: Decimal
    is_buy: bool
    at_ns: int


class Tape:
    """The last quote and trade of each listing, and how they are told."""

    def __init__(self, listings: Mapping[str, Listing], quotes: Mapping[str, Quote]) -> None:
        self._listings = listings
        self._quotes = quotes
        self._prints: dict[str, Print] = {}
        self._references: dict[str, Decimal] = {}

    def take(self, quote: Quote) -> list[Point]:
        """What a new touch puts on the tape, for the streams: quote, trade, new bands."""
        symbol = quote.instrument
        number = self._prints[symbol].number + 1 if symbol in self._prints else 1
        is_buy = bool(number % 2)
        left = quote.ask_left if is_buy else quote.bid_left
        shown = self._shown(symbol)
        self._prints[symbol] = Print(
            number=number,
            price=quote.ask if is_buy else quote.bid,
            size=shown if left is None else left,
            is_buy=is_buy,
            at_ns=quote.at_ns,
        )
        points = [
            {"T": "q", "S": symbol, **self.quote(symbol)},
            {"T": "t", "S": symbol, **self.trade(symbol)},
        ]
        if not is_crypto(self._listings[symbol]) and self._is_reference_new(quote):
            points.append(self.band(symbol))
        return points

    def _shown(self, symbol: str) -> Decimal:
        return COINS_SHOWN if is_crypto(self._listings[symbol]) else SHARES_SHOWN

    def _size(self, symbol: str, units: Decimal) -> Decimal | int:
        """Shares are told whole."""
        return units if is_crypto(self._listings[symbol]) else int(units)

    def _is_reference_new(self, quote: Quote) -> bool:
        old = self._references.get(quote.instrument)
        if old is not None and abs(quote.mid - old) < old * BAND_STEP:
            return False
        self._references[quote.instrument] = quote.mid
        return True

    def knows(self, symbol: str) -> bool:
        """True once it was quoted."""
        return symbol in self._prints

    def quote(self, symbol: str) -> Point:
        """The touch."""
        quote = self._quotes[symbol]
        shown = self._shown(symbol)
        bid_size = shown if quote.bid_left is None else quote.bid_left
        ask_size = shown if quote.ask_left is None else quote.ask_left
        point: Point = {
            "t": Moment(quote.at_ns),
            "bp": quote.bid,
            "bs": self._size(symbol, bid_size),
            "ap": quote.ask,
            "as": self._size(symbol, ask_size),
        }
        if is_crypto(self._listings[symbol]):
            return point
        venue = _venue(symbol)
        return {**point, "bx": venue, "ax": venue, "c": ["R"], "z": _tape(symbol)}

    def trade(self, symbol: str) -> Point:
        """The last trade."""
        found = self._prints[symbol]
        point: Point = {
            "t": Moment(found.at_ns),
            "p": found.price,
            "s": self._size(symbol, found.size),
            "i": found.number,
        }
        if is_crypto(self._listings[symbol]):
            return {**point, "tks": "B" if found.is_buy else "S"}
        return {**point, "x": _venue(symbol), "c": ["@"], "z": _tape(symbol)}

    def bar(self, symbol: str, volume: int) -> Point:
        """The day so far, at the last trade's price."""
        found = self._prints[symbol]
        prices = dict.fromkeys("ohlc", found.price)
        return {"T": "d", "S": symbol, **prices, "v": volume, "t": Moment(found.at_ns)}

    def band(self, symbol: str) -> Point:
        """The prices it may trade between."""
        reference, tick = self._references[symbol], self._listings[symbol].tick
        edges = [(reference * (1 + share)).quantize(tick) for share in (-BAND, BAND)]
        return band(symbol, edges[0], edges[1], self._quotes[symbol].at_ns)


def band(symbol: str, low: Decimal, high: Decimal, at_ns: int) -> Point:
    """The prices a stock may trade between."""
    edges = {"u": high, "d": low, "i": "B"}
    return {"T": "l", "S": symbol, **edges, "t": Moment(at_ns), "z": _tape(symbol)}


def status(symbol: str, words: Mapping[str, str], at_ns: int) -> Point:
    """A halt, its end, or that short sales are restricted."""
    return {"T": "s", "S": symbol, **words, "t": Moment(at_ns), "z": _tape(symbol)}


def _venue(symbol: str) -> str:
    return "P" if symbol in EXCHANGES else "V"


def _tape(symbol: str) -> str:
    return "B" if symbol in EXCHANGES else "C"
