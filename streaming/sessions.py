"""When a market is open, by the calendar an instrument names. Pure; times are int64 ns UTC.

`forex` and `always` are known here; of exchanges the spans come from a calendar library, a few
days ahead. What is not known is not said to be closed: that is for its broker to say.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

NS = 1_000_000_000
NEW_YORK = ZoneInfo("America/New_York")
ROLL = time(17)
FRIDAY, SATURDAY, SUNDAY = 4, 5, 6
ALWAYS, FOREX = "always", "forex"

Span = tuple[int, int]
"""From the opening, to the close."""


def is_forex_open(utc_ns: int) -> bool:
    """Sunday 17:00 to Friday 17:00, New York."""
    here = datetime.fromtimestamp(utc_ns // NS, UTC).astimezone(NEW_YORK)
    day, is_evening = here.weekday(), here.time() >= ROLL
    return day < FRIDAY or (day == FRIDAY and not is_evening) or (day == SUNDAY and is_evening)


class Sessions:
    """The calendars in use."""

    def __init__(self) -> None:
        self._spans: dict[str, tuple[Span, ...]] = {}

    def learn(self, calendar: str, spans: Sequence[Span]) -> None:
        """The sessions of an exchange, one after another."""
        self._spans[calendar] = tuple(spans)

    def is_open(self, calendar: str, utc_ns: int) -> bool:
        """False where the calendar says closed; beyond the days it was told of it says nothing."""
        if calendar == FOREX:
            return is_forex_open(utc_ns)
        spans = self._spans.get(calendar, ())
        if not spans or not spans[0][0] <= utc_ns < spans[-1][1]:
            return True
        _, close_ns = spans[bisect_right(spans, utc_ns, key=lambda span: span[0]) - 1]
        return utc_ns < close_ns
