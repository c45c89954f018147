"""The prices an order came with, brought into the margin and the credit of its account."""

from __future__ import annotations

from compliance.credit import CreditBook
from compliance.holding import AccountExposure, Holding
from compliance.rates import RateBook
from domain.screening import Rate


def value_margin(
    exposure: AccountExposure, holding: Holding, told: tuple[Rate, ...], rates: RateBook
) -> None:
    """Values what is held of the order's base currency, and of those that just moved."""
    exposure.value(holding.base, rates)
    home = exposure.account.base_currency
    for rate in told:
        for currency in rates.moved(rate.instrument, home):
            if currency != holding.base and currency in exposure.buckets:
                exposure.value(currency, rates)


def value_credit(
    credit: CreditBook, exposure: AccountExposure, told: tuple[Rate, ...], rates: RateBook
) -> None:
    """Values what the owner holds of each instrument told, and of each currency that moved."""
    owner = exposure.account.owner
    for rate in told:
        symbol = rate.instrument
        held, middle = exposure.holdings.get(symbol), rates.middle(symbol)
        if held is not None and middle is not None:
            credit.value(owner, held, middle.rate)
        for currency in rates.moved(symbol, credit.currency):
            credit.revalue(owner, currency)
