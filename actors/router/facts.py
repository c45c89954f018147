"""Whether what was told is news: facts come by several roads, and more than once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from domain import events as ev
from domain.events import VenueEvent
from domain.lifecycle import TERMINAL, Order, Pending, Status
from domain.portfolio import Position


def changes_nothing(order: Order, event: VenueEvent) -> bool:
    """True for a fact already in the order: seen by another road, or told again."""
    match event:
        case ev.Fill():
            return event.execution_id in order.executions
        case ev.External():
            return True
        case ev.Accepted() | ev.Triggered():
            waits = order.status in (Status.SENDING, Status.UNKNOWN)
            return not waits and event.broker_order_id in order.legs
        case ev.Canceled() | ev.Rejected() | ev.Expired():
            return order.status in TERMINAL
        case ev.Replaced():
            return event.broker_order_id in order.legs and order.pending is not Pending.AMEND
        case ev.CancelRefused():
            return order.pending is not Pending.CANCEL
        case ev.AmendRefused():
            return order.pending is not Pending.AMEND


def what_is_held(position: Position | None, has_lots: bool) -> tuple[Any, ...]:
    """What two views of a position must agree on: the quantity, and the lots if they are told."""
    if position is None:
        return (Decimal(0), ())
    lots = position.lots if has_lots else ()
    return (position.quantity, tuple((lot.lot_id, lot.quantity) for lot in lots))
