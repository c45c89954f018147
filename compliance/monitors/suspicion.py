"""Patterns that look like spoofing, layering, marking the close or wash trades. House heuristics.

The legal element of spoofing is the intent, when the order was placed, to cancel it: an order
whose reason for the cancel was given, and allowed by the house, counts as none of these.
Everything is counted by owner and instrument within a window, and said once per completing fact.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from itertools import takewhile

from msgspec import Struct

from compliance.magnitude import plain
from compliance.monitors.alert import Alert, AlertKind
from domain.portfolio import ZERO

ORDERS_MAX = 5_000
"""Orders remembered per owner and instrument; the oldest are forgotten."""

_NS_PER_MS = 1_000_000
_HUNDRED = Decimal(100)
_SPOOFING = "CEA 4c(a)(5); CME Rule 575; Regulation (EU) 2016/522 Annex II; house thresholds"
_WASH = "CEA 4c(a)(2)(A); CME Rule 534; FINRA Rule 5210; house thresholds"
_CLOSE = "Regulation (EU) 596/2014 Art. 12(2)(b); FINRA Rule 5210; house thresholds"


class SuspicionSettings(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """`[compliance.suspicion]`. Shares are parts of one, ends included but for `close_share`.

    Spoofing: within `window_ms` of a fill at least `cancels_min` orders of the other side, and
    `cancel_share` of all of them, were taken back, each within `cancel_life_ms` of its placing.
    Layering: orders of the other side at `layers` prices were taken back within `layer_life_ms`
    of a fill, and as soon. For both they must add up to `size_times` the fill. Wash trades: at
    least `wash_trades` within `wash_window_ms` that left the position as it was, in the same sizes
    there and back, and the money but for `wash_net_percent`: whoever crosses a spread pays more.
    Marking the close: more than `close_share` of the day's volume within `close_window_ms` of it.
    """

    cancel_share: Decimal = Decimal("0.9")
    cancels_min: int = 5
    cancel_life_ms: int = 5_000
    size_times: Decimal = Decimal(10)
    window_ms: int = 60_000
    layers: int = 3
    layer_life_ms: int = 5_000
    close_window_ms: int = 3_600_000
    close_share: Decimal = Decimal("0.1")
    wash_window_ms: int = 60_000
    wash_trades: int = 10
    wash_net_percent: Decimal = Decimal("0.0005")
    wash_same_sizes: bool = True
    allowed_reasons: frozenset[str] = frozenset()


class Placed(Struct, frozen=True, kw_only=True):
    """An order went to the market."""

    order_id: str
    owner: str
    instrument: str
    sign: int
    quantity: Decimal
    price: Decimal | None
    at_ns: int


class Canceled(Struct, frozen=True, kw_only=True):
    """It was taken back; `reason` is the code given for it."""

    order_id: str
    at_ns: int
    reason: str | None = None


class Filled(Struct, frozen=True, kw_only=True):
    """It traded."""

    order_id: str
    quantity: Decimal
    price: Decimal
    at_ns: int


class Session(Struct, frozen=True, kw_only=True):
    """An instrument's day: when it closes, and the whole market's volume so far."""

    instrument: str
    closes_ns: int
    volume: Decimal


class _Seen(Struct):
    placed: Placed
    canceled_ns: int | None = None
    filled: Decimal = ZERO


class _Fill(Struct, frozen=True):
    seen: _Seen
    fill: Filled


class _Window:
    """The last fills, and what they add up to: asked with each fill, so nothing is walked."""

    def __init__(self) -> None:
        self.fills: deque[_Fill] = deque()
        self.net = self.gross = self.change = ZERO
        self.uneven: dict[Decimal, int] = {}
        """By size: how many more were bought than sold, where that is not none."""

    def add(self, found: _Fill, since_ns: int) -> None:
        """Takes a fill in, and drops those before a time."""
        self.fills.append(found)
        self._count(found, 1)
        while len(self.fills) > ORDERS_MAX or self.fills[0].fill.at_ns < since_ns:
            self._count(self.fills.popleft(), -1)

    def _count(self, found: _Fill, times: int) -> None:
        size, sign = found.fill.quantity, found.seen.placed.sign * times
        value = size * found.fill.price
        self.net += size * sign
        self.gross += value * times
        self.change += value * sign
        more = self.uneven.pop(size, 0) + sign
        if more:
            self.uneven[size] = more


class _Late:
    """What was filled of orders placed shortly before one close."""

    def __init__(self, closes_ns: int) -> None:
        self.closes_ns = closes_ns
        self.orders: dict[str, _Seen] = {}
        self.filled = ZERO

    def add(self, seen: _Seen, filled: Decimal) -> None:
        """More of an order was filled."""
        self.orders[seen.placed.order_id] = seen
        self.filled += filled


class _Book:
    """One owner's trading in one instrument; what is asked with each fill is kept by side.

    `canceled` are those that were taken back as soon as no wish to trade would be.
    """

    def __init__(self) -> None:
        self.orders: deque[_Seen] = deque()
        self.sides: dict[int, deque[_Seen]] = {1: deque(), -1: deque()}
        self.canceled: dict[int, deque[_Seen]] = {1: deque(), -1: deque()}
        self.fills: deque[_Fill] = deque(maxlen=ORDERS_MAX)
        self.window = _Window()
        self.late = _Late(0)


class Suspicion:
    """One fold over orders, cancels and fills of all owners."""

    def __init__(self, settings: SuspicionSettings) -> None:
        self._settings = settings
        self._orders: dict[str, _Seen] = {}
        self._books: dict[tuple[str, str], _Book] = {}
        self._sessions: dict[str, Session] = {}

    def session(self, session: Session) -> None:
        """The newest word on an instrument's day."""
        self._sessions[session.instrument] = session

    def place(self, placed: Placed) -> None:
        """Remembers an order; one seen before changes nothing."""
        if placed.order_id in self._orders:
            return
        seen = self._orders[placed.order_id] = _Seen(placed)
        book = self._books.setdefault((placed.owner, placed.instrument), _Book())
        book.orders.append(seen)
        book.sides[placed.sign].append(seen)
        oldest_ns = placed.at_ns - self._kept_ns
        while len(book.orders) > ORDERS_MAX or book.orders[0].placed.at_ns < oldest_ns:
            gone = book.orders.popleft()
            del self._orders[gone.placed.order_id]
            side = book.sides[gone.placed.sign]
            if side and side[0] is gone:
                side.popleft()

    def cancel(self, canceled: Canceled) -> tuple[Alert, ...]:
        """A cancel after the other side filled completes a pattern."""
        seen = self._orders.get(canceled.order_id)
        if seen is None or seen.canceled_ns is not None:
            return ()
        seen.canceled_ns = canceled.at_ns
        life_ns = self._settings.cancel_life_ms * _NS_PER_MS
        if canceled.reason in self._settings.allowed_reasons:
            return ()
        if canceled.at_ns - seen.placed.at_ns > life_ns:
            return ()
        book = self._books[seen.placed.owner, seen.placed.instrument]
        book.canceled[seen.placed.sign].append(seen)
        if len(book.canceled[seen.placed.sign]) > ORDERS_MAX:
            book.canceled[seen.placed.sign].popleft()
        since_ns = canceled.at_ns - self._settings.window_ms * _NS_PER_MS
        for found in reversed(book.fills):
            if found.fill.at_ns < since_ns:
                break
            if found.seen.placed.sign == -seen.placed.sign:
                return self._judge(book, found, canceled.at_ns)
        return ()

    def fill(self, filled: Filled) -> tuple[Alert, ...]:
        """A fill after the other side was canceled completes one, too; and the rest."""
        seen = self._orders.get(filled.order_id)
        if seen is None:
            return ()
        seen.filled += filled.quantity
        found = _Fill(seen, filled)
        book = self._books[seen.placed.owner, seen.placed.instrument]
        book.fills.append(found)
        return (
            *self._judge(book, found, filled.at_ns),
            *self._find_wash(book.window, found),
            *self._find_close(book, found),
        )

    @property
    def _kept_ns(self) -> int:
        return max(self._settings.window_ms, self._settings.close_window_ms) * _NS_PER_MS

    def _judge(self, book: _Book, found: _Fill, at_ns: int) -> tuple[Alert, ...]:
        """Orders of the other side that were taken back around a fill."""
        other = -found.seen.placed.sign
        since_ns = at_ns - self._settings.window_ms * _NS_PER_MS
        canceled, side = book.canceled[other], book.sides[other]
        while canceled and canceled[0].placed.at_ns < since_ns:
            canceled.popleft()
        while side and side[0].placed.at_ns < since_ns:
            side.popleft()
        if not canceled:
            return ()
        return (
            *self._find_spoof(found, at_ns, canceled, len(side)),
            *self._find_layers(found, at_ns, canceled),
        )

    def _find_spoof(
        self, found: _Fill, at_ns: int, soon: deque[_Seen], orders: int
    ) -> tuple[Alert, ...]:
        is_share = Decimal(len(soon)) >= self._settings.cancel_share * orders
        if len(soon) < self._settings.cancels_min or not is_share or self._is_small(soon, found):
            return ()
        numbers = {"canceled": str(len(soon)), "orders": str(orders)}
        message = f"{len(soon)} of {orders} orders of the other side were canceled"
        return (_alert(AlertKind.SPOOF, found, at_ns, (message, numbers), soon),)

    def _find_layers(self, found: _Fill, at_ns: int, soon: deque[_Seen]) -> tuple[Alert, ...]:
        life_ns = self._settings.layer_life_ms * _NS_PER_MS
        filled_ns = found.fill.at_ns
        last = takewhile(lambda s: (s.canceled_ns or 0) >= filled_ns - life_ns, reversed(soon))
        near = [s for s in last if (s.canceled_ns or 0) <= filled_ns + life_ns][::-1]
        levels = {seen.placed.price for seen in near}
        if len(levels) < self._settings.layers or self._is_small(near, found):
            return ()
        message = f"{len(levels)} layers of the other side were canceled around a fill"
        numbers = {"layers": str(len(levels))}
        return (_alert(AlertKind.LAYERING, found, at_ns, (message, numbers), near),)

    def _is_small(self, canceled: Iterable[_Seen], found: _Fill) -> bool:
        """True where what was taken back is no show of size beside what was wanted."""
        shown = sum((seen.placed.quantity for seen in canceled), ZERO)
        return shown < self._settings.size_times * found.fill.quantity

    def _find_wash(self, window: _Window, found: _Fill) -> tuple[Alert, ...]:
        window.add(found, found.fill.at_ns - self._settings.wash_window_ms * _NS_PER_MS)
        if len(window.fills) < self._settings.wash_trades or window.net:
            return ()
        if self._settings.wash_same_sizes and window.uneven:
            return ()
        gross, change = window.gross, window.change
        if abs(change) * _HUNDRED > gross * self._settings.wash_net_percent:
            return ()
        trades = len(window.fills)
        numbers = {"trades": str(trades), "net_value": plain(change), "value": plain(gross)}
        message = f"{trades} trades left the position and the money as they were"
        orders = [f.seen for f in window.fills]
        return (_alert(AlertKind.WASH_TRADE, found, found.fill.at_ns, (message, numbers), orders),)

    def _find_close(self, book: _Book, found: _Fill) -> tuple[Alert, ...]:
        mine, at_ns = found.seen.placed, found.fill.at_ns
        session = self._sessions.get(mine.instrument)
        if session is None or not session.volume:
            return ()
        since_ns = session.closes_ns - self._settings.close_window_ms * _NS_PER_MS
        if not since_ns <= mine.at_ns <= session.closes_ns:
            return ()
        late = book.late
        if late.closes_ns == session.closes_ns:
            late.add(found.seen, found.fill.quantity)
        else:
            late = book.late = _Late(session.closes_ns)
            for seen in book.orders:
                if since_ns <= seen.placed.at_ns <= session.closes_ns and seen.filled:
                    late.add(seen, seen.filled)
        if late.filled <= session.volume * self._settings.close_share:
            return ()
        numbers = {"filled": plain(late.filled), "day_volume": plain(session.volume)}
        message = (
            f"filled {plain(late.filled)} of the day's {plain(session.volume)} before the close"
        )
        orders = list(late.orders.values())
        return (_alert(AlertKind.MARKING_THE_CLOSE, found, at_ns, (message, numbers), orders),)


def _alert(
    kind: AlertKind,
    found: _Fill,
    at_ns: int,
    words: tuple[str, dict[str, str]],
    others: Iterable[_Seen],
) -> Alert:
    mine = found.seen.placed
    message, numbers = words
    ids = dict.fromkeys([mine.order_id, *(seen.placed.order_id for seen in others)])
    return Alert(
        kind=kind,
        subject=mine.owner,
        instrument=mine.instrument,
        at_ns=at_ns,
        citation=_CITATIONS.get(kind, _SPOOFING),
        message=message,
        numbers=numbers,
        orders=tuple(ids),
    )


_CITATIONS = {AlertKind.WASH_TRADE: _WASH, AlertKind.MARKING_THE_CLOSE: _CLOSE}
