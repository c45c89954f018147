"""While Rule 201 restricts a stock, a short sale must be above the national best bid."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from compliance.magnitude import plain
from compliance.rule import Check, Context, RuleCard
from compliance.rules.short_marking import STOCKS
from compliance.settings import ComplianceSettings
from compliance.short_sales import passes_price_test, previous_weekday
from domain.orders import NewOrder, Side
from domain.screening import Violation

CARD = RuleCard(
    id="short_price_test",
    citation="17 CFR 242.201",
    jurisdiction="US",
    asset_classes=STOCKS,
    sides=frozenset({Side.SELL_SHORT}),
    effective_from=date(2011, 2, 28),
    confirmed_on=date(2026, 11, 21),
)


def short_price_test(_settings: ComplianceSettings) -> Check:
    """Refuses a short sale that could trade at or below the bid."""

    def check(order: NewOrder, context: Context) -> Violation | None:
        if context.security is None:
            return None
        today = context.business_date
        if not context.security.is_restricted(today, _previous_session(context)):
            return None
        if context.quote is None:
            return _refuse(f"no fresh bid of {order.instrument} to compare with", {}, None)
        bid, price = context.quote.bid, order.limit_price
        if passes_price_test(price, bid, exempt_basis=None):
            return None
        said = "a market order" if price is None else f"limit_price {plain(price)}"
        numbers = {
            "bid": plain(bid),
            "restricted_from": str(context.security.facts.restricted_from),
        }
        return _refuse(
            f"{said} could trade at or below the bid {plain(bid)}",
            numbers,
            bid + context.instrument.tick,
        )

    return check


def _previous_session(context: Context) -> date:
    """By the account's calendar; without one the last weekday."""
    trading, today = context.exposure.trading, context.business_date
    if trading is None:
        return previous_weekday(today)
    return trading.terms.calendar.window(today - timedelta(days=1), 1)[0]


def _refuse(message: str, numbers: dict[str, str], lowest: Decimal | None) -> Violation:
    return Violation(
        code="short_restricted",
        rule=CARD.id,
        citation=CARD.citation,
        message=f"short sales are restricted: {message}",
        field="limit_price",
        numbers=numbers,
        would_pass=f"lowest price that fits: {plain(lowest)}" if lowest is not None else None,
    )
