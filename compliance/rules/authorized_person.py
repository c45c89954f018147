"""Only owners named for it may trade, each what is named for him."""

from __future__ import annotations

from compliance.rule import HOUSE, Check, Context, RuleCard, passes
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="authorized_person", citation="17 CFR 240.15c3-5(c)(2)(iii); house list", jurisdiction=HOUSE
)


def authorized_person(settings: ComplianceSettings) -> Check:
    """Refuses an owner who is not listed, and what his row does not name."""
    rows = {row.owner: row for row in settings.market.authorized}
    if not rows:
        return passes

    def check(order: NewOrder, context: Context) -> Violation | None:
        row = rows.get(context.owner)
        if row is None:
            return _refuse(f"owner {context.owner} is not authorized to trade", None)
        kind = context.instrument.asset_class
        if row.asset_classes and kind not in row.asset_classes:
            names = ", ".join(sorted(named.value for named in row.asset_classes))
            return _refuse(f"owner {context.owner} may not trade {kind.value}", names)
        if row.instruments and order.instrument not in row.instruments:
            names = ", ".join(sorted(row.instruments))
            return _refuse(f"owner {context.owner} may not trade {order.instrument}", names)
        return None

    return check


def _refuse(message: str, would_pass: str | None) -> Violation:
    return Violation(
        code="unauthorized",
        rule=CARD.id,
        citation=CARD.citation,
        message=message,
        would_pass=would_pass,
    )
