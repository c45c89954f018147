"""What a netting account is worth, and what it may still buy (Regulation T, simplified). Pure.

Cash is the account's balance. Orders that would open a position hold buying power while they
work, those that close one do not (COMPLIANCE.md 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from brokers.simulators.book import Account, Listing, Order, Quote
from brokers.simulators.matching import touch
from brokers.simulators.terms import ZERO, Terms
from brokers.simulators.words import EXITS, Kind, Stage

INITIAL_RATE = Decimal("0.5")
LONG_RATE = Decimal("0.3")
SHORT_RATE = Decimal("0.3")
MARGIN_EQUITY_MIN = Decimal(2000)
"""Below this equity an account buys with its own cash only, and sells nothing short."""
SHORT_COLLAR = Decimal("1.03")
CHEAP_COLLAR, COLLAR = Decimal("1.04"), Decimal("1.025")
CHEAP = Decimal(50)


UNSENT = (Stage.HELD, Stage.PENDING)


class Funds(Struct, frozen=True, kw_only=True):
    """An account at the current quotes. `held` is the buying power of orders that work."""

    cash: Decimal
    long_value: Decimal
    short_value: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    multiplier: int
    buying_power: Decimal
    cash_power: Decimal
    held: Decimal

    @property
    def equity(self) -> Decimal:
        """Cash and all positions at the market."""
        return self.cash + self.long_value + self.short_value

    @property
    def regt_power(self) -> Decimal:
        """Twice what equity exceeds the initial margin by."""
        return max(ZERO, self.equity - self.initial_margin) * 2


class Purse:
    """Values netting accounts by the latest quotes."""

    def __init__(self, listings: Mapping[str, Listing], quotes: Mapping[str, Quote]) -> None:
        self._listings = listings
        self._quotes = quotes

    def price(self, symbol: str) -> Decimal:
        """What one unit is worth: the middle, zero before the first quote."""
        quote = self._quotes.get(symbol)
        return quote.mid if quote is not None else ZERO

    def funds(self, account: Account, without: Order | None = None) -> Funds:
        """The account's money, as if the one order were not there."""
        long = short = initial = maintenance = loaned = ZERO
        multiplier = account.settings.multiplier
        for position in account.positions.values():
            if not position.net:
                continue
            value = position.net * self.price(position.instrument)
            long, short = long + max(value, ZERO), short + min(value, ZERO)
            is_crypto = not self._listings[position.instrument].is_marginable
            initial += abs(value) * (1 if is_crypto else INITIAL_RATE)
            rate = LONG_RATE if value > 0 else SHORT_RATE
            maintenance += abs(value) * (1 if is_crypto else rate)
            loaned += abs(value) if is_crypto else abs(value) / multiplier
        equity = account.balance + long + short
        if equity < MARGIN_EQUITY_MIN and multiplier > 1:
            multiplier = 1
        held, held_margin = self._held(account, without, multiplier)
        if multiplier == 1:
            power = cash_power = max(ZERO, account.balance + min(short, ZERO) * 2 - held)
        else:
            power = max(ZERO, max(ZERO, equity - loaned) * multiplier - held_margin)
            # What was got for shares sold short is not there to be spent.
            own = account.balance + short
            cash_power = max(ZERO, min(own - held, power / multiplier))
        return Funds(
            cash=account.balance,
            long_value=long,
            short_value=short,
            initial_margin=initial,
            maintenance_margin=maintenance,
            multiplier=multiplier,
            buying_power=power,
            cash_power=cash_power,
            held=held,
        )

    def _held(
        self, account: Account, without: Order | None, multiplier: int
    ) -> tuple[Decimal, Decimal]:
        """Money that working orders would spend, plainly and as buying power."""
        held = held_margin = ZERO
        for order in account.working.values():
            if order is without or order.terms.role in EXITS:
                continue
            # Money to spend is units from its first fill on.
            terms = replace(order.terms, notional=None) if order.filled else order.terms
            cost = self.opening_cost(account, terms, order.leaves)
            weight = 1 if self._listings[order.terms.instrument].is_marginable else multiplier
            held += cost
            held_margin += cost * weight
        return held, held_margin

    def opening_cost(self, account: Account, terms: Terms, units: Decimal) -> Decimal:
        """What the units beyond closing a position would take, at the order's worst price."""
        held = account.position(terms.instrument).net
        opens = abs(units)
        if held and (held > 0) != (units > 0):
            opens = max(ZERO, opens - abs(held))
        if terms.notional is not None:
            return terms.notional if opens else ZERO
        return opens * self.worst_price(terms)

    def worst_price(self, terms: Terms) -> Decimal:
        """The price buying power is held at: the limit, or a collar around the market."""
        limit = terms.price if terms.kind is Kind.LIMIT else terms.limit
        quote = self._quotes.get(terms.instrument)
        if terms.units < 0:
            ask = quote.ask * SHORT_COLLAR if quote is not None else ZERO
            return max(limit or ZERO, ask)
        if limit is not None:
            return limit
        base = terms.price
        if base is None:
            base = touch(quote, is_buy=True) if quote is not None else ZERO
        return base * (CHEAP_COLLAR if base < CHEAP else COLLAR)


def held_units(account: Account, symbol: str, is_sale: bool, without: Order | None) -> Decimal:
    """Units of a position that working orders on that side are to close; a group counts once.

    The claims of the one order, and of those it belongs with, are left out.
    """
    claims: dict[int, Decimal] = {}
    left_out = 0 if without is None else without.terms.group or without.id
    for order in account.by_instrument.get(symbol, {}).values():
        if (order.terms.units < 0) is not is_sale or order.stage in UNSENT:
            continue
        group = order.terms.group or order.id
        if group == left_out:
            continue
        claims[group] = max(claims.get(group, ZERO), abs(order.leaves))
    return sum(claims.values(), ZERO)
