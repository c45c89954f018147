"""How much an account lost today and from its highest, by the equity the broker told.

The day's base is the last equity told before the day began, and the highest is counted from
when the account was loaded: a restart begins both anew. Where the broker tells the day's result
itself, that counts. A day that broke the limit stays broken, whatever is won back.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from domain.portfolio import ZERO

_HUNDRED = Decimal(100)


class LossMeter:
    """One account's equity through the day.

    `worst_today` is the most it was below the day's base, `drawdown_percent` how far it is below
    its highest.
    """

    __slots__ = ("_base", "_day", "_day_pnl", "_equity", "_peak", "_until_ns", "drawdown_percent",
                 "worst_today")  # fmt: skip

    def __init__(self) -> None:
        self._equity: Decimal | None = None
        self._base: Decimal | None = None
        self._peak = ZERO
        self._day: date | None = None
        self._day_pnl: Decimal | None = None
        self._until_ns = 0
        self.worst_today = ZERO
        self.drawdown_percent = ZERO

    def told(self, equity: Decimal, day_pnl: Decimal | None, at_ns: int) -> None:
        """The broker's word at a moment (0 where none is known)."""
        if self._day is not None and at_ns >= self._until_ns:
            self._begin(self._equity)
            self._day = None
        self._equity, self._day_pnl = equity, day_pnl
        self._base = equity if self._base is None else self._base
        self._peak = max(self._peak, equity)
        if self._peak > 0:
            self.drawdown_percent = (self._peak - equity) * _HUNDRED / self._peak
        self._count()

    def turn(self, today: date, until_ns: int) -> None:
        """The date of the account's zone, and when it ends."""
        if today == self._day:
            return
        if self._day is not None:
            self._begin(self._equity)
        self._day, self._until_ns = today, until_ns
        self._count()

    def _begin(self, base: Decimal | None) -> None:
        self._base, self._day_pnl, self.worst_today = base, None, ZERO

    def _count(self) -> None:
        if self._equity is None or self._base is None:
            return
        lost = self._base - self._equity if self._day_pnl is None else -self._day_pnl
        self.worst_today = max(self.worst_today, lost)
