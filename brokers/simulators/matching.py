"""When an order triggers, and at which price. Pure."""

from __future__ import annotations

from decimal import Decimal

from brokers.simulators.book import Listing, Order, Quote
from brokers.simulators.words import Kind, Watch

FOR_A_BUY = {
    Watch.DEFAULT: lambda quote: quote.ask,
    Watch.INVERSE: lambda quote: quote.bid,
    Watch.BID: lambda quote: quote.bid,
    Watch.ASK: lambda quote: quote.ask,
    Watch.MID: lambda quote: quote.mid,
}
FOR_A_SALE = {
    **FOR_A_BUY,
    Watch.DEFAULT: lambda quote: quote.bid,
    Watch.INVERSE: lambda quote: quote.ask,
}
assert FOR_A_BUY.keys() == FOR_A_SALE.keys() == set(Watch)


def touch(quote: Quote, is_buy: bool) -> Decimal:
    """What a marketable order pays or gets."""
    return quote.ask if is_buy else quote.bid


def watched(order: Order, quote: Quote) -> Decimal:
    """The price the order is triggered by."""
    sides = FOR_A_BUY if order.terms.units > 0 else FOR_A_SALE
    price: Decimal = sides[order.terms.watch](quote)
    return price


def is_triggered(order: Order, quote: Quote) -> bool:
    """True where the order executes at this quote."""
    terms = order.terms
    is_buy = terms.units > 0
    price = watched(order, quote)
    if terms.kind in (Kind.TRAILING_STOP, Kind.TRAIL):
        assert order.trail is not None
        return price >= order.trail if is_buy else price <= order.trail
    level = terms.price
    assert level is not None
    if terms.kind in (Kind.LIMIT, Kind.TAKE_PROFIT):
        fill_price = touch(quote, is_buy)
        if is_buy:
            return price <= level and fill_price <= level
        return price >= level and fill_price >= level
    if terms.kind is Kind.IF_TOUCHED:
        start = order.market_price
        return price <= level if start is not None and start > level else price >= level
    return price >= level if is_buy else price <= level


def first_trail(order: Order, quote: Quote) -> Decimal:
    """Where a trailing stop starts: its distance behind the market."""
    distance = order.terms.distance
    assert distance is not None
    price = watched(order, quote)
    return price + distance if order.terms.units > 0 else price - distance


def follow(order: Order, quote: Quote) -> None:
    """Moves the stop of a trailing order by itself behind the best price it has seen."""
    terms, is_buy = order.terms, order.terms.units > 0
    price = watched(order, quote)
    best = min if is_buy else max
    order.peak = price if order.peak is None else best(order.peak, price)
    gap = terms.distance if terms.distance is not None else order.peak * (terms.percent or 0) / 100
    order.trail = order.peak + gap if is_buy else order.peak - gap


def is_within(order: Order, quote: Quote) -> bool:
    """True where the touch is no worse than the order's limit, if it has one."""
    terms, is_buy = order.terms, order.terms.units > 0
    limit = terms.price if terms.kind is Kind.LIMIT else terms.limit
    price = touch(quote, is_buy)
    return limit is None or (price <= limit if is_buy else price >= limit)


def next_trail(order: Order, quote: Quote) -> Decimal:
    """Where a trailing stop is after this quote: it follows gains and never gives back."""
    assert order.trail is not None
    moved = first_trail(order, quote)
    return min(order.trail, moved) if order.terms.units > 0 else max(order.trail, moved)


def available(wanted: Decimal, quote: Quote, listing: Listing) -> Decimal:
    """As much of the units as can be taken at the touch, on the grid."""
    left = quote.ask_left if wanted > 0 else quote.bid_left
    if left is None or left >= abs(wanted):
        return wanted
    left -= left % listing.lot
    return left if wanted > 0 else -left


def take_liquidity(quote: Quote, units: Decimal) -> None:
    """Takes what was executed from what is left at the touch."""
    if units > 0 and quote.ask_left is not None:
        quote.ask_left -= units
    elif units < 0 and quote.bid_left is not None:
        quote.bid_left += units
