"""Japanese retail forex: leverage at the opening by class of underlying (ladders.py)."""

from __future__ import annotations

from compliance.ladder_check import LEVERAGED, ladder_check
from compliance.ladders import JFSA
from compliance.rule import Check, RuleCard
from compliance.settings import ComplianceSettings

CARD = RuleCard(
    id="jp_fx_leverage",
    citation=JFSA[-1].citation,
    jurisdiction="JP",
    asset_classes=LEVERAGED,
    effective_from=JFSA[-1].effective_from,
    effective_to=JFSA[-1].effective_to,
    confirmed_on=JFSA[-1].confirmed_on,
    zone="Asia/Tokyo",
)


def jp_fx_leverage(settings: ComplianceSettings) -> Check:
    """Refuses an opening whose margin, with all that is open, is above the account's equity."""
    return ladder_check(CARD, "jfsa", settings)
