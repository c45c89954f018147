"""Maintenance of everything an account holds and has under way in stocks, as running sums.

Each holding counts by the worst its open orders can lead to, long or short, at the newest mid.
`required` is for that worst, `held_required` for what is held now, which is what a deficit is
measured by. All sums change by exact amounts, so they equal a recomputation.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from msgspec import Struct

from compliance.holding import Holding
from compliance.magnitude import STEP, ceil_amount, whole_lots
from compliance.rates import Conversion, RateBook
from domain.portfolio import ZERO

NEVER_NS = 2**63 - 1
_ONE = Decimal(1)


class MarginTerms(Struct, frozen=True, gc=False):
    """Maintenance as a fraction of value, long and short, and at least so much a share short.

    `weight` is how much of day-trading buying power a dollar takes: 1 where 25 % is asked.
    """

    long: Decimal
    short: Decimal
    short_share: Decimal
    multiplier: Decimal
    weight: Decimal = _ONE


class Row:
    """One holding: what it can come to, its price, and what it adds to each sum."""

    __slots__ = ("at_ns", "buys", "held", "held_required", "high", "long", "low", "opening",
                 "price", "required", "short", "terms", "unmarked", "unmarked_cost",
                 "worth")  # fmt: skip

    def __init__(self, terms: MarginTerms) -> None:
        self.terms = terms
        self.price: Decimal | None = None
        self.at_ns = -1
        self.held = self.high = self.low = ZERO
        self.required = self.held_required = self.opening = self.buys = ZERO
        self.unmarked = self.unmarked_cost = ZERO
        self.worth = self.long = self.short = ZERO

    def set_price(self, price: Decimal) -> None:
        """A unit's worth, and its maintenance long and short, at a price."""
        terms = self.terms
        self.price = price
        self.worth = price * terms.multiplier
        self.long = self.worth * terms.long
        self.short = max(price * terms.short, terms.short_share) * terms.multiplier

    def requirement(self, high: Decimal, low: Decimal) -> Decimal:
        """What that long side, or that short side, must have as maintenance."""
        if high > 0:
            long = high * self.long
            return ceil_amount(max(long, low * self.short) if low > 0 else long)
        return ceil_amount(low * self.short) if low > 0 else ZERO


