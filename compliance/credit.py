"""Credit in use: what owners hold and have under way, gross, by owner and over all.

An order takes its price (the worst it allows, or the market's where that is more) times its
quantity from the moment it passes until it fills or ends; what it filled is held from then on.
In one instrument the two directions do not add up: the dearer counts. Amounts are kept in the
currency of the price, so that nothing is rounded before it is compared.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from compliance.holding import Holding, OpenOrder
from compliance.magnitude import ceil_amount
from compliance.rates import SAME, Conversion, RateBook
from domain.portfolio import ZERO

_ALWAYS_NS = 2**63 - 1
_NEVER_NS = -1
_BOTH = (1, -1)

Quoter = Callable[[str], tuple[str, Decimal]]
"""For an instrument: the currency of its price, and its multiplier."""


class CreditLine:
    """One holding's use of credit, in the currency of its price.

    `opening` sums what may open by value, `resting` that part of it which does not fill on
    arrival; quantities without a price of their own are `unpriced` and take the holding's, as do
    those of orders that only reduce (`reducing`): they take no credit, but let others reach
    further.
    """

    __slots__ = ("amount", "currency", "held", "multiplier", "opening", "price", "reducing",
                 "resting", "unpriced")  # fmt: skip

    def __init__(self, currency: str, multiplier: Decimal) -> None:
        self.currency = currency
        self.multiplier = multiplier
        self.price: Decimal | None = None
        self.held = ZERO
        self.opening = {1: ZERO, -1: ZERO}
        self.resting = {1: ZERO, -1: ZERO}
        self.unpriced = {1: ZERO, -1: ZERO}
        self.reducing = {1: ZERO, -1: ZERO}
        self.amount = ZERO

    @property
    def is_unvalued(self) -> bool:
        """True where something is held or under way of which no price is known."""
        return self.price is None and bool(self.held or self.unpriced[1] or self.unpriced[-1])

    def shift(self, order: OpenOrder, step: int) -> None:
        """Adds (1) or takes away (-1) an order."""
        quantity = order.reserved * step
        price = order.credit_unit
        for sign in _BOTH if order.sign == 0 else (order.sign,):
            if order.only_reduces:
                self.reducing[sign] += quantity
            elif price is None:
                self.unpriced[sign] += quantity
            else:
                value = quantity * price * self.multiplier
                self.opening[sign] += value
                if not order.is_immediate:
                    self.resting[sign] += value

    def worst(self) -> Decimal:
        """The largest value that any order of fills can lead to (as `Holding.worst`)."""
        price = (self.price or ZERO) * self.multiplier
        held = self.held
        bought, sold = self.unpriced[1] * price, self.unpriced[-1] * price
        high = held * price + bought + self.opening[1]
        low = sold - held * price + self.opening[-1]
        if held < 0:
            high += min(self.reducing[1], -held) * price
            return max(high, low, self.resting[1] + bought)
        low += min(self.reducing[-1], held) * price
        return max(high, low, self.resting[-1] + sold)

    def worst_with(self, sign: int, value: Decimal, *, is_immediate: bool) -> Decimal:
        """The same with that much more under way."""
        was, rested = self.opening[sign], self.resting[sign]
        self.opening[sign] = was + value
        if not is_immediate:
            self.resting[sign] = rested + value
        worst = self.worst()
        self.opening[sign], self.resting[sign] = was, rested
        return worst


class Tally:
    """One sum of credit, by currency and valued: an owner's, or all owners'.

    The total follows every change of an amount; of a rate only when told. `oldest_ns` is no newer
    than the oldest rate used. Values are rounded up
    to a millionth, so that adding and taking away never drifts.
    """

    __slots__ = ("_times", "_values", "amounts", "oldest_ns", "total")

    def __init__(self) -> None:
        self.amounts: dict[str, Decimal] = {}
        self.total = ZERO
        self._values: dict[str, Decimal] = {}
        self._times: dict[str, int] = {}
        self.oldest_ns = _ALWAYS_NS

    def add(self, currency: str, change: Decimal, found: Conversion | None) -> None:
        """Adds an amount, at the rate that is known."""
        self.amounts[currency] = self.amounts.get(currency, ZERO) + change
        self.value(currency, found)

    def value(self, currency: str, found: Conversion | None) -> None:
        """Values one currency's amount anew; without a rate it counts as never valued."""
        amount = self.amounts.get(currency)
        if amount is None:
            return
        if found is None:
            value = ZERO
        else:
            value = amount if found is SAME else ceil_amount(amount * found.rate)
        self.total += value - self._values.get(currency, ZERO)
        self._values[currency] = value
        at_ns = found.at_ns if found is not None else _NEVER_NS
        self._times[currency] = at_ns if amount else _ALWAYS_NS
        self.oldest_ns = min(self.oldest_ns, self._times[currency])

    def is_valued(self, since_ns: int, convert: Callable[[str], Conversion | None]) -> bool:
        """True where every rate used is from then or newer; values all anew where one is not."""
        if self.oldest_ns >= since_ns:
            return True
        self.oldest_ns = _ALWAYS_NS
        for currency in self.amounts:
            self.value(currency, convert(currency))
        return self.oldest_ns >= since_ns


