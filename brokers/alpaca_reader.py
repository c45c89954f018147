"""What Alpaca's orders, trade updates and activities mean, and how far they have been read.

**Every message may be the first we hear of an order**, come twice, late or never: so each one
tells the order itself (`External`) before its news, and saying it again changes nothing.

**A replacement is another order.** It is told from the replacing order, which alone knows its
terms, and only once that works: until then the old one does. Its quantity is its own; ours is
that and what its predecessors filled.

**A bracket's legs** are held until their entry fills; then one works, and the other is held on,
with no word of it: it guards all the same, and is told with the one that works.

**Fills** go by Alpaca's execution id, which the stream says and an activity's id ends with. A
fill whose order had more filled before it than we were told shows that a line was lost.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from decimal import Decimal
from typing import TypedDict

from brokers import alpaca_messages as wire
from brokers import alpaca_words as words
from brokers.alpaca_words import News
from brokers.reading import UnknownWord, error_info, look, need, parse_time, remember
from domain.errors import UnifiedError
from domain.events import (
    AmendRefused,
    Canceled,
    CancelRefused,
    Expired,
    External,
    Fill,
    Rejected,
    Replaced,
    VenueEvent,
)
from domain.ids import execution_id
from domain.orders import OrderType, Trailing
from domain.portfolio import ZERO


class _Terms(TypedDict):
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    trailing: Trailing | None


class Reader:
    """Reads for one account. Its memory is bounded, and filled again by reading the account."""

    def __init__(self, broker_account_id: str, currency: str) -> None:
        self.currency = currency
        self.pairs: dict[str, str] = {}
        self.watermark_ns = 0
        self._account = broker_account_id
        self._filled: OrderedDict[str, Decimal] = OrderedDict()
        self._before: OrderedDict[str, Decimal] = OrderedDict()
        self._ids: OrderedDict[str, str] = OrderedDict()
        self._names: OrderedDict[str, str] = OrderedDict()
        self._parents: OrderedDict[str, str] = OrderedDict()
        self._held: OrderedDict[str, dict[str, wire.Order]] = OrderedDict()
        self._replacing: OrderedDict[str, wire.Order] = OrderedDict()
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._executions: OrderedDict[str, None] = OrderedDict()

    # Symbols and names

    def learn_pairs(self, symbols: Iterable[str]) -> None:
        """Crypto pairs as we say them: some messages leave the slash out."""
        self.pairs = {symbol.replace("/", ""): symbol for symbol in symbols}

    def symbol_of(self, symbol: str) -> str:
        """The canonical symbol."""
        return self.pairs.get(symbol, symbol)

    def broker_id(self, venue_client_id: str) -> str | None:
        """The newest id of an order at the broker, by the id we gave it, where we heard it."""
        return self._ids.get(venue_client_id)

    def filled_of(self, broker_order_id: str | None) -> Decimal:
        """What we know to be filled of an order under this id."""
        return self._filled.get(broker_order_id or "", ZERO)

    def has_read(self, activity: wire.Activity) -> bool:
        """Whether this fill was told before, whichever way."""
        return _execution_of(activity) in self._executions

    # Orders

    def remember_order(self, order: wire.Order) -> None:
        """Keeps what later messages about it will leave out."""
        filled = order.filled_qty or ZERO
        remember(self._filled, order.id, max(filled, self.filled_of(order.id)))
        if order.client_order_id is not None:
            remember(self._names, order.id, order.client_order_id)
            if order.replaces is None and order.client_order_id not in self._ids:
                remember(self._ids, order.client_order_id, order.id)
        if order.status == "replaced":
            self.mark_replaced(order.id)
        for leg in order.legs or ():
            remember(self._parents, leg.id, order.id)
            self.remember_order(leg)
        held = {leg.id: leg for leg in order.legs or () if leg.status == "held"}
        if held:
            remember(self._held, order.id, held)

    def mark_replaced(self, broker_order_id: str) -> None:
        """This order works no more: the one that replaces it does."""
        remember(self._gone, broker_order_id, None)

    def describe(self, order: wire.Order) -> tuple[VenueEvent, ...]:
        """The order as an External; after Replaced where it replaces another. () for a basket."""
        if order.order_class == "mleg":
            return ()
        self.remember_order(order)
        at_ns = first_time(order.submitted_at, order.created_at)
        external = External(
            at_ns=at_ns,
            broker_order_id=order.id,
            instrument=self.symbol_of(need(order.symbol, "symbol")),
            side=look(words.SIDE, need(order.side, "side"), "side"),
            order_type=look(words.ORDER_TYPE, need(order.type, "type"), "order type"),
            time_in_force=look(
                words.TIME_IN_FORCE, need(order.time_in_force, "time_in_force"), "time in force"
            ),
            venue_client_id=order.client_order_id,
            parent_broker_order_id=self._parents.get(order.id),
            **_terms(order),
        )
        if order.replaces is None:
            return (external, *self._guards_beside(order))
        return (self._replaced(order, order.replaces, at_ns), external)

    def _guards_beside(self, order: wire.Order) -> tuple[VenueEvent, ...]:
        """The legs that are held beside this one that works, told once."""
        if order.status == "held":
            return ()
        held = self._held.pop(self._parents.get(order.id, ""), {})
        held.pop(order.id, None)
        return tuple(event for leg in held.values() for event in self.describe(leg))

    def _replaced(self, order: wire.Order, previous: str, at_ns: int) -> Replaced:
        name = self._names.get(previous)
        if name is not None:
            # The chain goes on under the name of its first order.
            remember(self._names, order.id, name)
            remember(self._ids, name, order.id)
        if order.id not in self._before:
            before = self._before.get(previous, ZERO) + self.filled_of(previous)
            remember(self._before, order.id, before)
        terms = _terms(order)
        terms["quantity"] += self._before[order.id]
        return Replaced(
            at_ns=at_ns,
            broker_order_id=order.id,
            previous_broker_order_id=previous,
            venue_client_id=name,
            **terms,
        )

    def read_listed(self, order: wire.Order) -> tuple[VenueEvent, ...]:
        """An order of a list or an answer, with how it ended; not its fills. Raises UnknownWord."""
        news = look(words.STATUS, order.status, "order status")
        self.remember_order(order)
        if order.replaces is not None and news is News.REJECTED:
            return (self._replace_refused(order, None),)
        if news is News.WAITS:
            return ()
        if order.replaces is not None and news is News.COMES:
            return self.expect_replacement(order, order.replaces)
        return (*self.describe(order), *self._ending(order, news, None))

    def read_ending(self, order: wire.Order) -> tuple[VenueEvent, ...]:
        """How an order of an answer ended, or () while it has not. Raises UnknownWord."""
        return self._ending(order, look(words.STATUS, order.status, "order status"), None)

    def expect_replacement(self, order: wire.Order, previous: str) -> tuple[VenueEvent, ...]:
        """A replacement that was taken: told once the old order is known to be gone.

        Its terms are kept, for `replaced` tells the old ones.
        """
        if previous in self._gone:
            return self.describe(order)
        remember(self._replacing, previous, order)
        self.remember_order(order)
        return ()

    def _ending(
        self, order: wire.Order, news: News, update: wire.TradeUpdate | None
    ) -> tuple[VenueEvent, ...]:
        """How the order ended, or () while it has not."""
        said = None if update is None else update.timestamp
        name, reason = order.client_order_id, None if update is None else update.reason
        if news is News.CANCELED:
            at_ns = first_time(order.canceled_at, said, order.updated_at, order.submitted_at)
            why = reason or "canceled"
            return (
                Canceled(at_ns=at_ns, reason=why, broker_order_id=order.id, venue_client_id=name),
            )
        if news is News.EXPIRED:
            at_ns = first_time(order.expired_at, said, order.updated_at, order.submitted_at)
            return (Expired(at_ns=at_ns, broker_order_id=order.id, venue_client_id=name),)
        if news is News.REJECTED:
            at_ns = first_time(order.failed_at, said, order.updated_at, order.submitted_at)
            error = error_info(UnifiedError.INVALID_ORDER, "rejected", reason)
            return (
                Rejected(at_ns=at_ns, error=error, broker_order_id=order.id, venue_client_id=name),
            )
        return ()

    # Trade updates

    def read_update(self, update: wire.TradeUpdate) -> tuple[VenueEvent, ...]:
        """What a line of the stream says. Raises UnknownWord."""
        if update.event in words.FOR_PEOPLE:
            raise UnknownWord(f"event {update.event!r} of order {update.order.id}")
        news = look(words.EVENT, update.event, "event")
        order = update.order
        if order.replaces is not None and news is News.REJECTED:
            return (self._replace_refused(order, update),)
        if order.replaces is not None and news is News.COMES:
            return self.expect_replacement(order, order.replaces)
        if news is News.FILLED:
            return (*self.describe(order), *self._fill(update))
        return (*self.describe(order), *self._other(order, news, update))

    def _other(
        self, order: wire.Order, news: News, update: wire.TradeUpdate
    ) -> tuple[VenueEvent, ...]:
        if news is News.REPLACED:
            self.mark_replaced(order.id)
            waiting = self._replacing.pop(order.id, None)
            return () if waiting is None else self.describe(waiting)
        if news is News.CANCEL_REFUSED:
            error = error_info(UnifiedError.INVALID_ORDER, update.event, update.reason)
            return (
                CancelRefused(
                    at_ns=first_time(update.timestamp, order.updated_at),
                    error=error,
                    broker_order_id=order.id,
                    venue_client_id=order.client_order_id,
                ),
            )
        if news is News.AMEND_REFUSED:
            return (self._replace_refused(order, update),)
        return self._ending(order, news, update)

    def _replace_refused(self, order: wire.Order, update: wire.TradeUpdate | None) -> AmendRefused:
        """Said of the order that was to be replaced, or of the one that was to replace it."""
        said = None if update is None else update.timestamp
        reason = None if update is None else update.reason
        refused = order.replaces or order.id
        self._replacing.pop(refused, None)
        return AmendRefused(
            at_ns=first_time(order.failed_at, said, order.updated_at, order.submitted_at),
            error=error_info(UnifiedError.INVALID_ORDER, "order_replace_rejected", reason),
            broker_order_id=refused,
            venue_client_id=self._names.get(refused),
        )

    def find_gap(self, update: wire.TradeUpdate) -> str | None:
        """Why a fill before this one was lost. To be asked before the line is read."""
        order = update.order
        known = self._filled.get(order.id)
        if look(words.EVENT, update.event, "event") is not News.FILLED or known is None:
            return None
        before = (order.filled_qty or ZERO) - (update.qty or ZERO)
        if before <= known:
            return None
        return f"order {order.id} had {before} filled before this, and {known} were told"

    def _fill(self, update: wire.TradeUpdate) -> tuple[Fill, ...]:
        order = update.order
        execution = need(update.execution_id, "execution_id")
        remember(self._executions, execution, None)
        return (
            Fill(
                at_ns=first_time(update.timestamp, order.filled_at, order.updated_at),
                execution_id=execution_id("alpaca", self._account, execution),
                broker_execution_id=execution,
                broker_order_id=order.id,
                venue_client_id=order.client_order_id,
                instrument=self.symbol_of(need(order.symbol, "symbol")),
                side=look(words.SIDE, need(order.side, "side"), "side"),
                quantity=abs(need(update.qty, "qty")),
                price=need(update.price, "price"),
                currency=self.currency,
            ),
        )

    # Activities

    def read_fill(self, activity: wire.Activity) -> Fill:
        """A FILL of the account's history. Raises UnknownWord."""
        order_id = need(activity.order_id, "order_id")
        execution = _execution_of(activity)
        quantity = abs(need(activity.qty, "qty"))
        remember(self._executions, execution, None)
        filled = max(activity.cum_qty or ZERO, self.filled_of(order_id))
        remember(self._filled, order_id, filled)
        return Fill(
            at_ns=fill_time(activity),
            execution_id=execution_id("alpaca", self._account, execution),
            broker_execution_id=execution,
            broker_order_id=order_id,
            venue_client_id=self._names.get(order_id),
            instrument=self.symbol_of(need(activity.symbol, "symbol")),
            side=look(words.SIDE, need(activity.side, "side"), "side"),
            quantity=quantity,
            price=need(activity.price, "price"),
            currency=self.currency,
        )

    def advance(self, at_ns: int) -> None:
        """News up to this broker time were told."""
        self.watermark_ns = max(at_ns, self.watermark_ns)


