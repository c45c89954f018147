"""One account's holdings, reservations and margin as running sums, fed by exposure.py."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from compliance.activity import Activity
from compliance.losses import LossMeter
from compliance.lots import NO_LOTS, LotIndex
from compliance.magnitude import ceil_amount
from compliance.rates import RateBook
from domain.accounts import AccountBalances, BrokerAccount
from domain.equity import EquityHistory
from domain.orders import NewOrder
from domain.portfolio import ZERO, Position

if TYPE_CHECKING:
    from compliance.credit import CreditLine

RECENT_ORDERS_MAX = 10_000
"""Orders remembered per account for the duplicate guard; the oldest are forgotten."""

Weigher = Callable[[str], tuple[str, Decimal]]
"""For an instrument: its base currency, and the margin of one unit in that currency."""


if TYPE_CHECKING:
    from compliance.trading import Trading

_BOTH = (1, -1)


class Fingerprint(Struct, frozen=True, cache_hash=True, gc=False):
    """What makes two orders of an account duplicates, whatever their ids."""

    instrument: str
    side: str
    quantity: Decimal
    type: str
    limit_price: Decimal | None
    stop_price: Decimal | None
    time_in_force: str
    closes_lot: str | None

    @classmethod
    def of(cls, order: NewOrder) -> Fingerprint:
        """The order's."""
        return cls(
            order.instrument,
            order.side._value_,  # the enum's own hash runs in Python, a word's does not
            order.quantity,
            order.type._value_,
            order.limit_price,
            order.stop_price,
            order.time_in_force._value_,
            order.closes_lot,
        )


class OpenOrder(Struct, frozen=True, kw_only=True, gc=False):
    """An order that may still fill. `sign` 0: nobody told us its side, so it counts both ways.

    `wanted` is the new total an amend under way asks for, `wanted_price` its new limit. `splits`
    would leave a lot smaller, `picks` closes a lot by name that is not the oldest. `limit_price`
    is set while the order `rests` in the market or may; `credit_price` values it (credit.py).
    """

    order_id: str
    account: str
    instrument: str
    sign: int
    leaves: Decimal
    version: int
    filled: Decimal = ZERO
    wanted: Decimal | None = None
    only_reduces: bool = False
    is_immediate: bool = False
    has_bracket: bool = False
    closes_lot: str | None = None
    splits: bool = False
    picks: bool = False
    is_unknown: bool = False
    is_amend_lost: bool = False
    fingerprint: Fingerprint | None = None
    tag: str | None = None
    is_short: bool = False
    rests: bool = False
    limit_price: Decimal | None = None
    wanted_price: Decimal | None = None
    credit_price: Decimal | None = None
    wanted_credit: Decimal | None = None

    @property
    def credit_unit(self) -> Decimal | None:
        """What values one unit; the dearer while an amend is under way."""
        if self.credit_price is None or self.wanted_credit is None:
            return self.credit_price
        return max(self.credit_price, self.wanted_credit)

    @property
    def meets_at(self) -> Decimal | None:
        """The price others of ours could meet it at; None where it does not rest."""
        if not self.rests or self.limit_price is None or not self.sign:
            return None
        wanted = self.limit_price if self.wanted_price is None else self.wanted_price
        return max(self.limit_price, wanted) if self.sign > 0 else min(self.limit_price, wanted)

    @property
    def is_uncertain(self) -> bool:
        """True where what it may do is not known: whether it lives, its side, or its size."""
        return self.is_unknown or self.is_amend_lost or self.sign == 0

    def reserves_as(self, older: OpenOrder) -> bool:
        """True where nothing but the version is news, so that every sum stays as it is."""
        return replace(self, version=older.version) == older

    @property
    def reserved(self) -> Decimal:
        """The most it may still fill."""
        if self.wanted is None:
            return self.leaves
        return max(self.leaves, self.wanted - self.filled)


