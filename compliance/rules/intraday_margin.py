"""The intraday margin level must not fall below zero: no order that would make a deficit.

FINRA lets a deficit be met later; the house, as brokers do, refuses what would make one.
"""

from __future__ import annotations

from compliance.finra_4210 import CONFIRMED_ON, INTRADAY_CITATION, INTRADAY_FROM
from compliance.rule import Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from compliance.trading_checks import find_shortfall, gather
from domain.accounts import AccountType
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="intraday_margin",
    citation=INTRADAY_CITATION,
    jurisdiction="US",
    account_types=frozenset({AccountType.MARGIN}),
    effective_from=INTRADAY_FROM,
    confirmed_on=CONFIRMED_ON,
    opens_only=True,
)


def intraday_margin(settings: ComplianceSettings) -> Check:
    """Refuses an opening order whose maintenance, with all that is open, is above equity."""
    collar = settings.collar_percent

    def check(order: NewOrder, context: Context) -> Violation | None:
        facts = gather(CARD, order, context, collar)
        if isinstance(facts, Violation):
            return facts
        return find_shortfall(CARD, context, facts)

    return check
