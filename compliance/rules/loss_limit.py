"""No new risk after a day's loss, or a fall from the highest equity, that reached its limit."""

from __future__ import annotations

from compliance.magnitude import plain
from compliance.rule import HOUSE, REDUCING, Check, Context, RuleCard, passes
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="loss_limit", citation="house: daily loss and drawdown", jurisdiction=HOUSE, opens_only=True
)


def loss_limit(settings: ComplianceSettings) -> Check:
    """Refuses opening orders at or beyond either limit; a day's loss counts at its worst."""
    most, fall = settings.market.daily_loss_max, settings.market.drawdown_percent_max
    if most is None and fall is None:
        return passes

    def check(_order: NewOrder, context: Context) -> Violation | None:
        losses = context.exposure.losses
        if most is not None and losses.worst_today >= most:
            lost = plain(losses.worst_today)
            return _refuse("daily_loss", f"lost {lost} today", lost, plain(most))
        if fall is not None and losses.drawdown_percent >= fall:
            fell = plain(round(losses.drawdown_percent, 2))
            return _refuse("drawdown", f"equity is {fell} % below its highest", fell, plain(fall))
        return None

    return check


def _refuse(code: str, message: str, found: str, limit: str) -> Violation:
    return Violation(
        code=code,
        rule=CARD.id,
        citation=CARD.citation,
        message=f"{message}; the limit is {limit}",
        numbers={"found": found, "limit": limit},
        would_pass=REDUCING,
    )
