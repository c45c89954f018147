"""A largest value per order, in the account's currency."""

from __future__ import annotations

from compliance.magnitude import ceil_cent, plain, whole_lots
from compliance.rule import HOUSE, REDUCING, Check, Context, Measure, RuleCard
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="max_notional", citation="17 CFR 240.15c3-5(c)(1)(ii); house limit", jurisdiction=HOUSE
)


def max_notional(settings: ComplianceSettings) -> Check:
    """Refuses more than the limit, and an opening order whose value cannot be known."""
    limit = settings.max_notional

    def check(order: NewOrder, context: Context) -> Violation | None:
        unit = context.unit_worth
        if unit is None:
            return _unpriced(context)
        notional = order.quantity * unit
        if notional <= limit:
            return None
        fits = whole_lots(limit / unit, context.instrument.lot)
        return Violation(
            code="max_notional",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"value {plain(ceil_cent(notional))} is above {plain(limit)}",
            field="quantity",
            numbers={"notional": plain(ceil_cent(notional)), "limit": plain(limit)},
            would_pass=f"largest quantity that fits: {plain(fits)}",
        )

    return check


def _unpriced(context: Context) -> Violation | None:
    if not context.is_opening:
        return None
    return Violation(
        code="no_reference_price",
        rule=CARD.id,
        citation=CARD.citation,
        message=f"no fresh price to value {context.instrument.symbol} "
        f"in {context.account.base_currency}",
        would_pass=REDUCING,
    )


def measure(settings: ComplianceSettings) -> Measure:
    """What was compared, where it has a value."""
    limit = plain(settings.max_notional)

    def numbers(order: NewOrder, context: Context) -> dict[str, str]:
        unit = context.unit_worth
        if unit is None:
            return {"limit": limit}
        return {"notional": plain(ceil_cent(order.quantity * unit)), "limit": limit}

    return numbers
