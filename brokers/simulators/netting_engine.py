"""The matching engine of netting books: one position an instrument, cash, and groups of orders.

Quote-driven, exact, deterministic; no I/O, clocks injected. What may not be is refused by the
dialect before an order comes here: the engine ends only what can no longer be.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from brokers.simulators import facts as f
from brokers.simulators.book import Account, Order, Quote
from brokers.simulators.bookkeeping import Clocks, Tell
from brokers.simulators.market_hours import NS
from brokers.simulators.matching import follow, is_triggered, is_within
from brokers.simulators.netting_fills import AT_ONCE, NetFills
from brokers.simulators.netting_groups import Groups, has_exits
from brokers.simulators.netting_money import Purse
from brokers.simulators.terms import Terms
from brokers.simulators.venue import EngineSettings, Venue
from brokers.simulators.words import NET_LIVES, Kind, Life, Stage, Why

Note = Callable[[Account, Order, f.AnyFact], None]
AGED_NS = 90 * 86_400 * NS
"""An order good till canceled ends after so long."""
NAMES_MAX = 1_000_000
TRIGGERED = (Kind.STOP, Kind.STOP_LIMIT, Kind.TRAIL)
WATCHED = frozenset({Stage.ROUTED, Stage.ARMED, Stage.PENDING_CANCEL, Stage.PENDING_REPLACE})
ASLEEP = (Stage.QUEUED, Stage.DONE_FOR_DAY)


class NetEngine(Venue):
    """One simulated broker. `note` hears of each fact while its order stands as it left it."""

    def __init__(
        self,
        settings: EngineSettings,
        clocks: Clocks,
        tell: Tell = lambda _account, _act: None,
        tell_quote: Callable[[Quote], None] = lambda _quote: None,
    ) -> None:
        super().__init__(settings, clocks, tell, tell_quote)
        self.purse = Purse(self.listings, self.quotes)
        self.groups = Groups(self)
        self.halted: set[str] = set()
        self.note: Note = lambda _account, _order, _fact: None
        self._fills = NetFills(self.listings, self.books, self.purse)
        self._was_open: bool | None = None

    # -- hours

    def may_trade(self, terms: Terms) -> bool:
        """True where the order's market executes it now."""
        if terms.instrument in self.halted:
            return False
        if self.listings[terms.instrument].is_always_open:
            return True
        market_ns = self.clocks.market_ns()
        if self.hours.is_open(market_ns):
            return True
        return terms.is_extended and self.hours.is_extended(market_ns)

    def watch_session(self) -> None:
        """Opens and closes the day: call it often."""
        was_open, self._was_open = self._was_open, self.is_open()
        if self._was_open is was_open:
            return
        for account in self.accounts.values():
            if self._was_open:
                self._open_day(account)
            elif was_open:
                self._close_day(account)

    def _open_day(self, account: Account) -> None:
        for order in self._of_the_day(account):
            self.books.begin_act(account)
            if order.stage in ASLEEP:
                self.move(account, order, Stage.ROUTED)
            if order.terms.life is Life.OPENING:
                self._auction(account, order)
            else:
                self.consider(account, order)
            self.books.end_act(account)

    def _close_day(self, account: Account) -> None:
        self.expire(account)
        for order in self._of_the_day(account):
            self.books.begin_act(account)
            if order.terms.life is Life.CLOSING:
                self._auction(account, order)
            elif order.stage is Stage.ROUTED and not order.terms.is_extended:
                self.move(account, order, Stage.DONE_FOR_DAY)
            self.books.end_act(account)

    def _of_the_day(self, account: Account) -> list[Order]:
        listings = self.listings
        orders = list(account.working.values())
        return [x for x in orders if not listings[x.terms.instrument].is_always_open]

    def _auction(self, account: Account, order: Order) -> None:
        """One chance at the touch; what does not fill there is over."""
        if order.id not in account.working:
            return
        quote = self.quotes.get(order.terms.instrument)
        if quote is not None and order.terms.instrument not in self.halted:
            if order.stage in ASLEEP:
                self.move(account, order, Stage.ROUTED)
            if is_within(order, quote):
                self._fill(account, order, quote)
        if order.id in account.working:
            self.end(account, order, Why.AUCTION_OVER)

    # -- orders

    def submit(self, account: Account, terms: Terms, is_slow: bool = False) -> Order:
        """Books a checked order and what hangs on it; where the venue is slow, `send` sends it."""
        self.books.begin_act(account)
        order = self.book(account, terms, Stage.PENDING)
        self.groups.book_exits(account, order)
        if not is_slow:
            self._send(account, order)
        self.books.end_act(account)
        return order

    def send(self, account: Account, order: Order) -> None:
        """Sends an order that was only booked."""
        if order.id in account.working and order.stage is Stage.PENDING:
            self.books.begin_act(account)
            self._send(account, order)
            self.books.end_act(account)

    def book(
        self, account: Account, terms: Terms, stage: Stage, replaces: int | None = None
    ) -> Order:
        """Puts an order into the book at that stage, within the act under way."""
        terms = replace(terms, expire_ns=self._expiry_ns(terms))
        order = self.books.book(account, terms, None, replaces=replaces)
        order.stage, order.changed_ns = stage, self.books.now_ns
        if terms.kind is Kind.TRAIL and (quote := self.quotes.get(terms.instrument)) is not None:
            follow(order, quote)
        if order.client_id is not None and len(account.names) < NAMES_MAX:
            account.names.add(order.client_id)
        self.groups.join(account, order)
        self.note(account, order, account.facts[order.id])
        return order

    def _expiry_ns(self, terms: Terms) -> int | None:
        now_ns, market_ns = self.books.now_ns, self.clocks.market_ns()
        if terms.life is Life.GTC:
            return now_ns + AGED_NS
        if terms.life is Life.DAY:
            due_ns = now_ns + self.hours.day_end_ns(market_ns, terms.is_extended) - market_ns
            # The two clocks were read one after the other.
            return -(-due_ns // NS) * NS
        return None

    def _send(self, account: Account, order: Order) -> None:
        terms = order.terms
        if self.may_trade(terms) and (terms.life not in NET_LIVES or self._has_no_auctions()):
            self.move(account, order, Stage.ROUTED)
            self.consider(account, order)
        elif terms.life in AT_ONCE:
            self.end(account, order, Why.LIQUIDITY)
        else:
            self.move(account, order, Stage.QUEUED)

    def _has_no_auctions(self) -> bool:
        """A market that never closes has none: their orders are matched at once."""
        return self.settings.hours == "always"

    def consider(self, account: Account, order: Order) -> None:
        """Executes an order where the touch allows it, within the act under way."""
        quote = self.quotes.get(order.terms.instrument)
        if quote is None or not self._is_watched(account, order):
            return
        if order.terms.kind in TRIGGERED and not order.is_elected:
            if not self._is_reached(order, quote):
                return
            self.groups.elect(account, order)
        if is_within(order, quote):
            self._fill(account, order, quote)
        is_over = order.terms.life in AT_ONCE or order.terms.life in NET_LIVES
        if is_over and order.id in account.working:
            self.end(account, order, Why.LIQUIDITY)

    def _is_watched(self, account: Account, order: Order) -> bool:
        if order.id not in account.working or order.stage not in WATCHED:
            return False
        if order.terms.life in NET_LIVES and not self._has_no_auctions():
            return False
        return self.may_trade(order.terms)

    def _is_reached(self, order: Order, quote: Quote) -> bool:
        if order.terms.kind is Kind.TRAIL:
            follow(order, quote)
        return is_triggered(order, quote)

    def _fill(self, account: Account, order: Order, quote: Quote) -> None:
        outcome = self._fills.fill(account, order, quote)
        if isinstance(outcome, Why):
            self.end(account, order, outcome)
        elif outcome is not None:
            self.note(account, order, outcome)
            self.groups.after_fill(account, order)

    def move(self, account: Account, order: Order, stage: Stage) -> None:
        """Brings a working order to another stage and says so, within the act under way."""
        order.stage, order.changed_ns = stage, self.books.now_ns
        fact = f.Moved(
            id=self.books.number(account),
            batch=account.batch,
            at_ns=self.books.now_ns,
            order=order.id,
            stage=stage,
        )
        self.books.add(account, fact)
        self.note(account, order, fact)

    def end(self, account: Account, order: Order, why: Why) -> None:
        """Ends what is left of a working order, and what belongs to it."""
        self.end_alone(account, order, why)
        self.groups.after_end(account, order, why)

    def end_alone(
        self, account: Account, order: Order, why: Why, successor: int | None = None
    ) -> None:
        """Ends what is left of a working order."""
        order.changed_ns = self.books.now_ns
        self.books.cancel(account, order, why, linked=(successor, None))
        assert order.end is not None
        self.note(account, order, account.facts[order.end])

    # -- what a client changes

    def hold(self, account: Account, order: Order, stage: Stage) -> None:
        """Marks a working order as waiting for the venue's word."""
        self.books.begin_act(account)
        self.move(account, order, stage)
        self.books.end_act(account)

    def cancel(self, account: Account, order: Order) -> None:
        """Cancels a working order; says so where it is too late."""
        self.books.begin_act(account)
        if order.id in account.working:
            self.end(account, order, Why.REQUESTED)
        else:
            self._refuse_end(account, order, Why.ORDER_UNKNOWN)
        self.books.end_act(account)

    def _refuse_end(self, account: Account, order: Order, why: Why) -> None:
        fact = f.EndRefused(
            id=self.books.number(account),
            batch=account.batch,
            at_ns=self.books.now_ns,
            why=why,
            order=order.id,
            client_id=order.client_id,
        )
        self.books.add(account, fact)
        self.note(account, order, fact)

    def replace(self, account: Account, old: Order, terms: Terms, is_slow: bool = False) -> Order:
        """Books the order that takes the other's place; where the venue is slow, `swap` swaps."""
        self.books.begin_act(account)
        terms = replace(terms, group=old.terms.group or (old.id if has_exits(old) else None))
        # One that is held has not been sent: the venue knows of neither.
        is_held = old.stage in (Stage.HELD, Stage.ARMED)
        is_slow = is_slow and not is_held
        if is_slow:
            self.move(account, old, Stage.PENDING_REPLACE)
        stage = old.stage if is_held else Stage.PENDING
        fresh = self.book(account, terms, stage, replaces=old.id)
        if not is_slow:
            self._swap(account, old, fresh)
        self.books.end_act(account)
        return fresh

    def swap(self, account: Account, old: Order, fresh: Order) -> None:
        """Puts a replacement into its place, or rejects it where the old order is over."""
        if fresh.id not in account.working or fresh.stage is not Stage.PENDING:
            return
        self.books.begin_act(account)
        self._swap(account, old, fresh)
        self.books.end_act(account)

    def _swap(self, account: Account, old: Order, fresh: Order) -> None:
        counts = self.settings.chain_quantities
        is_done = counts and abs(fresh.terms.units) <= abs(old.filled)
        if old.id not in account.working or is_done:
            self.end_alone(account, fresh, Why.REPLACE_REJECTED)
            self._refuse_end(account, old, Why.REPLACE_REJECTED)
            if old.id in account.working:
                old.stage = Stage.ROUTED
            return
        self.end_alone(account, old, Why.REPLACED, fresh.id)
        if counts:
            # As in FIX, quantity and filled are those of the whole chain.
            fresh.carried = fresh.filled = old.filled
            fresh.leaves, fresh.value = fresh.terms.units - old.filled, old.value
        if fresh.stage is Stage.PENDING:
            self._send(account, fresh)

    def finish_pending(self) -> None:
        """Does what the venue had still to do when it was stopped."""
        for account in self.accounts.values():
            for order in list(account.working.values()):
                old = account.order(order.replaces) if order.replaces is not None else None
                if order.stage is Stage.PENDING_CANCEL:
                    self.cancel(account, order)
                elif order.stage is Stage.PENDING and old is not None:
                    self.swap(account, old, order)
                else:
                    self.send(account, order)

    # -- the market

    def quote(self, quote: Quote) -> None:
        """Takes a new touch: fills, triggers and trails what it reaches."""
        if not self.take_quote(quote):
            return
        self.watch_session()
        for account in self.accounts.values():
            self.expire(account)
            orders = account.by_instrument.get(quote.instrument)
            if orders:
                for order in list(orders.values()):
                    self._look_at(account, order, quote)

    def _look_at(self, account: Account, order: Order, quote: Quote) -> None:
        is_waiting = order.stage is Stage.QUEUED and order.terms.life not in NET_LIVES
        if is_waiting and self.may_trade(order.terms):
            # It waited for the long day, or for a halt to end.
            self.hold(account, order, Stage.ROUTED)
        if not self._is_watched(account, order):
            return
        is_stop = order.terms.kind in TRIGGERED and not order.is_elected
        if self._is_reached(order, quote) if is_stop else is_within(order, quote):
            self.books.begin_act(account)
            self.consider(account, order)
            self.books.end_act(account)
