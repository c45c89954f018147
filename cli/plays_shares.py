"""The demo's plays for shares and coins: every order type and time in force Alpaca has. Pure."""

from __future__ import annotations

from decimal import Decimal

from cli.dealer import Act, Dealer, Play
from cli.plays import amend, cancel, close, limit, market, off_the_market, stop, too_large
from domain.orders import Bracket, OrderType, StopLoss, TakeProfit, TimeInForce, Trailing

T = TimeInForce
PERCENT = Decimal("0.5")


def _stop_limit(tif: TimeInForce) -> Play:
    """A stop beyond the market that becomes a limit still further beyond."""

    def play(deal: Dealer) -> Act:
        side, trigger = deal.side(), deal.luck.uniform(0.3, 3.0)
        stop_price = deal.away(side, -trigger)
        limit_price = deal.away(side, -trigger - 2.0)
        kind = OrderType.STOP_LIMIT
        return deal.order(kind, tif, side=side, stop_price=stop_price, limit_price=limit_price)

    return play


def _trailing(is_percent: bool) -> Play:
    """An order that trails the market, by an amount or by a percent of it."""

    def play(deal: Dealer) -> Act:
        far = (
            Trailing(percent=PERCENT) if is_percent else Trailing(amount=deal.grid(deal.spread * 3))
        )
        return deal.order(OrderType.TRAILING_STOP, T.DAY, trailing=far)

    return play


def _bracket(kind: OrderType, tif: TimeInForce) -> Play:
    """An entry with both guards, prices absolute; only where it adds to the position."""

    def play(deal: Dealer) -> Act | None:
        side = deal.adding_side()
        if side is None:
            return None
        bracket = Bracket(
            stop_loss=StopLoss(stop_price=deal.away(side, 5.0)),
            take_profit=TakeProfit(limit_price=deal.away(side, -5.0)),
        )
        terms = {"limit_price": deal.away(side, 0.5)} if kind is OrderType.LIMIT else {}
        return deal.order(kind, tif, side=side, bracket=bracket, **terms)

    return play


SHARES: dict[str, Play] = {
    "market day": market(T.DAY),
    "market ioc": market(T.IOC),
    "market fok": market(T.FOK),
    "limit day": limit(T.DAY, 0.2, 4.0),
    "limit gtc": limit(T.GTC, 0.2, 4.0),
    "limit ioc at market": limit(T.IOC, -0.5, 0.0),
    "limit fok at market": limit(T.FOK, -0.5, 0.0),
    "limit fok away": limit(T.FOK, 0.5, 2.0),
    "stop day": stop(T.DAY),
    "stop gtc": stop(T.GTC),
    "stop limit day": _stop_limit(T.DAY),
    "stop limit gtc": _stop_limit(T.GTC),
    "trailing amount": _trailing(is_percent=False),
    "trailing percent": _trailing(is_percent=True),
    "bracket": _bracket(OrderType.MARKET, T.DAY),
    "resting bracket": _bracket(OrderType.LIMIT, T.GTC),
    "amend": amend,
    "cancel": cancel,
    "close half": close(50),
    "close all": close(100),
    "too large": too_large,
    "off the market": off_the_market,
}

COINS: dict[str, Play] = {
    "market gtc": market(T.GTC),
    "market ioc": market(T.IOC),
    "limit gtc": limit(T.GTC, 0.2, 4.0),
    "limit ioc at market": limit(T.IOC, -0.5, 0.0),
    "stop limit gtc": _stop_limit(T.GTC),
    "amend": amend,
    "cancel": cancel,
    "close half": close(50),
    "close all": close(100),
    "off the market": off_the_market,
}
