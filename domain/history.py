"""What day-trading and cash-account rules remember of an account: a fold of its durable updates.

The router keeps it in its books and hands it to compliance, which goes on folding the same
updates by the same code: both hold the same, and a restart loses nothing. Updates may come
twice or late; the result is the same. Executions and movements of money are kept for
`HISTORY_DAYS`, which covers 15 business days, findings for `FINDING_DAYS`: rules count them by
the year.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct

from domain import events as ev
from domain.accounts import AccountBalances
from domain.findings import Finding, supersedes
from domain.orders import Side
from domain.portfolio import ZERO
from domain.streams import (
    BalancesUpdate,
    Notice,
    OrderUpdate,
    PositionUpdate,
    StreamUpdate,
    TransactionUpdate,
)
from domain.transactions import Transaction, TransactionType

HISTORY_DAYS = 40
FINDING_DAYS = 400
EXECUTIONS_MAX = 50_000
"""Executions kept per account; beyond, the oldest tenth is dropped."""

CLOSES_MAX = 10
_HOME = ZoneInfo("America/New_York")
_NS_PER_S = 1_000_000_000
_DAY_NS = 86_400 * _NS_PER_S
Happened = TypeVar("Happened", "Execution", "Movement")
_MOVES = (TransactionType.DEPOSIT, TransactionType.WITHDRAWAL)


class Execution(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One fill; `sign` is +1 for a buy, `fees` what it cost beside the price.

    `is_short` marks a sale that was marked short.
    """

    at_ns: int
    id: str
    order_id: str
    instrument: str
    sign: int
    quantity: Decimal
    price: Decimal
    fees: Decimal = ZERO
    is_short: bool = False


