"""Execution quality per fill and over many, against the best bid and offer when the order came.

Never against the quote at the fill. Averages weigh by shares. A negative effective spread is
lawful; a locked, crossed or stale quote, or one outside trading hours, is flagged and its fill
left out of the averages. Definitions: 17 CFR 242.600(b), 242.605.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from msgspec import Struct

from domain.portfolio import ZERO

_TWO = Decimal(2)
_BASIS_POINTS = Decimal(10_000)
_NS_PER_MS = 1_000_000
QUOTE_AGE_MS_MAX = 1_000


class Flag(Enum):
    """Why a fill's benchmark cannot be relied on."""

    LOCKED = "locked"
    CROSSED = "crossed"
    STALE = "stale"
    OUT_OF_HOURS = "out_of_hours"


class Benchmark(Struct, frozen=True, kw_only=True):
    """The national best bid and offer when the order was received."""

    bid: Decimal
    ask: Decimal
    quote_ns: int
    received_ns: int
    is_open: bool = True

    @property
    def mid(self) -> Decimal:
        """Halfway."""
        return (self.bid + self.ask) / _TWO


class FillQuality(Struct, frozen=True, kw_only=True):
    """One fill's numbers, per share; None where the quote allows none."""

    quantity: Decimal
    effective_spread: Decimal
    quoted_spread: Decimal
    price_improvement: Decimal
    effective_over_quoted: Decimal | None
    flags: tuple[Flag, ...] = ()


class Average(Struct, frozen=True, kw_only=True):
    """Share-weighted over the fills that were not flagged."""

    fills: int
    flagged: int
    shares: Decimal
    effective_spread: Decimal | None
    price_improvement: Decimal | None


def judge(
    sign: int, quantity: Decimal, price: Decimal, benchmark: Benchmark, age_ms_max: int
) -> FillQuality:
    """A fill's quality; `sign` is +1 for a buy. The quote may be `age_ms_max` old at receipt."""
    quoted = benchmark.ask - benchmark.bid
    effective = _TWO * sign * (price - benchmark.mid)
    touch = benchmark.ask if sign > 0 else benchmark.bid
    return FillQuality(
        quantity=quantity,
        effective_spread=effective,
        quoted_spread=quoted,
        price_improvement=sign * (touch - price),
        effective_over_quoted=effective / quoted if quoted > 0 else None,
        flags=find_flags(benchmark, age_ms_max),
    )


def find_flags(benchmark: Benchmark, age_ms_max: int = QUOTE_AGE_MS_MAX) -> tuple[Flag, ...]:
    """Everything wrong with a benchmark."""
    age_ns = benchmark.received_ns - benchmark.quote_ns
    found = (
        (Flag.LOCKED, benchmark.bid == benchmark.ask),
        (Flag.CROSSED, benchmark.bid > benchmark.ask),
        (Flag.STALE, age_ns > age_ms_max * _NS_PER_MS),
        (Flag.OUT_OF_HOURS, not benchmark.is_open),
    )
    return tuple(flag for flag, holds in found if holds)


def realized_spread(sign: int, price: Decimal, mid_later: Decimal) -> Decimal:
    """Twice what the price was worse than the middle some time later."""
    return _TWO * sign * (price - mid_later)


def slippage_points(sign: int, price: Decimal, arrival_mid: Decimal) -> Decimal:
    """The cost against the middle at arrival, in basis points; negative is a gain."""
    return _BASIS_POINTS * sign * (price - arrival_mid) / arrival_mid


def average(fills: tuple[FillQuality, ...]) -> Average:
    """Over many fills, each by its shares."""
    sound = [fill for fill in fills if not fill.flags]
    shares = sum((fill.quantity for fill in sound), ZERO)
    spread = sum((fill.effective_spread * fill.quantity for fill in sound), ZERO)
    gain = sum((fill.price_improvement * fill.quantity for fill in sound), ZERO)
    return Average(
        fills=len(sound),
        flagged=len(fills) - len(sound),
        shares=shares,
        effective_spread=spread / shares if shares else None,
        price_improvement=gain / shares if shares else None,
    )


class Shortfall(Struct, frozen=True, kw_only=True):
    """What an order was meant to do and what it did."""

    sign: int
    decision_price: Decimal
    end_price: Decimal
    filled: Decimal
    unfilled: Decimal
    average_price: Decimal
    fees: Decimal = ZERO


def implementation_shortfall(order: Shortfall) -> Decimal:
    """Its cost in money against the price at the decision, the unfilled part included."""
    traded = order.filled * order.sign * (order.average_price - order.decision_price)
    missed = order.unfilled * order.sign * (order.end_price - order.decision_price)
    return traded + missed + order.fees
