"""Where an order could go: the candidates, best first, and why there are none."""

from __future__ import annotations

from msgspec.structs import replace

from actors.router import refusals
from actors.router.desk import Desk
from actors.router.venue import Venue
from domain import routing
from domain.errors import ErrorInfo
from domain.instruments import Instrument
from domain.orders import NewOrder, OrderType, TimeInForce
from domain.screening import Candidate

CLOSING_TIMES = (TimeInForce.FOK, TimeInForce.IOC, TimeInForce.DAY, TimeInForce.GTC)


def choose(desk: Desk, owner: str, order: NewOrder) -> tuple[Candidate, ...]:
    """The owner's accounts that could take the order, best first."""
    return routing.choose(order, _venues(desk, owner, order))


def rank(desk: Desk, owner: str, order: NewOrder) -> tuple[routing.Ranked, ...]:
    """The same with what a unit costs at each: what a preview shows."""
    return routing.rank(order, _venues(desk, owner, order))


def _venues(desk: Desk, owner: str, order: NewOrder) -> tuple[routing.Venue, ...]:
    return tuple(
        routing.Venue(
            candidate=Candidate(connection=name, account=venue.settings.account),
            is_up=venue.takes_orders,
            trades_instrument=order.instrument in venue.instruments,
            quote=desk.find_quote(order.instrument, name),
        )
        for name, venue in desk.venues.items()
        if venue.settings.owner == owner
        and order.account in (None, venue.settings.account)
        and not _is_blocked(desk, venue, order)
    )


def _is_blocked(desk: Desk, venue: Venue, order: NewOrder) -> bool:
    """No new risk beside an order of unknown outcome, or in a held account; an exit adds none."""
    if order.only_reduces:
        return False
    if venue.settings.account in desk.books.held:
        return True
    return (venue.settings.account, order.instrument) in desk.unknown.values()


def find_fault(
    desk: Desk, owner: str, order: NewOrder, candidates: tuple[Candidate, ...]
) -> ErrorInfo | None:
    """No candidate, what the first choice cannot do, or a market that is closed."""
    if not candidates:
        return _explain_no_candidate(desk, owner, order)
    first = candidates[0]
    reason = desk.venues[first.connection].adapter.find_unsupported(order)
    if reason is not None:
        return refusals.unsupported(reason)
    quote = desk.find_quote(order.instrument, first.connection)
    if quote is not None and not quote.tradeable and order.type is OrderType.MARKET:
        return refusals.market_closed(order.instrument)
    return None


def _explain_no_candidate(desk: Desk, owner: str, order: NewOrder) -> ErrorInfo:
    own = [venue for venue in desk.venues.values() if venue.settings.owner == owner]
    for venue in own:
        if _is_blocked(desk, venue, order):
            held = desk.books.held.get(venue.settings.account)
            if held is not None:
                return refusals.account_held(venue.settings.account, held)
            return refusals.unknown_outstanding(order.instrument)
    tripped = [venue.settings.id for venue in own if venue.is_up]
    return refusals.breaker_open(tripped[0]) if tripped else refusals.VENUE_UNAVAILABLE


def find_instrument(desk: Desk, owner: str, order: NewOrder) -> Instrument | None:
    """The instrument as the owner's first account that trades it describes it."""
    for venue in desk.venues.values():
        is_own = venue.settings.owner == owner
        if is_own and order.account in (None, venue.settings.account):
            found = venue.instruments.get(order.instrument)
            if found is not None:
                return found
    return None


def explain_no_instrument(desk: Desk, owner: str, order: NewOrder) -> ErrorInfo:
    """Unknown only where every connection that could tell has told."""
    own = [venue for venue in desk.venues.values() if venue.settings.owner == owner]
    if any(not venue.instruments for venue in own):
        return refusals.VENUE_UNAVAILABLE
    return refusals.unknown_instrument(order.instrument)


def soonest(venue: Venue, order: NewOrder) -> TimeInForce:
    """How the broker takes a market order that should leave nothing behind."""
    for time_in_force in CLOSING_TIMES:
        asked = replace(order, time_in_force=time_in_force)
        if venue.adapter.find_unsupported(asked) is None:
            return time_in_force
    return CLOSING_TIMES[0]
