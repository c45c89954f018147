"""Security deposits for US retail forex as effective-dated data: a currency's percent of notional.

A pair's rate is that of its dearer leg. Settings may raise a percent, never lower it (NFA
Financial Requirements Section 12(b), (f)). COMPLIANCE.md 5 says where each number was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from msgspec import Struct

_HUNDRED = Decimal(100)
PERCENT_MAX = Decimal(100)


class DepositTable(Struct, frozen=True, kw_only=True):
    """Percents by currency in force from a date on; `other` is every currency not named."""

    citation: str
    effective_from: date
    effective_to: date | None
    percent: dict[str, Decimal]
    other: Decimal


def _percents(**rows: str) -> dict[str, Decimal]:
    return {
        currency: Decimal(percent.removeprefix("p"))
        for percent, currencies in rows.items()
        for currency in currencies.split()
    }


NFA_CURRENT = DepositTable(
    citation="NFA Financial Requirements Section 12; NFA Notice I-23-08",
    effective_from=date(2023, 3, 13),
    effective_to=None,
    percent=_percents(
        p25="TRY",
        p20="RUB",
        p10="MXN",
        p9="BRL",
        p7="ZAR NOK",
        p5="GBP JPY",
        p3="NZD AUD CHF SEK",
        p2="EUR CAD DKK USD",
    ),
    other=Decimal(5),
)
CFTC_SIMPLE = DepositTable(
    citation="17 CFR 5.9: 50:1 majors, 20:1 others",
    effective_from=date(2010, 10, 18),
    effective_to=None,
    percent=_percents(p2="USD GBP CHF CAD JPY EUR AUD NZD SEK NOK DKK"),
    other=Decimal(5),
)
TABLES: dict[str, tuple[DepositTable, ...]] = {"nfa": (NFA_CURRENT,), "simple": (CFTC_SIMPLE,)}
"""Series by name, oldest first; the last one also stands in for a date that none covers, where
its rule's card refuses opening orders anyway."""


class Deposit(Struct, frozen=True, kw_only=True):
    """What a position of a pair ties up, in the account's currency; `required` in whole cents."""

    notional: Decimal
    rate: Decimal
    required: Decimal


def in_force(series: str, today: date) -> DepositTable:
    """The table of a series on a date."""
    tables = TABLES[series]
    for table in reversed(tables):
        ends = table.effective_to
        if table.effective_from <= today and (ends is None or today <= ends):
            return table
    return tables[-1]


def pair_rate(table: DepositTable, base: str, quote: str, raised: Mapping[str, Decimal]) -> Decimal:
    """The pair's deposit as a fraction: the dearer leg, raised where settings say so."""
    return max(_percent(table, leg, raised) for leg in (base, quote)) / _HUNDRED


def option_deposit(
    notional: Decimal, rate: Decimal, premium: Decimal, *, is_short: bool
) -> Decimal:
    """Section 12(a): the premium, and for a short option the pair's deposit too."""
    return notional * rate + premium if is_short else premium


def find_deposit_faults(raised: Mapping[str, Decimal]) -> tuple[str, ...]:
    """Each percent that is not a percent, or is below NFA's current one (BELOW_NFA_CURRENT)."""
    faults = []
    for currency, percent in raised.items():
        floor = _percent(NFA_CURRENT, currency, {})
        if not percent.is_finite() or percent > PERCENT_MAX:
            faults.append(f"security_deposits.{currency} must be a percent, not {percent}")
        elif percent < floor:
            faults.append(f"security_deposits.{currency}: BELOW_NFA_CURRENT, {percent} < {floor}")
    return tuple(faults)


def _percent(table: DepositTable, currency: str, raised: Mapping[str, Decimal]) -> Decimal:
    percent = table.percent.get(currency, table.other)
    return max(percent, raised.get(currency, percent))
