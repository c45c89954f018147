"""What selling now would be in a cash account, for the rule that refuses and the one that warns."""

from __future__ import annotations

from datetime import date

from compliance.rule import Context
from compliance.trading import Trading
from domain.findings import FindingKind


def find_early_sale(context: Context) -> tuple[Trading, FindingKind, date] | None:
    """What the sale, with those under way, would be, and from when not; None for nothing."""
    trading, holding = context.exposure.trading, context.holding
    if trading is None or trading.funding is None or context.sign > 0:
        return None
    under_way = holding.opening[-1] + holding.reducing[-1]
    found = trading.funding.find_misstep(holding.instrument, context.leaves + under_way)
    return None if found is None else (trading, *found)


def is_last_allowed(trading: Trading, kind: FindingKind) -> bool:
    """True where the violation would restrict the account: any free ride, or one too many."""
    limit = trading.terms.policy.good_faith_max
    return kind is FindingKind.FREE_RIDE or trading.missteps + 1 >= limit
