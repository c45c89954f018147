"""What is known of listed securities: a fold of the facts told, never of a guess.

A fact that is not told stays as it was. A price of `at_ns` older than the last changes nothing.
Short sales are restricted from the day a regular-hours sale is 10 % or more below the last close
(SEC Rule 201) to the end of the next session. Where no reference price of the LULD plan is told,
it is the mean of the sales of the last five minutes.
"""

from __future__ import annotations

from collections import deque
from datetime import date
from decimal import Decimal

from msgspec.structs import replace

from compliance.limits import Security
from domain.dates import NEW_YORK, local_date

SECURITIES_MAX = 20_000
"""Symbols remembered; what is told of one more is not taken."""

SALES_MAX = 3_000
"""Sales kept for the mean; beyond it the oldest go early."""

MEAN_NS = 300_000_000_000
_TRIGGER = Decimal("0.9")
_TIMED = ("last_sale", "reference", "band_low", "band_high", "band_ns", "at_ns", "is_paused")


def is_price_fall(last_sale: Decimal, prior_close: Decimal) -> bool:
    """True at 10 % or more below the close, exactly."""
    return last_sale <= prior_close * _TRIGGER


class MarketState:
    """One security: what was told, and what follows from it."""

    __slots__ = ("_sales", "_sum", "facts")

    def __init__(self, facts: Security) -> None:
        self.facts = Security(symbol=facts.symbol)
        self._sales: deque[tuple[int, Decimal]] = deque()
        self._sum = Decimal(0)
        self.tell(facts)

    def tell(self, news: Security) -> None:
        """Takes what is new."""
        held = self.facts
        is_late = news.at_ns is not None and held.at_ns is not None and news.at_ns < held.at_ns
        fields = (name for name in Security.__struct_fields__ if name != "symbol")
        told = {name: value for name in fields if (value := getattr(news, name)) is not None}
        if is_late:
            told = {name: value for name, value in told.items() if name not in _TIMED}
        self.facts = replace(held, **told)
        if not is_late and news.last_sale is not None and news.at_ns is not None:
            self._note_sale(news.at_ns, news.last_sale)

    def mean(self, now_ns: int) -> Decimal | None:
        """The reference price: as told, or the mean of the last five minutes' sales."""
        if self.facts.reference is not None:
            return self.facts.reference
        while self._sales and self._sales[0][0] <= now_ns - MEAN_NS:
            self._sum -= self._sales.popleft()[1]
        return self._sum / len(self._sales) if self._sales else None

    def is_restricted(self, today: date, previous_session: date) -> bool:
        """True where Rule 201 restricts short sales on a date."""
        since = self.facts.restricted_from
        return since is not None and since in (today, previous_session)

    def _note_sale(self, at_ns: int, price: Decimal) -> None:
        self._sales.append((at_ns, price))
        self._sum += price
        if len(self._sales) > SALES_MAX:
            self._sum -= self._sales.popleft()[1]
        close = self.facts.prior_close
        if close is not None and is_price_fall(price, close):
            today = local_date(at_ns, NEW_YORK)
            self.facts = replace(self.facts, restricted_from=today)


class MarketBook:
    """Every security told of."""

    def __init__(self, rows: tuple[Security, ...] = ()) -> None:
        self._states: dict[str, MarketState] = {}
        for row in rows:
            self.tell(row)

    def tell(self, news: Security) -> None:
        """Takes what is new of one security."""
        state = self._states.get(news.symbol)
        if state is not None:
            state.tell(news)
        elif len(self._states) < SECURITIES_MAX:
            self._states[news.symbol] = MarketState(news)

    def find(self, symbol: str) -> MarketState | None:
        """What is known of it."""
        return self._states.get(symbol)
