"""While an account is frozen for unmet intraday deficits it may take no new short and no debit."""

from __future__ import annotations

from compliance.finra_4210 import CONFIRMED_ON, INTRADAY_CITATION, INTRADAY_FROM
from compliance.magnitude import ceil_cent, plain
from compliance.rule import REDUCING, Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from compliance.trading_checks import gather, takes_credit
from domain.accounts import AccountType
from domain.orders import NewOrder
from domain.portfolio import ZERO
from domain.screening import Violation

CARD = RuleCard(
    id="intraday_freeze",
    citation=INTRADAY_CITATION,
    jurisdiction="US",
    account_types=frozenset({AccountType.MARGIN}),
    effective_from=INTRADAY_FROM,
    confirmed_on=CONFIRMED_ON,
    opens_only=True,
)


def intraday_freeze(settings: ComplianceSettings) -> Check:
    """Refuses a new short or debit in a freeze; a cover, an exit, a paid purchase pass.

    At a broker that lets a frozen account only liquidate, a paid purchase does not.
    """
    collar = settings.collar_percent

    def check(order: NewOrder, context: Context) -> Violation | None:
        trading = context.exposure.trading
        if trading is not None and trading.frozen_until is None:
            return None
        facts = gather(CARD, order, context, collar)
        if isinstance(facts, Violation):
            return facts
        only_exits = facts.trading.terms.policy.is_liquidation_only
        lacking = takes_credit(context, facts)
        if lacking is None and not only_exits:
            return None
        until = facts.trading.frozen_until
        assert until is not None
        return Violation(
            code="intraday_freeze",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"frozen until {until} for an intraday deficit that was not met in time",
            numbers={
                "frozen_until": until.isoformat(),
                "debit": plain(ceil_cent(lacking or ZERO)),
            },
            would_pass=REDUCING if only_exits else "a purchase paid in full with cash, an exit",
        )

    return check
