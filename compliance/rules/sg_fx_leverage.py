"""Singapore retail forex: leverage at the opening by class of underlying (ladders.py)."""

from __future__ import annotations

from compliance.ladder_check import LEVERAGED, ladder_check
from compliance.ladders import MAS
from compliance.rule import Check, RuleCard
from compliance.settings import ComplianceSettings

CARD = RuleCard(
    id="sg_fx_leverage",
    citation=MAS[-1].citation,
    jurisdiction="SG",
    asset_classes=LEVERAGED,
    effective_from=MAS[-1].effective_from,
    effective_to=MAS[-1].effective_to,
    confirmed_on=MAS[-1].confirmed_on,
    zone="Asia/Singapore",
)


def sg_fx_leverage(settings: ComplianceSettings) -> Check:
    """Refuses an opening whose margin, with all that is open, is above the account's equity."""
    return ladder_check(CARD, "mas", settings)
