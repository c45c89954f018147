"""What a simulated broker refuses before an order enters its book. Pure."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from brokers.simulators.book import Listing
from brokers.simulators.terms import Guard, Terms
from brokers.simulators.words import GUARDS, NET_KINDS, NET_LIVES, Kind, Life, Part, Why

CLIENT_ID_CHARS_MAX = 128
RESTING = frozenset({Life.GTC, Life.GTD, Life.DAY})
LIVES = {
    Kind.MARKET: frozenset({Life.FOK, Life.IOC}),
    Kind.LIMIT: frozenset(Life) - NET_LIVES,
    Kind.STOP: frozenset(Life) - NET_LIVES,
    Kind.IF_TOUCHED: RESTING,
    Kind.TAKE_PROFIT: RESTING,
    Kind.STOP_LOSS: RESTING,
    Kind.TRAILING_STOP: RESTING,
}
assert LIVES.keys() == set(Kind) - NET_KINDS
PRICED = frozenset({Kind.LIMIT, Kind.STOP, Kind.IF_TOUCHED, Kind.TAKE_PROFIT})


class Refusal(Struct, frozen=True):
    """Why not, and about which part of the order."""

    why: Why
    part: Part = Part.ORDER


def find_entry_refusal(terms: Terms, listing: Listing | None, now_ns: int) -> Refusal | None:
    """What is wrong with an order that opens or nets, by itself."""
    if listing is None:
        return Refusal(Why.INSTRUMENT_UNKNOWN)
    if not listing.tradeable:
        return Refusal(Why.INSTRUMENT_CLOSED)
    why = (
        _find_units_fault(terms.units, listing)
        or _find_price_fault(terms, listing)
        or find_life_fault(terms, now_ns)
        or find_label_fault(terms)
    )
    if why is not None:
        return Refusal(why)
    if terms.take_profit is None and terms.stop_loss is None and terms.trailing is None:
        return None
    return _find_bracket_fault(terms, listing, now_ns)


def _find_units_fault(units: Decimal, listing: Listing) -> Why | None:
    if not units.is_finite() or not units:
        return Why.UNITS_INVALID
    size = abs(units)
    if size > listing.units_max:
        return Why.UNITS_MAXIMUM
    if size % listing.lot:
        return Why.UNITS_PRECISION
    return Why.UNITS_MINIMUM if size < listing.units_min else None


def _find_price_fault(terms: Terms, listing: Listing) -> Why | None:
    bound = terms.bound
    if bound is not None:
        if not bound.is_finite() or bound <= 0:
            return Why.BOUND_INVALID
        if bound % listing.tick:
            return Why.BOUND_PRECISION
    if terms.kind not in PRICED:
        return None
    return find_level_fault(terms.price, listing)


def find_level_fault(price: Decimal | None, listing: Listing) -> Why | None:
    """What is wrong with a price level that must be there."""
    if price is None:
        return Why.PRICE_MISSING
    if not price.is_finite() or price <= 0:
        return Why.PRICE_INVALID
    return Why.PRICE_PRECISION if price % listing.tick else None


def find_life_fault(terms: Terms, now_ns: int) -> Why | None:
    """What is wrong with how long the order is to work."""
    if terms.life not in LIVES[terms.kind]:
        return Why.LIFE_INVALID
    return _find_expiry_fault(terms.life, terms.expire_ns, now_ns)


def _find_expiry_fault(life: Life, expire_ns: int | None, now_ns: int) -> Why | None:
    if life is not Life.GTD:
        return None
    if expire_ns is None:
        return Why.EXPIRY_MISSING
    return Why.EXPIRY_PAST if expire_ns <= now_ns else None


def find_label_fault(terms: Terms) -> Why | None:
    """An empty or overlong client id."""
    name = terms.client_id
    if name is not None and not 0 < len(name) <= CLIENT_ID_CHARS_MAX:
        return Why.CLIENT_ID_INVALID
    return None


def _find_bracket_fault(terms: Terms, listing: Listing, now_ns: int) -> Refusal | None:
    for part, guard in (
        (Part.TAKE_PROFIT, terms.take_profit),
        (Part.STOP_LOSS, terms.stop_loss),
        (Part.TRAILING_STOP, terms.trailing),
    ):
        why = guard and find_guard_fault(part, guard, listing, now_ns)
        if why:
            return Refusal(why, part)
    return None


def find_guard_fault(part: Part, guard: Guard, listing: Listing, now_ns: int) -> Why | None:
    """What is wrong with a guard by itself."""
    if guard.life not in RESTING:
        return Why.LIFE_INVALID
    why = _find_expiry_fault(guard.life, guard.expire_ns, now_ns)
    if why is not None:
        return why
    if part is Part.TAKE_PROFIT:
        return find_level_fault(guard.price, listing)
    if part is Part.TRAILING_STOP:
        return _find_trail_fault(guard.distance, listing)
    if guard.price is not None and guard.distance is not None:
        return Why.PRICE_AND_DISTANCE
    if guard.price is not None:
        return find_level_fault(guard.price, listing)
    if guard.distance is None:
        return Why.PRICE_OR_DISTANCE
    return _find_distance_fault(guard.distance, listing)


def _find_distance_fault(distance: Decimal, listing: Listing) -> Why | None:
    if not distance.is_finite() or distance <= 0:
        return Why.DISTANCE_INVALID
    return Why.DISTANCE_PRECISION if distance % listing.tick else None


def _find_trail_fault(distance: Decimal | None, listing: Listing) -> Why | None:
    if distance is None:
        return Why.DISTANCE_MISSING
    why = _find_distance_fault(distance, listing)
    if why is not None:
        return why
    if distance < listing.trail_min:
        return Why.DISTANCE_MINIMUM
    return Why.DISTANCE_MAXIMUM if distance > listing.trail_max else None


GUARD_PARTS = {
    Kind.TAKE_PROFIT: Part.TAKE_PROFIT,
    Kind.STOP_LOSS: Part.STOP_LOSS,
    Kind.TRAILING_STOP: Part.TRAILING_STOP,
}
assert GUARD_PARTS.keys() == set(GUARDS)


def find_order_guard_fault(terms: Terms, listing: Listing, now_ns: int) -> Why | None:
    """What is wrong with a guard that is an order of its own."""
    guard = Guard(
        price=terms.price, distance=terms.distance, life=terms.life, expire_ns=terms.expire_ns
    )
    why = find_guard_fault(GUARD_PARTS[terms.kind], guard, listing, now_ns)
    return why or find_label_fault(terms)
