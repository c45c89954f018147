"""How an account's equity went, as limits on losses ask for it: a fold of what its broker told.

The router keeps it in its books and hands it to compliance, which goes on folding the same words
by the same code: a restart loses nothing. It is kept by quarters of an hour, which the days of
all zones are made of, so that whoever reads it says where his day begins.
"""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal

from msgspec import Struct

from domain.accounts import AccountBalances
from domain.portfolio import ZERO
from domain.transactions import Transaction, TransactionType

QUARTER_NS = 900_000_000_000
QUARTERS_MAX = 400
"""More than four days of them; the oldest are forgotten first."""

EQUITY_MAX = Decimal(10**18)
_MOVES = (TransactionType.DEPOSIT, TransactionType.WITHDRAWAL)


class Quarter(Struct, kw_only=True, omit_defaults=True):
    """The last equity told in a quarter of an hour, and the worst of it.

    `low` is the lowest equity told alone, `result` the lowest of the day's results where the
    broker told that.
    """

    since_ns: int
    last: Decimal
    low: Decimal | None = None
    result: Decimal | None = None


class EquityHistory(Struct, kw_only=True, omit_defaults=True):
    """One account's equity in its base currency. The fields are for reading.

    `peak` is the highest ever told; money brought in or taken out moves it.
    """

    account: str
    currency: str
    peak: Decimal = ZERO
    first: Decimal | None = None
    quarters: list[Quarter] = []

    @property
    def equity(self) -> Decimal | None:
        """The last word."""
        return self.quarters[-1].last if self.quarters else None

    def take(self, balances: AccountBalances, at_ns: int) -> bool:
        """The broker's word at a moment; False where it says nothing of this."""
        equity, result = balances.equity, balances.day_pnl
        if balances.currency != self.currency or not is_sane(equity):
            return False
        since_ns = at_ns - at_ns % QUARTER_NS
        if not self.quarters or self.quarters[-1].since_ns < since_ns:
            self.quarters.append(Quarter(since_ns=since_ns, last=equity))
            del self.quarters[:-QUARTERS_MAX]
        quarter = self.quarters[-1]
        quarter.last = equity
        if result is None:
            quarter.low = equity if quarter.low is None else min(quarter.low, equity)
        else:
            quarter.result = result if quarter.result is None else min(quarter.result, result)
        self.first = equity if self.first is None else self.first
        self.peak = max(self.peak, equity)
        return True

    def move(self, transaction: Transaction) -> bool:
        """Money came in or went out: no gain, and no loss from the highest."""
        if transaction.type not in _MOVES or transaction.currency != self.currency:
            return False
        self.peak = max(self.peak + transaction.amount, self.equity or ZERO)
        return True

    def drawdown_percent(self) -> Decimal:
        """How far the last word is below the highest."""
        if self.equity is None or self.peak <= 0:
            return ZERO
        return (self.peak - self.equity) * 100 / self.peak

    def lost_since(self, from_ns: int) -> Decimal:
        """The most that equity was below what it was when the day began; never less than zero."""
        start = bisect_left(self.quarters, from_ns, key=_since_ns)
        base = self.quarters[start - 1].last if start else self.first
        lost = ZERO
        for quarter in self.quarters[start:]:
            if quarter.low is not None and base is not None:
                lost = max(lost, base - quarter.low)
            if quarter.result is not None:
                lost = max(lost, -quarter.result)
        return lost


def _since_ns(quarter: Quarter) -> int:
    return quarter.since_ns


def is_sane(equity: Decimal) -> bool:
    """True for a number that can be an account's equity."""
    return equity.is_finite() and abs(equity) < EQUITY_MAX
