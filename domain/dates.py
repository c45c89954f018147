"""Which calendar date a moment belongs to: of a zone that is named, never by default of UTC."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

NEW_YORK = "America/New_York"
"""Where the dates of US rules and exchanges are."""

_NS_PER_S = 1_000_000_000


def local_date(at_ns: int, zone: str) -> date:
    """The calendar date of a moment (ns UTC) in a zone."""
    return datetime.fromtimestamp(at_ns // _NS_PER_S, ZoneInfo(zone)).date()
