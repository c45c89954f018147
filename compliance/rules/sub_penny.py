"""US stocks are priced in cents from one dollar on, below it in hundredths of a cent."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from compliance.magnitude import plain
from compliance.nms import INCREMENTS
from compliance.rule import Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from domain.instruments import AssetClass
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="sub_penny",
    citation=INCREMENTS[-1].citation,
    jurisdiction="US",
    asset_classes=frozenset({AssetClass.EQUITY, AssetClass.ETF}),
    effective_from=INCREMENTS[-1].effective_from,
    confirmed_on=date(2026, 11, 21),
)
_DOLLAR = Decimal(1)


def sub_penny(_settings: ComplianceSettings) -> Check:
    """Refuses a limit price between the steps of Rule 612."""

    # The card holds from its edition's first day on, so no date need be looked up.
    steps = INCREMENTS[-1].values

    def check(order: NewOrder, _context: Context) -> Violation | None:
        price = order.limit_price
        if price is None:
            return None
        step = steps.from_dollar if price >= _DOLLAR else steps.below_dollar
        if not price % step:
            return None
        down = price // step * step
        return Violation(
            code="sub_penny",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"limit_price {plain(price)} is not a multiple of {plain(step)}",
            field="limit_price",
            numbers={"price": plain(price), "step": plain(step)},
            would_pass=f"{plain(down)} or {plain(down + step)}",
        )

    return check
