"""Size and value over a short while, by account, instrument and direction.

An order is counted when it passes, whatever becomes of it: a stream of small orders is no way
round the limit per order.
"""

from __future__ import annotations

from decimal import Decimal

from compliance.magnitude import ceil_cent, plain, whole_lots
from compliance.rule import HOUSE, Check, Context, RuleCard, passes
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.portfolio import ZERO
from domain.screening import Violation

CARD = RuleCard(
    id="window_limits",
    citation="17 CFR 240.15c3-5(c)(1)(ii), over a short period of time; house limits",
    jurisdiction=HOUSE,
    opens_only=True,
)
_NS_PER_MS = 1_000_000


def window_limits(settings: ComplianceSettings) -> Check:
    """Refuses what would carry the window's quantity or value above its limit, ends included."""
    market = settings.market
    if market.window_quantity_max is None and market.window_notional_max is None:
        return passes
    window_ns = market.window_ms * _NS_PER_MS

    def check(order: NewOrder, context: Context) -> Violation | None:
        window = context.exposure.activity.orders(order.instrument, context.sign)
        window.count(context.now_ns - window_ns)
        most = market.window_quantity_max
        if most is not None and window.quantity + context.leaves > most:
            fits = most - window.quantity
            return _refuse(context, "window_quantity", window.quantity, most, fits)
        most = market.window_notional_max
        if most is None:
            return None
        unit = context.unit_worth or ZERO
        if window.value + context.leaves * unit > most:
            fits = (most - window.value) / unit
            return _refuse(context, "window_notional", window.value, most, fits)
        return None

    return check


def _refuse(context: Context, code: str, done: Decimal, limit: Decimal, fits: Decimal) -> Violation:
    fits = whole_lots(max(fits, ZERO), context.instrument.lot)
    return Violation(
        code=code,
        rule=CARD.id,
        citation=CARD.citation,
        message=f"{plain(ceil_cent(done))} passed already in {context.instrument.symbol} "
        f"in the window; the limit is {plain(limit)}",
        field="quantity",
        numbers={"passed": plain(ceil_cent(done)), "limit": plain(limit)},
        would_pass=f"largest quantity that fits: {plain(fits)}",
    )
