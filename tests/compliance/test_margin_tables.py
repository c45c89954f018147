"""Our security deposits against the tables others published: NFA's events, FOREX.com's margins."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from compliance.deposits import CFTC_SIMPLE, NFA_CURRENT, in_force, pair_rate
from tests.shared_data import SHARED, requires_shared

FOLDER = SHARED / "tax_vectors" / "fx_margin"
TODAY = date(2026, 11, 21)
HUNDRED = Decimal(100)
REST = {"other majors": ("EUR", "CAD", "DKK", "USD"), "other minors": ("SGD", "PLN", "CNH")}
"""Those the notice leaves unnamed; of the minors, some."""


def rows_of(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


PAIRS = rows_of(FOLDER / "forexcom_us_margin_vs_nfa_i2308.csv")
EVENTS = rows_of(FOLDER / "nfa_security_deposit_events.csv")


@requires_shared
@pytest.mark.parametrize("row", PAIRS, ids=[row["pair"] for row in PAIRS])
def test_a_pairs_deposit_is_that_of_its_dearer_leg_and_a_broker_asks_no_less(
    row: dict[str, str],
) -> None:
    base, quote = row["pair"].split("/")
    percent = pair_rate(in_force("nfa", TODAY), base, quote, {}) * HUNDRED
    assert percent == Decimal(row["nfa_i_23_08_pct_max_of_legs"])
    assert percent <= Decimal(row["forexcom_us_margin_pct"])
    is_equal = percent == Decimal(row["forexcom_us_margin_pct"])
    assert is_equal == (row["match"] == "equal")
    simple = pair_rate(CFTC_SIMPLE, base, quote, {}) * HUNDRED
    assert simple == Decimal(row["nfa_section12_base_pct"])


def newest_events() -> dict[str, Decimal]:
    """The last percent each currency was given, by the dates of the notices."""
    found: dict[str, Decimal] = {}
    dated = [row for row in EVENTS if row["effective"][:1].isdigit()]
    for row in sorted(dated, key=lambda row: row["effective"]):
        currency = row["currency"]
        named = REST.get(currency, (currency,))
        found |= dict.fromkeys(named, Decimal(row["pct"]))
    return found


@requires_shared
def test_every_currency_stands_at_the_percent_of_its_last_notice() -> None:
    events = newest_events()
    assert events
    ours = {name: NFA_CURRENT.percent.get(name, NFA_CURRENT.other) for name in events}
    assert ours == events
