"""Orders that belong together: an entry with its exits (bracket, oto), or two exits (oco).

The exits are held until the entry has filled whole. Then the profit's limit is sent; the
stop beside it is only watched, and told to be held until it is reached (both would claim the
same units). Of two exits, what fills in one is taken from the other; one that ends ends all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from brokers.simulators.book import Account, Order
from brokers.simulators.terms import Guard, Terms
from brokers.simulators.words import EXITS, Cause, Kind, Role, Stage, Why

if TYPE_CHECKING:
    from brokers.simulators.netting_engine import NetEngine


def root(order: Order) -> int:
    """The number a group goes by: its first order's."""
    return order.terms.group or order.id


def has_exits(order: Order) -> bool:
    """True for the order that others hang on."""
    return order.terms.take_profit is not None or order.terms.stop_loss is not None


def exit_terms(entry: Terms, role: Role, guard: Guard, group: int) -> Terms:
    """The order an exit is, from what was asked for beside its entry."""
    units = entry.units if entry.role in EXITS else -entry.units
    if role is Role.TAKE_PROFIT:
        kind, limit = Kind.LIMIT, None
    else:
        kind, limit = (Kind.STOP if guard.limit is None else Kind.STOP_LIMIT), guard.limit
    return Terms(
        kind=kind,
        instrument=entry.instrument,
        units=units,
        life=entry.life,
        price=guard.price,
        limit=limit,
        label=guard.label,
        cause=Cause.ON_FILL,
        group=group,
        role=role,
        style=entry.style,
    )


def is_replaced(order: Order) -> bool:
    """True where another order has taken its place, or failed to."""
    return order.why in (Why.REPLACED, Why.REPLACE_REJECTED)


class Groups:
    """What one order's fill or end means for those it belongs with."""

    def __init__(self, engine: NetEngine) -> None:
        self._engine = engine

    def members(self, account: Account, order: Order) -> list[Order]:
        """Every other order of the group that still works."""
        numbers = account.groups.get(root(order), ())
        found = [account.working.get(x) for x in (root(order), *numbers)]
        return [x for x in found if x is not None and x is not order]

    def legs(self, account: Account, order: Order) -> list[Order]:
        """The exits that hang on the order, as they now stand: replaced ones are not among them."""
        numbers = account.groups.get(root(order), ()) if has_exits(order) else ()
        found = [account.order(x) for x in numbers]
        legs = [x for x in found if x is not None and not has_exits(x) and not is_replaced(x)]
        return sorted(legs, key=lambda x: x.terms.role is Role.STOP_LOSS)

    def join(self, account: Account, order: Order) -> None:
        """Adds an order to the group it names."""
        if order.terms.group is not None:
            account.groups.setdefault(order.terms.group, []).append(order.id)

    def book_exits(self, account: Account, entry: Order) -> None:
        """Books what was asked for beside an order, held."""
        terms = entry.terms
        stage = Stage.ARMED if terms.role is Role.TAKE_PROFIT else Stage.HELD
        for role, guard in (
            (Role.TAKE_PROFIT, terms.take_profit),
            (Role.STOP_LOSS, terms.stop_loss),
        ):
            if guard is not None:
                asked = exit_terms(terms, role, guard, entry.id)
                self._engine.book(account, asked, stage)

    def after_fill(self, account: Account, order: Order) -> None:
        """Sends the exits of a filled entry, or takes what an exit filled from the other."""
        if order.terms.role is Role.ENTRY:
            if not order.leaves:
                self._send_exits(account, order)
            return
        if order.terms.role not in EXITS:
            return
        for other in self.members(account, order):
            if not order.leaves:
                self._engine.end(account, other, Why.GROUP_ENDED)
            else:
                other.leaves = order.leaves
                other.terms = replace(other.terms, units=other.filled + order.leaves)

    def _send_exits(self, account: Account, entry: Order) -> None:
        exits = [x for x in self.members(account, entry) if x.stage is Stage.HELD]
        has_profit = any(x.terms.role is Role.TAKE_PROFIT for x in exits)
        for order in exits:
            if order.terms.role is Role.STOP_LOSS and has_profit:
                order.stage = Stage.ARMED
            else:
                self._engine.move(account, order, Stage.ROUTED)
        for order in exits:
            self._engine.consider(account, order)

    def elect(self, account: Account, order: Order) -> None:
        """A watched stop was reached: the profit's limit is taken back and the stop is sent."""
        order.is_elected = True
        if order.stage is not Stage.ARMED:
            return
        self._engine.move(account, order, Stage.ROUTED)
        for other in self.members(account, order):
            self._engine.end_alone(account, other, Why.GROUP_ENDED)

    def after_end(self, account: Account, order: Order, why: Why) -> None:
        """Ends the rest of the group with an order that ended unfilled."""
        if order.terms.role is Role.SINGLE or why is Why.REPLACED:
            return
        for other in self.members(account, order):
            self._engine.end_alone(account, other, Why.GROUP_ENDED)
