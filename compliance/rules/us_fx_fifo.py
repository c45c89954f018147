"""US retail forex: no hedging, and first in, first out (NFA 2-43(b)).

An order against a position takes its lots oldest first; what is left over may open the other
way. A lot may be closed by name where it is the oldest, or, at the customer's request, where it
is closed whole and is the oldest of its size. While one order would leave a lot smaller, no
younger lot may be named, and the other way round: which comes first is not ours to say.
"""

from __future__ import annotations

from datetime import date

from compliance.holding import Holding
from compliance.magnitude import plain
from compliance.rule import Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from domain.instruments import AssetClass
from domain.orders import NewOrder, PositionEffect
from domain.screening import Violation

CARD = RuleCard(
    id="us_fx_fifo",
    citation="NFA Compliance Rule 2-43(b); NFA Notice I-09-10",
    jurisdiction="US",
    asset_classes=frozenset({AssetClass.FOREX}),
    effective_from=date(2009, 5, 15),
    confirmed_on=date(2026, 11, 21),
    zone="America/Chicago",
)


WAIT = "the same order once the other's outcome is known, or closing the whole position"


def us_fx_fifo(settings: ComplianceSettings) -> Check:
    """Refuses what would hedge, or close a lot out of turn."""
    is_instructed = settings.lot_close_is_instructed

    def check(order: NewOrder, context: Context) -> Violation | None:
        if order.closes_lot is not None:
            return _check_named(order, order.closes_lot, context, is_instructed)
        return _check_netting(order, context)

    return check


def splits_lot(order: NewOrder, context: Context) -> bool:
    """True where the order, filled whole, may leave a lot smaller than it is."""
    holding, leaves = context.holding, context.leaves
    if order.closes_lot is not None:
        number = holding.lots.find(order.closes_lot)
        return number is not None and leaves < holding.lots.sizes[number]
    return holding.quantity * context.sign < 0 and leaves < abs(holding.quantity)


def picks_lot(order: NewOrder, context: Context) -> bool:
    """True where the order names a lot that is not the oldest."""
    lots = context.holding.lots
    return order.closes_lot is not None and lots.find(order.closes_lot) != 0


def _check_netting(order: NewOrder, context: Context) -> Violation | None:
    holding, sign = context.holding, context.sign
    is_opposite = holding.quantity * sign < 0
    is_open_only = order.position_effect is PositionEffect.OPEN_ONLY
    if is_open_only and (is_opposite or holding.in_flight[-sign]):
        return _refuse(
            "hedge",
            f"would open against the position of {plain(holding.quantity)}",
            "position_effect",
            "the order with position_effect net",
        )
    if is_opposite and context.account.hedging and context.is_opening:
        return _refuse("hedge", "a hedging account would book it beside the position")
    if holding.picks and splits_lot(order, context):
        return _in_flight(holding)
    return None


def _check_named(
    order: NewOrder, lot_id: str, context: Context, is_instructed: bool
) -> Violation | None:
    lots = context.holding.lots
    number = lots.find(lot_id)
    if number is None:
        return _refuse("fifo_lot_unknown", f"there is no open lot {lot_id}", "closes_lot")
    if lots.lots[number].quantity * context.sign > 0:
        return _refuse("fifo_lot_side", f"would add to lot {lot_id}, not close it", "side")
    size = lots.sizes[number]
    if number == 0:
        return _check_oldest(order, context, lot_id)
    if not is_instructed:
        return _refuse_for("fifo_oldest_first", lots.ids[0], "the customer did not ask for the lot")
    if context.leaves != size:
        return _refuse_for(
            "fifo_not_same_size",
            lots.ids[0],
            f"quantity {plain(context.leaves)} is not the lot's {plain(size)}",
        )
    oldest = lots.oldest_of_size(number)
    if oldest != number:
        return _refuse_for(
            "fifo_same_size_oldest_first",
            lots.ids[oldest],
            f"lot {lots.ids[oldest]} is as large and older",
        )
    return _in_flight(context.holding) if context.holding.splits else None


def _check_oldest(order: NewOrder, context: Context, lot_id: str) -> Violation | None:
    size = context.holding.lots.sizes[0]
    if context.leaves > size:
        return Violation(
            code="fifo_lot_smaller",
            rule=CARD.id,
            citation=CARD.citation,
            message=f"quantity {plain(context.leaves)} is above the {plain(size)} of lot {lot_id}",
            field="quantity",
            numbers={"lot_quantity": plain(size)},
            would_pass=f"largest quantity that fits: {plain(size)}",
        )
    if context.holding.picks and splits_lot(order, context):
        return _in_flight(context.holding)
    return None


def _refuse(
    code: str, message: str, field: str | None = None, would_pass: str | None = None
) -> Violation:
    return Violation(
        code=code,
        rule=CARD.id,
        citation=CARD.citation,
        message=message,
        field=field,
        would_pass=would_pass,
    )


def _refuse_for(code: str, lot_id: str, message: str) -> Violation:
    """A refusal with the lot that may be closed instead."""
    return Violation(
        code=code,
        rule=CARD.id,
        citation=CARD.citation,
        message=message,
        field="closes_lot",
        numbers={"close_instead": lot_id},
        would_pass=f"closing lot {lot_id} first",
    )


def _in_flight(holding: Holding) -> Violation:
    return Violation(
        code="fifo_in_flight",
        rule=CARD.id,
        citation=CARD.citation,
        message=f"another order that closes lots of {holding.instrument} is under way",
        would_pass=WAIT,
    )
