"""No new order while a halt covers it."""

from __future__ import annotations

from compliance.rule import HOUSE, Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.records import HaltScope
from domain.screening import Violation

CARD = RuleCard(
    id="halt", citation="house; Delegated Regulation (EU) 2017/589 Art. 12", jurisdiction=HOUSE
)


CANCELS = "cancels"


def halt(settings: ComplianceSettings) -> Check:
    """Refuses in scope of a halt; exits too, unless settings let them pass."""

    def check(order: NewOrder, context: Context) -> Violation | None:
        if not context.halts or (settings.exits_pass_halts and not context.is_opening):
            return None
        subjects = (
            (HaltScope.ALL, "*"),
            (HaltScope.OWNER, context.owner),
            (HaltScope.ACCOUNT, context.account.account),
            (HaltScope.CONNECTION, context.connection),
            (HaltScope.BROKER, context.account.broker),
            (HaltScope.INSTRUMENT, order.instrument),
            (HaltScope.TAG, order.tag or ""),
        )
        found = next((context.halts[at] for at in subjects if at in context.halts), None)
        if found is None:
            return None
        return Violation(
            code="halted",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"{found.scope.value} {found.subject} is halted by {found.by}: {found.reason}",
            would_pass=CANCELS,
        )

    return check
