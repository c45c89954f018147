"""No credit below 2,000: what is opened on margin or short needs that much equity."""

from __future__ import annotations

from datetime import date

from compliance.finra_4210 import CONFIRMED_ON, MINIMUM_CITATION
from compliance.magnitude import ceil_cent, plain
from compliance.rule import Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from compliance.trading_checks import gather, takes_credit
from domain.accounts import AccountType
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="margin_minimum",
    citation=MINIMUM_CITATION,
    jurisdiction="US",
    account_types=frozenset({AccountType.MARGIN, AccountType.PORTFOLIO_MARGIN}),
    effective_from=date(2001, 9, 28),
    confirmed_on=CONFIRMED_ON,
    opens_only=True,
)


PAID = "a purchase paid in full with cash"


def margin_minimum(settings: ComplianceSettings) -> Check:
    """Refuses a new short or debit below the minimum; what is paid in full passes."""
    collar = settings.collar_percent

    def check(order: NewOrder, context: Context) -> Violation | None:
        facts = gather(CARD, order, context, collar)
        if isinstance(facts, Violation):
            return facts
        least = facts.trading.terms.intraday.equity_min
        if facts.equity >= least:
            return None
        lacking = takes_credit(context, facts)
        if lacking is None:
            return None
        return Violation(
            code="margin_minimum",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"equity of {plain(facts.equity)} is below {plain(least)}: no short, no debit",
            numbers={
                "equity": plain(facts.equity),
                "equity_min": plain(least),
                "debit": plain(ceil_cent(lacking)),
            },
            would_pass=PAID,
        )

    return check
