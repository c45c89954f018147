"""The router's desk: books, drafts, and what is to be said once it is durable.

Everything the router decides becomes a `Draft`: a cause and the updates it has. A closed draft
is folded into the books at once and committed with its batch; the messages it gave rise to
leave only after that commit. One that fails is settled and written until it is done (writer.py);
if the actor dies first, replay knows nothing of it and nobody was told.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from actors.messages import Freed, Observe, TooOld
from actors.router.lot_guards import closes_lot, find_shrink
from actors.router.tally import Tally
from actors.router.venue import Venue
from domain import events as ev
from domain.accounts import AccountBalances
from domain.audit import Retention
from domain.commands import FromRouter, Published
from domain.errors import ErrorInfo
from domain.events import OrderEvent
from domain.instruments import Instrument, conversion_pairs
from domain.lifecycle import Break, Order, Status, apply
from domain.portfolio import Position, apply_lots, apply_net
from domain.quotes import Quote
from domain.records import Cause, Halted, Record
from domain.screening import Rate
from domain.streams import (
    BalancesUpdate,
    Notice,
    NoticeKind,
    OrderUpdate,
    PositionUpdate,
    StreamUpdate,
    UpdateBody,
    order_update,
)
from ledger.projection import Books


class Desk:
    """State shared by the router's parts; one writer, one loop."""

    def __init__(self, books: Books, epoch: int, venues: dict[str, Venue]) -> None:
        self.books = books
        self.epoch = epoch
        self.venues = venues
        self.now_ns = 0
        self.boot_ns = 0
        self.quotes: dict[str, dict[str, Quote]] = {}
        self.ordered_ns: dict[tuple[str, str], int] = {}
        """When (connection, instrument) was last ordered: its price is wanted for a while."""
        self.tally = Tally()
        self.records: list[Record] = []
        self.to_edges: list[tuple[Any, FromRouter | TooOld]] = []
        self.to_all_edges: list[Published] = []
        self.to_connections: list[tuple[str, Any]] = []
        self.to_compliance: list[Any] = []
        self.freed: dict[str, Freed] = {}
        self.closed: ErrorInfo | None = None
        """Why no new risk can be written down at the moment: no room, or a disk in trouble."""
        self.unknown: dict[str, tuple[str | None, str]] = {}
        """Where new risk waits for evidence: (account, instrument) by order id."""
        self.told_settings = ""
        self.told_instruments: dict[tuple[str, str], Instrument] = {}
        """By what compliance screens, as far as this epoch wrote it down."""
        self._wanted: dict[tuple[str, ...], tuple[str, ...]] = {}
        """Whose quotes value an instrument in which currencies: as many as there are of both."""
        self.lot_guards: dict[str, None] = {}
        """The working orders that close one lot, by order id."""
        self._intents: dict[str, int] = {}
        for order in books.orders.open.values():
            self.note(order)

    def draft(
        self, cause: Cause, owner: str | None = None, retention: Retention = Retention.ORDER
    ) -> Draft:
        """Starts a record."""
        return Draft(self, cause, owner, retention)

    def note(self, order: Order) -> None:
        """Keeps in step what is looked up on each order's way."""
        if order.status is Status.UNKNOWN:
            self.unknown[order.order_id] = (order.account, order.instrument)
        elif self.unknown:
            self.unknown.pop(order.order_id, None)
        if closes_lot(order):
            self.lot_guards[order.order_id] = None
        elif self.lot_guards:
            self.lot_guards.pop(order.order_id, None)

    def last_intent(self, connection: str) -> int:
        """The last intent given, drafts included."""
        return max(self.books.orders.last_intent(connection), self._intents.get(connection, 0))

    def give_intent(self, connection: str) -> int:
        """The next intent number of the connection."""
        intent = self.last_intent(connection) + 1
        self._intents[connection] = intent
        return intent

    def open_orders(self) -> tuple[Order, ...]:
        """Those open; one that waits for a credit stands at the account it waits for."""
        waits = {
            order_id: venue.settings.account
            for venue in self.venues.values()
            for order_id in venue.ready
        }
        return tuple(
            replace(order, account=waits.get(order.order_id)) if order.account is None else order
            for order in self.books.orders.open.values()
        )

    def halts(self) -> tuple[Halted, ...]:
        """Those in force."""
        return tuple(self.books.halts.values())

    def find_quote(self, instrument: str, connection: str | None = None) -> Quote | None:
        """The connection's own quote, or else the newest of any."""
        by_connection = self.quotes.get(instrument)
        if not by_connection:
            return None
        own = by_connection.get(connection) if connection else None
        return own or max(by_connection.values(), key=lambda quote: quote.received_ns)

    def rates(self, instrument: Instrument, currencies: Iterable[str]) -> tuple[Rate, ...]:
        """Quotes for the instrument and to value its currencies in the accounts' ones."""
        names = (instrument.symbol, instrument.base_currency, instrument.quote_currency)
        key = (*names, *currencies)
        wanted = self._wanted.get(key)
        if wanted is None:
            pairs = (conversion_pairs(instrument, home) for home in currencies)
            wanted = self._wanted[key] = tuple(sorted({instrument.symbol}.union(*pairs)))
        found = [self.find_quote(symbol) for symbol in wanted]
        return tuple([rate_of(quote) for quote in found if quote is not None])


