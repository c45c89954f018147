"""A short sale needs shares that can be borrowed, found beforehand (SEC Rule 203(b)(1), 204(b)).

A security on the easy-to-borrow list needs no locate of its own; any other uses up what was
located for the day, by orders under way and by what filled. After an unclosed fail neither is
enough. Nothing known means nothing located.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from compliance.limits import Security
from compliance.magnitude import plain
from compliance.rule import Check, Context, RuleCard
from compliance.rules.short_marking import STOCKS
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder, Side
from domain.portfolio import ZERO
from domain.screening import Violation

CARD = RuleCard(
    id="short_locate",
    citation="17 CFR 242.203(b)(1), 242.204(b)",
    jurisdiction="US",
    asset_classes=STOCKS,
    sides=frozenset({Side.SELL_SHORT}),
    effective_from=date(2005, 1, 3),
    confirmed_on=date(2026, 11, 21),
)


def short_locate(settings: ComplianceSettings) -> Check:
    """Refuses a short sale beyond what is located for the day."""
    market_makers = frozenset(settings.market.market_makers)

    def check(order: NewOrder, context: Context) -> Violation | None:
        facts = context.security.facts if context.security is not None else None
        if facts is not None and facts.must_preborrow:
            return _refuse("preborrow", "an earlier fail is not closed out", ZERO, ZERO)
        is_easy = facts is not None and facts.easy_to_borrow and context.instrument.shortable
        if is_easy or context.account.account in market_makers:
            return None
        located = _located(facts, context)
        if not located:
            return _refuse("no_locate", "nothing is located to borrow today", ZERO, ZERO)
        shorted = context.exposure.activity.shorted(order.instrument, context.day_from_ns)
        used = context.holding.shorting + shorted
        if used + context.leaves > located:
            what = f"{plain(used)} of {plain(located)} located is used"
            return _refuse("locate_exhausted", what, located, used)
        return None

    return check


def _located(facts: Security | None, context: Context) -> Decimal:
    if facts is None or facts.located is None or facts.located_on != context.business_date:
        return ZERO
    return facts.located


def _refuse(code: str, what: str, located: Decimal, used: Decimal) -> Violation:
    left = max(located - used, ZERO)
    return Violation(
        code=code,
        rule=CARD.id,
        citation=CARD.citation,
        message=f"a short sale needs a locate: {what}",
        field="quantity",
        numbers={"located": plain(located), "used": plain(used)},
        would_pass=f"largest quantity that fits: {plain(left)}" if left else "a new locate first",
    )
