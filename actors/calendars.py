"""Exchange calendars as plain business days for the rules: the one home of the calendar library.

The library is loaded only where an account's regime counts business days: it costs half a
second and 60 MiB.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from compliance.calendar import BusinessCalendar
from compliance.rulebook import DAY_TRADING_REGIMES
from compliance.trading_terms import HOME_CALENDAR

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