def rate_of(quote: Quote) -> Rate:
    """What a decision takes from a quote; its age is that of the stream that vouches for it."""
    return Rate(
        instrument=quote.instrument,
        bid=quote.bid,
        ask=quote.ask,
        received_ns=quote.stream_ns or quote.received_ns,
    )


class Durable:
    """What may be said: the records it tells of are committed.

    What nobody waits for (a `Freed`, an `Observe`) goes with the next message on its link that
    somebody does, or with the tick: a wake-up costs more than what it would be for.
    """

    def __init__(self) -> None:
        self.freed: dict[str, Freed] = {}
        self.to_edges: list[tuple[Any, FromRouter | TooOld]] = []
        self.to_all_edges: list[Published] = []
        self.to_connections: list[tuple[str, Any]] = []
        self.to_compliance: list[Any] = []

    def take(self, desk: Desk | Durable) -> None:
        """Takes all that waited at the desk, or for a batch of its own."""
        for waits, more in (
            (self.to_edges, desk.to_edges),
            (self.to_all_edges, desk.to_all_edges),
            (self.to_connections, desk.to_connections),
            (self.to_compliance, desk.to_compliance),
        ):
            if more:
                waits += more  # type: ignore[operator]
                more.clear()
        if desk.freed:
            self.freed.update(desk.freed)
            desk.freed.clear()

    def is_compliance_waited_for(self) -> bool:
        """True where more than news waits for compliance."""
        return any(type(message) is not Observe for message in self.to_compliance)


