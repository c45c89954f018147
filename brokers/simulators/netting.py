"""Which lots a fill takes, and whether US rules allow it (COMPLIANCE.md 4). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from brokers.simulators.book import Account, Lot, Order, Position
from brokers.simulators.terms import ZERO, Terms
from brokers.simulators.words import GUARDS, Netting, Why


class Plan(Struct, frozen=True):
    """What a fill will do: cut these lots by these units, then open that many."""

    cuts: tuple[tuple[Lot, Decimal], ...]
    opens: Decimal

    @property
    def units(self) -> Decimal:
        """All units the plan executes, signed as the order."""
        return self.opens - sum((cut for _, cut in self.cuts), ZERO)


def plan_fill(account: Account, order: Order, units: Decimal) -> Plan | Why:
    """How the units go into the account, or why they cannot. Cut units carry the lot's sign."""
    terms = order.terms
    position = account.positions.get(terms.instrument)
    if terms.lot is not None:
        return _plan_close(account, terms, account.lots[terms.lot], units)
    opposite = _opposite_lots(position, units)
    netting = terms.netting
    if netting is Netting.DEFAULT and account.settings.hedging:
        netting = Netting.OPEN_ONLY
    if netting is Netting.OPEN_ONLY:
        if opposite and account.settings.fifo:
            return Why.FIFO
        return _checked(account, terms, position, Plan((), units))
    cuts, rest = _cut_oldest_first(opposite, units)
    if netting is Netting.REDUCE_ONLY:
        if not cuts:
            return Why.NOTHING_TO_REDUCE
        rest = ZERO
    return _checked(account, terms, position, Plan(cuts, rest))


def _opposite_lots(position: Position | None, units: Decimal) -> list[Lot]:
    if position is None or not (position.short if units > 0 else position.long):
        return []
    return [x for x in position.lots.values() if (x.units > 0) != (units > 0)]


def _lots(position: Position | None) -> Iterable[Lot]:
    return () if position is None else position.lots.values()


def _cut_oldest_first(
    lots: list[Lot], units: Decimal
) -> tuple[tuple[tuple[Lot, Decimal], ...], Decimal]:
    cuts: list[tuple[Lot, Decimal]] = []
    rest = units
    for lot in lots:
        if not rest:
            break
        cut = lot.units if abs(lot.units) <= abs(rest) else -rest
        cuts.append((lot, cut))
        rest += cut
    return tuple(cuts), rest


def _plan_close(account: Account, terms: Terms, lot: Lot, units: Decimal) -> Plan | Why:
    position = account.positions[lot.instrument]
    if account.settings.fifo and not _may_close(position, lot, -units):
        return Why.FIFO
    return _checked(account, terms, position, Plan(((lot, -units),), ZERO))


def _may_close(position: Position, lot: Lot, units: Decimal) -> bool:
    """The oldest lot always; another one only whole, and if it is the oldest of its size."""
    oldest = next(iter(position.lots.values()))
    if lot is oldest:
        return True
    same_size = [x for x in position.lots.values() if x.units == lot.units]
    return units == lot.units and same_size[0] is lot


def _checked(account: Account, terms: Terms, position: Position | None, plan: Plan) -> Plan | Why:
    if not account.settings.fifo or terms.kind in GUARDS:
        return plan
    if position is None or not (position.guarded or _is_guarded(terms)):
        return plan
    sizes = {x.id: x.units for x in _lots(position)}
    for lot, cut in plan.cuts:
        sizes[lot.id] -= cut
    guarded = position.guarded
    cut_to = [(x.id, sizes[x.id]) for x, _ in plan.cuts if sizes[x.id]]
    for lot_id, size in cut_to:
        if _has_twin(lot_id, size, lot_id in guarded, (sizes, guarded)):
            return Why.FIFO_TWIN_AFTER_CUT
    if plan.opens and _has_twin(0, plan.opens, _is_guarded(terms), (sizes, guarded)):
        return Why.FIFO_TWIN
    return plan


def _is_guarded(terms: Terms) -> bool:
    return bool(terms.stop_loss or terms.take_profit or terms.trailing)


def _has_twin(
    lot_id: int, size: Decimal, is_guarded: bool, others: tuple[dict[int, Decimal], set[int]]
) -> bool:
    """Two lots of one size, of which at least one is guarded, are against OANDA's US rule."""
    sizes, guarded = others
    return any(
        abs(other_size) == abs(size) and (is_guarded or other in guarded)
        for other, other_size in sizes.items()
        if other != lot_id and other_size
    )


def breaks_fifo_if_guarded(account: Account, lot: Lot) -> bool:
    """True where a guard may not be put on the lot: another lot of its size is open."""
    if not account.settings.fifo:
        return False
    lots = account.positions[lot.instrument].lots.values()
    return any(x is not lot and abs(x.units) == abs(lot.units) for x in lots)
