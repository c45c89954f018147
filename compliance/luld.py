"""Limit Up-Limit Down: how far from its reference price a US stock may trade, as dated editions.

Percent by tier and by the last close, doubled while the market opens and closes, times the
multiple of a leveraged product; below 0.75 the band is an amount. The plan rounds bands to its
tick; that is left to whoever publishes them. COMPLIANCE.md 7 says where each number was seen.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from msgspec import Struct

from compliance.editions import Edition, in_force

CITATION = "LULD Plan (SEC Release 34-67091 and amendments 10, 18)"
OVERNIGHT_CITATION = "LULD Plan Amendment 27 (SEC Release 34-106042, 91 FR 51515)"
OPENS_S, CLOSES_S = 34_200, 57_600
"""09:30 and 16:00 New York, in seconds of the day: the plan holds between them."""

LIMIT_STATE_S_MAX = 15
PAUSE_MINUTES = 5
NOT_COVERED = frozenset({"right", "warrant"})
"""Kinds of security the plan leaves out."""

_HUNDRED = Decimal(100)
_CENTS_15 = Decimal("0.15")


class Band(Struct, frozen=True):
    """The lowest and the highest price a stock may trade at."""

    low: Decimal
    high: Decimal


class LuldTable(Struct, frozen=True, kw_only=True):
    """One edition's numbers; percents of the reference price, prices of the last close."""

    percent_tier_1: Decimal = Decimal(5)
    percent_tier_2: Decimal = Decimal(10)
    percent_low_priced: Decimal = Decimal(20)
    percent_penny: Decimal = Decimal(75)
    amount_penny: Decimal = _CENTS_15
    low_priced_up_to: Decimal = Decimal(3)
    penny_below: Decimal = Decimal("0.75")
    doubles_until_s: int = 35_100
    doubles_from_s: int = 56_100
    tier_2_closes_doubled: bool = False


EDITIONS: tuple[Edition[LuldTable], ...] = (
    Edition(
        citation=CITATION,
        values=LuldTable(tier_2_closes_doubled=True),
        effective_from=date(2013, 4, 8),
        effective_to=date(2020, 2, 23),
    ),
    Edition(
        citation=CITATION,
        values=LuldTable(),
        effective_from=date(2020, 2, 24),
        confirmed_on=date(2026, 11, 21),
    ),
)
OVERNIGHT: tuple[Edition[Decimal], ...] = (
    Edition(
        citation=OVERNIGHT_CITATION,
        values=Decimal(20),
        effective_from=date(2026, 12, 6),
        confirmed_on=date(2026, 11, 21),
    ),
)


class Stock(Struct, frozen=True, kw_only=True):
    """What the plan asks of a stock."""

    tier: int
    prior_close: Decimal
    leverage: int = 1


def find_band(stock: Stock, reference: Decimal, today: date, at_s: int) -> Band | None:
    """The band at a second of the day in New York; None outside the plan's hours or dates."""
    edition = in_force(EDITIONS, today)
    if edition is None or not OPENS_S <= at_s < CLOSES_S:
        return None
    table = edition.values
    factor = stock.leverage * (2 if is_doubled(table, stock, at_s) else 1)
    if stock.prior_close < table.penny_below:
        half = min(table.amount_penny, reference * table.percent_penny / _HUNDRED) * factor
    else:
        half = reference * _percent(table, stock) / _HUNDRED * factor
    return Band(max(reference - half, Decimal(0)), reference + half)


def is_doubled(table: LuldTable, stock: Stock, at_s: int) -> bool:
    """True in the first 15 minutes, and in the last 25 but for tier 2 above 3.00."""
    if at_s < table.doubles_until_s:
        return True
    is_dear = stock.prior_close > table.low_priced_up_to
    closes = stock.tier == 1 or not is_dear or table.tier_2_closes_doubled
    return closes and at_s >= table.doubles_from_s


def find_overnight_band(
    close: Decimal, last_sale: Decimal, leverage: int, today: date
) -> Band | None:
    """The static band of the overnight session around close and 19:45 price, or None before it."""
    edition = in_force(OVERNIGHT, today)
    if edition is None:
        return None
    share = edition.values * leverage / _HUNDRED
    return Band(min(close, last_sale) * (1 - share), max(close, last_sale) * (1 + share))


def _percent(table: LuldTable, stock: Stock) -> Decimal:
    if stock.prior_close <= table.low_priced_up_to:
        return table.percent_low_priced
    return table.percent_tier_1 if stock.tier == 1 else table.percent_tier_2