class Draft:
    """A record in the making; later events see what earlier ones left."""

    def __init__(self, desk: Desk, cause: Cause, owner: str | None, retention: Retention) -> None:
        self._desk = desk
        self._cause = cause
        self._owner = owner
        self._retention = retention
        self._heads: dict[str, int] = {}
        self._orders: dict[str, Order] = {}
        self._positions: dict[tuple[str, str], Position] = {}
        self.updates: list[StreamUpdate] = []

    def add(self, stream: str, body: UpdateBody) -> None:
        """One more numbered entry of a stream."""
        head = self._heads.get(stream)
        if head is None:
            head = self._desk.books.heads.get(stream, 0)
        self._heads[stream] = head + 1
        self.updates.append(
            StreamUpdate(stream=stream, seq=head + 1, at_ns=self._desk.now_ns, body=body)
        )

    def entry_of(self, broker_execution_id: str) -> str | None:
        """The order of ours whose fill in this draft has that execution id."""
        for update in self.updates:
            body = update.body
            if not (isinstance(body, OrderUpdate) and isinstance(body.event, ev.Fill)):
                continue
            if body.event.broker_execution_id == broker_execution_id:
                return body.order_id if body.client_order_id is not None else None
        return None

    def notice(self, kind: NoticeKind, scope: str, message: str, order_id: str | None) -> None:
        """A line for people, on the admin stream."""
        self._desk.tally.notices[kind.value] += 1
        self.add("admin", Notice(kind=kind, scope=scope, message=message, order_id=order_id))

    def order(self, order_id: str) -> Order | None:
        """The order as this draft leaves it."""
        return self._orders.get(order_id) or self._desk.books.orders.get(order_id)

    def at_broker(self, connection: str, broker_order_id: str) -> Order | None:
        """An order this draft has touched, by a broker's id that it may have got here."""
        for order in self._orders.values():
            if order.connection == connection and broker_order_id in order.legs:
                return order
        return None

    def event(self, order: Order, event: OrderEvent) -> Order:
        """The order after the event; a break is written down and changes nothing."""
        after = apply(order, event)
        if isinstance(after, Break):
            self.notice(NoticeKind.BREAK, f"account/{order.account}", after.what, order.order_id)
            return order
        if after is order:
            return order
        self._orders[order.order_id] = after
        self._desk.note(after)
        self._desk.tally.events[type(event)] += 1
        self.add(f"orders/{order.owner}", order_update(after, event))
        if isinstance(event, ev.Fill):
            self._fill(after, event)
        return self._orders[order.order_id]

    def _fill(self, order: Order, fill: ev.Fill) -> None:
        desk = self._desk
        if order.late_fill or order.overfilled:
            what = "filled beyond its quantity" if order.overfilled else "filled after its end"
            self.notice(NoticeKind.LATE_FILL, f"orders/{order.owner}", what, order.order_id)
        account = order.account
        if account is None:
            return
        key = (account, fill.instrument)
        before = self._positions.get(key) or desk.books.positions.get(key)
        if before is None:
            before = Position(account=account, instrument=fill.instrument, quantity=Decimal(0))
        if fill.lots_opened or fill.lots_closed:
            position = apply_lots(before, fill.lots_opened, fill.lots_closed, fill.at_ns)
        else:
            signed = fill.quantity * fill.side.sign
            position = apply_net(before, signed, fill.price, fill.at_ns, fill.execution_id)
        self._positions[key] = position
        self.add(f"account/{account}", PositionUpdate(position=position))
        self._balance(account, fill)
        if fill.lots_closed:
            self._shrink_guards(position, fill)

    def _shrink_guards(self, position: Position, fill: ev.Fill) -> None:
        for order_id in tuple(self._desk.lot_guards):
            order = self.order(order_id)
            if order is None or order.account != position.account:
                continue
            if order.instrument == position.instrument:
                change = find_shrink(order, position, fill)
                if change is not None:
                    self.event(order, change)

    def _balance(self, account: str, fill: ev.Fill) -> None:
        if fill.balance_after is None or fill.currency is None:
            return
        known = self._desk.books.balances.get((account, fill.currency))
        if known is None:
            return
        unrealized = known.equity - known.cash
        changed = AccountBalances(
            account=account,
            currency=known.currency,
            cash=fill.balance_after,
            equity=fill.balance_after + unrealized,
            broker_ns=fill.at_ns,
        )
        self.add(f"account/{account}", BalancesUpdate(balances=changed))

    def close(self) -> Record:
        """Numbers the record, folds it into the books, and queues it for the commit."""
        desk = self._desk
        record = Record(
            number=desk.books.number + 1,
            epoch=desk.epoch,
            at_ns=desk.now_ns,
            cause=self._cause,
            updates=tuple(self.updates),
            owner=self._owner,
            retention=self._retention,
        )
        breaks = desk.books.apply(record)
        assert not breaks, breaks
        desk.records.append(record)
        if record.updates:
            desk.to_all_edges.append(
                Published(owner=self._owner, updates=record.updates, position=record.number)
            )
            desk.to_compliance.append(Observe(updates=record.updates))
        return record
