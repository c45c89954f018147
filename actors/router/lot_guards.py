"""An order that guards a lot is as large as the lot, whatever it was asked for with.

Brokers that show lots (OANDA) keep no quantity for a take profit, stop loss or trailing stop:
it closes what is left of its trade. When another order takes a part of the lot the guard
shrinks with it, and no message says so. Without this it would stay partly filled for ever.
"""

from __future__ import annotations

from decimal import Decimal

from domain import events as ev
from domain.lifecycle import Order, Status
from domain.portfolio import Position

WORKING = (Status.LIVE, Status.PARTIALLY_FILLED)


def closes_lot(order: Order) -> bool:
    """True for an order that works at its broker and closes one lot."""
    source = order.terms or order.external
    return source is not None and source.closes_lot is not None and order.status in WORKING


def find_shrink(order: Order, position: Position, fill: ev.Fill) -> ev.Replaced | None:
    """The change of quantity that a fill's closing of the order's lot brings, or None.

    A lot closed whole by another order says nothing: the broker cancels the guard itself. One
    that has filled took all that was left then, though its fill was told before the other's.
    """
    source = order.terms or order.external
    lot_id = source.closes_lot if source is not None else None
    if lot_id is None or order.status not in WORKING:
        return None
    if all(closed.lot_id != lot_id for closed in fill.lots_closed):
        return None
    left = sum((abs(x.quantity) for x in position.lots if x.lot_id == lot_id), Decimal(0))
    has_filled = bool(order.filled) or fill.broker_order_id in order.legs
    if (not left and not has_filled) or order.filled + left >= order.quantity:
        return None
    return ev.Replaced(
        at_ns=fill.at_ns, broker_order_id=order.legs[-1], quantity=order.filled + left
    )
