"""A portfolio margin account under 5,000,000 must be margined intraday as at the day's end.

The broker's risk model is not known here: the strategy-based maintenance, which is higher for
hedged positions, stands in for it.
"""

from __future__ import annotations

from compliance.finra_4210 import CONFIRMED_ON, INTRADAY_FROM, PORTFOLIO_CITATION
from compliance.intraday import is_intraday_as_end_of_day
from compliance.rule import Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from compliance.trading_checks import find_shortfall, gather
from domain.accounts import AccountType
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="portfolio_margin",
    citation=PORTFOLIO_CITATION,
    jurisdiction="US",
    account_types=frozenset({AccountType.PORTFOLIO_MARGIN}),
    effective_from=INTRADAY_FROM,
    confirmed_on=CONFIRMED_ON,
    opens_only=True,
)


def portfolio_margin(settings: ComplianceSettings) -> Check:
    """Refuses an opening order beyond the margin of an account below the threshold."""
    collar = settings.collar_percent

    def check(order: NewOrder, context: Context) -> Violation | None:
        facts = gather(CARD, order, context, collar)
        if isinstance(facts, Violation):
            return facts
        if not is_intraday_as_end_of_day(facts.equity, facts.trading.terms.intraday):
            return None
        return find_shortfall(CARD, context, facts)

    return check
