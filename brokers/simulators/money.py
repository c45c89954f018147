"""What an account is worth: conversion to its currency, equity, margin. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, ROUND_UP, Decimal

from msgspec import Struct

from brokers.simulators.book import Account, Listing, Position, Quote
from brokers.simulators.terms import ZERO

CENT = Decimal("0.0001")
ONE = Decimal(1)


class Factors(Struct, frozen=True):
    """What one unit of a currency is worth in the account's: received, paid, and between."""

    gain: Decimal
    loss: Decimal
    mid: Decimal


UNITY = Factors(ONE, ONE, ONE)


class Worth(Struct, frozen=True, kw_only=True):
    """An account at the current touch, in its own currency."""

    unrealized: Decimal
    margin_used: Decimal
    position_value: Decimal
    equity: Decimal

    @property
    def available(self) -> Decimal:
        """Margin still free; never below zero."""
        return max(ZERO, self.equity - self.margin_used)


def rounded(amount: Decimal) -> Decimal:
    """Money to four places, as it is booked."""
    return amount.quantize(CENT, ROUND_HALF_EVEN)


class Valuer:
    """Values accounts by the latest quotes. `pegs` names currencies worth exactly another."""

    def __init__(
        self,
        listings: Mapping[str, Listing],
        quotes: Mapping[str, Quote],
        pegs: Mapping[str, str],
    ) -> None:
        self._listings = listings
        self._quotes = quotes
        self._pegs = pegs
        self._pairs = {(x.base, x.quote): x.symbol for x in listings.values()}

    def factors(self, currency: str, home: str) -> Factors | None:
        """From a currency to the account's, directly or through the dollar; None unknown."""
        currency = self._pegs.get(currency, currency)
        home = self._pegs.get(home, home)
        if currency == home:
            return UNITY
        direct = self._direct(currency, home)
        if direct is not None or "USD" in (currency, home):
            return direct
        first, second = self._direct(currency, "USD"), self._direct("USD", home)
        if first is None or second is None:
            return None
        return Factors(first.gain * second.gain, first.loss * second.loss, first.mid * second.mid)

    def _direct(self, currency: str, home: str) -> Factors | None:
        quote = self._quotes.get(self._pairs.get((currency, home), ""))
        if quote is not None:
            return Factors(quote.bid, quote.ask, quote.mid)
        quote = self._quotes.get(self._pairs.get((home, currency), ""))
        if quote is not None:
            return Factors(ONE / quote.ask, ONE / quote.bid, ONE / quote.mid)
        return None

    def realized(self, amount: Decimal, factors: Factors) -> Decimal:
        """An amount of quote currency as it is booked to the account."""
        return rounded(amount * (factors.gain if amount > 0 else factors.loss))

    def margin_rate(self, account: Account, listing: Listing) -> Decimal:
        """The share of notional tied up: the listing's, or the account's where that is higher."""
        own = account.margin_rate
        return listing.margin_rate if own is None else max(own, listing.margin_rate)

    def margin(self, account: Account, listing: Listing, units: Decimal) -> Decimal:
        """Margin for that many units, rounded up; zero where no price is known."""
        value = self.value(account, listing, units)
        rate = self.margin_rate(account, listing)
        return (value * rate).quantize(CENT, ROUND_UP)

    def value(self, account: Account, listing: Listing, units: Decimal) -> Decimal:
        """Notional in account currency, at the middle."""
        if not units:
            return ZERO
        factors = self.factors(listing.base, account.settings.currency)
        if factors is not None:
            return abs(units) * factors.mid
        quote = self._quotes.get(listing.symbol)
        factors = self.factors(listing.quote, account.settings.currency)
        if quote is None or factors is None:
            return ZERO
        return abs(units) * quote.mid * factors.mid

    def units_at_risk(self, account: Account, position: Position) -> Decimal:
        """The units margin is taken for: net, or the larger side of a hedged account."""
        if account.settings.hedging:
            return max(position.long, -position.short)
        return position.net

    def unrealized(self, account: Account, position: Position) -> tuple[Decimal, Decimal]:
        """What closing each side (long, short) now would earn."""
        quote = self._quotes.get(position.instrument)
        if quote is None or not (position.long or position.short):
            return ZERO, ZERO
        listing = self._listings[position.instrument]
        factors = self.factors(listing.quote, account.settings.currency)
        if factors is None:
            return ZERO, ZERO
        return (
            self.realized(position.long * quote.bid - position.long_cost, factors),
            self.realized(position.short * quote.ask - position.short_cost, factors),
        )

    def worth(self, account: Account) -> Worth:
        """The account at the current touch."""
        unrealized = margin = value = ZERO
        for position in account.positions.values():
            if not position.lots:
                continue
            long, short = self.unrealized(account, position)
            unrealized += long + short
            listing = self._listings[position.instrument]
            units = self.units_at_risk(account, position)
            margin += self.margin(account, listing, units)
            value += rounded(self.value(account, listing, units))
        return Worth(
            unrealized=unrealized,
            margin_used=margin,
            position_value=value,
            equity=account.balance + unrealized,
        )
