"""A hint, never a refusal: buying again within 30 days of a loss may disallow that loss.

A wash sale is lawful. The books that decide it are kept elsewhere; this says it beforehand.
"""

from __future__ import annotations

from datetime import date

from compliance.rule import Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from domain.instruments import AssetClass
from domain.orders import NewOrder, Side
from domain.screening import Violation

CARD = RuleCard(
    id="replacement_buy",
    citation="26 USC 1091; 26 CFR 1.1091-1",
    jurisdiction="US",
    asset_classes=frozenset({AssetClass.EQUITY, AssetClass.ETF, AssetClass.OPTION}),
    effective_from=date(1954, 8, 16),
    confirmed_on=date(2026, 11, 21),
    sides=frozenset({Side.BUY, Side.BUY_TO_COVER}),
    opens_only=True,
    is_warning=True,
)
DAYS = 30
_DAY_NS = 86_400_000_000_000


def replacement_buy(_settings: ComplianceSettings) -> Check:
    """Warns of an opening purchase of what was sold at a loss in the last 30 days."""

    def check(order: NewOrder, context: Context) -> Violation | None:
        sold_ns = context.loss_sales.get((context.owner, order.instrument))
        if sold_ns is None:
            return None
        # By whole days: the day of the sale counts as day 0, and day 30 is still within.
        days = (context.day_from_ns - sold_ns) // _DAY_NS + 1
        if days > DAYS:
            return None
        return Violation(
            code="wash_sale",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"{order.instrument} was sold at a loss {max(days, 0)} days ago: buying it "
            "again may move that loss into the new shares",
            numbers={"days_ago": str(max(days, 0)), "window_days": str(DAYS)},
            would_pass=f"the same more than {DAYS} days after the sale",
        )

    return check
