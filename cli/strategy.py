"""The demo's strategy: every order type and time in force OANDA has, in seeded disorder. Pure.

It knows nothing of prices to come and earns nothing: it is there to make every kind of thing
happen that can happen to an order, denials and broker's refusals too. Every size is used once,
so that OANDA's rule of unique sizes (FIFO) holds by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from random import Random

from msgspec import Struct

from cli.sight import OpenLot, Sight
from domain.commands import ClosePosition
from domain.instruments import Instrument
from domain.orders import (
    AmendOrder,
    Bracket,
    CancelOrder,
    NewOrder,
    OrderType,
    PositionEffect,
    Side,
    StopLoss,
    TakeProfit,
    TimeInForce,
    Trailing,
)
from domain.quotes import Quote

T = TimeInForce
NS = 1_000_000_000
SIZE_FIRST = 1_000
POSITION_MAX = 20 * SIZE_FIRST
SIZE_BEYOND = Decimal(900_000)
"""Above the quantity any deployment allows by default: denied on purpose."""

Act = NewOrder | AmendOrder | CancelOrder | ClosePosition


class Scene(Struct, frozen=True, kw_only=True):
    """What there is to decide by: one instrument, its quote, and the time."""

    instrument: Instrument
    account: str
    quote: Quote
    sight: Sight
    now_ns: int


class Strategy:
    """Deals its plays like cards: all of them once, in a new order each round."""

    def __init__(self, name: str, luck: Random) -> None:
        self._name = name
        self._luck = luck
        self._number = 0
        self._deck: list[Play] = []

    def next(self, scene: Scene) -> Act:
        """The next thing to do; a play that cannot be played now is passed over."""
        while True:
            if not self._deck:
                self._deck = list(PLAYS.values())
                self._luck.shuffle(self._deck)
            act = self._deck.pop()(Dealer(self._name, self._luck, scene, self._number))
            if act is not None:
                self._number += 1
                return act


class Dealer:
    """What the plays are made with: names, sizes, prices on the grid."""

    def __init__(self, name: str, luck: Random, scene: Scene, number: int) -> None:
        self.scene = scene
        self.luck = luck
        self.number = number
        self.client_order_id = f"{name}-{number}"

    @property
    def size(self) -> Decimal:
        """A size never used before."""
        return SIZE_FIRST + Decimal(self.number) * self.scene.instrument.lot

    @property
    def spread(self) -> Decimal:
        """The market's spread, at least a pip."""
        return max(self.scene.quote.ask - self.scene.quote.bid, self.scene.instrument.pip)

    def side(self) -> Side:
        """Against the position where there is one to come down from, else either."""
        held = self.scene.sight.position(self.scene.instrument.symbol)
        if abs(held) > POSITION_MAX:
            return Side.SELL if held > 0 else Side.BUY
        return Side.BUY if self.luck.random() < 0.5 else Side.SELL

    def adding_side(self) -> Side | None:
        """The position's own side, or either where there is none; None where it is large."""
        held = self.scene.sight.position(self.scene.instrument.symbol)
        if abs(held) > POSITION_MAX:
            return None
        return (Side.BUY if held > 0 else Side.SELL) if held else self.side()

    def grid(self, price: Decimal) -> Decimal:
        """The price on the instrument's grid."""
        return price.quantize(self.scene.instrument.tick, ROUND_DOWN)

    def away(self, side: Side, steps: float) -> Decimal:
        """A price so many spreads on the cheap side of the market: below it for a buy."""
        touch = self.scene.quote.touch(side.is_buy)
        return self.grid(touch - side.sign * self.spread * Decimal(f"{steps:.3f}"))

    def order(self, kind: OrderType, tif: TimeInForce, **terms: object) -> NewOrder:
        """An order with a fresh name and size."""
        given = {"side": self.side(), "quantity": self.size, **terms}
        return NewOrder(
            client_order_id=self.client_order_id,
            instrument=self.scene.instrument.symbol,
            type=kind,
            time_in_force=tif,
            tag=kind.value,
            **given,  # type: ignore[arg-type]
        )


Play = Callable[[Dealer], Act | None]


def _market(tif: TimeInForce) -> Play:
    return lambda deal: deal.order(OrderType.MARKET, tif)


def _limit(tif: TimeInForce, least: float, most: float) -> Play:
    """A limit so many spreads away; below zero it takes the market at once."""

    def play(deal: Dealer) -> Act:
        side = deal.side()
        price = deal.away(side, deal.luck.uniform(least, most))
        until = _until(deal, tif)
        return deal.order(OrderType.LIMIT, tif, side=side, limit_price=price, expire_at_ns=until)

    return play


