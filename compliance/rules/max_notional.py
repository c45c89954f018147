"""A largest value per order, in the account's currency."""

from __future__ import annotations

from decimal import Decimal

from compliance.magnitude import ceil_cent, plain, whole_lots
from compliance.rule import HOUSE, REDUCING, Check, Context, Measure, RuleCard, price_of
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder, OrderType
from domain.screening import Violation

CARD = RuleCard(
    id="max_notional", citation="17 CFR 240.15c3-5(c)(1)(ii); house limit", jurisdiction=HOUSE
)


def max_notional(settings: ComplianceSettings) -> Check:
    """Refuses more than the limit, and an opening order whose value cannot be known."""
    limit = settings.max_notional

    def check(order: NewOrder, context: Context) -> Violation | None:
        unit = unit_value(order, context)
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


def unit_value(order: NewOrder, context: Context) -> Decimal | None:
    """What one unit may cost: a limit sells at the touch where that is better."""
    price = price_of(order)
    if context.quote is not None:
        touch = context.quote.ask if context.sign > 0 else context.quote.bid
        if price is None or (order.type is OrderType.LIMIT and context.sign < 0):
            price = touch if price is None else max(price, touch)
    quoted_in = context.instrument.quote_currency
    home = context.account.base_currency
    worth = context.rates.convert(quoted_in, home, context.fresh_since_ns)
    if price is None or worth is None:
        return None
    return price * worth.rate * context.instrument.multiplier


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
        unit = unit_value(order, context)
        if unit is None:
            return {"limit": limit}
        return {"notional": plain(ceil_cent(order.quantity * unit)), "limit": limit}

    return numbers
