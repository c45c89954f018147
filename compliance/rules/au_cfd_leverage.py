"""Australian retail CFDs: leverage at the opening by class of underlying (ladders.py)."""

from __future__ import annotations

from compliance.ladder_check import LEVERAGED, ladder_check
from compliance.ladders import ASIC
from compliance.rule import Check, RuleCard
from compliance.settings import ComplianceSettings

CARD = RuleCard(
    id="au_cfd_leverage",
    citation=ASIC[-1].citation,
    jurisdiction="AU",
    asset_classes=LEVERAGED,
    effective_from=ASIC[-1].effective_from,
    effective_to=ASIC[-1].effective_to,
    confirmed_on=ASIC[-1].confirmed_on,
    zone="Australia/Sydney",
)


def au_cfd_leverage(settings: ComplianceSettings) -> Check:
    """Refuses an opening whose margin, with all that is open, is above the account's equity."""
    return ladder_check(CARD, "asic", settings)