class Holding:
    """A position with everything under way in its instrument, by direction +1 and -1.

    `opening` sums what may open, of which `resting` does not fill on arrival; `reducing` what
    can only close; `shorting` is the part marked as short sales. `cost` is the last average known.
    """

    def __init__(self, instrument: str) -> None:
        self.instrument = instrument
        self.quantity = ZERO
        self.seq = -1
        self.lots = NO_LOTS
        self.base = ""
        self.unit_weight = ZERO
        self.weight = ZERO
        self.opening = {1: ZERO, -1: ZERO}
        self.resting = {1: ZERO, -1: ZERO}
        self.reducing = {1: ZERO, -1: ZERO}
        self.in_flight = {1: 0, -1: 0}
        self.splits = 0
        self.picks = 0
        self.uncertain = 0
        self.shorting = ZERO
        self.cost: Decimal | None = None
        self.credit: CreditLine | None = None
        self.flight_sizes: Counter[Decimal] = Counter()
        self.flight_guarded: Counter[Decimal] = Counter()
        self.guarded: Counter[str] = Counter()

    def worst(self) -> Decimal:
        """The largest position that any order of fills and exits can lead to.

        An order that only reduces cannot carry the position through zero, but by taking it to
        zero first it lets the others carry it further. One that rests may fill when the position
        it would have reversed is long gone; exits must stay free, so it is counted as if it were.
        """
        held = self.quantity
        high, low = held + self.opening[1], self.opening[-1] - held
        if held < 0:
            high += min(self.reducing[1], -held)
            return max(high, low, self.resting[1])
        low += min(self.reducing[-1], held)
        return max(high, low, self.resting[-1])

    def worst_with(
        self, sign: int, quantity: Decimal, *, is_immediate: bool, only_reduces: bool
    ) -> Decimal:
        """The same with that much more under way."""
        target = self.reducing if only_reduces else self.opening
        was, rested = target[sign], self.resting[sign]
        target[sign] = was + quantity
        if not only_reduces and not is_immediate:
            self.resting[sign] = rested + quantity
        worst = self.worst()
        target[sign], self.resting[sign] = was, rested
        return worst

    def would_open(self, sign: int, quantity: Decimal) -> bool:
        """True where that much more could add to the position, or turn it round."""
        return self.quantity * sign >= 0 or self.opening[sign] + quantity > abs(self.quantity)

    def headroom(self, sign: int, worst: Decimal, *, is_immediate: bool) -> Decimal:
        """How much more that opens in that direction keeps the position within `worst`."""
        held = self.quantity * sign
        reducing = min(self.reducing[sign], max(-held, ZERO))
        room = worst - held - self.opening[sign] - reducing
        return room if is_immediate else min(room, worst - self.resting[sign])

    def shift(self, order: OpenOrder, step: int) -> None:
        """Adds (1) or takes away (-1) an order."""
        reserved = order.reserved * step
        target = self.reducing if order.only_reduces else self.opening
        for sign in _BOTH if order.sign == 0 else (order.sign,):
            target[sign] += reserved
            if not order.only_reduces and not order.is_immediate:
                self.resting[sign] += reserved
        self.uncertain += step * order.is_uncertain
        if order.is_short:
            self.shorting += reserved
        self.splits += step * order.splits
        self.picks += step * order.picks
        if order.is_immediate:
            self._shift_flight(order, step)
        elif order.closes_lot is not None:
            _tally(self.guarded, order.closes_lot, step)
            self.lots = LotIndex(self.lots.lots, self.guarded)

    def _shift_flight(self, order: OpenOrder, step: int) -> None:
        self.in_flight[order.sign] += step
        if order.only_reduces:
            return
        _tally(self.flight_sizes, order.leaves, step)
        if order.has_bracket:
            _tally(self.flight_guarded, order.leaves, step)


class Bucket:
    """All that is held of one base currency: its margin there, and in the account's currency."""

    __slots__ = ("at_ns", "rate", "value", "weight")

    def __init__(self) -> None:
        self.weight = ZERO
        self.rate: Decimal | None = None
        self.at_ns = -1
        self.value = ZERO

    def value_of(self, weight: Decimal) -> Decimal:
        """What that margin is in the account's currency; zero where no rate is known."""
        if self.rate is None or not weight:
            return ZERO
        return ceil_amount(weight * self.rate)


class RecentOrders:
    """When each order of the last while was let through, by what it asked for."""

    def __init__(self) -> None:
        self._seen: OrderedDict[Fingerprint, tuple[int, str]] = OrderedDict()

    def find(self, key: Fingerprint) -> tuple[int, str] | None:
        """When an equal order last passed (ns UTC), and its id."""
        return self._seen.get(key)

    def note(self, key: Fingerprint, at_ns: int, order_id: str) -> None:
        """Remembers an order; the latest of equals is kept, and the oldest of all forgotten."""
        held = self._seen.pop(key, None)
        self._seen[key] = held if held is not None and held[0] > at_ns else (at_ns, order_id)
        if len(self._seen) > RECENT_ORDERS_MAX:
            self._seen.popitem(last=False)

    def forget(self, key: Fingerprint, order_id: str) -> None:
        """Forgets an order that was not sent."""
        held = self._seen.get(key)
        if held is not None and held[1] == order_id:
            del self._seen[key]


