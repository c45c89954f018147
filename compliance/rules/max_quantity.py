"""A largest quantity per order."""

from __future__ import annotations

from compliance.magnitude import plain
from compliance.rule import HOUSE, Check, Context, Measure, RuleCard
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="max_quantity", citation="17 CFR 240.15c3-5(c)(1)(ii); house limit", jurisdiction=HOUSE
)


def max_quantity(settings: ComplianceSettings) -> Check:
    """Refuses more than the limit; an amend counts with its new total."""
    limit = settings.max_quantity

    def check(order: NewOrder, _context: Context) -> Violation | None:
        if order.quantity <= limit:
            return None
        return Violation(
            code="max_quantity",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"quantity {plain(order.quantity)} is above {plain(limit)}",
            field="quantity",
            numbers={"quantity": plain(order.quantity), "limit": plain(limit)},
            would_pass=f"largest quantity that fits: {plain(limit)}",
        )

    return check


def measure(settings: ComplianceSettings) -> Measure:
    """What was compared."""
    limit = plain(settings.max_quantity)
    return lambda order, _context: {"quantity": plain(order.quantity), "limit": limit}