def _until(deal: Dealer, tif: TimeInForce) -> int | None:
    return deal.scene.now_ns + deal.luck.randint(1, 4) * NS if tif is T.GTD else None


def _stop(tif: TimeInForce) -> Play:
    """A stop entry beyond the market: it follows a move."""

    def play(deal: Dealer) -> Act:
        side = deal.side()
        price = deal.away(side, -deal.luck.uniform(0.3, 3.0))
        until = _until(deal, tif)
        return deal.order(OrderType.STOP, tif, side=side, stop_price=price, expire_at_ns=until)

    return play


def _if_touched(tif: TimeInForce) -> Play:
    """Waits for a better price, then takes the market."""

    def play(deal: Dealer) -> Act:
        side = deal.side()
        price, until = deal.away(side, deal.luck.uniform(0.3, 3.0)), _until(deal, tif)
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


def _amend(deal: Dealer) -> Act | None:
    """A resting limit goes somewhere else."""
    found = _resting(deal, OrderType.LIMIT)
    if found is None:
        return None
    price = deal.away(found.side, deal.luck.uniform(0.2, 4.0))
    return AmendOrder(client_order_id=found.client_order_id, limit_price=price)


def _cancel(deal: Dealer) -> Act | None:
    found = _resting(deal, None)
    return CancelOrder(client_order_id=found.client_order_id) if found is not None else None


def _resting(deal: Dealer, kind: OrderType | None) -> NewOrder | None:
    found = [
        order
        for order in deal.scene.sight.working.values()
        if kind in (None, order.type) and order.instrument == deal.scene.instrument.symbol
    ]
    return deal.luck.choice(found) if found else None


def _close(percent: int) -> Play:
    def play(deal: Dealer) -> Act | None:
        symbol = deal.scene.instrument.symbol
        if not deal.scene.sight.position(symbol):
            return None
        return ClosePosition(
            client_order_id=deal.client_order_id,
            account=deal.scene.account,
            instrument=symbol,
            percent=Decimal(percent),
        )

    return play


def _too_large(deal: Dealer) -> Act:
    """Compliance denies it: beyond the largest quantity."""
    return deal.order(OrderType.MARKET, T.FOK, quantity=SIZE_BEYOND)


def _off_the_market(deal: Dealer) -> Act:
    """Compliance denies it: a buy limit a tenth above the market."""
    price = deal.grid(deal.scene.quote.ask * Decimal("1.1"))
    return deal.order(OrderType.LIMIT, T.GTC, side=Side.BUY, limit_price=price)


def _hedge(deal: Dealer) -> Act | None:
    """Compliance denies it: it would open against the position."""
    held = deal.scene.sight.position(deal.scene.instrument.symbol)
    if not held:
        return None
    side = Side.SELL if held > 0 else Side.BUY
    effect = PositionEffect.OPEN_ONLY
    return deal.order(OrderType.MARKET, T.FOK, side=side, position_effect=effect)


def _out_of_bounds(deal: Dealer) -> Act:
    """The broker refuses it inside its 201: the bound is on the far side of the market."""
    side = deal.side()
    return deal.order(OrderType.MARKET, T.FOK, side=side, price_bound=deal.away(side, 2.0))


PLAYS: dict[str, Play] = {
    "market fok": _market(T.FOK),
    "market ioc": _market(T.IOC),
    "limit gtc": _limit(T.GTC, 0.2, 4.0),
    "limit day": _limit(T.DAY, 0.2, 4.0),
    "limit gtd": _limit(T.GTD, 0.5, 6.0),
    "limit ioc at market": _limit(T.IOC, -0.5, 0.0),
    "limit fok at market": _limit(T.FOK, -0.5, 0.0),
    "limit fok away": _limit(T.FOK, 0.5, 2.0),
    "stop gtc": _stop(T.GTC),
    "stop day": _stop(T.DAY),
    "stop gtd": _stop(T.GTD),
    "if touched gtc": _if_touched(T.GTC),
    "if touched day": _if_touched(T.DAY),
    "if touched gtd": _if_touched(T.GTD),
    "bracket": _with_bracket(is_trailing=False),
    "trailing bracket": _with_bracket(is_trailing=True),
    "resting bracket": _resting_with_bracket,
    "trailing stop on a lot": _guard(OrderType.TRAILING_STOP),
    "take profit on a lot": _guard(OrderType.LIMIT),
    "stop loss on a lot": _guard(OrderType.STOP),
    "amend": _amend,
    "cancel": _cancel,
    "close half": _close(50),
    "close all": _close(100),
    "too large": _too_large,
    "off the market": _off_the_market,
    "hedge": _hedge,
    "out of bounds": _out_of_bounds,
}
