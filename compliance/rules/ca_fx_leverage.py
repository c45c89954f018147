"""Canadian retail forex: margin by currency group, with published surcharges (ladders.py)."""

from __future__ import annotations

from datetime import date

from compliance.ladders import CIRO_CITATION, CIRO_CONFIRMED
from compliance.rule import Check, RuleCard
from compliance.rules.us_fx_leverage import leverage_check
from compliance.settings import ComplianceSettings
from domain.instruments import AssetClass

CARD = RuleCard(
    id="ca_fx_leverage",
    citation=CIRO_CITATION,
    jurisdiction="CA",
    asset_classes=frozenset({AssetClass.FOREX}),
    effective_from=date(2022, 11, 23),
    confirmed_on=CIRO_CONFIRMED,
    zone="America/Toronto",
)


def ca_fx_leverage(_settings: ComplianceSettings) -> Check:
    """Refuses an opening whose margin, with all that is open, is above the account's equity."""
    return leverage_check(CARD)
