"""When an order triggers, and at which price. Pure."""

from __future__ import annotations

from decimal import Decimal

from brokers.simulators.book import Order, Quote
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
    if terms.kind is Kind.TRAILING_STOP:
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


def next_trail(order: Order, quote: Quote) -> Decimal:
    """Where a trailing stop is after this quote: it follows gains and never gives back."""
    assert order.trail is not None
    moved = first_trail(order, quote)
    return min(order.trail, moved) if order.terms.units > 0 else max(order.trail, moved)
