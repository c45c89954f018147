"""The demo's plays for currency pairs: every order type and time in force OANDA has. Pure."""

from __future__ import annotations

from cli.dealer import Act, Dealer, Play
from cli.plays import amend, cancel, close, limit, market, off_the_market, stop, too_large, until_of
from cli.sight import OpenLot
from domain.orders import (
    Bracket,
    NewOrder,
    OrderType,
    PositionEffect,
    Side,
    StopLoss,
    TakeProfit,
    TimeInForce,
    Trailing,
)

T = TimeInForce


def _if_touched(tif: TimeInForce) -> Play:
    """Waits for a better price, then takes the market."""

    def play(deal: Dealer) -> Act:
        side = deal.side()
        price, until = deal.away(side, deal.luck.uniform(0.3, 3.0)), until_of(deal, tif)
        kind = OrderType.MARKET_IF_TOUCHED
        return deal.order(kind, tif, side=side, stop_price=price, expire_at_ns=until)

    return play


def _bracket(deal: Dealer, side: Side, is_trailing: bool) -> Bracket:
    far = deal.grid(deal.spread * 3)
    if is_trailing:
        nearest = deal.scene.instrument.trailing_distance_min or deal.scene.instrument.pip * 5
        return Bracket(trailing=Trailing(amount=max(far, nearest)))
    target = deal.away(side, -4.0)
    return Bracket(stop_loss=StopLoss(distance=far), take_profit=TakeProfit(limit_price=target))


def _with_bracket(is_trailing: bool) -> Play:
    """An entry whose guards are made when it fills; only where it adds to the position."""

    def play(deal: Dealer) -> Act | None:
        side = deal.adding_side()
        if side is None:
            return None
        bracket = _bracket(deal, side, is_trailing)
        return deal.order(OrderType.MARKET, T.FOK, side=side, bracket=bracket)

    return play


def _resting_with_bracket(deal: Dealer) -> Act | None:
    side = deal.adding_side()
    if side is None:
        return None
    price, bracket = deal.away(side, 0.5), _bracket(deal, side, is_trailing=False)
    return deal.order(OrderType.LIMIT, T.GTC, side=side, limit_price=price, bracket=bracket)


def _guard(kind: OrderType) -> Play:
    """A guard on an open lot: trailing stop, take profit (limit) or stop loss (stop)."""

    def play(deal: Dealer) -> Act | None:
        lots = deal.scene.sight.free_lots(deal.scene.instrument.symbol, kind)
        # The oldest may always be closed: NFA 2-43(b).
        return _guard_of(deal, kind, lots[0]) if lots else None

    return play


def _guard_of(deal: Dealer, kind: OrderType, lot: OpenLot) -> NewOrder:
    side = Side.SELL if lot.quantity > 0 else Side.BUY
    terms: dict[str, object] = {"reduce_only": True}
    if kind is OrderType.TRAILING_STOP:
        nearest = deal.scene.instrument.trailing_distance_min or deal.scene.instrument.pip * 5
        terms = {"trailing": Trailing(amount=max(nearest, deal.grid(deal.spread)))}
    elif kind is OrderType.LIMIT:
        terms["limit_price"] = deal.away(side, deal.luck.uniform(0.1, 1.5))
    else:
        terms["stop_price"] = deal.away(side, -deal.luck.uniform(0.5, 4.0))
    quantity = abs(lot.quantity)
    return deal.order(kind, T.GTC, side=side, quantity=quantity, closes_lot=lot.lot_id, **terms)


def _hedge(deal: Dealer) -> Act | None:
    """Compliance denies it: it would open against the position."""
    if not deal.held:
        return None
    side = Side.SELL if deal.held > 0 else Side.BUY
    effect = PositionEffect.OPEN_ONLY
    return deal.order(OrderType.MARKET, T.FOK, side=side, position_effect=effect)


def _out_of_bounds(deal: Dealer) -> Act:
    """The broker refuses it inside its 201: the bound is on the far side of the market."""
    side = deal.side()
    return deal.order(OrderType.MARKET, T.FOK, side=side, price_bound=deal.away(side, 2.0))


PAIRS: dict[str, Play] = {
    "market fok": market(T.FOK),
    "market ioc": market(T.IOC),
    "limit gtc": limit(T.GTC, 0.2, 4.0),
    "limit day": limit(T.DAY, 0.2, 4.0),
    "limit gtd": limit(T.GTD, 0.5, 6.0),
    "limit ioc at market": limit(T.IOC, -0.5, 0.0),
    "limit fok at market": limit(T.FOK, -0.5, 0.0),
    "limit fok away": limit(T.FOK, 0.5, 2.0),
    "stop gtc": stop(T.GTC),
    "stop day": stop(T.DAY),
    "stop gtd": stop(T.GTD),
    "if touched gtc": _if_touched(T.GTC),
    "if touched day": _if_touched(T.DAY),
    "if touched gtd": _if_touched(T.GTD),
    "bracket": _with_bracket(is_trailing=False),
    "trailing bracket": _with_bracket(is_trailing=True),
    "resting bracket": _resting_with_bracket,
    "trailing stop on a lot": _guard(OrderType.TRAILING_STOP),
    "take profit on a lot": _guard(OrderType.LIMIT),
    "stop loss on a lot": _guard(OrderType.STOP),
    "amend": amend,
    "cancel": cancel,
    "close half": close(50),
    "close all": close(100),
    "too large": too_large,
    "off the market": off_the_market,
    "hedge": _hedge,
    "out of bounds": _out_of_bounds,
}
