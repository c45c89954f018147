"""Legacy day-trading buying power: four times what exceeded maintenance at the prior close.

Asked of pattern day traders alone. It counts what is open of today's purchases and short sales,
what still may open, and the order; half of it, or none, is left while a call is owed or missed.
"""

from __future__ import annotations

from compliance.finra_4210 import CONFIRMED_ON, LEGACY_CITATION, PATTERN, PHASE_IN_TO
from compliance.magnitude import ceil_cent, plain, whole_lots
from compliance.rule import Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from compliance.trading_checks import gather, refuse
from compliance.trading_terms import SECURITIES
from domain.accounts import AccountType
from domain.orders import NewOrder
from domain.portfolio import ZERO
from domain.screening import Violation

CARD = RuleCard(
    id="day_trading_buying_power",
    citation=f"{LEGACY_CITATION}(iii), (iv)",
    jurisdiction="US",
    account_types=frozenset({AccountType.MARGIN}),
    asset_classes=SECURITIES,
    effective_from=PATTERN[0].effective_from,
    effective_to=PHASE_IN_TO,
    confirmed_on=CONFIRMED_ON,
    opens_only=True,
)


def day_trading_buying_power(settings: ComplianceSettings) -> Check:
    """Refuses a pattern day trader's opening order beyond the day's buying power."""
    collar = settings.collar_percent

    def check(order: NewOrder, context: Context) -> Violation | None:
        trading = context.exposure.trading
        if trading is not None and not trading.is_designated:
            return None
        facts = gather(CARD, order, context, collar)
        if isinstance(facts, Violation):
            return facts
        power = facts.trading.buying_power
        if power is None:
            return refuse(CARD, "no_prior_close", "the account's prior close is not known")
        terms = facts.trading.margin.row(order.instrument).terms
        unit = facts.price * terms.multiplier * terms.weight
        used = facts.trading.day_trades.open_cost + facts.trading.margin.opening
        if used + context.leaves * unit <= power:
            return None
        fits = whole_lots(max(power - used, ZERO) / unit, context.instrument.lot)
        return Violation(
            code="day_trading_buying_power",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"takes {plain(ceil_cent(context.leaves * unit))} of "
            f"{plain(max(power - used, ZERO))} day-trading buying power left",
            field="quantity",
            numbers={
                "buying_power": plain(power),
                "used": plain(used),
                "order": plain(ceil_cent(context.leaves * unit)),
            },
            would_pass=f"largest quantity that fits: {plain(fits)}",
        )

    return check
