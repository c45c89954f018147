"""A warning before a sale that is a good-faith violation, while the broker still allows some."""

from __future__ import annotations

from datetime import date

from compliance.finra_4210 import CONFIRMED_ON
from compliance.rule import Check, Context, RuleCard
from compliance.rules.cash_funds import CASH_TYPES
from compliance.settings import ComplianceSettings
from compliance.settlement_checks import find_early_sale, is_last_allowed
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="early_sale_warning",
    citation="broker policy under 12 CFR 220.8",
    jurisdiction="US",
    account_types=CASH_TYPES,
    effective_from=date(1998, 4, 1),
    confirmed_on=CONFIRMED_ON,
    is_warning=True,
)


def early_sale_warning(_settings: ComplianceSettings) -> Check:
    """Warns of a sale before what paid its lot has settled."""

    def check(_order: NewOrder, context: Context) -> Violation | None:
        found = find_early_sale(context)
        if found is None or is_last_allowed(*found[:2]):
            return None
        trading, _, good_from = found
        return Violation(
            code="good_faith",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"paid with proceeds that settle on {good_from}: violation "
            f"{trading.missteps + 1} of {trading.terms.policy.good_faith_max} allowed",
            numbers={"violations": str(trading.missteps)},
            would_pass=f"the same from {good_from}",
        )

    return check
