"""An owner's own limit prices at the market, over all accounts: what a new order could meet."""

from __future__ import annotations

from bisect import bisect_left, insort
from decimal import Decimal

from compliance.holding import OpenOrder


class RestingPrices:
    """Prices by (owner, instrument) and direction, sorted."""

    def __init__(self) -> None:
        self._prices: dict[tuple[str, str], dict[int, list[Decimal]]] = {}

    def shift(self, owner: str, order: OpenOrder, step: int) -> None:
        """Adds (1) or takes away (-1) an order that rests; others are passed over."""
        price = order.meets_at
        if price is None:
            return
        key = (owner, order.instrument)
        prices = self._prices.setdefault(key, {1: [], -1: []})[order.sign]
        if step > 0:
            insort(prices, price)
        else:
            del prices[bisect_left(prices, price)]

    def find(self, owner: str, instrument: str, sign: int, price: Decimal) -> Decimal | None:
        """The owner's best price of the other side that an order at this price would meet."""
        sides = self._prices.get((owner, instrument))
        if sides is None or not sides[-sign]:
            return None
        best = sides[-sign][0] if sign > 0 else sides[-sign][-1]
        return best if (price - best) * sign >= 0 else None
