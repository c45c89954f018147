"""When a simulated market is open, and when its day ends. Pure; times are int64 ns UTC."""

from __future__ import annotations

from collections.abc import Callable
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

    def is_extended(self, at_ns: int) -> bool:
        """True where orders that ask for the long day are executed."""

    def day_end_ns(self, at_ns: int, is_extended: bool = False) -> int:
        """When a day order placed then expires."""

    def next_open_ns(self, at_ns: int) -> int:
        """The next time it opens, strictly after."""

    def next_close_ns(self, at_ns: int) -> int:
        """The next time it closes, strictly after."""


def next_roll_ns(at_ns: int) -> int:
    """The next 17:00 in New York, strictly after."""
    here = datetime.fromtimestamp(at_ns // NS, UTC).astimezone(NEW_YORK)
    day = here.date() if here.time() < ROLL else here.date() + timedelta(days=1)
    return int(datetime.combine(day, ROLL, NEW_YORK).timestamp()) * NS


class _Rolling:
    """A market whose day rolls at 17:00 New York and which knows no long day."""

    def is_open(self, at_ns: int) -> bool:
        """Open."""
        return True

    def is_extended(self, at_ns: int) -> bool:
        """Whenever it is open."""
        return self.is_open(at_ns)

    def day_end_ns(self, at_ns: int, is_extended: bool = False) -> int:
        """The next roll."""
        return next_roll_ns(at_ns)

    def next_open_ns(self, at_ns: int) -> int:
        """The next roll at which it is open."""
        return self._next_roll_where(at_ns, is_open=True)

    def next_close_ns(self, at_ns: int) -> int:
        """The next roll; for a market that never closes, where its day ends."""
        return next_roll_ns(at_ns)

    def _next_roll_where(self, at_ns: int, is_open: bool) -> int:
        while True:
            at_ns = next_roll_ns(at_ns)
            if self.is_open(at_ns) is is_open:
                return at_ns


class Always(_Rolling):
    """A market that never closes; its day still rolls at 17:00 New York."""


class Forex(_Rolling):
    """Sunday 17:00 to Friday 17:00, New York. Remembers until when its last answer holds.

    The weekend has no roll of its own: Friday's is the last before it.
    """

    def __init__(self) -> None:
        self._from_ns = self._until_ns = 0
        self._is_open = False

    def is_open(self, at_ns: int) -> bool:
        """True inside the trading week."""
        if not self._from_ns <= at_ns < self._until_ns:
            self._from_ns, self._until_ns = at_ns, next_roll_ns(at_ns)
            self._is_open = _is_in_week(at_ns)
        return self._is_open

    def next_close_ns(self, at_ns: int) -> int:
        """The next Friday's roll."""
        return self._next_roll_where(at_ns, is_open=False)


def _is_in_week(at_ns: int) -> bool:
    here = datetime.fromtimestamp(at_ns // NS, UTC).astimezone(NEW_YORK)
    day, is_evening = here.weekday(), here.time() >= ROLL
    if day == FRIDAY:
        return not is_evening
    if day == SUNDAY:
        return is_evening
    return day != SATURDAY


def _nyse() -> Hours:
    # Its calendar takes a second to import: only those who ask for it pay.
    from brokers.simulators.market_hours_nyse import nyse

    return nyse()


HOURS: dict[str, Callable[[], Hours]] = {"always": Always, "forex": Forex, "nyse": _nyse}


def hours_named(name: str) -> Hours:
    """The schedule of that name. Raises KeyError."""
    return HOURS[name]()
