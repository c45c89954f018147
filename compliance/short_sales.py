"""Reg SHO beside the order: when restrictions end and when a fail must be closed out."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Protocol

CITATION = "17 CFR 242.200, 242.201, 242.203, 242.204"
SHORT_FAIL_DAYS = 1
"""Settlement days after settlement by whose open a short sale's fail is closed (204(a))."""

LONG_FAIL_DAYS = 3
"""The same for a long sale's, and a bona fide market maker's (204(a)(1), (a)(3))."""

SETTLEMENT_DAYS = 1


class Sessions(Protocol):
    """Business days of an exchange."""

    def after(self, day: date, days: int) -> date:
        """The business day that many after a date."""
        ...


def close_out_by(trade_date: date, *, is_short: bool, sessions: Sessions) -> date:
    """The day by whose regular open a fail to deliver must be closed out."""
    days = SHORT_FAIL_DAYS if is_short else LONG_FAIL_DAYS
    return sessions.after(trade_date, SETTLEMENT_DAYS + days)


def passes_price_test(price: Decimal | None, bid: Decimal, exempt_basis: str | None) -> bool:
    """True above the bid, or where the sale is exempt on a stated ground (201(c), (d)).

    A price of None is a market order's.
    """
    return bool(exempt_basis) or (price is not None and price > bid)


def previous_weekday(day: date) -> date:
    """The last weekday before a date: the last session where no calendar says better."""
    back = {0: 3, 6: 2}.get(day.weekday(), 1)
    return day - timedelta(days=back)
