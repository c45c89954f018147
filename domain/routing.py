"""Which account should take an order: a pure choice among those that can."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from domain.orders import NewOrder
from domain.quotes import Quote
from domain.screening import Candidate


class Venue(Struct, frozen=True, kw_only=True):
    """What the router knows of one account at the moment of choice.

    `cost_pips` is the expected cost beside the spread; `latency_ms` the recent median answer.
    """

    candidate: Candidate
    is_up: bool
    trades_instrument: bool
    quote: Quote | None = None
    commission_per_unit: Decimal = Decimal(0)


def choose(order: NewOrder, venues: tuple[Venue, ...]) -> tuple[Candidate, ...]:
    """The candidates for the order, cheapest first; empty where nobody can take it.

    A pinned account is the only candidate. A venue that is down still is one where the client
    asked for queueing. Without a quote a venue ranks behind those that have one.
    """
    able = [
        venue
        for venue in venues
        if venue.trades_instrument
        and (order.account is None or order.account == venue.candidate.account)
        and (venue.is_up or order.queue_if_down)
    ]
    ranked = sorted(able, key=lambda venue: (not venue.is_up, *_cost(order, venue)))
    return tuple(venue.candidate for venue in ranked)


def _cost(order: NewOrder, venue: Venue) -> tuple[bool, Decimal]:
    """Signed price to pay per unit, commission included; lower is better for either side."""
    if venue.quote is None:
        return (True, Decimal(0))
    touch = venue.quote.touch(order.side.is_buy)
    return (False, touch * order.side.sign + venue.commission_per_unit)
