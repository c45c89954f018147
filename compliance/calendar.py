"""Business days as a plain value: the sessions of an exchange, and what is counted in them.

Which days are sessions comes from a calendar library outside this folder (actors/calendars.py).
A calendar knows nothing beyond its first and last session: ask `covers` before counting.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import date, timedelta

from msgspec import Struct

from domain.dates import local_date

MARGIN_DAYS = 40
"""Calendar days around a date that counting may reach; 15 business days are at most 27."""


class BusinessCalendar(Struct, frozen=True):
    """The sessions of one exchange, oldest first, and the zone its dates are in."""

    name: str
    zone: str
    sessions: tuple[date, ...]

    def covers(self, day: date) -> bool:
        """True where the days around the date are known as far as any rule counts."""
        reach = timedelta(days=MARGIN_DAYS)
        return bool(self.sessions) and (
            self.sessions[0] + reach <= day <= self.sessions[-1] - reach
        )

    def is_session(self, day: date) -> bool:
        """True on a business day."""
        number = bisect_left(self.sessions, day)
        return number < len(self.sessions) and self.sessions[number] == day

    def roll(self, day: date) -> date:
        """The date itself if it is a business day, else the next that is."""
        return self.sessions[bisect_left(self.sessions, day)]

    def trade_date(self, at_ns: int) -> date:
        """The business day a moment belongs to: the local date, never the UTC one."""
        return self.roll(local_date(at_ns, self.zone))

    def add(self, day: date, days: int) -> date:
        """The business day that many after a date; 0 is the date itself or the next one."""
        return self.sessions[bisect_left(self.sessions, day) + days]

    def after(self, day: date, days: int) -> date:
        """The business day that many after a date, counted from the day after it."""
        return self.sessions[bisect_right(self.sessions, day) + days - 1]

    def window(self, as_of: date, days: int) -> tuple[date, ...]:
        """The last so many business days up to a date, that one included if it is one."""
        end = bisect_right(self.sessions, as_of)
        return self.sessions[max(end - days, 0) : end]
