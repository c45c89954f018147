"""When a trade settles: each market's cycle by trade date, counted on that market's business days.

Dates in dispute: the EU and UK move is taken by trade date (COMPLIANCE.md 1, 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from compliance.calendar import BusinessCalendar
from compliance.editions import Edition, in_force
from domain.instruments import AssetClass, Instrument

PAYMENT_DAYS = 2
"""Regulation T's payment period: so many business days beyond settlement (12 CFR 220.2)."""

LONGEST_CYCLE = 2
"""Taken where a market, or a date, is in no table."""

_US = (
    Edition(
        citation="17 CFR 240.15c6-1 (T+2)",
        effective_from=date(2017, 9, 5),
        effective_to=date(2024, 5, 27),
        confirmed_on=date(2026, 11, 21),
        values=2,
    ),
    Edition(
        citation="17 CFR 240.15c6-1; SEC 34-96930",
        effective_from=date(2024, 5, 28),
        confirmed_on=date(2026, 11, 21),
        values=1,
    ),
)
_EUROPE = (
    Edition(
        citation="Regulation (EU) 909/2014 Art. 5 (T+2)",
        effective_from=date(2014, 10, 6),
        effective_to=date(2027, 10, 10),
        confirmed_on=date(2026, 11, 21),
        values=2,
    ),
    Edition(
        citation="Regulation (EU) 909/2014 Art. 5 as amended (T+1)",
        effective_from=date(2027, 10, 11),
        confirmed_on=date(2026, 11, 21),
        values=1,
    ),
)
CYCLES: dict[str, tuple[Edition[int], ...]] = {"US": _US, "EU": _EUROPE, "UK": _EUROPE}
MARKETS = {
    "US": ("XNYS", "XNAS", "XASE", "ARCX", "BATS", "IEXG", "us_equity"),
    "UK": ("XLON",),
    "EU": (
        "XAMS", "XBRU", "XCSE", "XDUB", "XETR", "XFRA", "XHEL", "XLIS", "XMAD", "XMIL", "XPAR",
        "XSTO", "XWAR", "XWBO",
    ),
}  # fmt: skip
_MARKET_OF = {calendar: market for market, names in MARKETS.items() for calendar in names}


def market_of(instrument: Instrument) -> str | None:
    """The market whose cycle it settles by; None where no table has it."""
    return _MARKET_OF.get(instrument.calendar)


def cycle_days(market: str | None, traded_on: date) -> int:
    """Business days from trade to settlement."""
    edition = in_force(CYCLES.get(market or "", ()), traded_on)
    return LONGEST_CYCLE if edition is None else edition.values


def settles_on(
    instrument: Instrument | None, traded_on: date, calendars: Mapping[str, BusinessCalendar]
) -> date:
    """The settlement date of a trade; crypto settles at once.

    `calendars` has the account's own under "": it stands in for a market's that is not known.
    """
    if instrument is not None and instrument.asset_class is AssetClass.CRYPTO:
        return traded_on
    market = None if instrument is None else market_of(instrument)
    home = calendars[""]
    calendar = home if instrument is None else calendars.get(instrument.calendar, home)
    return calendar.after(traded_on, cycle_days(market, traded_on))


def payment_due_on(
    instrument: Instrument | None, traded_on: date, calendars: Mapping[str, BusinessCalendar]
) -> date:
    """The end of Regulation T's payment period for a purchase."""
    return calendars[""].after(settles_on(instrument, traded_on, calendars), PAYMENT_DAYS)