class Movement(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Money brought in (positive) or taken out."""

    at_ns: int
    id: str
    amount: Decimal


class Close(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The last word on an account on a date (ISO, New York)."""

    day: str
    at_ns: int
    equity: Decimal
    maintenance: Decimal | None = None


class Change(Enum):
    """What an update did to a history."""

    NONE = "none"
    NEXT = "next"
    LATE = "late"
    MONEY = "money"


class AccountHistory(Struct, kw_only=True):
    """An account's recent trading. The fields are for reading; only `take` writes.

    What happened until `dropped_ns` is not kept any more, and is passed over if it comes again.
    """

    account: str
    currency: str = "USD"
    executions: list[Execution] = []
    movements: list[Movement] = []
    closes: list[Close] = []
    findings: dict[str, Finding] = {}
    dropped_ns: int = 0

    def take(self, update: StreamUpdate) -> Change:
        """Folds in an update of this account; NEXT for an execution newer than all others."""
        body = update.body
        if isinstance(body, OrderUpdate):
            if not isinstance(body.event, ev.Fill):
                return Change.NONE
            change = self._add(execution_of(body.order_id, body.event))
            is_cut = change is not Change.NONE and self._prune(update.at_ns)
            return Change.LATE if is_cut else change
        if isinstance(body, TransactionUpdate):
            return self._move(body.transaction)
        if isinstance(body, BalancesUpdate):
            self._close(body.balances, update.at_ns)
        elif isinstance(body, Notice) and body.finding is not None:
            self.note(body.finding)
        return Change.NONE

    def note(self, finding: Finding) -> bool:
        """Takes a finding that says more than is known; False where it does not."""
        if not supersedes(finding, self.findings.get(finding.id)):
            return False
        self.findings[finding.id] = finding
        return True

    def _add(self, execution: Execution) -> Change:
        if execution.at_ns <= self.dropped_ns:
            return Change.NONE
        place = _place(self.executions, execution)
        if place is None:
            return Change.NONE
        self.executions.insert(place, execution)
        return Change.NEXT if place == len(self.executions) - 1 else Change.LATE

    def _move(self, transaction: Transaction) -> Change:
        if transaction.type not in _MOVES or transaction.currency != self.currency:
            return Change.NONE
        movement = Movement(
            at_ns=transaction.traded_ns,
            id=transaction.broker_transaction_id,
            amount=transaction.amount,
        )
        place = None if movement.at_ns <= self.dropped_ns else _place(self.movements, movement)
        if place is None:
            return Change.NONE
        self.movements.insert(place, movement)
        return Change.MONEY

    def _close(self, balances: AccountBalances, at_ns: int) -> None:
        """The newest balances of a date stand for its close."""
        if balances.currency != self.currency:
            return
        at_ns = max(at_ns, balances.broker_ns or 0)
        known = self.closes[-1] if self.closes else None
        if known is not None and known.at_ns > at_ns:
            return
        day = datetime.fromtimestamp(at_ns // _NS_PER_S, _HOME).date().isoformat()
        if known is not None and known.day == day:
            self.closes.pop()
        maintenance = balances.margin_maintenance
        self.closes.append(
            Close(day=day, at_ns=at_ns, equity=balances.equity, maintenance=maintenance)
        )
        del self.closes[:-CLOSES_MAX]

    def _prune(self, now_ns: int) -> bool:
        """Drops what is too old, a day's worth at a time; True where anything went."""
        until_ns = now_ns - HISTORY_DAYS * _DAY_NS
        executions = self.executions
        is_full = len(executions) > EXECUTIONS_MAX
        if not is_full and (not executions or executions[0].at_ns >= until_ns - _DAY_NS):
            return False
        kept_from = max(
            bisect_left(executions, until_ns, key=_at_ns),
            len(executions) - EXECUTIONS_MAX * 9 // 10 if is_full else 0,
        )
        self.dropped_ns = executions[kept_from - 1].at_ns
        # Equals of the last one go with it: `dropped_ns` could not tell them apart.
        kept_from = bisect_right(executions, self.dropped_ns, key=_at_ns)
        del executions[:kept_from]
        del self.movements[: bisect_right(self.movements, self.dropped_ns, key=_at_ns)]
        since = datetime.fromtimestamp(now_ns // _NS_PER_S, _HOME) - timedelta(days=FINDING_DAYS)
        day = since.date().isoformat()
        for key in [key for key, found in self.findings.items() if found.day < day]:
            del self.findings[key]
        return True


def account_of(update: StreamUpdate) -> str | None:
    """The account whose history the update belongs to; None where it belongs to none."""
    body = update.body
    if isinstance(body, OrderUpdate):
        return body.account if isinstance(body.event, ev.Fill) else None
    if isinstance(body, BalancesUpdate):
        return body.balances.account
    if isinstance(body, PositionUpdate):
        return body.position.account
    if isinstance(body, TransactionUpdate):
        return body.transaction.account
    if isinstance(body, Notice) and body.finding is not None:
        return body.finding.account
    return None


def fold(histories: dict[str, AccountHistory], update: StreamUpdate) -> None:
    """Folds an update into the history of its account."""
    account = account_of(update)
    if account is None or isinstance(update.body, PositionUpdate):
        return
    history = histories.get(account)
    if history is None:
        history = histories[account] = AccountHistory(account=account)
    history.take(update)


def execution_of(order_id: str, fill: ev.Fill) -> Execution:
    """A fill as it is remembered."""
    return Execution(
        at_ns=fill.at_ns,
        id=fill.execution_id,
        order_id=order_id,
        instrument=fill.instrument,
        sign=fill.side.sign,
        quantity=fill.quantity,
        price=fill.price,
        fees=-(fill.commission or ZERO),
        is_short=fill.side is Side.SELL_SHORT,
    )


def _at_ns(happened: Execution | Movement) -> int:
    return happened.at_ns


def _key(happened: Execution | Movement) -> tuple[int, str]:
    return happened.at_ns, happened.id


def _place(known: list[Happened], new: Happened) -> int | None:
    """Where it belongs by time and id; None where it is there already."""
    if not known or _key(known[-1]) < _key(new):
        return len(known)
    place = bisect_left(known, _key(new), key=_key)
    return None if known[place].id == new.id and known[place].at_ns == new.at_ns else place
