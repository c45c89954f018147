"""A broker that nets, keeps lots, and does as told unless that breaks FIFO."""

from __future__ import annotations

from decimal import Decimal

from domain.orders import NewOrder, OrderType, PositionEffect
from domain.portfolio import LotClosed, LotOpened, Position, apply_lots

ZERO = Decimal(0)


class FifoBroken(AssertionError):
    """An order that passed the screen closes a lot out of turn."""


class FifoBroker:
    """Positions with lots; executions answer with the lots they opened and closed, or None."""

    def __init__(self, account: str, instruments: tuple[str, ...]) -> None:
        self.positions = {
            name: Position(account=account, instrument=name, quantity=ZERO) for name in instruments
        }
        self.changes = dict.fromkeys(instruments, 0)
        self._lots = 0

    def execute(self, order: NewOrder, quantity: Decimal, at_ns: int) -> Decimal | None:
        """Fills the quantity or less; None where the broker refuses. Raises FifoBroken."""
        held = self.positions[order.instrument]
        signed = quantity * order.side.sign
        is_opposite = held.quantity * signed < 0
        if order.closes_lot is not None:
            return self._close_named(order, quantity, at_ns)
        if order.reduce_only:
            if not is_opposite:
                return None
            quantity = min(quantity, abs(held.quantity))
        if order.position_effect is PositionEffect.OPEN_ONLY and is_opposite:
            return None
        closed, left = self._consume(held, order.side.sign, quantity)
        opened = self._open(left * order.side.sign, order.bracket is not None)
        return self._settle(order, closed, opened, at_ns, quantity)

    def _close_named(self, order: NewOrder, quantity: Decimal, at_ns: int) -> Decimal | None:
        held = self.positions[order.instrument]
        names = [lot.lot_id for lot in held.lots]
        if order.closes_lot not in names:
            return None
        number = names.index(order.closes_lot)
        lot = held.lots[number]
        size = abs(lot.quantity)
        if quantity > size or lot.quantity * order.side.sign > 0:
            return None
        same_size = [other.lot_id for other in held.lots if abs(other.quantity) == size]
        if number and (quantity != size or same_size[0] != lot.lot_id):
            raise FifoBroken(f"{lot.lot_id} closed before {names[0]}")
        closed = LotClosed(lot_id=lot.lot_id, quantity=quantity * order.side.sign, price=Decimal(1))
        return self._settle(order, (closed,), (), at_ns, quantity)

    def _consume(
        self, held: Position, sign: int, quantity: Decimal
    ) -> tuple[tuple[LotClosed, ...], Decimal]:
        closed, left = [], quantity
        for lot in held.lots if held.quantity * sign < 0 else ():
            used = min(left, abs(lot.quantity))
            if used:
                closed.append(LotClosed(lot_id=lot.lot_id, quantity=used * sign, price=Decimal(1)))
            left -= used
        return tuple(closed), left

    def _open(self, signed: Decimal, has_bracket: bool) -> tuple[LotOpened, ...]:
        if not signed:
            return ()
        self._lots += 1
        name = f"L{self._lots}"
        return (LotOpened(lot_id=name, quantity=signed, price=Decimal(1), has_bracket=has_bracket),)

    def _settle(
        self,
        order: NewOrder,
        closed: tuple[LotClosed, ...],
        opened: tuple[LotOpened, ...],
        at_ns: int,
        quantity: Decimal,
    ) -> Decimal | None:
        after = apply_lots(self.positions[order.instrument], opened, closed, at_ns)
        signs = {lot.quantity > 0 for lot in after.lots}
        assert len(signs) < 2, "hedged"
        if has_twin_of_protected(after):
            return None
        self.positions[order.instrument] = after
        self.changes[order.instrument] += 1
        return quantity


def has_twin_of_protected(position: Position) -> bool:
    """True where a lot with a bracket has another lot of its size beside it."""
    sizes = [abs(lot.quantity) for lot in position.lots]
    return any(lot.has_bracket and sizes.count(abs(lot.quantity)) > 1 for lot in position.lots)


def is_certain(order: NewOrder) -> bool:
    """True for orders whose effect on lots the screen answers for."""
    return order.type is OrderType.MARKET
