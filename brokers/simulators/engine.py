"""The matching engine of lot books: quote-driven, exact, deterministic. No I/O; clocks injected."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from brokers.simulators import facts as f
from brokers.simulators.book import Account, Order, Quote
from brokers.simulators.bookkeeping import Clocks, Tell
from brokers.simulators.checks import Refusal, find_entry_refusal, find_order_guard_fault
from brokers.simulators.execution import Execution
from brokers.simulators.holdings import Holdings
from brokers.simulators.matching import is_triggered, next_trail
from brokers.simulators.money import Valuer
from brokers.simulators.terms import Terms
from brokers.simulators.venue import EngineSettings, Venue
from brokers.simulators.words import GUARDS, Cause, Kind, Life, Why

__all__ = ["Engine", "EngineSettings"]


class Engine(Venue):
    """One simulated broker whose accounts hold lots, on margin and in any currency."""

    def __init__(
        self,
        settings: EngineSettings,
        clocks: Clocks,
        tell: Tell = lambda _account, _act: None,
        tell_quote: Callable[[Quote], None] = lambda _quote: None,
    ) -> None:
        super().__init__(settings, clocks, tell, tell_quote)
        self.valuer = Valuer(self.listings, self.quotes, settings.pegs)
        self.holdings = Holdings(self)
        self._execution = Execution(self.listings, self.quotes, self.valuer, self.books)

    # -- orders

    def submit(self, account: Account, terms: Terms) -> list[f.AnyFact]:
        """Takes or refuses an order; a marketable one executes at once."""
        if terms.kind in GUARDS:
            return self.holdings.guard(account, terms)
        self.books.begin_act(account)
        self.enter_or_refuse(account, terms)
        return self.books.end_act(account)

    def enter_or_refuse(self, account: Account, terms: Terms) -> None:
        """Takes or refuses an order within the act under way."""
        refusal = self._find_refusal(account, terms)
        if refusal is not None:
            self.refuse(account, terms, refusal)
        else:
            self.enter(account, terms)

    def _find_refusal(self, account: Account, terms: Terms) -> Refusal | None:
        listing = self.listings.get(terms.instrument)
        refusal = find_entry_refusal(terms, listing, self.books.now_ns)
        if refusal is not None:
            return refusal
        if terms.kind is Kind.MARKET and terms.instrument not in self.quotes:
            return Refusal(Why.PRICE_UNKNOWN)
        if terms.client_id is not None and self.is_taken(account, terms.client_id):
            return Refusal(Why.CLIENT_ID_TAKEN)
        if len(account.working) >= self.settings.orders_max:
            return Refusal(Why.ORDERS_MAXIMUM)
        return None

    def enter(self, account: Account, terms: Terms, replaces: int | None = None) -> Order:
        """Books a checked order and executes it where it is marketable."""
        quote = self.quotes.get(terms.instrument)
        order = self.books.book(account, terms, quote, replaces=replaces)
        if terms.kind is Kind.MARKET:
            self._execute_if_open(account, order)
        elif quote is not None and self.is_open() and is_triggered(order, quote):
            self._execution.execute(account, order)
        elif terms.life in (Life.FOK, Life.IOC):
            self.books.cancel(account, order, Why.EXPIRED)
        return order

    def _execute_if_open(self, account: Account, order: Order) -> None:
        if self.is_open():
            self._execution.execute(account, order)
        else:
            self.books.cancel(account, order, Why.MARKET_CLOSED)

    def cancel(self, account: Account, order_id: int | str) -> list[f.AnyFact]:
        """Cancels a working order, or refuses to."""
        self.books.begin_act(account)
        order = self.find_order(account, order_id)
        if order is None or order.id not in account.working:
            self._refuse_end(account, order_id)
        else:
            self.books.cancel(account, order, Why.REQUESTED)
        return self.books.end_act(account)

    def _refuse_end(self, account: Account, order_id: int | str) -> None:
        is_number = isinstance(order_id, int)
        self.books.add(
            account,
            f.EndRefused(
                id=self.books.number(account),
                batch=account.batch,
                at_ns=self.books.now_ns,
                why=Why.ORDER_UNKNOWN,
                order=order_id if is_number else None,  # type: ignore[arg-type]
                client_id=None if is_number else order_id,  # type: ignore[arg-type]
            ),
        )

    def replace(self, account: Account, order_id: int | str, terms: Terms) -> list[f.AnyFact]:
        """Cancels a working order and enters another in its place, or refuses both."""
        books = self.books
        books.begin_act(account)
        old = self.find_order(account, order_id)
        if old is None or old.id not in account.working:
            self._refuse_end(account, order_id)
            return books.end_act(account)
        terms = _completed(terms, old)
        refusal = self._find_replace_refusal(account, old, terms)
        if refusal is not None:
            self.refuse(account, terms, refusal, replaces=old.id)
            return books.end_act(account)
        # The cancel comes first and names its successor: the next number, by construction.
        successor = account.next_id + 1
        books.cancel(account, old, Why.REPLACED, linked=(successor, None))
        order = self.enter(account, terms, replaces=old.id)
        assert order.id == successor
        return books.end_act(account)

    def _find_replace_refusal(self, account: Account, old: Order, terms: Terms) -> Refusal | None:
        if terms.kind is not old.terms.kind or terms.instrument != old.terms.instrument:
            return Refusal(Why.REPLACEMENT_INVALID)
        if terms.kind in GUARDS and terms.lot != old.terms.lot:
            return Refusal(Why.LOT_UNKNOWN)
        listing = self.listings[terms.instrument]
        if terms.kind in GUARDS:
            why = find_order_guard_fault(terms, listing, self.books.now_ns)
            return None if why is None else Refusal(why)
        refusal = find_entry_refusal(terms, listing, self.books.now_ns)
        if refusal is not None:
            return refusal
        name = terms.client_id
        if name is not None and name != old.client_id and self.is_taken(account, name):
            return Refusal(Why.CLIENT_ID_TAKEN)
        return None

    # -- the market

    def quote(self, quote: Quote) -> None:
        """Takes a new touch: triggers orders, moves trailing stops, watches margin."""
        if not self.take_quote(quote) or not self.is_open():
            return
        for account in self.accounts.values():
            self.expire(account)
            orders = account.by_instrument.get(quote.instrument)
            if orders:
                self._trigger(account, list(orders.values()), quote)
            if account.lots:
                self.holdings.close_out_if_due(account)

    def _trigger(self, account: Account, orders: list[Order], quote: Quote) -> None:
        for order in orders:
            if order.id not in account.working:
                continue
            if order.trail is not None:
                order.trail = next_trail(order, quote)
            if is_triggered(order, quote):
                self.books.begin_act(account)
                self._execution.execute(account, order)
                self.books.end_act(account)


def _completed(terms: Terms, old: Order) -> Terms:
    """A replacement keeps its name, and a guard's its lot, whether or not it says so."""
    if terms.label is None:
        terms = replace(terms, label=old.label)
    if terms.kind in GUARDS and old.terms.kind in GUARDS:
        lot = old.terms.lot if terms.lot is None else terms.lot
        terms = replace(terms, instrument=old.terms.instrument, units=old.terms.units, lot=lot)
    return replace(terms, cause=Cause.REPLACEMENT)
