"""US retail forex by the plain words of 17 CFR 5.9: 50:1 for majors, 20:1 for all others."""

from __future__ import annotations

from datetime import date

from compliance.deposits import CFTC_SIMPLE
from compliance.rule import Check, RuleCard
from compliance.rules.us_fx_leverage import leverage_check
from compliance.settings import ComplianceSettings

CARD = RuleCard(
    id="us_fx_leverage_simple",
    citation=CFTC_SIMPLE.citation,
    jurisdiction="US",
    effective_from=CFTC_SIMPLE.effective_from,
    confirmed_on=date(2026, 11, 21),
    zone="America/Chicago",
)


def us_fx_leverage_simple(_settings: ComplianceSettings) -> Check:
    """Refuses an opening order whose deposit, with all that is open, is above equity."""
    return leverage_check(CARD)
