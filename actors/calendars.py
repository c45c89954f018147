"""Exchange calendars, as business days for the rules and as sessions for prices: the one home.

The library is loaded only where an account's regime counts business days or an exchange's
instruments are priced: it costs half a second and 60 MiB. Call it off the loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from compliance.calendar import BusinessCalendar
from compliance.rulebook import DAY_TRADING_REGIMES
from compliance.trading_terms import HOME_CALENDAR
from streaming.sessions import NS, Span

DAYS_BEFORE = 7
DAYS_AHEAD = 14
REACH_BACK = timedelta(days=430)
REACH_AHEAD = timedelta(days=400)
"""A process that runs longer than this less `MARGIN_DAYS` refuses opening orders: restart it."""


def build_calendar(name: str, today: date) -> BusinessCalendar:
    """The sessions of an exchange around a date, as the library knows them."""
    import exchange_calendars

    calendar = exchange_calendars.get_calendar(
        name, start=str(today - REACH_BACK), end=str(today + REACH_AHEAD)
    )
    sessions = tuple(session.date() for session in calendar.sessions)
    return BusinessCalendar(name, str(calendar.tz), sessions)


def build_calendars(
    regimes: Iterable[str], today: date, names: Iterable[str] = (HOME_CALENDAR,)
) -> dict[str, BusinessCalendar]:
    """The calendars that accounts under these regimes are judged by; none where none is asked.

    A market that is not among them settles by its own cycle in the home calendar's days.
    """
    if not DAY_TRADING_REGIMES & set(regimes):
        return {}
    return {name: build_calendar(name, today) for name in names}


def read_spans(calendar: str, utc_ns: int) -> tuple[Span, ...]:
    """The sessions around a moment; none where the library knows no such calendar."""
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