class StockMargin:
    """The sums over one account's holdings.

    `gain` is what prices and fills changed equity by since the broker last told it, `spent` what
    fills took out of cash. `opening` is the value of orders that open, as day-trading buying
    power counts it, `buys` what all open purchases may cost.
    """

    def __init__(self, terms_of: Callable[[str], MarginTerms]) -> None:
        self.required = ZERO
        self.held_required = ZERO
        self.opening = ZERO
        self.buys = ZERO
        self.gain = ZERO
        self.spent = ZERO
        self.opening_symbols: set[str] = set()
        self._terms_of = terms_of
        self._rows: dict[str, Row] = {}
        self._oldest_ns = -1

    def row(self, symbol: str) -> Row:
        """The row of an instrument."""
        row = self._rows.get(symbol)
        if row is None:
            row = self._rows[symbol] = Row(self._terms_of(symbol))
        return row

    def weigh(self, holding: Holding) -> None:
        """Takes over what is held and under way in an instrument."""
        row = self.row(holding.instrument)
        row.held = holding.quantity
        row.high = holding.quantity + holding.opening[1]
        row.low = holding.opening[-1] - holding.quantity
        opens = max(row.high, row.low) > abs(row.held)
        (self.opening_symbols.add if opens else self.opening_symbols.discard)(holding.instrument)
        if row.at_ns < self._oldest_ns:
            self._oldest_ns = row.at_ns
        self._sum(row)

    def fill(self, symbol: str, signed: Decimal, price: Decimal, fees: Decimal) -> None:
        """A fill the broker's last balances do not know of."""
        row = self.row(symbol)
        multiplier = row.terms.multiplier
        self.spent += signed * price * multiplier + fees
        self.gain -= fees
        if row.price is None:
            # What it gained or lost shows with the first price.
            row.unmarked += signed
            row.unmarked_cost += signed * price
        else:
            self.gain += signed * (row.price - price) * multiplier

    def settle(self) -> None:
        """The broker told balances: changes count from here."""
        self.gain = self.spent = ZERO
        for row in self._rows.values():
            row.unmarked = row.unmarked_cost = ZERO

    def take_over(self, before: StockMargin) -> None:
        """A new day begins with what prices and fills did before it."""
        self.gain = before.gain
        for symbol, old in before._rows.items():
            row = self.row(symbol)
            row.unmarked, row.unmarked_cost = old.unmarked, old.unmarked_cost

    def price(self, symbol: str, middle: Conversion) -> bool:
        """Values a holding at a new price; True where that changed anything."""
        row = self._rows.get(symbol) or self.row(symbol)
        if middle.at_ns <= row.at_ns:
            return False
        row.at_ns, mid = middle.at_ns, middle.rate
        if mid == row.price:
            return False
        if row.price is not None:
            self.gain += row.held * (mid - row.price) * row.terms.multiplier
        elif row.unmarked or row.unmarked_cost:
            self.gain += (row.unmarked * mid - row.unmarked_cost) * row.terms.multiplier
            row.unmarked = row.unmarked_cost = ZERO
        row.set_price(mid)
        if row.high or row.low:
            self._sum(row)
        return True

    def reprice(self, rates: RateBook) -> None:
        """Values every holding at its newest price."""
        for symbol in self._rows:
            middle = rates.middle(symbol)
            if middle is not None:
                self.price(symbol, middle)

    def find_unpriced(self, since_ns: int, rates: RateBook) -> tuple[str, ...]:
        """Holdings whose price is missing or older; looks at all only where one may be."""
        if self._oldest_ns >= since_ns:
            return ()
        self.reprice(rates)
        used = {
            symbol: row.at_ns
            for symbol, row in self._rows.items()
            if row.held or row.high > 0 or row.low > 0
        }
        self._oldest_ns = min(used.values(), default=NEVER_NS)
        return tuple(symbol for symbol, at_ns in used.items() if at_ns < since_ns)

    def added(self, symbol: str, sign: int, quantity: Decimal, price: Decimal) -> Decimal:
        """How much more must be had as maintenance if that much more were under way."""
        row = self.row(symbol)
        high = row.high + quantity if sign > 0 else row.high
        low = row.low + quantity if sign < 0 else row.low
        more = row.requirement(high, low) - row.required
        if row.price is not None and price > row.price:
            more = more * price / row.price
        return ceil_amount(max(more, ZERO))

    def added_at_most(self, symbol: str, sign: int, quantity: Decimal, price: Decimal) -> Decimal:
        """No less than `added`, and sooner found: what the order would need alone."""
        row = self.row(symbol)
        most = quantity * (row.long if sign > 0 else row.short) + STEP
        if row.price is not None and price > row.price:
            most = most * price / row.price
        return most + STEP

    def fits(self, symbol: str, sign: int, room: Decimal, price: Decimal, lot: Decimal) -> Decimal:
        """The largest quantity in whole lots whose requirement stays within the room."""
        row = self.row(symbol)
        if row.price is None or room <= 0:
            return ZERO
        allowed = row.required + room * row.price / max(price, row.price)
        share, side = (row.long, row.high) if sign > 0 else (row.short, row.low)
        found = whole_lots(max(allowed / share - side, ZERO), lot)
        return max(found - lot, ZERO) if self.added(symbol, sign, found, price) > room else found

    def _sum(self, row: Row) -> None:
        held, worth = row.held, row.worth
        required = row.requirement(row.high, row.low)
        is_still = row.high == held and row.low == -held
        held_required = required if is_still else row.requirement(held, -held)
        opens = ZERO if is_still else max(max(row.high, row.low) - abs(held), ZERO)
        opening = ceil_amount(opens * worth * row.terms.weight) if opens else ZERO
        bought = ZERO if is_still else row.high - held
        buys = ceil_amount(bought * worth) if bought else ZERO
        self.required += required - row.required
        self.held_required += held_required - row.held_required
        self.opening += opening - row.opening
        self.buys += buys - row.buys
        row.required, row.held_required = required, held_required
        row.opening, row.buys = opening, buys
