"""Long in one account, short in another: not forbidden by NFA 2-43(b)'s words, nor blessed."""

from __future__ import annotations

from compliance.rule import HOUSE, Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from domain.instruments import AssetClass
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="cross_account_offset",
    citation="house, after NFA Compliance Rule 2-43(b)",
    jurisdiction=HOUSE,
    asset_classes=frozenset({AssetClass.FOREX}),
    opens_only=True,
    is_warning=True,
)


def cross_account_offset(_settings: ComplianceSettings) -> Check:
    """Warns where another account of the owner holds the pair the other way round."""

    def check(order: NewOrder, context: Context) -> Violation | None:
        if not context.is_opposite_elsewhere(context.owner, context.holding, context.sign):
            return None
        return Violation(
            code="cross_account_offset",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"another account of the owner holds {order.instrument} the other way round",
        )

    return check
