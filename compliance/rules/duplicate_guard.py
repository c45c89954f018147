"""The same order twice within a moment is a mistake, whatever its client order id."""

from __future__ import annotations

from compliance.rule import HOUSE, Check, Context, RuleCard, passes
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="duplicate_guard", citation="17 CFR 240.15c3-5(c)(1)(ii); house window", jurisdiction=HOUSE
)
_NS_PER_MS = 1_000_000


def duplicate_guard(settings: ComplianceSettings) -> Check:
    """Refuses an order equal to one that passed in the account within the window, ends included."""
    window_ns = settings.duplicate_window_ms * _NS_PER_MS

    if not window_ns:
        return passes

    def check(_order: NewOrder, context: Context) -> Violation | None:
        if context.is_amend:
            return None
        seen = context.exposure.recent.find(context.fingerprint)
        if seen is None or seen[1] == context.order_id:
            return None
        if context.now_ns - seen[0] > window_ns:
            return None
        age_ms = (context.now_ns - seen[0]) // _NS_PER_MS
        return Violation(
            code="duplicate",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"equals order {seen[1]} of {age_ms} ms ago",
            numbers={"age_ms": str(age_ms), "window_ms": str(settings.duplicate_window_ms)},
            would_pass=f"the same more than {settings.duplicate_window_ms} ms after the first",
        )

    return check
