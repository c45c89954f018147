"""Exits without compliance: an order that only reduces a position needs nobody's leave.

While compliance is away the router lets through what cannot add risk: a reduce-only order, opposite
to the position, for no more of it than other open orders do not already close. The broker is told
that it may only reduce; the router counts all the same, for not every broker knows the word.
"""

from __future__ import annotations

from decimal import Decimal

from actors.router.desk import Desk
from domain.lifecycle import Order, Origin
from domain.orders import NewOrder
from domain.screening import Candidate, Verdict

VERDICT = "exit"


def find_exit(desk: Desk, order: NewOrder, candidates: tuple[Candidate, ...]) -> Verdict | None:
    """Leave for the first candidate whose account holds enough to be reduced, or None."""
    if not order.only_reduces:
        return None
    for candidate in candidates:
        position = desk.books.positions.get((candidate.account, order.instrument))
        held = position.quantity if position else Decimal(0)
        free = abs(held) - _taken(desk, order, candidate.account)
        if held * order.side.sign < 0 and order.quantity <= free:
            return Verdict(id=VERDICT, incarnation="", candidate=candidate)
    return None


def _taken(desk: Desk, order: NewOrder, account: str) -> Decimal:
    """What open orders may take of the position already, those of unknown outcome included.

    Guards of a lot are not counted: their broker lets them end with what they guard.
    """
    return sum(
        (
            one.leaves
            for one in desk.open_orders()
            if (one.account, one.instrument, one.sign)
            == (account, order.instrument, order.side.sign)
            and not _guards_a_lot(one)
        ),
        Decimal(0),
    )


def _guards_a_lot(order: Order) -> bool:
    if order.origin is Origin.CHILD:
        return True
    return order.terms is not None and order.terms.closes_lot is not None
