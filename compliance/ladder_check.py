"""The leverage check of a regulator's ladder, speaking for the card of one jurisdiction."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from compliance.ladders import most_leverage
from compliance.limits import ClientCategory
from compliance.magnitude import plain
from compliance.rule import REDUCING, Check, Context, RuleCard
from compliance.rules.us_fx_leverage import leverage_check
from compliance.settings import ComplianceSettings
from domain.instruments import AssetClass
from domain.orders import NewOrder
from domain.screening import Violation

LEVERAGED = frozenset(AssetClass) - {AssetClass.OPTION}
_HUNDREDTH = Decimal("0.01")


def ladder_check(card: RuleCard, series: str, settings: ComplianceSettings) -> Check:
    """Refuses banned classes to open, and what the account's equity does not cover."""
    needs_margin = leverage_check(card)
    clients = settings.market.clients

    def check(order: NewOrder, context: Context) -> Violation | None:
        violation = needs_margin(order, context)
        if violation is None and not context.is_opening:
            return None
        category = clients.get(context.account.account, ClientCategory.RETAIL)
        most = most_leverage(series, context.instrument, category, context.business_date)
        if most == 0 and context.is_opening:
            return _banned(card, context)
        if violation is None or violation.code != "leverage":
            return violation
        numbers = dict(violation.numbers)
        percent = Decimal(numbers["deposit_percent"])
        numbers["deposit_percent"] = plain(percent.quantize(_HUNDREDTH))
        numbers["max_leverage"] = str(most)
        return replace(violation, numbers=numbers)

    return check


def _banned(card: RuleCard, context: Context) -> Violation:
    return Violation(
        code="product_banned",
        rule=card.id,
        citation=card.citation,
        message=f"{context.instrument.symbol} may not be sold to retail clients",
        field="instrument",
        would_pass=REDUCING,
    )
