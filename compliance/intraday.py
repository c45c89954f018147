"""The intraday margin level and its deficits under FINRA Rule 4210(d)(2).

IML is what could be withdrawn while maintenance is still met: equity less requirement, negative
if short of it. A day's deficit is the largest negative IML that follows a transaction which
reduced it. Where the order of two transactions cannot be shown, the one is taken that gives the
higher deficit: what happened at one moment counts reductions first. "Following" is read as any
time later that day; `at_once` reads it as right after the transaction, as one broker does.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from compliance.calendar import BusinessCalendar
from compliance.finra_4210 import IntradayTable
from domain.portfolio import ZERO

_HUNDRED = Decimal(100)


class Activity(Struct, frozen=True, gc=False):
    """A change of IML: by a transaction, or (not one) by prices. `at_ns` None: not known when."""

    change: Decimal
    at_ns: int | None = None
    is_transaction: bool = True


class Deficit(Struct, frozen=True, kw_only=True, gc=False):
    """A day's deficit, what the account was worth, and how much of it has been made good."""

    day: date
    amount: Decimal
    equity: Decimal
    met: Decimal = ZERO

    @property
    def owed(self) -> Decimal:
        """What is still to be made good."""
        return max(self.amount - self.met, ZERO)


class Freeze(Struct, frozen=True, gc=False):
    """No new short and no new debit, on the days from one to the other."""

    since: date
    until: date


class DayLevel:
    """The intraday margin level through one day, and its low after what reduced it."""

    def __init__(self, *, has_reduced: bool, at_once: bool) -> None:
        self.level: Decimal | None = None
        self.low = ZERO
        self._has_reduced = has_reduced
        self._at_once = at_once
        self._at_ns = -1
        self._adverse = ZERO

    def transact(self, level: Decimal, at_ns: int) -> None:
        """A transaction led to this level. What happened at one moment counts adversely."""
        before = level if self.level is None else self.level
        is_first = self.level is None
        if at_ns != self._at_ns:
            self._at_ns, self._adverse = at_ns, before
        change = level - before
        if change < 0 or is_first:
            self._adverse += change
            self._has_reduced = True
            self.low = min(self.low, self._adverse, level)
        self.level = level

    def mark(self, level: Decimal) -> None:
        """Prices, or money, led to this level."""
        if self._has_reduced and not self._at_once:
            self.low = min(self.low, level)
        self.level = level


def deficit_of_day(start: Decimal, activities: list[Activity], *, at_once: bool = False) -> Decimal:
    """The deficit of a day that began with an IML of `start`; zero for none."""
    level, low, has_reduced = start, ZERO, False
    for activity in _adverse(activities):
        level += activity.change
        reduces = activity.is_transaction and activity.change < 0
        has_reduced = has_reduced or reduces
        if reduces or (has_reduced and not at_once):
            low = min(low, level)
    return -low


def _adverse(activities: list[Activity]) -> list[Activity]:
    """In time, reductions first where times are equal; without a time the worst order of all."""
    if any(activity.at_ns is None for activity in activities):
        return sorted(activities, key=lambda activity: activity.change)
    return sorted(activities, key=lambda activity: (activity.at_ns or 0, activity.change))


def is_small(deficit: Decimal, equity: Decimal, table: IntradayTable) -> bool:
    """True where the deficit cannot make a practice; equality is small still."""
    return deficit <= min(max(equity, ZERO) * table.small_percent / _HUNDRED, table.small_max)


def due_on(deficit: Deficit, table: IntradayTable, calendar: BusinessCalendar) -> date:
    """The business day by whose close it must be met."""
    return calendar.after(deficit.day, table.promptly_days)


def expires_on(deficit: Deficit, table: IntradayTable, calendar: BusinessCalendar) -> date:
    """The business day by whose close it ends unmet; it is no longer outstanding after."""
    return calendar.after(deficit.day, table.expires_days)


def is_outstanding(
    deficit: Deficit, as_of: date, table: IntradayTable, calendar: BusinessCalendar
) -> bool:
    """True while it is to be made good."""
    return deficit.owed > 0 and as_of <= expires_on(deficit, table, calendar)


def freeze_of(
    deficit: Deficit, *, is_practice: bool, table: IntradayTable, calendar: BusinessCalendar
) -> Freeze | None:
    """The freeze that the deficit brings unless it is met; its expiry does not lift it."""
    if deficit.owed <= 0 or not is_practice:
        return None
    due = due_on(deficit, table, calendar)
    until = due + timedelta(days=table.freeze_calendar_days)
    return Freeze(due + timedelta(days=1), until)


def pay(deficits: list[Deficit], amount: Decimal) -> list[Deficit]:
    """The deficits, oldest first, after an increase of IML or a net deposit."""
    paid = []
    for deficit in deficits:
        used = min(deficit.owed, max(amount, ZERO))
        amount -= used
        paid.append(replace(deficit, met=deficit.met + used) if used else deficit)
    return paid


def is_intraday_as_end_of_day(equity: Decimal, table: IntradayTable) -> bool:
    """True for a portfolio margin account that must be margined intraday as at the day's end."""
    return equity < table.portfolio_equity_max
