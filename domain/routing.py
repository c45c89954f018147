"""Which account should take an order: a pure choice among those that can."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from domain.orders import NewOrder
from domain.quotes import Quote
from domain.screening import Candidate


class Venue(Struct, frozen=True, kw_only=True):
    """What the router knows of one account at the moment of choice.

    `commission_per_unit` is in the quote currency, beside the spread.
    """

    candidate: Candidate
    is_up: bool
    trades_instrument: bool
    quote: Quote | None = None
    commission_per_unit: Decimal = Decimal(0)


class Ranked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A candidate and what a unit costs there, signed by side; `cost` None without a quote."""

    candidate: Candidate
    cost: Decimal | None = None


def choose(order: NewOrder, venues: tuple[Venue, ...]) -> tuple[Candidate, ...]:
    """The candidates for the order, cheapest first; empty where nobody can take it.

    A pinned account is the only candidate. A venue that is down still is one where the client
    asked for queueing. Without a quote a venue ranks behind those that have one.
    """
    able = _able(order, venues)
    if len(able) > 1:
        return tuple(ranked.candidate for ranked in _rank(order, able))
    return tuple(venue.candidate for venue in able)


def rank(order: NewOrder, venues: tuple[Venue, ...]) -> tuple[Ranked, ...]:
    """The candidates as `choose` orders them, each with its cost: what a preview shows."""
    return _rank(order, _able(order, venues))


def _able(order: NewOrder, venues: tuple[Venue, ...]) -> list[Venue]:
    return [
        venue
        for venue in venues
        if venue.trades_instrument
        and (order.account is None or order.account == venue.candidate.account)
        and (venue.is_up or order.queue_if_down)
    ]


def _rank(order: NewOrder, able: list[Venue]) -> tuple[Ranked, ...]:
    costed = [(venue, _cost(order, venue)) for venue in able]
    costed.sort(key=lambda pair: (not pair[0].is_up, pair[1] is None, pair[1] or Decimal(0)))
    return tuple(Ranked(candidate=venue.candidate, cost=cost) for venue, cost in costed)


def _cost(order: NewOrder, venue: Venue) -> Decimal | None:
    """Signed price to pay per unit, commission included; lower is better for either side."""
    if venue.quote is None:
        return None
    touch = venue.quote.touch(order.side.is_buy)
    return touch * order.side.sign + venue.commission_per_unit
