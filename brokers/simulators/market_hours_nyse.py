"""The New York Stock Exchange's sessions by its published calendar, holidays and short days too."""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, datetime
from functools import cache

import exchange_calendars
from msgspec import Struct

from brokers.simulators.market_hours import NEW_YORK, NS, UTC

EARLY_NS = int(5.5 * 3600) * NS
"""Trading before the opening begins at 04:00."""
LATE_NS = 4 * 3600 * NS
"""Trading after the close ends four hours later: at 20:00, or at 17:00 on a short day."""


class Session(Struct, frozen=True):
    """One trading day."""

    day: date
    open_ns: int
    close_ns: int


class Nyse:
    """Opening hours of the exchange; times int64 ns UTC."""

    def __init__(self) -> None:
        calendar = exchange_calendars.get_calendar("XNYS")
        opens = [x.value for x in calendar.opens]
        closes = [x.value for x in calendar.closes]
        days = [x.date() for x in calendar.sessions]
        self._sessions = [Session(*x) for x in zip(days, opens, closes, strict=True)]
        self._opens = opens
        self._closes = closes

    def is_open(self, at_ns: int) -> bool:
        """True from 09:30 until 16:00, on trading days."""
        index = bisect_right(self._opens, at_ns) - 1
        return index >= 0 and at_ns < self._closes[index]

    def is_extended(self, at_ns: int) -> bool:
        """True from 04:00 until 20:00, on trading days."""
        session = self._session_after(at_ns, LATE_NS)
        return at_ns >= session.open_ns - EARLY_NS

    def day_end_ns(self, at_ns: int, is_extended: bool = False) -> int:
        """The close of the session under way, or of the next one."""
        late_ns = LATE_NS if is_extended else 0
        return self._session_after(at_ns, late_ns).close_ns + late_ns

    def next_open_ns(self, at_ns: int) -> int:
        """The next 09:30."""
        return self._sessions[bisect_right(self._opens, at_ns)].open_ns

    def next_close_ns(self, at_ns: int) -> int:
        """The next 16:00."""
        return self._session_after(at_ns, 0).close_ns

    def _session_after(self, at_ns: int, late_ns: int) -> Session:
        """The first session that is not over then, its late hours counted."""
        return self._sessions[bisect_right(self._closes, at_ns - late_ns)]

    def sessions(self, start: date, end: date) -> list[Session]:
        """The trading days from start to end, both counted."""
        return [x for x in self._sessions if start <= x.day <= end]


@cache
def nyse() -> Nyse:
    """The exchange's hours, read once."""
    return Nyse()


def clock_time(at_ns: int) -> str:
    """HH:MM in New York."""
    return datetime.fromtimestamp(at_ns // NS, UTC).astimezone(NEW_YORK).strftime("%H:%M")
