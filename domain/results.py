"""The two mappings users of other broker libraries expect: an order result and seven errors.

Our states and error objects say more; these are derived from them and never stored.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from domain.errors import Category, ErrorInfo, UnifiedError
from domain.lifecycle import COMMON, CommonStatus, Order, Status

S = Status

MEANING = {
    S.RECEIVED: "received, not yet decided",
    S.DENIED: "refused by compliance or by the gateway; nothing was sent",
    S.HELD: "waits for the market to open",
    S.ARMED: "waits for its trigger or its parent",
    S.READY: "screened, waits to be sent; still cancelable",
    S.SENDING: "written down and on its way; no answer yet",
    S.UNKNOWN: "may be at the broker; only evidence ends this",
    S.LIVE: "working at the broker",
    S.PARTIALLY_FILLED: "working at the broker, partly filled",
    S.FILLED: "filled",
    S.CANCELED: "canceled; what was filled before stays filled",
    S.REJECTED: "refused by the broker",
    S.EXPIRED: "its time in force ran out",
    S.NOT_PLACED: "evidence says that it never reached the broker",
}
assert MEANING.keys() == set(Status)

SUCCESS: dict[Status, bool | None] = {
    S.RECEIVED: None,
    S.DENIED: False,
    S.HELD: None,
    S.ARMED: None,
    S.READY: None,
    S.SENDING: None,
    S.UNKNOWN: None,
    S.LIVE: True,
    S.PARTIALLY_FILLED: True,
    S.FILLED: True,
    S.CANCELED: True,
    S.REJECTED: False,
    S.EXPIRED: True,
    S.NOT_PLACED: False,
}
"""None where nobody can say yet: a guess either way would make someone send twice."""
assert SUCCESS.keys() == set(Status)


class OrderResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order in the words most broker libraries use; times int64 ns UTC.

    `filled_price` is the average. `success` is None while the outcome is open.
    """

    success: bool | None
    order_id: str
    status: CommonStatus
    message: str
    filled_quantity: Decimal
    filled_price: Decimal | None = None
    submitted_at_ns: int | None = None
    filled_at_ns: int | None = None
    client_order_id: str | None = None
    broker_order_ids: tuple[str, ...] = ()


def order_result(order: Order) -> OrderResult:
    """The result of an order as it stands now; any fill is a success, however late."""
    meaning = MEANING[order.status]
    return OrderResult(
        success=True if order.filled else SUCCESS[order.status],
        order_id=order.order_id,
        status=COMMON[order.status],
        message=f"{meaning}: {order.reason}" if order.reason else meaning,
        filled_quantity=order.filled,
        filled_price=order.average_price,
        submitted_at_ns=order.received_ns or None,
        filled_at_ns=order.filled_ns,
        client_order_id=order.client_order_id,
        broker_order_ids=order.legs,
    )


BY_CATEGORY = {
    Category.CLIENT: UnifiedError.INVALID_ORDER,
    Category.AUTH: UnifiedError.AUTH,
    Category.RISK: UnifiedError.INVALID_ORDER,
    Category.RATE: UnifiedError.RATE_LIMIT,
    Category.VENUE: UnifiedError.CONNECTION,
    Category.SYSTEM: UnifiedError.CONNECTION,
}
assert BY_CATEGORY.keys() == set(Category)

BY_CODE = {
    "insufficient_funds": UnifiedError.INSUFFICIENT_FUNDS,
    "insufficient_margin": UnifiedError.INSUFFICIENT_FUNDS,
    "leverage": UnifiedError.INSUFFICIENT_FUNDS,
    "market_closed": UnifiedError.MARKET_CLOSED,
    "unknown_instrument": UnifiedError.SYMBOL_NOT_FOUND,
}
"""Codes of ours that say more than their category."""


def unify(error: ErrorInfo) -> UnifiedError:
    """The common name of an error: the broker's word first, then our code, then its category."""
    if error.venue is not None:
        return error.venue.unified
    return BY_CODE.get(error.code, BY_CATEGORY[error.category])
