"""European retail CFDs: leverage at the opening by class of underlying (ladders.py)."""

from __future__ import annotations

from compliance.ladder_check import LEVERAGED, ladder_check
from compliance.ladders import ESMA
from compliance.rule import Check, RuleCard
from compliance.settings import ComplianceSettings

CARD = RuleCard(
    id="eu_cfd_leverage",
    citation=ESMA[-1].citation,
    jurisdiction="EU",
    asset_classes=LEVERAGED,
    effective_from=ESMA[-1].effective_from,
    effective_to=ESMA[-1].effective_to,
    confirmed_on=ESMA[-1].confirmed_on,
    zone="Europe/Paris",
)


def eu_cfd_leverage(settings: ComplianceSettings) -> Check:
    """Refuses an opening whose margin, with all that is open, is above the account's equity."""
    return ladder_check(CARD, "esma", settings)
