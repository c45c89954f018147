"""Short stories of an order, told by a client at the router's link, for whoever cuts them short.

Each names its orders by the prefix it is given, waits for what it asked for, and leaves no order
working. A story raises RouterAway where it is cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from msgspec import Struct

from bench.hand_edge import HandEdge
from domain import commands as c
from domain.lifecycle import Status
from domain.orders import (
    AmendOrder,
    Bracket,
    CancelOrder,
    NewOrder,
    OrderType,
    Side,
    StopLoss,
    TakeProfit,
    TimeInForce,
)

BURST = 3

Tell = Callable[[HandEdge, str], Awaitable[None]]


class Setting(Struct, frozen=True, kw_only=True):
    """What a story must know of where it is set."""

    account: str
    instrument: str
    quantity: Decimal
    at_once: TimeInForce
    far: Decimal
    """A buyer's price that is never reached, and another."""
    farther: Decimal
    stop: Decimal
    target: Decimal


OANDA = Setting(
    account="paper",
    instrument="EUR/USD",
    quantity=Decimal(1000),
    at_once=TimeInForce.FOK,
    far=Decimal("0.80000"),
    farther=Decimal("0.79000"),
    stop=Decimal("0.90000"),
    target=Decimal("1.50000"),
)
ALPACA = Setting(
    account="paper-alpaca",
    instrument="AAPL",
    quantity=Decimal(10),
    at_once=TimeInForce.IOC,
    far=Decimal("60.00"),
    farther=Decimal("59.00"),
    stop=Decimal("60.00"),
    target=Decimal("150.00"),
)


SETTINGS = {"oanda": OANDA, "alpaca": ALPACA}


def market(venue: Setting, name: str, **more: Any) -> NewOrder:
    """An order that fills at once."""
    words: dict[str, Any] = {
        "client_order_id": name,
        "account": venue.account,
        "instrument": venue.instrument,
        "side": Side.BUY,
        "quantity": venue.quantity,
        "time_in_force": venue.at_once,
    }
    return NewOrder(**{**words, **more})


def limit(venue: Setting, name: str) -> NewOrder:
    """An order that rests."""
    return market(
        venue,
        name,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        limit_price=venue.far,
    )


async def close(edge: HandEdge, name: str, venue: Setting) -> None:
    """Closes the position, where there is one."""
    command = c.ClosePosition(
        client_order_id=name, account=venue.account, instrument=venue.instrument
    )
    answer = await edge.say(name, command)
    if all(decided.error is None for decided in answer.decided) and answer.error is None:
        await edge.until_status(name, Status.FILLED)


async def _say(edge: HandEdge, name: str, command: c.Command) -> None:
    """A story goes on only where it is taken."""
    answer = await edge.say(name, command)
    refused = [one.error for one in answer.decided if one.error is not None]
    assert answer.error is None, answer.error
    assert not refused, refused


def filled(venue: Setting) -> Tell:
    """Bought, then sold."""

    async def tell(edge: HandEdge, name: str) -> None:
        for side in (Side.BUY, Side.SELL):
            order = market(venue, f"{name}-{side.value}", side=side)
            await _say(edge, order.client_order_id, c.Place(order=order))
            await edge.until_status(order.client_order_id, Status.FILLED)

    return tell


def changed(venue: Setting) -> Tell:
    """Rests, is amended, is canceled."""

    async def tell(edge: HandEdge, name: str) -> None:
        await _say(edge, name, c.Place(order=limit(venue, name)))
        await edge.until_status(name, Status.LIVE)
        amend = AmendOrder(client_order_id=name, limit_price=venue.farther)
        await _say(edge, f"{name}-amend", c.Amend(amend=amend))
        await edge.until(lambda: edge.orders[name].pending is None)
        await _say(edge, f"{name}-cancel", c.Cancel(cancel=CancelOrder(client_order_id=name)))
        await edge.until_status(name, Status.CANCELED)

    return tell


def hurried(venue: Setting) -> Tell:
    """Canceled before the broker has answered."""

    async def tell(edge: HandEdge, name: str) -> None:
        await _say(edge, name, c.Place(order=limit(venue, name)))
        await _say(edge, f"{name}-cancel", c.Cancel(cancel=CancelOrder(client_order_id=name)))
        await edge.until_status(name, Status.CANCELED)

    return tell


def guarded(venue: Setting) -> Tell:
    """Bought with a stop and a target, then all is canceled and the position closed."""

    async def tell(edge: HandEdge, name: str) -> None:
        bracket = Bracket(
            stop_loss=StopLoss(stop_price=venue.stop),
            take_profit=TakeProfit(limit_price=venue.target),
        )
        order = market(venue, name, bracket=bracket, time_in_force=TimeInForce.DAY)
        if venue is OANDA:
            order = market(venue, name, bracket=bracket)
        await _say(edge, name, c.Place(order=order))
        await edge.until_status(name, Status.FILLED)
        await _say(edge, f"{name}-cancel", c.Cancel(cancel=CancelOrder(all=True)))
        await edge.until(lambda: not edge.working())
        await close(edge, f"{name}-close", venue)

    return tell


def crowded(venue: Setting) -> Tell:
    """Several at once, then all canceled in one word."""

    async def tell(edge: HandEdge, name: str) -> None:
        names = [f"{name}-{number}" for number in range(BURST)]
        await asyncio.gather(*(_say(edge, one, c.Place(order=limit(venue, one))) for one in names))
        for one in names:
            await edge.until_status(one, Status.LIVE)
        await _say(edge, f"{name}-cancel", c.Cancel(cancel=CancelOrder(all=True)))
        for one in names:
            await edge.until_status(one, Status.CANCELED)

    return tell


STORIES: dict[str, Tell] = {
    f"{where}-{what.__name__}": what(venue)
    for where, venue in SETTINGS.items()
    for what in (filled, changed, hurried, guarded, crowded)
}
