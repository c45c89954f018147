"""Numbers facts, books and ends orders, and forgets the oldest beyond a limit."""

from __future__ import annotations

from collections.abc import Callable

from brokers.simulators import facts as f
from brokers.simulators.book import Account, Order, Quote
from brokers.simulators.market_hours import Hours
from brokers.simulators.matching import first_trail, touch
from brokers.simulators.terms import Terms
from brokers.simulators.words import GUARDS, Kind, Life, Part, State, Why

Tell = Callable[[Account, "list[f.AnyFact]"], None]


def can_rest(account: Account, terms: Terms) -> bool:
    """True where the order may wait in the book; a market order waits in netting books alone."""
    return terms.kind is not Kind.MARKET or account.settings.netting


class Clocks:
    """The two times of a simulator: `now_ns` stamps facts, `market_ns` opens and ends days."""

    def __init__(self, now_ns: Callable[[], int], market_ns: Callable[[], int] | None = None):
        self.now_ns = now_ns
        self.market_ns = market_ns or now_ns


class Bookkeeper:
    """Holds what one act has caused so far; `end_act` tells it, in order."""

    def __init__(self, clocks: Clocks, hours: Hours, kept_max: int, tell: Tell) -> None:
        self._clocks = clocks
        self._hours = hours
        self._kept_max = kept_max
        self._tell = tell
        self._act: list[f.AnyFact] = []
        self.now_ns = 0
        self.by = ""

    def begin_act(self, account: Account) -> None:
        """What follows is one act, with one time and one batch number."""
        self.now_ns = self._clocks.now_ns()
        account.batch = account.next_id
        self._act = []

    def end_act(self, account: Account) -> list[f.AnyFact]:
        """Tells the act's facts and returns them."""
        act = self._act
        if act:
            self._tell(account, act)
        return act

    def number(self, account: Account) -> int:
        """The next fact's number."""
        number = account.next_id
        account.next_id = number + 1
        return number

    def add(self, account: Account, fact: f.AnyFact) -> None:
        """Writes a fact down."""
        facts = account.facts
        facts[fact.id] = fact
        if len(facts) > self._kept_max:
            facts.popitem(last=False)
        self._act.append(fact)

    def book(
        self,
        account: Account,
        terms: Terms,
        quote: Quote | None,
        after: int | None = None,
        replaces: int | None = None,
    ) -> Order:
        """Puts an order into the book; its id is the fact's number."""
        number = self.number(account)
        lot = account.lots.get(terms.lot) if terms.lot is not None else None
        self.add(
            account,
            f.Booked(
                id=number,
                batch=account.batch,
                at_ns=self.now_ns,
                terms=terms,
                after=after,
                replaces=replaces,
                lot_label=lot.label.id if lot is not None and lot.label is not None else None,
            ),
        )
        order = Order(
            id=number,
            terms=terms,
            created_ns=self.now_ns,
            leaves=terms.units,
            by=self.by,
            label=terms.label,
            replaces=replaces,
        )
        if quote is not None and terms.kind is Kind.IF_TOUCHED:
            order.market_price = touch(quote, terms.units > 0)
        if quote is not None and terms.kind is Kind.TRAILING_STOP:
            order.trail = first_trail(order, quote)
        self._index(account, order)
        return order

    def _index(self, account: Account, order: Order) -> None:
        terms = order.terms
        account.working[order.id] = order
        if can_rest(account, terms):
            account.by_instrument.setdefault(terms.instrument, {})[order.id] = order
            self._watch_expiry(account, order)
        if order.client_id is not None:
            account.by_client_id.setdefault(order.client_id, []).append(order.id)
        if terms.kind in GUARDS and terms.lot is not None:
            account.lots[terms.lot].guards[terms.kind.value] = order.id
            account.position(terms.instrument).guarded.add(terms.lot)

    def _watch_expiry(self, account: Account, order: Order) -> None:
        terms = order.terms
        if account.settings.netting:
            if terms.expire_ns is None:
                return
            due_ns = terms.expire_ns
        elif terms.life is Life.GTD:
            assert terms.expire_ns is not None
            due_ns = terms.expire_ns
        elif terms.life is Life.DAY:
            # The day ends by the market's clock; the book counts in ours.
            market_ns = self._clocks.market_ns()
            due_ns = self.now_ns + self._hours.day_end_ns(market_ns) - market_ns
        else:
            return
        account.expiring[order.id] = due_ns
        if account.next_expiry_ns is None or due_ns < account.next_expiry_ns:
            account.next_expiry_ns = due_ns

    def cancel(
        self,
        account: Account,
        order: Order,
        why: Why,
        part: Part = Part.ORDER,
        linked: tuple[int | None, int | None] = (None, None),
    ) -> None:
        """Ends what is left; `linked` is (replacing order, fill that closed its lot)."""
        number = self.number(account)
        replaced_by, linked_fill = linked
        self.add(
            account,
            f.Ended(
                id=number,
                batch=account.batch,
                at_ns=self.now_ns,
                order=order.id,
                why=why,
                client_id=order.client_id,
                part=part,
                replaced_by=replaced_by,
                linked_fill=linked_fill,
            ),
        )
        order.state = State.CANCELED
        order.why = why
        order.end = number
        order.ended_ns = self.now_ns
        order.replaced_by = replaced_by
        self.retire(account, order)

    def retire(self, account: Account, order: Order) -> None:
        """Moves an order that is over out of the working book."""
        terms = order.terms
        account.working.pop(order.id, None)
        if can_rest(account, terms):
            account.by_instrument[terms.instrument].pop(order.id, None)
            account.expiring.pop(order.id, None)
        if terms.kind in GUARDS and terms.lot is not None:
            self._unguard(account, order, terms.lot)
        done = account.done
        done[order.id] = order
        if len(done) > self._kept_max:
            self._forget(account, done.popitem(last=False)[1])

    def _unguard(self, account: Account, order: Order, lot_id: int) -> None:
        lot = account.lot(lot_id)
        if lot is None or lot.guards.get(order.terms.kind.value) != order.id:
            return
        del lot.guards[order.terms.kind.value]
        if not lot.guards:
            account.positions[lot.instrument].guarded.discard(lot.id)

    def _forget(self, account: Account, order: Order) -> None:
        if order.client_id is None:
            return
        named = account.by_client_id.get(order.client_id, [])
        if order.id in named:
            named.remove(order.id)
        if not named:
            account.by_client_id.pop(order.client_id, None)

    def keep_closed(self, account: Account, lot_id: int) -> None:
        """Moves a closed lot out of the open ones."""
        lot = account.lots.pop(lot_id)
        account.closed[lot.id] = lot
        if len(account.closed) > self._kept_max:
            account.closed.popitem(last=False)
