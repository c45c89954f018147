"""Day trades under the former FINRA Rule 4210(f)(8)(B), counted in both ways members may count.

A day trade is a purchase and sale, or a short sale and cover, of the same security on the same
business day, unless what was held overnight is sold before any new purchase. By direction
(Interpretation /02) each change from opening to closing counts one; by opening (/01) each
opening order that was closed the same day, wholly or in part. An execution that takes the
position through zero closes with one part and opens with the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from compliance.calendar import BusinessCalendar
from domain.history import Execution
from domain.portfolio import ZERO


class CountMethod(Enum):
    """How a broker counts; STRICTEST where it is not known: the largest of them."""

    DIRECTION = "direction"
    OPENING = "opening"
    CLOSING = "closing"
    STRICTEST = "strictest"


class DayCount(Struct, frozen=True, kw_only=True, gc=False):
    """Day trades by each way of counting, and the orders executed."""

    direction: int = 0
    opening: int = 0
    closing: int = 0
    orders: int = 0

    def by(self, method: CountMethod) -> int:
        """The day trades as a broker counts them; closings are one outlier's way."""
        if method is CountMethod.DIRECTION:
            return self.direction
        if method is CountMethod.OPENING:
            return self.opening
        if method is CountMethod.CLOSING:
            return self.closing
        return max(self.direction, self.opening)

    def plus(self, other: DayCount) -> DayCount:
        """Both together."""
        return DayCount(
            direction=self.direction + other.direction,
            opening=self.opening + other.opening,
            closing=self.closing + other.closing,
            orders=self.orders + other.orders,
        )

    def minus(self, before: DayCount, is_new_order: bool) -> DayCount:
        """Less what was counted before the last execution, and its order where it is new."""
        return DayCount(
            direction=self.direction - before.direction,
            opening=self.opening - before.opening,
            closing=self.closing - before.closing,
            orders=self.orders + is_new_order,
        )


NO_DAY_TRADES = DayCount()


class SymbolDay:
    """One security on one business day, execution by execution in their order.

    `untouched` are the opening orders that a sale today would make day trades of, `cost` is what
    was paid for what is still open of today's.
    """

    def __init__(self, overnight: Decimal) -> None:
        self.position = overnight
        self.direction = 0
        self.cost = ZERO
        self.closed: set[str] = set()
        self.closings: set[str] = set()
        self.untouched: set[str] = set()
        self._opened: deque[tuple[str, Decimal, Decimal]] = deque()
        self._is_open_run = False

    @property
    def is_open(self) -> bool:
        """True where some of what was opened today is still open."""
        return bool(self._opened)

    def count(self) -> DayCount:
        """The day trades so far."""
        return DayCount(
            direction=self.direction, opening=len(self.closed), closing=len(self.closings)
        )

    def take(self, execution: Execution) -> None:
        """Counts the next execution."""
        held = self.position * execution.sign
        closing = min(max(-held, ZERO), execution.quantity)
        self.position += execution.sign * execution.quantity
        if closing:
            self._close(execution.order_id, closing)
        if closing < execution.quantity:
            self._open(execution, execution.quantity - closing)

    def _open(self, execution: Execution, quantity: Decimal) -> None:
        self._opened.append((execution.order_id, quantity, execution.price))
        self.cost += quantity * execution.price
        self._is_open_run = True
        if execution.order_id not in self.closed:
            self.untouched.add(execution.order_id)

    def _close(self, order_id: str, quantity: Decimal) -> None:
        if not self._opened:
            return  # held overnight, and nothing new was opened before
        self.closings.add(order_id)
        if self._is_open_run:
            self.direction += 1
            self._is_open_run = False
        while self._opened and quantity:
            opened_by, opened, price = self._opened.popleft()
            self.closed.add(opened_by)
            self.untouched.discard(opened_by)
            used = min(opened, quantity)
            self.cost -= used * price
            quantity -= used
            if opened > used:
                self._opened.appendleft((opened_by, opened - used, price))


class DayTrades:
    """An account's day trades by business day, a fold of its executions in their order.

    `positions` are those before the first execution; `counts` tells which instruments count
    (crypto and forex do not).
    """

    def __init__(
        self,
        calendar: BusinessCalendar,
        positions: dict[str, Decimal],
        counts: Callable[[str], bool],
    ) -> None:
        self.today: date | None = None
        self.open_symbols: set[str] = set()
        self.open_cost = ZERO
        self.untouched = 0
        self._calendar = calendar
        self._counts = counts
        self._positions = dict(positions)
        self._days: dict[date, DayCount] = {}
        self._symbols: dict[str, SymbolDay] = {}
        self._orders: set[str] = set()
        self._before: tuple[date, int, DayCount] | None = None

    def advance(self, execution: Execution) -> None:
        """Takes the next execution."""
        symbol = execution.instrument
        if not self._counts(symbol):
            return
        today = self._calendar.trade_date(execution.at_ns)
        self.turn(today)
        day = self._symbols.get(symbol)
        if day is None:
            day = self._symbols[symbol] = SymbolDay(self._positions.get(symbol, ZERO))
        before, untouched, cost = day.count(), len(day.untouched), day.cost
        day.take(execution)
        self.untouched += len(day.untouched) - untouched
        self.open_cost += day.cost - cost
        self._positions[symbol] = day.position
        (self.open_symbols.add if day.is_open else self.open_symbols.discard)(symbol)
        is_new = execution.order_id not in self._orders
        self._orders.add(execution.order_id)
        self._days[today] = self.on(today).plus(day.count()).minus(before, is_new)

    def turn(self, day: date) -> None:
        """A new business day begins: what is held was held overnight."""
        if self.today is not None and day <= self.today:
            return
        self.today = day
        self._days.setdefault(day, NO_DAY_TRADES)
        self._symbols.clear()
        self._orders.clear()
        self.open_symbols.clear()
        self.untouched, self.open_cost = 0, ZERO

    def on(self, day: date) -> DayCount:
        """What was counted on one business day."""
        return self._days.get(day, NO_DAY_TRADES)

    def in_window(self, as_of: date, days: int) -> DayCount:
        """What was counted on a business day and those before it, so many in all."""
        if self._before is None or self._before[:2] != (as_of, days) or as_of != self.today:
            total = NO_DAY_TRADES
            for day in self._calendar.window(as_of, days):
                if day != as_of:
                    total = total.plus(self.on(day))
            self._before = as_of, days, total
        return self._before[2].plus(self.on(as_of))


def count_day_trades(overnight: dict[str, Decimal], executions: list[Execution]) -> DayCount:
    """The day trades among one business day's executions."""
    symbols: dict[str, SymbolDay] = {}
    for execution in executions:
        symbol = execution.instrument
        day = symbols.setdefault(symbol, SymbolDay(overnight.get(symbol, ZERO)))
        day.take(execution)
    total = NO_DAY_TRADES
    for day in symbols.values():
        total = total.plus(day.count())
    return replace(total, orders=len({execution.order_id for execution in executions}))
