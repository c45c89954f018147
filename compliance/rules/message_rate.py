"""How many messages an account may send in a second: new orders, amends and cancels.

A cancel counts and is never refused. An order that can only reduce a position passes too: the
way out stays open; an amend of it does not, for amends can go on for ever.
"""

from __future__ import annotations

from compliance.rule import HOUSE, REDUCING, Check, Context, Measure, RuleCard, passes
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="message_rate",
    citation="Delegated Regulation (EU) 2017/589 Art. 15(1)(d); house limit",
    jurisdiction=HOUSE,
)


def message_rate(settings: ComplianceSettings) -> Check:
    """Refuses the message that would be one too many in any second."""
    limit = settings.market.messages_per_s_max
    if not limit:
        return passes

    def check(_order: NewOrder, context: Context) -> Violation | None:
        sent = context.exposure.activity.messages(context.now_ns)
        if sent < limit or (context.only_reduces and not context.is_amend):
            return None
        return Violation(
            code="message_rate",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"{sent} messages in the last second; the limit is {limit}",
            numbers={"messages": str(sent), "limit": str(limit)},
            would_pass=f"{REDUCING}, cancels, and the same a second later",
        )

    return check


def measure(settings: ComplianceSettings) -> Measure:
    """What was counted."""
    limit = str(settings.market.messages_per_s_max)
    return lambda _order, context: {
        "messages": str(context.exposure.activity.messages(context.now_ns)),
        "limit": limit,
    }
