"""No sale that would restrict a cash account: a free ride, or one good-faith violation too many.

A lot paid with proceeds must be held until they settle; one not paid at all must be paid first.
"""

from __future__ import annotations

from datetime import date

from compliance.finra_4210 import CONFIRMED_ON
from compliance.funding import CASH_CITATION
from compliance.rule import Check, Context, RuleCard
from compliance.rules.cash_funds import CASH_TYPES
from compliance.settings import ComplianceSettings
from compliance.settlement_checks import find_early_sale, is_last_allowed
from domain.findings import FindingKind
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="cash_settlement",
    citation=CASH_CITATION,
    jurisdiction="US",
    account_types=CASH_TYPES,
    effective_from=date(1998, 4, 1),
    confirmed_on=CONFIRMED_ON,
)


def cash_settlement(_settings: ComplianceSettings) -> Check:
    """Refuses a sale before its lot is paid with good money, where that would bring a freeze."""

    def check(_order: NewOrder, context: Context) -> Violation | None:
        found = find_early_sale(context)
        if found is None or not is_last_allowed(*found[:2]):
            return None
        trading, kind, good_from = found
        is_ride = kind is FindingKind.FREE_RIDE
        return Violation(
            code=kind.value,
            rule=CARD.id,
            citation=CARD.citation,
            message="the lot is not paid: its own sale would pay for it"
            if is_ride
            else f"the lot was paid with proceeds that settle on {good_from}",
            numbers={
                "violations": str(trading.missteps),
                "violations_max": str(trading.terms.policy.good_faith_max),
            },
            would_pass="the same once the purchase is paid by a deposit"
            if is_ride
            else f"the same from {good_from}",
        )

    return check
