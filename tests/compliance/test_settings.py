"""What an operator may set: each limit of its own field, its ends included."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from compliance.deposits import find_deposit_faults
from compliance.limits import MarketSettings
from compliance.settings import ComplianceSettings, find_faults

BOUNDS = """
    max_quantity          0  1000000000000
    max_notional          0  1000000000000000000
    collar_percent        0  50
    stop_collar_percent   0  50
    duplicate_window_ms   0  60000
    quote_age_ms_max      1  60000
    valuation_age_ms_max  1  3600000
    confirmation_days_max 1  1100
    market.messages_per_s_max   0  100000
    market.window_ms            1  86400000
    market.window_quantity_max  0  1000000000000
    market.window_notional_max  0  1000000000000000000
    market.repeats_max          0  10000
    market.repeats_window_ms    1  86400000
    market.customer_credit_max  0  1000000000000000000
    market.firm_credit_max      0  1000000000000000000
    market.daily_loss_max       0  1000000000000000000
    market.drawdown_percent_max 0  100
"""


def faults_with(field: str, value: Decimal) -> tuple[str, ...]:
    if field.startswith("market."):
        market = replace(MarketSettings(), **{field.removeprefix("market."): value})
        return find_faults(ComplianceSettings(market=market))
    return find_faults(replace(ComplianceSettings(), **{field: value}))


@pytest.mark.parametrize("row", BOUNDS.strip().splitlines())
def test_a_limit_may_be_either_end_and_nothing_beyond(row: str) -> None:
    field, low, high = row.split()
    for end in (Decimal(low), Decimal(high)):
        assert faults_with(field, end) == ()
    for beyond in (Decimal(low) - 1, Decimal(high) + 1, Decimal("NaN")):
        told = f"{field} must be between {low} and {high}, not {beyond}"
        assert faults_with(field, beyond) == (told,)


def test_every_limit_with_a_default_is_sound() -> None:
    assert find_faults(ComplianceSettings()) == ()


@pytest.mark.parametrize(
    ("percent", "fault"),
    [
        ("2", None),
        ("100", None),
        ("1.99", "security_deposits.EUR: BELOW_NFA_CURRENT, 1.99 < 2"),
        ("100.01", "security_deposits.EUR must be a percent, not 100.01"),
        ("NaN", "security_deposits.EUR must be a percent, not NaN"),
    ],
)
def test_a_deposit_is_a_percent_from_the_law_up(percent: str, fault: str | None) -> None:
    assert find_deposit_faults({"EUR": Decimal(percent)}) == ((fault,) if fault else ())


@pytest.mark.parametrize(("times", "is_sound"), [("1", True), ("10", True), ("0.99", False)])
def test_a_fund_moves_one_to_ten_times_with_its_index(times: str, *, is_sound: bool) -> None:
    faults = find_faults(ComplianceSettings(leveraged_funds={"TQQQ": Decimal(times)}))
    told = f"leveraged_funds.TQQQ must be between 1 and 10, not {times}"
    assert faults == (() if is_sound else (told,))
