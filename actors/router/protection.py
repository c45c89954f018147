"""Sets or replaces what guards one lot: a stop loss, a take profit, a trailing stop.

Each becomes an order of its own that names the lot; where one of its kind works already, a
bracket's child too, that one is amended. They are decided alone, in this order, and each is
known by the request's id and its kind: the same request again gets the same answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from actors.router import refusals
from actors.router.changes import Changes
from actors.router.desk import Desk
from actors.router.orders import Orders
from actors.router.screening import Asked, describe
from domain import ids
from domain.commands import Amend, AmendPosition, Decided, Submit
from domain.errors import ErrorInfo
from domain.lifecycle import Order, Status
from domain.orders import AmendOrder, NewOrder, OrderType, Side, TimeInForce, Trailing
from domain.portfolio import Lot

WORKING = (Status.LIVE, Status.PARTIALLY_FILLED)


class Part(Struct, frozen=True, kw_only=True):
    """One guard as asked for: its kind, and its price or how it trails."""

    name: str
    type: OrderType
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trailing: Trailing | None = None


class Protection:
    """Takes `AmendPosition`."""

    def __init__(self, desk: Desk, orders: Orders, changes: Changes) -> None:
        self._desk = desk
        self._orders = orders
        self._changes = changes
        changes.protect = self.protect

    def protect(self, edge: Any, submit: Submit, command: AmendPosition) -> None:
        """Answers with a decision for each guard."""
        lot = self._find_lot(submit.owner, command)
        error = refusals.UNKNOWN_LOT if lot is None else _find_fault(command)
        if error is not None or lot is None:
            self._orders.answer(edge, submit.ref, error or refusals.UNKNOWN_LOT)
            return
        parts = tuple(_parts(command, lot))
        answers: list[Decided | None] = [None] * len(parts)
        for index, part in enumerate(parts):
            asked = Asked(edge=edge, ref=submit.ref, answers=answers, index=index)
            own = replace(submit, request_id=f"{submit.request_id}:{part.name}")
            decided = self._decide(asked, own, command, lot, part)
            if decided is not None:
                self._orders.decide(asked, decided)

    def _find_lot(self, owner: str, command: AmendPosition) -> Lot | None:
        own = {v.settings.account for v in self._desk.venues.values() if v.settings.owner == owner}
        if command.account not in own:
            return None
        lots = (
            lot
            for (account, _), position in self._desk.books.positions.items()
            if account == command.account
            for lot in position.lots
        )
        return next((lot for lot in lots if lot.lot_id == command.lot_id), None)

    def _decide(
        self, asked: Asked, submit: Submit, command: AmendPosition, lot: Lot, part: Part
    ) -> Decided | None:
        """What was decided before or can be at once; None while compliance looks."""
        name = f"protect-{ids.execution_id('', submit.owner, submit.request_id)}"
        digest = ids.digest(part)
        known = self._orders.find_known(submit.owner, name, digest, asked)
        if known is not None:
            return known if isinstance(known, Decided) else None
        guard = self._find_guard(command.account, lot.lot_id, part.type)
        if guard is None:
            order = _order(name, command, lot, part)
            return self._orders.place_one(submit, order, asked, digest)
        amend = AmendOrder(
            client_order_id=guard.client_order_id or guard.order_id,
            limit_price=part.limit_price,
            stop_price=part.stop_price,
            trailing=part.trailing,
        )
        own = replace(submit, command=Amend(amend=amend))
        before = self._changes.find_known(own, amend)
        if before is not None:
            return before[0] if isinstance(before, tuple) else _refused(guard, before)
        error = self._changes.begin_amend(asked, own, guard, amend)
        return None if error is None else _refused(guard, error)

    def _find_guard(self, account: str, lot_id: str, kind: OrderType) -> Order | None:
        for order in self._desk.books.orders.open.values():
            if order.account != account or order.status not in WORKING:
                continue
            if order.terms is not None:
                words = (order.terms.closes_lot, order.terms.type)
            else:
                assert order.external is not None
                words = (order.external.closes_lot, order.external.order_type)
            if words == (lot_id, kind):
                return order
        return None


def _refused(guard: Order, error: ErrorInfo) -> Decided:
    return replace(describe(guard), error=error)


def _find_fault(command: AmendPosition) -> ErrorInfo | None:
    if command.stop_loss is not None and command.stop_loss.limit_price is not None:
        return refusals.invalid("stop_loss.limit_price", "the stop of a lot trades at the market")
    return None


def _parts(command: AmendPosition, lot: Lot) -> Iterator[Part]:
    stop, target, trailing = command.stop_loss, command.take_profit, command.trailing
    if stop is not None:
        price = stop.stop_price
        if price is None:
            # From the price the lot was opened at, against the lot.
            away = stop.distance or Decimal(0)
            price = lot.price - away if lot.quantity > 0 else lot.price + away
        yield Part(name="stop_loss", type=OrderType.STOP, stop_price=price)
    if target is not None:
        yield Part(name="take_profit", type=OrderType.LIMIT, limit_price=target.limit_price)
    if trailing is not None:
        yield Part(name="trailing", type=OrderType.TRAILING_STOP, trailing=trailing)


def _order(name: str, command: AmendPosition, lot: Lot, part: Part) -> NewOrder:
    return NewOrder(
        client_order_id=name,
        instrument=lot.instrument,
        side=Side.SELL if lot.quantity > 0 else Side.BUY,
        quantity=abs(lot.quantity),
        type=part.type,
        time_in_force=TimeInForce.GTC,
        limit_price=part.limit_price,
        stop_price=part.stop_price,
        trailing=part.trailing,
        account=command.account,
        closes_lot=lot.lot_id,
        reduce_only=True,
    )
