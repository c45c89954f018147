"""Exchange calendars as plain values, from the library."""

from __future__ import annotations

from datetime import date

from actors.calendars import build_calendar, build_calendars

TODAY = date(2026, 11, 25)


def test_the_calendar_has_the_exchanges_own_sessions_around_a_date() -> None:
    calendar = build_calendar("XNYS", TODAY)
    assert calendar.zone == "America/New_York"
    assert calendar.covers(TODAY)
    assert not calendar.is_session(date(2026, 11, 26))
    assert calendar.is_session(date(2026, 11, 27))
    assert list(calendar.sessions) == sorted(calendar.sessions)


def test_nothing_is_built_where_no_regime_counts_business_days() -> None:
    assert build_calendars(["us_forex", "house"], TODAY) == {}
    assert set(build_calendars(["us_forex", "us_stocks"], TODAY)) == {"XNYS"}
    assert set(build_calendars(["us_stocks"], TODAY, ("XNYS", "XLON"))) == {"XNYS", "XLON"}
