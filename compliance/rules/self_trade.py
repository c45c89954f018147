"""An owner's order may not meet another of his own in the market, in whichever account it rests.

Only where orders of clients meet: a currency dealer takes the other side himself. A market order
is held to meet what rests at the touch.
"""

from __future__ import annotations

from compliance.magnitude import plain
from compliance.rule import HOUSE, Check, Context, RuleCard, passes, touch_of
from compliance.settings import ComplianceSettings
from domain.instruments import AssetClass
from domain.orders import NEEDS_STOP, NewOrder, OrderType
from domain.screening import Violation

CARD = RuleCard(
    id="self_trade",
    citation="FINRA Rule 5210.02; CME Rule 534; house: prevented before the trade",
    jurisdiction=HOUSE,
    asset_classes=frozenset(AssetClass) - {AssetClass.FOREX, AssetClass.CFD, AssetClass.METAL},
)
# A tuple: to look into a set an enum is hashed, in Python.
_WAITING = (*NEEDS_STOP, OrderType.TRAILING_STOP)


def self_trade(settings: ComplianceSettings) -> Check:
    """Refuses a price that reaches the owner's own resting order of the other side."""
    if not settings.market.prevents_self_trades:
        return passes

    def check(order: NewOrder, context: Context) -> Violation | None:
        # What waits for its trigger meets nobody yet, and has no price of its own when it does.
        if order.type in _WAITING:
            return None
        price = order.limit_price or order.price_bound or touch_of(context)
        if price is None:
            return None
        met = context.resting.find(context.owner, order.instrument, context.sign, price)
        if met is None:
            return None
        word = "below" if context.sign > 0 else "above"
        return Violation(
            code="self_trade",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"would meet the owner's own order at {plain(met)}",
            field="limit_price",
            numbers={"price": plain(price), "own_price": plain(met)},
            would_pass=f"a limit price {word} {plain(met)}, or the same once that is canceled",
        )

    return check
