"""Plays that every kind of instrument knows: builders of the demo's acts. Pure."""

from __future__ import annotations

from decimal import Decimal

from cli.dealer import Act, Dealer, Play
from domain.commands import ClosePosition
from domain.orders import AmendOrder, CancelOrder, NewOrder, OrderType, Side, TimeInForce

T = TimeInForce
NS = 1_000_000_000
SIZE_BEYOND = Decimal(900_000)
"""Above the quantity any deployment allows by default: denied on purpose."""


def market(tif: TimeInForce) -> Play:
    """An order that takes the market."""
    return lambda deal: deal.order(OrderType.MARKET, tif)


def limit(tif: TimeInForce, least: float, most: float) -> Play:
    """A limit so many spreads away; below zero it takes the market at once."""

    def play(deal: Dealer) -> Act:
        side = deal.side()
        price = deal.away(side, deal.luck.uniform(least, most))
        until = until_of(deal, tif)
        return deal.order(OrderType.LIMIT, tif, side=side, limit_price=price, expire_at_ns=until)

    return play


def until_of(deal: Dealer, tif: TimeInForce) -> int | None:
    """When a good-till-date order ends, a few seconds from now; None for the others."""
    return deal.scene.now_ns + deal.luck.randint(1, 4) * NS if tif is T.GTD else None


def stop(tif: TimeInForce) -> Play:
    """A stop entry beyond the market: it follows a move."""

    def play(deal: Dealer) -> Act:
        side = deal.side()
        price = deal.away(side, -deal.luck.uniform(0.3, 3.0))
        until = until_of(deal, tif)
        return deal.order(OrderType.STOP, tif, side=side, stop_price=price, expire_at_ns=until)

    return play


def amend(deal: Dealer) -> Act | None:
    """A resting limit goes somewhere else."""
    found = resting(deal, OrderType.LIMIT)
    if found is None:
        return None
    price = deal.away(found.side, deal.luck.uniform(0.2, 4.0))
    return AmendOrder(client_order_id=found.client_order_id, limit_price=price)


def cancel(deal: Dealer) -> Act | None:
    """A resting order is taken back."""
    found = resting(deal, None)
    return CancelOrder(client_order_id=found.client_order_id) if found is not None else None


def resting(deal: Dealer, kind: OrderType | None) -> NewOrder | None:
    """One of our working orders of a kind, or of any."""
    found = [
        order
        for order in deal.scene.sight.working.values()
        if kind in (None, order.type) and order.instrument == deal.scene.instrument.symbol
    ]
    return deal.luck.choice(found) if found else None


def close(percent: int) -> Play:
    """Closes so much of what is held."""

    def play(deal: Dealer) -> Act | None:
        if not deal.held:
            return None
        return ClosePosition(
            client_order_id=deal.client_order_id,
            account=deal.scene.account,
            instrument=deal.scene.instrument.symbol,
            percent=Decimal(percent),
        )

    return play


def too_large(deal: Dealer) -> Act:
    """Compliance denies it: beyond the largest quantity."""
    return deal.order(OrderType.MARKET, T.FOK, quantity=SIZE_BEYOND)


def off_the_market(deal: Dealer) -> Act:
    """Compliance denies it: a buy limit a tenth above the market."""
    price = deal.grid(deal.scene.quote.ask * Decimal("1.1"))
    return deal.order(OrderType.LIMIT, T.GTC, side=Side.BUY, limit_price=price)
