"""When a calendar says that a market is closed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from streaming.sessions import NS, Sessions, is_forex_open


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-11-25T12:00:00", True),  # a Wednesday
        ("2026-11-27T21:59:59", True),  # Friday, 16:59:59 in New York
        ("2026-11-27T22:00:00", False),
        ("2026-11-28T12:00:00", False),
        ("2026-11-29T21:59:59", False),  # Sunday
        ("2026-11-29T22:00:00", True),
        ("2026-07-03T20:59:59", True),  # summer time: an hour earlier
        ("2026-07-03T21:00:00", False),
    ],
)
def test_currencies_trade_from_sunday_to_friday_evening_in_new_york(
    when: str, is_open: bool
) -> None:
    assert is_forex_open(at(when)) == is_open
    assert Sessions().is_open("forex", at(when)) == is_open


def test_an_exchange_is_closed_between_its_sessions() -> None:
    sessions = Sessions()
    sessions.learn("XNYS", [(100, 200), (300, 400)])
    assert [sessions.is_open("XNYS", at_ns) for at_ns in (100, 199, 200, 299, 300)] == [
        True, True, False, False, True,
    ]  # fmt: skip


def test_what_a_calendar_does_not_tell_is_not_closed() -> None:
    sessions = Sessions()
    sessions.learn("XNYS", [(100, 200), (300, 400)])
    sessions.learn("NONE", ())
    assert sessions.is_open("XNYS", 99)
    assert sessions.is_open("XNYS", 400)
    assert sessions.is_open("NONE", 150)
    assert sessions.is_open("always", 0)
