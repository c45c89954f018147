"""What a strategy sees of its own doing: a fold of its order stream. Pure."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from domain.events import Fill
from domain.lifecycle import TERMINAL, Status
from domain.orders import NewOrder, OrderType
from domain.streams import OrderUpdate

WORKING = frozenset({Status.LIVE, Status.PARTIALLY_FILLED})


class OpenLot(Struct, frozen=True, kw_only=True):
    """An open piece of a position; `quantity` is signed, `guards` the kinds that watch it."""

    lot_id: str
    instrument: str
    quantity: Decimal
    price: Decimal
    guards: frozenset[OrderType] = frozenset()


class Sight:
    """Open lots and working orders, by what the stream said and what was placed.

    `own` are the orders of this strategy, bracket children too, by our ids; `net` is what they
    have added to each position, for the account may hold more than theirs.
    """

    def __init__(self) -> None:
        self.own: set[str] = set()
        self.net: dict[str, Decimal] = {}
        self._names: set[str] = set()
        self._entries: set[str] = set()
        self.lots: dict[str, OpenLot] = {}
        self._netted: dict[str, Decimal] = {}
        self.working: dict[str, NewOrder] = {}
        self._placed: dict[str, NewOrder] = {}

    def named(self, client_order_id: str) -> None:
        """Remembers that the order is this strategy's."""
        self._names.add(client_order_id)

    def placed(self, order: NewOrder) -> None:
        """Remembers the terms: the stream tells only what became of them."""
        self.named(order.client_order_id)
        self._placed[order.client_order_id] = order
        lot = self.lots.get(order.closes_lot or "")
        if lot is not None:
            self.lots[lot.lot_id] = replace(lot, guards=lot.guards | {order.type})

    def apply(self, update: OrderUpdate) -> None:
        """Takes an update."""
        name = update.client_order_id
        if name is not None and name in self._placed:
            if update.status in WORKING and update.pending is None:
                self.working[name] = self._placed[name]
            else:
                self.working.pop(name, None)
            if update.status in TERMINAL:
                self._end(self._placed.pop(name))
        event = update.event
        is_child = (
            update.parent_order_id in self.own
            or getattr(event, "parent_execution", None) in self._entries
        )
        if name in self._names or is_child:
            self.own.add(update.order_id)
        if isinstance(event, Fill):
            self._fill(event)
            if update.order_id in self.own:
                self._entries.add(event.broker_execution_id)
                signed = event.quantity * event.side.sign
                self.net[event.instrument] = self.net.get(event.instrument, Decimal(0)) + signed

    def _end(self, order: NewOrder) -> None:
        lot = self.lots.get(order.closes_lot or "")
        if lot is not None:
            self.lots[lot.lot_id] = replace(lot, guards=lot.guards - {order.type})

    def _fill(self, fill: Fill) -> None:
        if not fill.lots_opened and not fill.lots_closed:
            signed = fill.quantity * fill.side.sign
            self._netted[fill.instrument] = self._netted.get(fill.instrument, Decimal(0)) + signed
        for opened in fill.lots_opened:
            every = frozenset(OrderType)
            self.lots[opened.lot_id] = OpenLot(
                lot_id=opened.lot_id,
                instrument=fill.instrument,
                quantity=opened.quantity,
                price=opened.price,
                guards=every if opened.has_bracket else frozenset(),
            )
        for closed in fill.lots_closed:
            lot = self.lots.get(closed.lot_id)
            if lot is None:
                continue
            left = lot.quantity + closed.quantity
            if left:
                self.lots[lot.lot_id] = replace(lot, quantity=left)
            else:
                del self.lots[lot.lot_id]

    def position(self, instrument: str) -> Decimal:
        """What is held of the instrument, signed."""
        held = (lot.quantity for lot in self.lots.values() if lot.instrument == instrument)
        return sum(held, self._netted.get(instrument, Decimal(0)))

    def free_lots(self, instrument: str, kind: OrderType) -> list[OpenLot]:
        """Lots without a guard of the kind, oldest first, whose size no other lot has."""
        own = [lot for lot in self.lots.values() if lot.instrument == instrument]
        sizes = [abs(lot.quantity) for lot in own]
        return [
            lot for lot in own if kind not in lot.guards and sizes.count(abs(lot.quantity)) == 1
        ]
