"""What an order that passed will take until it ends: the reservation made of it."""

from __future__ import annotations

from compliance.exposure import NEVER_TOLD, rests
from compliance.holding import OpenOrder
from compliance.rule import Context
from compliance.rules.us_fx_fifo import picks_lot, splits_lot
from domain.orders import Side
from domain.screening import Candidate, ScreenRequest


def open_order(request: ScreenRequest, candidate: Candidate, context: Context) -> OpenOrder:
    """The order as the book keeps it from now on."""
    order, at_once = request.order, context.is_immediate
    return OpenOrder(
        order_id=request.order_id,
        account=candidate.account,
        instrument=order.instrument,
        sign=context.sign,
        leaves=context.leaves,
        version=NEVER_TOLD,
        only_reduces=context.only_reduces,
        is_immediate=at_once,
        has_bracket=order.bracket is not None,
        closes_lot=order.closes_lot,
        splits=at_once and splits_lot(order, context),
        picks=at_once and picks_lot(order, context),
        fingerprint=context.fingerprint,
        tag=order.tag,
        is_short=order.side is Side.SELL_SHORT,
        rests=rests(order),
        limit_price=order.limit_price,
        credit_price=context.credit_price,
    )
