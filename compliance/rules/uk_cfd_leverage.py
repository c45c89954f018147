"""UK retail CFDs: leverage at the opening by class of underlying (ladders.py)."""

from __future__ import annotations

from compliance.ladder_check import LEVERAGED, ladder_check
from compliance.ladders import FCA
from compliance.rule import Check, RuleCard
from compliance.settings import ComplianceSettings

CARD = RuleCard(
    id="uk_cfd_leverage",
    citation=FCA[-1].citation,
    jurisdiction="UK",
    asset_classes=LEVERAGED,
    effective_from=FCA[-1].effective_from,
    effective_to=FCA[-1].effective_to,
    confirmed_on=FCA[-1].confirmed_on,
    zone="Europe/London",
)


def uk_cfd_leverage(settings: ComplianceSettings) -> Check:
    """Refuses an opening whose margin, with all that is open, is above the account's equity."""
    return ladder_check(CARD, "fca", settings)
