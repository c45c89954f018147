"""Exchange sessions from the calendar library, read off the loop: it takes half a second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from streaming.sessions import NS, Span

DAYS_BEFORE = 7
DAYS_AHEAD = 14


def read_spans(calendar: str, utc_ns: int) -> tuple[Span, ...]:
    """The sessions around a moment; none where the library knows no such calendar."""
    # pandas comes with it: only processes that price an exchange's instruments pay for that.
    import exchange_calendars

    if calendar not in exchange_calendars.get_calendar_names():
        return ()
    day = datetime.fromtimestamp(utc_ns // NS, UTC).replace(hour=0, minute=0, second=0, tzinfo=None)
    known: Any = exchange_calendars.get_calendar(calendar)
    first, last = day - timedelta(days=DAYS_BEFORE), day + timedelta(days=DAYS_AHEAD)
    rows = known.schedule.loc[str(first.date()) : str(last.date())]
    return tuple(
        (int(opens.timestamp()) * NS, int(closes.timestamp()) * NS)
        for opens, closes in zip(rows["open"], rows["close"], strict=True)
    )