def fill_time(activity: wire.Activity) -> int:
    """When it was executed. Raises UnknownWord, ValueError."""
    return parse_time(need(activity.transaction_time, "transaction_time"))


def news_time(events: Iterable[VenueEvent]) -> int:
    """The newest time among events."""
    return max((event.at_ns for event in events), default=0)


def _execution_of(activity: wire.Activity) -> str:
    """An activity's id is its time, two colons, and the execution's id."""
    return activity.id.rpartition("::")[2]


def first_time(*times: str | None) -> int:
    """The first time that is told. Raises UnknownWord, ValueError."""
    return parse_time(need(next((time for time in times if time), None), "any time"))


def _terms(order: wire.Order) -> _Terms:
    """Quantity and prices where our words put them; an order by money has what it filled."""
    kind = look(words.ORDER_TYPE, need(order.type, "type"), "order type")
    trailing = None
    if kind is OrderType.TRAILING_STOP:
        trailing = Trailing(amount=order.trail_price, percent=order.trail_percent)
    # A trailing stop's stop price moves with the market: no term of ours.
    return _Terms(
        quantity=abs(order.qty if order.qty is not None else order.filled_qty or ZERO),
        limit_price=order.limit_price,
        stop_price=None if trailing is not None else order.stop_price,
        trailing=trailing,
    )
