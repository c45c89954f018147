"""How much an account lost today and from its highest, by the equity the broker told.

The day's base is the last equity told before the day began. Where the broker tells the day's
result itself, that counts. A day that broke the limit stays broken, whatever is won back.
"""

from __future__ import annotations

from datetime import date

from domain.accounts import AccountBalances
from domain.equity import EquityHistory
from domain.portfolio import ZERO
from domain.transactions import Transaction


class LossMeter:
    """One account's equity through the day, over the history that the router keeps too.

    `worst_today` is the most it was below the day's base, `drawdown_percent` how far it is below
    its highest.
    """

    __slots__ = ("_day", "_from_ns", "_until_ns", "drawdown_percent", "history",
                 "worst_today")  # fmt: skip

    def __init__(self, history: EquityHistory) -> None:
        self.history = history
        self._day: date | None = None
        self._from_ns = self._until_ns = 0
        self.worst_today = ZERO
        self.drawdown_percent = ZERO
        self._count()

    def told(self, balances: AccountBalances, at_ns: int) -> None:
        """The broker's word at a moment (0 where none is known)."""
        if self._day is not None and at_ns >= self._until_ns:
            self._day, self._from_ns = None, self._until_ns
        if self.history.take(balances, at_ns):
            self._count()

    def moved(self, transaction: Transaction) -> None:
        """Money came in or went out."""
        if self.history.move(transaction):
            self._count()

    def turn(self, today: date, from_ns: int, until_ns: int) -> None:
        """The date of the account's zone, when it began and when it ends."""
        if today != self._day:
            self._day, self._from_ns, self._until_ns = today, from_ns, until_ns
            self._count()

    def _count(self) -> None:
        self.drawdown_percent = self.history.drawdown_percent()
        self.worst_today = self.history.lost_since(self._from_ns)
