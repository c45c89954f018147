"""Do three logs tell one story? The client's, the journal's and the venue's own book.

Words as PROTOCOL.md defines them: an order is *lost* where a durable command has no terminal
state, no working order at the venue and no UNKNOWN; *doubled* where one command made two venue
orders or fills beyond its quantity. Each event must reach the client exactly once, so its log
must equal the journal's stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from domain import events as ev
from domain.lifecycle import TERMINAL, Order, Origin, Status
from domain.records import Record
from domain.streams import OrderUpdate, StreamUpdate

AT_REST = TERMINAL | {Status.LIVE, Status.PARTIALLY_FILLED, Status.UNKNOWN}


class VenueOrder(Struct, frozen=True, kw_only=True):
    """An order as the venue's own book has it."""

    broker_order_id: str
    client_id: str | None
    is_working: bool


class VenueFill(Struct, frozen=True, kw_only=True):
    """A fill as the venue's own book has it; quantity positive."""

    broker_execution_id: str
    broker_order_id: str
    quantity: Decimal
    price: Decimal


class VenueBook(Struct, frozen=True, kw_only=True):
    """A venue's account, whole."""

    orders: tuple[VenueOrder, ...]
    fills: tuple[VenueFill, ...]


class Agreement(Struct, kw_only=True):
    """The verdict: counts, and each difference in words. None means the logs agree."""

    orders: int = 0
    fills: int = 0
    unknown: int = 0
    lost: list[str] = []
    doubled: list[str] = []
    differences: list[str] = []

    @property
    def is_clean(self) -> bool:
        """True where nothing was lost, nothing doubled, and all logs say the same."""
        return not (self.lost or self.doubled or self.differences)


def stream_of(records: Iterable[Record], stream: str) -> list[StreamUpdate]:
    """The entries of one stream, as journaled."""
    return [u for record in records for u in record.updates if u.stream == stream]


def compare_client(journaled: list[StreamUpdate], received: list[StreamUpdate]) -> list[str]:
    """Where the client's log of a stream is not the journal's: holes, repeats, other content."""
    found = []
    counts = Counter(update.seq for update in received)
    found += [f"client got number {n} {count} times" for n, count in counts.items() if count > 1]
    ours = {update.seq: update for update in received}
    if [u.seq for u in received] != sorted(counts):
        found.append("client got updates out of order")
    for update in journaled:
        other = ours.pop(update.seq, None)
        if other is None:
            found.append(f"client lacks number {update.seq}")
        elif other != update:
            found.append(f"client has another number {update.seq}")
    found += [f"client has number {seq}, the journal has not" for seq in ours]
    return found


def compare_venue(
    orders: Iterable[Order], updates: Iterable[StreamUpdate], book: VenueBook
) -> Agreement:
    """Order by order, fill by fill: the journal's view against the venue's book."""
    agreement = Agreement()
    fills = _fills(updates)
    by_id = {theirs.broker_order_id: theirs for theirs in book.orders}
    by_client_id: dict[str, list[VenueOrder]] = {}
    for theirs in book.orders:
        if theirs.client_id is not None:
            by_client_id.setdefault(theirs.client_id, []).append(theirs)
    known: set[str] = set()
    for order in orders:
        found = [by_id[leg] for leg in order.legs if leg in by_id]
        if order.origin is Origin.CLIENT:
            agreement.orders += 1
            found = by_client_id.get(order.venue_client_id or "", [])
            _compare_order(agreement, order, found)
        else:
            _compare_made_elsewhere(agreement, order, found)
        known.update(order.legs, (theirs.broker_order_id for theirs in found))
    agreement.differences += [f"order {name}: at the venue alone" for name in by_id.keys() - known]
    _compare_fills(agreement, fills, book)
    return agreement


def _fills(updates: Iterable[StreamUpdate]) -> dict[str, tuple[OrderUpdate, ev.Fill]]:
    found = {}
    for update in updates:
        body = update.body
        if isinstance(body, OrderUpdate) and isinstance(body.event, ev.Fill):
            found[body.event.broker_execution_id] = (body, body.event)
    return found


def _compare_order(agreement: Agreement, order: Order, found: list[VenueOrder]) -> None:
    name = order.client_order_id or order.order_id
    if order.status is Status.UNKNOWN:
        agreement.unknown += 1
    if len(_originals(found, order)) > 1 or order.overfilled:
        agreement.doubled.append(f"{name}: {len(found)} venue orders, filled {order.filled}")
    if order.status not in AT_REST:
        agreement.lost.append(f"{name}: still {order.status.value}")
    is_working = any(theirs.is_working for theirs in found)
    if is_working != (order.status in (Status.LIVE, Status.PARTIALLY_FILLED)) and (
        order.status is not Status.UNKNOWN
    ):
        where = "works at the venue" if is_working else "does not work at the venue"
        agreement.differences.append(f"{name}: {order.status.value} here, {where}")
    if found and order.status in (Status.NOT_PLACED, Status.DENIED):
        agreement.lost.append(f"{name}: {order.status.value} here, the venue has it")


def _compare_made_elsewhere(agreement: Agreement, order: Order, found: list[VenueOrder]) -> None:
    """A bracket child, or an order made outside: the venue's, so it must be there."""
    name = f"{order.origin.value} order {order.legs[-1] if order.legs else order.order_id}"
    is_working = any(theirs.is_working for theirs in found)
    if not found:
        agreement.differences.append(f"{name}: here alone")
    elif is_working != (order.status in (Status.LIVE, Status.PARTIALLY_FILLED)):
        where = "works at the venue" if is_working else "does not work at the venue"
        agreement.differences.append(f"{name}: {order.status.value} here, {where}")


def _originals(found: list[VenueOrder], order: Order) -> list[VenueOrder]:
    """Venue orders that were not made by an amend of ours: replacing gives a new id."""
    replaced = set(order.legs[1:])
    return [theirs for theirs in found if theirs.broker_order_id not in replaced]


def _compare_fills(
    agreement: Agreement, fills: dict[str, tuple[OrderUpdate, ev.Fill]], book: VenueBook
) -> None:
    agreement.fills = len(book.fills)
    theirs = {fill.broker_execution_id: fill for fill in book.fills}
    for name in sorted(theirs.keys() | fills.keys()):
        their, our = theirs.get(name), fills.get(name)
        if our is None:
            agreement.differences.append(f"fill {name}: at the venue alone")
        elif their is None:
            agreement.differences.append(f"fill {name}: here alone")
        elif _words(their) != _words(our[1]):
            agreement.differences.append(
                f"fill {name}: venue {_words(their)}, here {_words(our[1])}"
            )


def _words(fill: VenueFill | ev.Fill) -> str:
    return f"{fill.quantity.normalize():f} @ {fill.price.normalize():f} of {fill.broker_order_id}"
