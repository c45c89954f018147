"""Symbols that may not be traded."""

from __future__ import annotations

from compliance.rule import HOUSE, REDUCING, Check, Context, RuleCard, passes
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="restricted_list", citation="17 CFR 240.15c3-5(c)(2)(ii); house list", jurisdiction=HOUSE
)


def restricted_list(settings: ComplianceSettings) -> Check:
    """Refuses a restricted symbol; an exit passes only where its row says so."""
    rows = {row.symbol: row for row in settings.restricted}
    if not rows:
        return passes

    def check(order: NewOrder, context: Context) -> Violation | None:
        row = rows.get(order.instrument)
        if row is None or (row.exits_pass and not context.is_opening):
            return None
        return Violation(
            code="restricted",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"{row.symbol} is restricted: {row.reason}",
            field="instrument",
            would_pass=REDUCING if row.exits_pass else None,
        )

    return check