class AccountExposure:
    """What one account holds, has under way, and must have as margin for the worst of it."""

    def __init__(self, account: BrokerAccount, weigher: Weigher) -> None:
        self.account = account
        self.equity: Decimal | None = None
        self.balances_seq = -1
        self.holdings: dict[str, Holding] = {}
        self.buckets: dict[str, Bucket] = {}
        self.required = ZERO
        self.recent = RecentOrders()
        self.activity = Activity()
        self.losses = LossMeter(
            EquityHistory(account=account.account, currency=account.base_currency)
        )
        self.is_weighed = True
        self.balances: AccountBalances | None = None
        self.trading: Trading | None = None
        self._weigher = weigher
        self._oldest_ns = -1

    def holding(self, instrument: str) -> Holding:
        """The holding of an instrument, empty where there is none yet."""
        holding = self.holdings.get(instrument)
        if holding is None:
            holding = self.holdings[instrument] = Holding(instrument)
            holding.base, holding.unit_weight = self._weigher(instrument)
            self._bucket(holding.base)
        return holding

    def set_position(self, holding: Holding, position: Position, seq: int) -> None:
        """Replaces what is held."""
        holding.seq = seq
        holding.quantity = position.quantity
        if position.average_cost is not None:
            holding.cost = position.average_cost
        holding.lots = LotIndex(position.lots, holding.guarded) if position.lots else NO_LOTS
        self._weigh(holding)

    def shift(self, order: OpenOrder, step: int) -> None:
        """Adds (1) or takes away (-1) an order's reservation."""
        holding = self.holding(order.instrument)
        holding.shift(order, step)
        self._weigh(holding)

    def weigh_all(self, weigher: Weigher) -> None:
        """Applies new margin rates to everything held."""
        self._weigher = weigher
        self.buckets = {}
        self.required = ZERO
        self._oldest_ns = -1
        for holding in self.holdings.values():
            holding.weight = ZERO
            holding.base, holding.unit_weight = weigher(holding.instrument)
            self._weigh(holding)

    def value(self, base: str, rates: RateBook) -> None:
        """Values one base currency's holdings at the newest rate known."""
        bucket = self.buckets.get(base)
        found = rates.convert(base, self.account.base_currency)
        if bucket is None or found is None:
            return
        if found.at_ns == bucket.at_ns and found.rate == bucket.rate:
            return
        bucket.rate, bucket.at_ns = found.rate, found.at_ns
        self._revalue(bucket)

    def find_unpriced(self, since_ns: int, rates: RateBook) -> tuple[str, ...]:
        """Base currencies held whose rate is missing or older; values all anew where any is."""
        if self._oldest_ns >= since_ns:
            return ()
        for base in self.buckets:
            self.value(base, rates)
        held = {base: bucket.at_ns for base, bucket in self.buckets.items() if bucket.weight}
        self._oldest_ns = min(held.values(), default=since_ns)
        return tuple(base for base, at_ns in held.items() if at_ns < since_ns)

    def required_at(self, holding: Holding, worst: Decimal) -> Decimal:
        """The margin if the worst of one holding were this."""
        bucket = self.buckets[holding.base]
        weight = bucket.weight - holding.weight + ceil_amount(worst * holding.unit_weight)
        return self.required - bucket.value + bucket.value_of(weight)

    def _bucket(self, base: str) -> Bucket:
        bucket = self.buckets.get(base)
        if bucket is None:
            bucket = self.buckets[base] = Bucket()
        return bucket

    def _weigh(self, holding: Holding) -> None:
        if self.trading is not None:
            self.trading.margin.weigh(holding)
        if not holding.unit_weight and not holding.weight:
            return
        bucket = self._bucket(holding.base)
        weight = ceil_amount(holding.worst() * holding.unit_weight)
        bucket.weight += weight - holding.weight
        holding.weight = weight
        self._oldest_ns = min(self._oldest_ns, bucket.at_ns)
        self._revalue(bucket)

    def _revalue(self, bucket: Bucket) -> None:
        value = bucket.value_of(bucket.weight)
        self.required += value - bucket.value
        bucket.value = value


def _tally(counter: Counter[Decimal] | Counter[str], key: Decimal | str, step: int) -> None:
    counts: Counter[Decimal | str] = counter  # type: ignore[assignment]
    counts[key] += step
    if not counts[key]:
        del counts[key]
