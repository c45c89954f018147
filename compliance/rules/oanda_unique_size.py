"""OANDA US: a trade with a protective order must be the only one of its size in the pair.

Two trades of one size may stand together only where neither is protected. Checked for what
fills on arrival; OANDA checks a pending order when it triggers, so for those we only warn
(pending_unique_size.py). The codes name OANDA's own reasons.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from compliance.holding import Holding
from compliance.magnitude import plain
from compliance.rule import Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from domain.instruments import AssetClass
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="oanda_unique_size",
    citation="OANDA Corporation FIFO FAQ (in force 2019-08-16); NFA Compliance Rule 2-43(b)",
    jurisdiction="US",
    asset_classes=frozenset({AssetClass.FOREX}),
    effective_from=date(2019, 8, 16),
    confirmed_on=date(2026, 11, 21),
)
OPENS = "FIFO_VIOLATION_SAFEGUARD_VIOLATION"
SHRINKS = "FIFO_VIOLATION_SAFEGUARD_PARTIAL_CLOSE_VIOLATION"
WAIT = "the same order once the other's outcome is known"
OTHER_SIZE = "a quantity that no open trade has"
ATTACHES = "STOP_LOSS_ORDER_WOULD_VIOLATE_FIFO_VIOLATION_SAFEGUARD"


def oanda_unique_size(_settings: ComplianceSettings) -> Check:
    """Refuses an order that would leave a protected trade beside another of its size."""

    def check(order: NewOrder, context: Context) -> Violation | None:
        return find_clash(CARD, order, context) if context.is_immediate else None

    return check


def find_clash(card: RuleCard, order: NewOrder, context: Context) -> Violation | None:
    """What OANDA would say if the order filled whole now, or None."""
    holding = context.holding
    if order.closes_lot is not None:
        number = holding.lots.find(order.closes_lot)
        if number is None:
            return None
        left = holding.lots.sizes[number] - context.leaves
        return _check_left(card, holding, number, left, above=-1)
    if holding.quantity * context.sign < 0:
        if not holding.lots.has_guards or context.leaves >= holding.lots.total:
            return None
        number, left = holding.lots.consume(context.leaves)
        return _check_left(card, holding, number, left, above=number)
    return _check_opened(card, order, context)


def check_attach(holding: Holding, lot_id: str) -> Violation | None:
    """Refuses a protective order on a lot that has a twin of its size."""
    number = holding.lots.find(lot_id)
    if number is None:
        return None
    size = holding.lots.sizes[number]
    is_twin = holding.lots.has_size(size, number) or holding.lots.oldest_of_size(number) != number
    return _refuse(CARD, "fifo_safeguard_attach", ATTACHES, size) if is_twin else None


def _check_opened(card: RuleCard, order: NewOrder, context: Context) -> Violation | None:
    holding, size = context.holding, context.leaves
    guarded = order.bracket is not None
    if not (guarded or holding.lots.has_guards or holding.flight_guarded):
        return None
    if guarded and (holding.lots.has_size(size) or size in holding.flight_sizes):
        return _refuse(card, "fifo_safeguard", OPENS, size)
    if holding.lots.has_guarded_size(size) or size in holding.flight_guarded:
        return _refuse(card, "fifo_safeguard", OPENS, size)
    if holding.in_flight[-context.sign]:
        return Violation(
            code="fifo_in_flight",
            rule=card.id,
            citation=card.citation,
            message=f"which sizes of {holding.instrument} stay open is not known: "
            "an order of the other side is under way",
            would_pass=WAIT,
        )
    return None


def _check_left(
    card: RuleCard, holding: Holding, number: int, left: Decimal, above: int
) -> Violation | None:
    """Looks for a twin of what is left of a lot, among lots younger than `above`."""
    if left <= 0:
        return None
    lots = holding.lots
    is_clash = lots.has_guarded_size(left, above) or (
        lots.is_guarded(number) and lots.has_size(left, above)
    )
    return _refuse(card, "fifo_safeguard_partial_close", SHRINKS, left) if is_clash else None


def _refuse(card: RuleCard, code: str, reason: str, size: Decimal) -> Violation:
    return Violation(
        code=code,
        rule=card.id,
        citation=card.citation,
        message=f"{reason}: a protected trade must be the only one of {plain(size)}",
        field="quantity",
        numbers={"size": plain(size), "broker_reason": reason},
        would_pass=OTHER_SIZE,
    )