class CreditBook:
    """Credit in use by owner and over all; `budget` is the firm's limit for this shard."""

    def __init__(self, currency: str, quoter: Quoter, rates: RateBook) -> None:
        self.currency = currency
        self.quoter = quoter
        self.rates = rates
        self.owners: dict[str, Tally] = {}
        self.firm = Tally()
        self.unvalued: dict[str, int] = {}
        self.budget: Decimal | None = None

    def line(self, holding: Holding) -> CreditLine:
        """The holding's line."""
        if holding.credit is None:
            holding.credit = CreditLine(*self.quoter(holding.instrument))
        return holding.credit

    def tally(self, owner: str) -> Tally:
        """The owner's sum."""
        tally = self.owners.get(owner)
        if tally is None:
            tally = self.owners[owner] = Tally()
        return tally

    def shift(self, owner: str, holding: Holding, order: OpenOrder, step: int) -> None:
        """Adds (1) or takes away (-1) an order's credit."""
        line = self.line(holding)
        was = line.is_unvalued
        line.shift(order, step)
        self._count(owner, line, was)

    def hold(self, owner: str, holding: Holding, cost: Decimal | None) -> None:
        """The position is another; its cost values it until a price is known."""
        line = self.line(holding)
        was = line.is_unvalued
        line.held = holding.quantity
        if line.price is None and cost is not None and cost.is_finite() and cost > 0:
            line.price = cost
        self._count(owner, line, was)

    def value(self, owner: str, holding: Holding, price: Decimal) -> None:
        """A newer price of the instrument."""
        line = self.line(holding)
        if line.price == price:
            return
        was = line.is_unvalued
        line.price = price
        self._count(owner, line, was)

    def revalue(self, owner: str, currency: str) -> None:
        """A newer rate of a currency."""
        if currency not in self.firm.amounts:
            return
        found = self._convert(currency)
        self.tally(owner).value(currency, found)
        self.firm.value(currency, found)

    def total(self, tally: Tally, since_ns: int) -> Decimal | None:
        """What is used; None where a rate is missing, or older."""
        return tally.total if self.is_valued(tally, since_ns) else None

    def is_valued(self, tally: Tally, since_ns: int) -> bool:
        """True where every rate in a sum is from then or newer."""
        return tally.is_valued(since_ns, self._convert)

    def _convert(self, currency: str) -> Conversion | None:
        return self.rates.convert(currency, self.currency)

    def _count(self, owner: str, line: CreditLine, was_unvalued: bool) -> None:
        amount = line.worst()
        change, line.amount = amount - line.amount, amount
        if change:
            found = self._convert(line.currency)
            self.tally(owner).add(line.currency, change, found)
            self.firm.add(line.currency, change, found)
        if was_unvalued != line.is_unvalued:
            self.unvalued[owner] = self.unvalued.get(owner, 0) + (-1 if was_unvalued else 1)
