"""Reg NMS: protected quotes, price increments, round lots, and who must report under Rule 605."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from msgspec import Struct

from compliance.editions import Edition, in_force


class Rule611(Struct, frozen=True, kw_only=True):
    """Whether the order-protection rule is enforced, and what would make someone look again."""

    is_enforced: bool
    review_on: str


class Increment(Struct, frozen=True, kw_only=True):
    """Smallest price steps from one dollar on and below it."""

    from_dollar: Decimal
    below_dollar: Decimal


class RoundLots(Struct, frozen=True, kw_only=True):
    """Rows of (highest average close, shares), cheapest first; the last has no price."""

    rows: tuple[tuple[Decimal | None, int], ...]


ORDER_PROTECTION: tuple[Edition[Rule611], ...] = (
    Edition(
        citation="17 CFR 242.611; proposed to be rescinded (SEC Release 34-105655, 91 FR 36656)",
        values=Rule611(is_enforced=True, review_on="adoption notice"),
        effective_from=date(2007, 3, 5),
        confirmed_on=date(2026, 9, 2),
    ),
)
INCREMENTS: tuple[Edition[Increment], ...] = (
    Edition(
        citation="17 CFR 242.612; half-penny steps only from November 2027 (Release 34-105656)",
        values=Increment(from_dollar=Decimal("0.01"), below_dollar=Decimal("0.0001")),
        effective_from=date(2006, 1, 31),
        confirmed_on=date(2026, 11, 21),
    ),
)
ROUND_LOTS: tuple[Edition[RoundLots], ...] = (
    Edition(
        citation="17 CFR 242.600 before 2025-11-03",
        values=RoundLots(rows=((None, 100),)),
        effective_to=date(2025, 11, 2),
    ),
    Edition(
        citation="17 CFR 242.600(b)(93)",
        values=RoundLots(
            rows=((Decimal(250), 100), (Decimal(1000), 40), (Decimal(10_000), 10), (None, 1))
        ),
        effective_from=date(2025, 11, 3),
        confirmed_on=date(2026, 11, 21),
    ),
)
REPORTERS: tuple[Edition[int], ...] = (
    Edition(
        citation="17 CFR 242.605 as amended (Release 34-104147)",
        values=100_000,
        effective_from=date(2026, 8, 1),
        confirmed_on=date(2026, 11, 21),
    ),
)


class ProtectedQuote(Struct, frozen=True):
    """A venue's protected best price on the side that an order would take, and its size."""

    price: Decimal
    size: Decimal | None = None


class Route(Struct, frozen=True, kw_only=True):
    """A part of an order sent to one venue; an intermarket sweep is sent to all at once."""

    venue: str
    price: Decimal
    quantity: Decimal
    is_sweep: bool = False


def find_trade_through(
    sign: int, quotes: Mapping[str, ProtectedQuote], routes: tuple[Route, ...], today: date
) -> str | None:
    """The venue whose better protected quote would be traded through, or None (Rule 611).

    A route may trade at a worse price only where sweeps take each better quote's whole size.
    """
    edition = in_force(ORDER_PROTECTION, today)
    if edition is None or not edition.values.is_enforced:
        return None
    for route in routes:
        for venue, quote in quotes.items():
            is_better = (route.price - quote.price) * sign > 0 and venue != route.venue
            if is_better and not _is_swept(route, venue, quote, routes):
                return venue
    return None


def _is_swept(route: Route, venue: str, quote: ProtectedQuote, routes: tuple[Route, ...]) -> bool:
    taken = sum(other.quantity for other in routes if other.venue == venue and other.is_sweep)
    return route.is_sweep and quote.size is not None and taken >= quote.size


def round_lot(average_close: Decimal, today: date) -> int:
    """Shares of a round lot by the average close of the reference period."""
    edition = in_force(ROUND_LOTS, today)
    assert edition is not None
    return next(
        shares for most, shares in edition.values.rows if most is None or average_close <= most
    )


def must_report_605(customer_accounts: int, today: date) -> bool:
    """True where a broker's execution quality must be published."""
    edition = in_force(REPORTERS, today)
    return edition is not None and customer_accounts >= edition.values
