"""No new risk beside an order of which nobody knows what became (PROTOCOL.md, the order's life)."""

from __future__ import annotations

from compliance.rule import HOUSE, REDUCING, Check, Context, RuleCard, passes
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="unknown_outcome",
    citation="house: no new risk beside an unknown outcome",
    jurisdiction=HOUSE,
    opens_only=True,
)


def unknown_outcome(settings: ComplianceSettings) -> Check:
    """Refuses opening orders beside one of unknown outcome (account and instrument)."""

    if not settings.blocks_on_unknown:
        return passes

    def check(_order: NewOrder, context: Context) -> Violation | None:
        if not context.holding.uncertain:
            return None
        return Violation(
            code="unknown_outcome",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"{context.holding.uncertain} orders in {context.instrument.symbol} "
            "have an unknown outcome",
            numbers={"orders": str(context.holding.uncertain)},
            would_pass=REDUCING,
        )

    return check
