"""A sale is marked long only as far as the account holds the shares (SEC Rule 200(g))."""

from __future__ import annotations

from datetime import date

from compliance.magnitude import plain
from compliance.rule import Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from domain.instruments import AssetClass
from domain.orders import NewOrder, Side
from domain.portfolio import ZERO
from domain.screening import Violation

STOCKS = frozenset({AssetClass.EQUITY, AssetClass.ETF})
CARD = RuleCard(
    id="short_marking",
    citation="17 CFR 242.200(g)",
    jurisdiction="US",
    asset_classes=STOCKS,
    sides=frozenset({Side.SELL}),
    effective_from=date(2005, 1, 3),
    confirmed_on=date(2026, 11, 21),
)


def short_marking(_settings: ComplianceSettings) -> Check:
    """Refuses a plain sale of more than is held and not being sold already."""

    def check(_order: NewOrder, context: Context) -> Violation | None:
        if context.only_reduces:
            return None
        holding = context.holding
        under_way = holding.opening[-1] + holding.reducing[-1] - holding.shorting
        free = max(holding.quantity - under_way, ZERO)
        if context.leaves <= free:
            return None
        return Violation(
            code="short_unmarked",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"sells {plain(context.leaves)}, of which {plain(free)} is held and free",
            field="side",
            numbers={"held": plain(holding.quantity), "free": plain(free)},
            would_pass=f"side sell_short, or largest quantity that fits: {plain(free)}",
        )

    return check
