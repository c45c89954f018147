"""A cash account's money by when it settles, and what each lot was paid with.

A fold of executions and movements in their order. A purchase is paid with settled cash first,
then with proceeds not settled yet, soonest first; what neither covers is unpaid. Three things
can then go wrong with a sale (12 CFR 220.8, and what brokers make of it):

- good faith: a lot paid with unsettled proceeds is sold before they settle;
- free ride: an unpaid lot is sold, so that its own sale pays for it;
- liquidation: an unpaid lot is paid, after its day, by selling something else.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from datetime import date
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from domain.findings import FindingKind
from domain.history import Execution
from domain.portfolio import ZERO

CASH_CITATION = "12 CFR 220.8(a), (c)"


class Tranche(Struct, order=True):
    """Proceeds that settle on a date."""

    settles: date
    amount: Decimal


class CashLot(Struct, kw_only=True):
    """A purchase still held. `paid` lists unsettled proceeds it was paid with."""

    instrument: str
    bought: date
    quantity: Decimal
    paid: list[Tranche] = []
    unpaid: Decimal = ZERO


class Misstep(Struct, frozen=True, kw_only=True, gc=False):
    """A sale that went wrong: which order, when, and how much money was not good."""

    kind: FindingKind
    order_id: str
    instrument: str
    day: date
    at_ns: int
    amount: Decimal
    met: Decimal = ZERO


class _Ride:
    """A free ride that payment in full by a date undoes (12 CFR 220.8(c)(2)(i))."""

    __slots__ = ("due", "key", "owed")

    def __init__(self, key: tuple[FindingKind, str], owed: Decimal, due: date) -> None:
        self.key, self.owed, self.due = key, owed, due


class Funding:
    """Settled and unsettled cash, and lots first in, first out."""

    def __init__(self, settled: Decimal, held: dict[str, Decimal], since: date) -> None:
        self.settled = settled
        self.unsettled = ZERO
        self.today = since
        self.missteps: dict[tuple[FindingKind, str], Misstep] = {}
        self._tranches: list[Tranche] = []
        self._lots: dict[str, deque[CashLot]] = {
            symbol: deque([CashLot(instrument=symbol, bought=date.min, quantity=quantity)])
            for symbol, quantity in held.items()
            if quantity > 0
        }
        self._unpaid: list[CashLot] = []
        self._rides: list[_Ride] = []

    @property
    def available(self) -> Decimal:
        """All cash, settled or not."""
        return self.settled + self.unsettled

    @property
    def unpaid(self) -> Decimal:
        """What purchases still held lack."""
        return sum((lot.unpaid for lot in self._unpaid), ZERO)

    def expect(self, settles: date, amount: Decimal) -> None:
        """Proceeds known to be under way from the start."""
        if amount > 0:
            insort(self._tranches, Tranche(settles, amount))
            self.unsettled += amount

    def turn(self, day: date) -> None:
        """A business day begins: what settles on it is settled."""
        self.today = max(self.today, day)
        while self._tranches and self._tranches[0].settles <= self.today:
            tranche = self._tranches.pop(0)
            self.unsettled -= tranche.amount
            self.settled += tranche.amount

    def buy(self, execution: Execution, cost: Decimal) -> None:
        """Pays a purchase, as far as there is money."""
        lot = CashLot(
            instrument=execution.instrument, bought=self.today, quantity=execution.quantity
        )
        used = min(max(self.settled, ZERO), cost)
        self.settled -= used
        lot.unpaid = self._pay_unsettled(lot, cost - used)
        if lot.unpaid:
            self._unpaid.append(lot)
        self._lots.setdefault(execution.instrument, deque()).append(lot)

    def sell(self, execution: Execution, proceeds: Decimal, settles: date, due: date) -> None:
        """Sells lots, oldest first; its proceeds pay what is unpaid, then wait to settle.

        `due` is the end of the payment period.
        """
        rest = proceeds - self._take_lots(execution, due)
        tranche = Tranche(settles, max(rest, ZERO))
        self._pay_others(execution, tranche)
        if rest < 0:
            self.settled += rest
        self.expect(tranche.settles, tranche.amount)
        self.turn(self.today)

    def move(self, amount: Decimal) -> None:
        """Money came in, or went out. What came pays first what was never paid."""
        self.settled += amount
        if amount <= 0:
            return
        self._meet_rides(amount)
        for lot in list(self._unpaid):
            used = min(lot.unpaid, max(min(amount, self.settled), ZERO))
            self._cover(lot, used)
            amount -= used
            self.settled -= used

    def find_misstep(self, symbol: str, quantity: Decimal) -> tuple[FindingKind, date] | None:
        """What selling that much now would be, and from when it would not be; None if nothing.

        A free ride is the graver and is told first; payment, not time, undoes it.
        """
        found: date | None = None
        for lot in self._lots.get(symbol, ()):
            if quantity <= 0:
                break
            if lot.unpaid:
                return FindingKind.FREE_RIDE, date.max
            for tranche in lot.paid:
                if tranche.settles > self.today:
                    found = max(found or tranche.settles, tranche.settles)
            quantity -= lot.quantity
        return None if found is None else (FindingKind.GOOD_FAITH, found)

    def _pay_unsettled(self, lot: CashLot, owed: Decimal) -> Decimal:
        """Pays with the proceeds that settle soonest; what is owed still."""
        while owed and self._tranches:
            first = self._tranches[0]
            used = min(first.amount, owed)
            lot.paid.append(Tranche(first.settles, used))
            self.unsettled -= used
            owed -= used
            first.amount -= used
            if not first.amount:
                self._tranches.pop(0)
        return owed

    def _take_lots(self, execution: Execution, due: date) -> Decimal:
        """Takes what is sold from the oldest lots; how much of it was never paid."""
        lots = self._lots.get(execution.instrument, deque())
        left, early, ridden = execution.quantity, ZERO, ZERO
        while left and lots:
            lot = lots[0]
            used = min(lot.quantity, left)
            share = used / lot.quantity
            early += sum((t.amount for t in lot.paid if t.settles > self.today), ZERO) * share
            part = lot.unpaid * share
            ridden += part
            self._cover(lot, part)
            for tranche in lot.paid:
                tranche.amount -= tranche.amount * share
            lot.quantity -= used
            left -= used
            if not lot.quantity:
                lots.popleft()
        if early:
            self._note(FindingKind.GOOD_FAITH, execution, early)
        if ridden:
            key = self._note(FindingKind.FREE_RIDE, execution, ridden)
            self._rides.append(_Ride(key, ridden, due))
        return ridden

    def _pay_others(self, execution: Execution, tranche: Tranche) -> None:
        late = ZERO
        for lot in list(self._unpaid):
            used = min(lot.unpaid, tranche.amount)
            if not used:
                break
            tranche.amount -= used
            self._cover(lot, used)
            lot.paid.append(Tranche(tranche.settles, used))
            late += used if lot.bought < self.today else ZERO
        if late:
            self._note(FindingKind.LIQUIDATION, execution, late)

    def _cover(self, lot: CashLot, amount: Decimal) -> None:
        lot.unpaid -= amount
        if not lot.unpaid:
            self._unpaid = [other for other in self._unpaid if other is not lot]

    def _note(
        self, kind: FindingKind, execution: Execution, amount: Decimal
    ) -> tuple[FindingKind, str]:
        """One misstep an order, however many fills it has."""
        key = kind, execution.order_id
        known = self.missteps.get(key)
        self.missteps[key] = Misstep(
            kind=kind,
            order_id=execution.order_id,
            instrument=execution.instrument,
            day=self.today if known is None else known.day,
            at_ns=execution.at_ns if known is None else known.at_ns,
            amount=amount + (known.amount if known is not None else ZERO),
            met=known.met if known is not None else ZERO,
        )
        return key

    def _meet_rides(self, amount: Decimal) -> None:
        """The sale paid the broker already: what comes in only shows that the customer could."""
        for ride in [ride for ride in self._rides if ride.due >= self.today]:
            used = min(ride.owed, amount)
            ride.owed -= used
            amount -= used
            known = self.missteps[ride.key]
            self.missteps[ride.key] = replace(known, met=known.met + used)
