"""When a simulated market is open, and when its day ends. Pure; times are int64 ns UTC."""

from __future__ import annotations

from datetime import datetime, timedelta
from datetime import time as clock_time
from typing import Protocol
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
UTC = ZoneInfo("UTC")
NS = 1_000_000_000
ROLL = clock_time(17)
FRIDAY, SATURDAY, SUNDAY = 4, 5, 6


class Hours(Protocol):
    """An opening schedule."""

    def is_open(self, at_ns: int) -> bool:
        """True where orders are executed."""

    def day_end_ns(self, at_ns: int) -> int:
        """When a day order placed then expires."""


def next_roll_ns(at_ns: int) -> int:
    """The next 17:00 in New York, strictly after."""
    here = datetime.fromtimestamp(at_ns // NS, UTC).astimezone(NEW_YORK)
    day = here.date() if here.time() < ROLL else here.date() + timedelta(days=1)
    return int(datetime.combine(day, ROLL, NEW_YORK).timestamp()) * NS


class Always:
    """A market that never closes; its day still rolls at 17:00 New York."""

    def is_open(self, at_ns: int) -> bool:
        """Open."""
        return True

    def day_end_ns(self, at_ns: int) -> int:
        """The next roll."""
        return next_roll_ns(at_ns)


class Forex:
    """Sunday 17:00 to Friday 17:00, New York. Remembers until when its last answer holds."""

    def __init__(self) -> None:
        self._from_ns = self._until_ns = 0
        self._is_open = False

    def is_open(self, at_ns: int) -> bool:
        """True inside the trading week."""
        if not self._from_ns <= at_ns < self._until_ns:
            self._from_ns, self._until_ns = at_ns, next_roll_ns(at_ns)
            self._is_open = _is_in_week(at_ns)
        return self._is_open

    def day_end_ns(self, at_ns: int) -> int:
        """The next roll; the weekend has none of its own, so Friday's is the last before it."""
        return next_roll_ns(at_ns)


def _is_in_week(at_ns: int) -> bool:
    here = datetime.fromtimestamp(at_ns // NS, UTC).astimezone(NEW_YORK)
    day, is_evening = here.weekday(), here.time() >= ROLL
    if day == FRIDAY:
        return not is_evening
    if day == SUNDAY:
        return is_evening
    return day != SATURDAY


HOURS: dict[str, type[Hours]] = {"always": Always, "forex": Forex}


def hours_named(name: str) -> Hours:
    """The schedule of that name. Raises KeyError."""
    return HOURS[name]()
