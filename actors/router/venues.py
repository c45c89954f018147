"""Which of an owner's venues could take an order, and why none can."""

from __future__ import annotations

from actors.router import refusals
from actors.router.desk import Desk
from domain import routing
from domain.errors import ErrorInfo
from domain.instruments import Instrument
from domain.orders import NewOrder
from domain.screening import Candidate


def find_instrument(desk: Desk, owner: str, order: NewOrder) -> Instrument | None:
    """The order's instrument as one of the owner's venues knows it."""
    for venue in desk.venues.values():
        if venue.settings.owner == owner and order.account in (None, venue.settings.account):
            found = venue.instruments.get(order.instrument)
            if found is not None:
                return found
    return None


def venues_of(desk: Desk, owner: str, order: NewOrder) -> tuple[routing.Venue, ...]:
    """The owner's venues for the order; one whose outcome there is unknown is left out."""
    return tuple(
        routing.Venue(
            candidate=Candidate(connection=name, account=venue.settings.account),
            is_up=venue.is_up,
            trades_instrument=order.instrument in venue.instruments,
            quote=desk.find_quote(order.instrument, name),
        )
        for name, venue in desk.venues.items()
        if venue.settings.owner == owner
        and not _has_unknown(desk, venue.settings.account, order.instrument)
    )


def _has_unknown(desk: Desk, account: str, instrument: str) -> bool:
    return (account, instrument) in desk.unknown.values()


def explain_no_instrument(desk: Desk, owner: str, order: NewOrder) -> ErrorInfo:
    """Unknown only where every connection that could tell has told."""
    own = [venue for venue in desk.venues.values() if venue.settings.owner == owner]
    if any(not venue.instruments for venue in own):
        return refusals.VENUE_UNAVAILABLE
    return refusals.unknown_instrument(order.instrument)


def explain_no_candidate(desk: Desk, owner: str, order: NewOrder) -> ErrorInfo:
    """An unknown outcome stands in the way, or no venue is up."""
    for venue in desk.venues.values():
        if venue.settings.owner != owner:
            continue
        if _has_unknown(desk, venue.settings.account, order.instrument):
            return refusals.unknown_outstanding(order.instrument)
    return refusals.VENUE_UNAVAILABLE
