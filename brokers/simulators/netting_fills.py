"""Executes orders of netting books: one position an instrument at its average cost, and cash.

Cash moves by exactly price times units. The cost of a position is exact while it grows and
when it closes; what a part of it cost is divided to 18 places.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal

from msgspec.structs import replace

from brokers.simulators import facts as f
from brokers.simulators.book import Account, Listing, Order, Position, Quote
from brokers.simulators.bookkeeping import Bookkeeper
from brokers.simulators.matching import available, take_liquidity, touch
from brokers.simulators.netting_money import Purse
from brokers.simulators.terms import ZERO
from brokers.simulators.words import Life, State, Why

ONE = Decimal(1)
SHARE_STEP = Decimal("1E-18")
UNIT_STEP = Decimal("1E-9")
AT_ONCE = (Life.IOC, Life.FOK)


def settle(position: Position, units: Decimal, price: Decimal) -> Decimal:
    """Adds signed units to a position; returns what closing its part of them has earned."""
    held, cost = position.net, position.long_cost + position.short_cost
    closes = ZERO
    if held and (held > 0) != (units > 0):
        closes = min(abs(units), abs(held)).copy_sign(held)
    share = cost if closes == held else (cost * closes / held).quantize(SHARE_STEP)
    if not closes:
        share = ZERO
    realized = closes * price - share
    held += units
    cost = cost - share + (units + closes) * price
    position.long, position.short = max(held, ZERO), min(held, ZERO)
    position.long_cost = cost if held > 0 else ZERO
    position.short_cost = cost if held < 0 else ZERO
    if closes > 0:
        position.long_realized += realized
    else:
        position.short_realized += realized
    return realized


class NetFills:
    """Fills at the touch what liquidity and buying power allow."""

    def __init__(self, listings: Mapping[str, Listing], books: Bookkeeper, purse: Purse) -> None:
        self._listings = listings
        self._books = books
        self._purse = purse

    def fill(self, account: Account, order: Order, quote: Quote) -> f.Filled | Why | None:
        """Fills at the touch. The fact; or why the order must end; None where nothing is there."""
        price = touch(quote, order.terms.units > 0)
        wanted = self._wanted(order, price)
        units = available(wanted, quote, self._listings[quote.instrument])
        if units != wanted and order.terms.life is Life.FOK:
            return Why.LIQUIDITY
        if not units:
            return Why.LIQUIDITY if order.terms.life in AT_ONCE else None
        if not self._can_pay(account, order, units, price):
            return Why.MARGIN
        return self._apply(account, order, quote, units)

    def _wanted(self, order: Order, price: Decimal) -> Decimal:
        terms = order.terms
        if terms.notional is None or order.filled:
            return order.leaves
        # Money becomes units at the price of its first fill.
        units = (terms.notional / price).quantize(UNIT_STEP, ROUND_DOWN).copy_sign(terms.units)
        order.leaves = units
        order.terms = replace(terms, units=units)
        return units

    def _can_pay(self, account: Account, order: Order, units: Decimal, price: Decimal) -> bool:
        """True where the fill opens nothing, or what it opens can be paid."""
        held = account.position(order.terms.instrument).net
        opens = abs(units)
        if held and (held > 0) != (units > 0):
            opens -= abs(held)
        if opens <= 0:
            return True
        funds = self._purse.funds(account, without=order)
        is_marginable = self._listings[order.terms.instrument].is_marginable
        return opens * price <= (funds.buying_power if is_marginable else funds.cash_power)

    def _apply(self, account: Account, order: Order, quote: Quote, units: Decimal) -> f.Filled:
        books, listing = self._books, self._listings[quote.instrument]
        price = touch(quote, units > 0)
        position = account.position(listing.symbol)
        realized = settle(position, units, price)
        account.balance -= units * price
        account.realized += realized
        account.last_fill_ns = books.now_ns
        take_liquidity(quote, units)
        number = books.number(account)
        order.filled += units
        order.leaves -= units
        order.value += abs(units) * price
        order.fill, order.filled_ns, order.changed_ns = number, books.now_ns, books.now_ns
        if not order.leaves:
            order.state = State.FILLED
        fact = f.Filled(
            id=number,
            batch=account.batch,
            at_ns=books.now_ns,
            order=order.id,
            kind=order.terms.kind,
            cause=order.terms.cause,
            instrument=listing.symbol,
            units=units,
            price=price,
            bid=quote.bid,
            ask=quote.ask,
            realized=realized,
            balance=account.balance,
            gain=ONE,
            loss=ONE,
            half_spread=(quote.ask - quote.bid) / 2 * abs(units),
            client_id=order.client_id,
            filled=abs(order.filled),
            leaves=abs(order.leaves),
            position=position.net,
        )
        books.add(account, fact)
        if not order.leaves:
            books.retire(account, order)
        return fact
