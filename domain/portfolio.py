"""Positions and the lots they are made of, as a fold of fills.

Quantities are signed: a short is negative. FIFO and hedging rules need the lots, so a broker
that shows them (OANDA calls them trades) names them in each fill; for others lots are kept
first in, first out by the broker's time. The same fills give the same position in whatever
order they arrive.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from domain.instruments import AssetClass, OptionContract

ZERO = Decimal(0)
MATCHED_MAX = 16
"""Used-up lots kept of a netted position: so far may a fill come behind its time."""


class LotOpened(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A fill opened this lot; `quantity` is signed."""

    lot_id: str
    quantity: Decimal
    price: Decimal
    has_bracket: bool = False


class LotClosed(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A fill closed this much of a lot; `quantity` is signed against the lot (long: negative)."""

    lot_id: str
    quantity: Decimal
    price: Decimal
    realized_pnl: Decimal | None = None


class Lot(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An open piece of a position. `opened_sequence` orders lots for FIFO."""

    lot_id: str
    instrument: str
    quantity: Decimal
    price: Decimal
    opened_ns: int
    opened_sequence: int
    has_bracket: bool = False


class Position(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What an account holds of one instrument; closed where `quantity` is zero.

    `quantity_available` is what open orders do not already close; `unrealized_percent` is of
    `cost_basis`. `multiplier` and `option` are set for derivatives alone. `matched` are the
    newest lots that netted fills have used up: a fill that comes late may have used another.
    """

    account: str
    instrument: str
    quantity: Decimal
    average_cost: Decimal | None = None
    lots: tuple[Lot, ...] = ()
    current_price: Decimal | None = None
    market_value: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    realized_pnl: Decimal | None = None
    day_pnl: Decimal | None = None
    financing: Decimal | None = None
    margin_used: Decimal | None = None
    broker_position_id: str | None = None
    broker_ns: int | None = None
    synced_ns: int | None = None
    quantity_available: Decimal | None = None
    cost_basis: Decimal | None = None
    unrealized_percent: Decimal | None = None
    opened_ns: int | None = None
    asset_class: AssetClass | None = None
    exchange: str | None = None
    multiplier: Decimal | None = None
    option: OptionContract | None = None
    matched: tuple[Lot, ...] = ()


def apply_lots(
    position: Position,
    opened: tuple[LotOpened, ...],
    closed: tuple[LotClosed, ...],
    at_ns: int,
) -> Position:
    """The position after a fill whose lots the broker named.

    Fills may come in another order than the broker's (an answer overtakes the stream): a lot
    closed before it is known stands with the quantity it will lack, so any order of the
    same fills gives the same lots.
    """
    lots = {lot.lot_id: lot for lot in position.lots}
    for close in closed:
        known = lots.get(close.lot_id)
        if known is None:
            known = _lot(position, close.lot_id, ZERO, close.price, at_ns)
        lots[close.lot_id] = replace(known, quantity=known.quantity + close.quantity)
    for opening in opened:
        lacking = lots.pop(opening.lot_id, None)
        quantity = opening.quantity + (lacking.quantity if lacking else ZERO)
        lot = _lot(position, opening.lot_id, quantity, opening.price, at_ns)
        lots[opening.lot_id] = replace(lot, has_bracket=opening.has_bracket)
    return with_lots(position, _by_age([lot for lot in lots.values() if lot.quantity]))


def _lot(position: Position, lot_id: str, quantity: Decimal, price: Decimal, at_ns: int) -> Lot:
    return Lot(
        lot_id=lot_id,
        instrument=position.instrument,
        quantity=quantity,
        price=price,
        opened_ns=at_ns,
        opened_sequence=0,
    )


def _by_age(lots: list[Lot]) -> tuple[Lot, ...]:
    """The lots oldest first, their sequence rising; brokers number lots as they open them."""
    lots.sort(key=lambda lot: (lot.opened_ns, len(lot.lot_id), lot.lot_id))
    last = 0
    for index, lot in enumerate(lots):
        if lot.opened_sequence <= last:
            lots[index] = lot = replace(lot, opened_sequence=last + 1)
        last = lot.opened_sequence
    return tuple(lots)


def apply_net(
    position: Position, signed_quantity: Decimal, price: Decimal, at_ns: int, lot_id: str
) -> Position:
    """The position after a fill of a broker that shows no lots: first in, first out.

    First in, first out leaves open the newest fills of the side that has more, up to the net
    quantity: that depends on the fills' times alone, and on none of their arrivals.
    """
    quantity = position.quantity + signed_quantity
    fill = _lot(position, lot_id, signed_quantity, price, at_ns)
    lots: list[Lot] = []
    matched: list[Lot] = []
    left = quantity
    for lot in reversed(_whole((*position.lots, *position.matched, fill))):
        is_open = lot.quantity * left > 0
        still = min(abs(lot.quantity), abs(left)) * (1 if left > 0 else -1) if is_open else ZERO
        left -= still
        if still:
            lots.append(replace(lot, quantity=still))
        if lot.quantity != still:
            matched.append(replace(lot, quantity=lot.quantity - still, opened_sequence=0))
    numbered = tuple(
        replace(lot, opened_sequence=number) for number, lot in enumerate(reversed(lots), start=1)
    )
    kept = tuple(reversed(matched[:MATCHED_MAX]))
    if left:  # The broker told a quantity, and not what it was bought at.
        return replace(position, quantity=quantity, lots=numbered, matched=kept)
    return replace(with_lots(position, numbered), matched=kept)


def _whole(parts: tuple[Lot, ...]) -> list[Lot]:
    """The lots as they were opened, oldest first: one may be partly used up."""
    lots: dict[str, Lot] = {}
    for part in parts:
        known = lots.get(part.lot_id)
        if known is not None:
            part = replace(part, quantity=part.quantity + known.quantity)
        lots[part.lot_id] = part
    return sorted(lots.values(), key=lambda lot: (lot.opened_ns, lot.lot_id))


def with_lots(position: Position, lots: tuple[Lot, ...]) -> Position:
    """The position whose quantity and average cost are those of its lots."""
    quantity = sum((lot.quantity for lot in lots), ZERO)
    cost = sum((lot.quantity * lot.price for lot in lots), ZERO)
    return replace(
        position, lots=lots, quantity=quantity, average_cost=cost / quantity if quantity else None
    )
