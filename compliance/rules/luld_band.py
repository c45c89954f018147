"""No opening order at a price the LULD plan forbids trades at, and none while trading is paused.

The published band is used where it is known, else one made of the reference price. Of a stock
of which neither is known nothing can be said: the house's own collar holds.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from compliance.limits import Security
from compliance.luld import CITATION, CLOSES_S, EDITIONS, Band, Stock, find_band
from compliance.magnitude import plain
from compliance.market import MarketState
from compliance.rule import REDUCING, Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from domain.instruments import AssetClass
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="luld_band",
    citation=CITATION,
    jurisdiction="US",
    asset_classes=frozenset({AssetClass.EQUITY, AssetClass.ETF}),
    effective_from=EDITIONS[-1].effective_from,
    confirmed_on=date(2026, 11, 21),
    opens_only=True,
)
_NS_PER_S = 1_000_000_000


def luld_band(_settings: ComplianceSettings) -> Check:
    """Refuses a buy limit above the band, a sell limit below it, and anything in a pause."""

    def check(order: NewOrder, context: Context) -> Violation | None:
        state = context.security
        if state is None:
            return None
        if state.facts.is_paused:
            return Violation(
                code="luld_paused",
                rule=CARD.id,
                citation=CARD.citation,
                message=f"trading in {order.instrument} is paused",
                would_pass=REDUCING,
            )
        price = order.limit_price or order.price_bound
        if price is None:
            return None
        reference = state.mean(context.now_ns)
        is_told = state.facts.band_low is not None and state.facts.band_high is not None
        # No band is without its reference price: a price on the near side of it needs no band.
        if not is_told and (reference is None or (price - reference) * context.sign <= 0):
            return None
        band = known_band(state, reference, context)
        if band is None:
            return None
        edge = band.high if context.sign > 0 else band.low
        if (price - edge) * context.sign <= 0:
            return None
        return _refuse(price, band, edge)

    return check


def known_band(state: MarketState, reference: Decimal | None, context: Context) -> Band | None:
    """The band of the security now, as published or by the plan's numbers."""
    facts = state.facts
    at_s = (context.now_ns - context.day_from_ns) // _NS_PER_S
    if facts.band_low is not None and facts.band_high is not None and _holds(facts, context, at_s):
        return Band(facts.band_low, facts.band_high)
    if reference is None or facts.tier is None or facts.prior_close is None:
        return None
    stock = Stock(tier=facts.tier, prior_close=facts.prior_close, leverage=facts.leverage or 1)
    return find_band(stock, reference, context.business_date, at_s)


def _holds(facts: Security, context: Context, at_s: int) -> bool:
    """A published band is for its own day, while the plan's hours last."""
    if facts.band_ns is None:
        return True
    return facts.band_ns >= context.day_from_ns and at_s < CLOSES_S


def _refuse(price: Decimal, band: Band, edge: Decimal) -> Violation:
    word = "highest" if edge == band.high else "lowest"
    return Violation(
        code="luld_band",
        rule=CARD.id,
        citation=CARD.citation,
        message=f"limit_price {plain(price)} is outside the band "
        f"{plain(band.low)} to {plain(band.high)}",
        field="limit_price",
        numbers={"price": plain(price), "low": plain(band.low), "high": plain(band.high)},
        would_pass=f"{word} price that fits: {plain(edge)}",
    )
