"""A price may not be much worse than the market."""

from __future__ import annotations

from decimal import Decimal

from compliance.magnitude import plain
from compliance.rule import HOUSE, REDUCING, Check, Context, Measure, RuleCard
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="price_collar",
    citation="17 CFR 240.15c3-5(c)(1)(ii); Delegated Regulation (EU) 2017/589 Art. 15(1)(a); "
    "house percent",
    jurisdiction=HOUSE,
)
_HUNDRED = Decimal(100)


def price_collar(settings: ComplianceSettings) -> Check:
    """Refuses a price too far on the costly side of mid (either side where set), ends included.

    Opening orders are refused where there is no fresh quote, market orders too.
    """
    both_sides = settings.collar_both_sides
    collar = settings.collar_percent / _HUNDRED
    stop_collar = settings.stop_collar_percent / _HUNDRED

    def check(order: NewOrder, context: Context) -> Violation | None:
        if context.middle is None:
            return _unquoted(context)
        mid, limit, stop = context.middle.rate, order.limit_price, order.stop_price
        if limit is not None and is_far(limit, mid, collar, context.sign):
            return _too_far("limit_price", limit, mid, collar)
        if stop is not None and is_far(stop, mid, stop_collar, context.sign):
            return _too_far("stop_price", stop, mid, stop_collar)
        bound = order.price_bound
        if bound is not None and is_far(bound, mid, collar, context.sign):
            return _too_far("price_bound", bound, mid, collar)
        return None

    def is_far(price: Decimal, mid: Decimal, fraction: Decimal, sign: int) -> bool:
        away, most = price - mid if sign > 0 else mid - price, mid * fraction
        return away > most or (both_sides and -away > most)

    return check


def _too_far(field: str, price: Decimal, mid: Decimal, fraction: Decimal) -> Violation:
    word = "highest" if price > mid else "lowest"
    edge = mid * (1 + fraction if price > mid else 1 - fraction)
    return Violation(
        code="price_collar",
        rule=CARD.id,
        citation=CARD.citation,
        message=f"{field} {plain(price)} is too far from the market's {plain(mid)}",
        field=field,
        numbers={"price": plain(price), "mid": plain(mid), "edge": plain(edge)},
        would_pass=f"{word} price that fits: {plain(edge)}",
    )


def _unquoted(context: Context) -> Violation | None:
    if not context.is_opening:
        return None
    return Violation(
        code="no_reference_price",
        rule=CARD.id,
        citation=CARD.citation,
        message=f"no fresh quote for {context.instrument.symbol}",
        would_pass=REDUCING,
    )


def measure(settings: ComplianceSettings) -> Measure:
    """The market it was held against."""

    def numbers(_order: NewOrder, context: Context) -> dict[str, str]:
        percent = plain(settings.collar_percent)
        if context.middle is None:
            return {"collar_percent": percent}
        return {"mid": plain(context.middle.rate), "collar_percent": percent}

    return numbers
