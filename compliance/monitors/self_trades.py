"""Trades of the firm with itself, after the fact: two owners' fills that look like one trade.

In line only an owner's own orders are seen (rules/self_trade.py); shards do not see each other's.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from decimal import Decimal

from msgspec import Struct

from compliance.magnitude import plain
from compliance.monitors.alert import Alert, AlertKind

FILLS_MAX = 10_000
"""Unmatched fills remembered per instrument; the oldest are forgotten."""

CITATION = "FINRA Rule 5210.02; CME Rule 534"


class FirmFill(Struct, frozen=True, kw_only=True):
    """A fill of any owner of the firm."""

    execution_id: str
    order_id: str
    owner: str
    instrument: str
    sign: int
    quantity: Decimal
    price: Decimal
    at_ns: int


class SelfTrades:
    """Matches buys with sells of the same instrument, price, size and moment."""

    def __init__(self, apart_ms_max: int = 1_000) -> None:
        self._apart_ns = apart_ms_max * 1_000_000
        self._open: dict[str, deque[FirmFill]] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()

    def see(self, fill: FirmFill) -> Alert | None:
        """An alert where this fill is the other side of an earlier one; each matches once."""
        if fill.execution_id in self._seen:
            return None
        self._seen[fill.execution_id] = None
        if len(self._seen) > FILLS_MAX:
            self._seen.popitem(last=False)
        fills = self._open.setdefault(fill.instrument, deque(maxlen=FILLS_MAX))
        other = next((held for held in reversed(fills) if self._is_other_side(held, fill)), None)
        if other is None:
            fills.append(fill)
            return None
        fills.remove(other)
        return Alert(
            kind=AlertKind.SELF_TRADE,
            subject=fill.owner,
            instrument=fill.instrument,
            at_ns=fill.at_ns,
            citation=CITATION,
            message=f"{fill.owner} and {other.owner} traded {plain(fill.quantity)} at "
            f"{plain(fill.price)} with each other, or at the same moment",
            numbers={"quantity": plain(fill.quantity), "price": plain(fill.price)},
            orders=(other.order_id, fill.order_id),
        )

    def _is_other_side(self, held: FirmFill, fill: FirmFill) -> bool:
        return (
            held.sign == -fill.sign
            and (held.price, held.quantity) == (fill.price, fill.quantity)
            and abs(fill.at_ns - held.at_ns) <= self._apart_ns
        )
