"""Orders as the journal leaves them, found by any of their names. Pure.

Orders that have ended are kept for ever (a client order id is never free again), but as
bytes: a million of them cost the garbage collector nothing, and about 1 KB each.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder

from domain import ids
from domain.events import External, Fill, Sending
from domain.lifecycle import TERMINAL, Break, Order, Origin, apply
from domain.records import Ordered, Record, Reported, Synced
from domain.streams import OrderUpdate

_encode = Encoder().encode
_decode = Decoder(Order).decode


class OrderIndex(Struct, kw_only=True, forbid_unknown_fields=True):
    """Every order there ever was. `open` is for reading; only the fold writes.

    `entries` names the bracket order that a fill was an entry of.
    """

    open: dict[str, Order] = {}
    finished: dict[str, bytes] = {}
    digests: dict[str, str] = {}
    venue_ids: dict[str, str] = {}
    broker_ids: dict[str, dict[str, str]] = {}
    entries: dict[str, dict[str, str]] = {}
    intents: dict[str, int] = {}

    def get(self, order_id: str) -> Order | None:
        """The order by our id, open or ended."""
        order = self.open.get(order_id)
        if order is None and (kept := self.finished.get(order_id)) is not None:
            return _decode(kept)
        return order

    def of_client(self, owner: str, client_order_id: str) -> Order | None:
        """The order by the client's own id."""
        return self.get(ids.order_id(owner, client_order_id))

    def at_venue(self, venue_client_id: str) -> Order | None:
        """The order by an id we gave the broker, of any attempt."""
        return self.get(self.venue_ids.get(venue_client_id, ""))

    def at_broker(self, connection: str, broker_order_id: str) -> Order | None:
        """The order by an id the broker gave it, of any leg."""
        return self.get(self.broker_ids.get(connection, {}).get(broker_order_id, ""))

    def of_entry(self, connection: str, broker_execution_id: str) -> Order | None:
        """The bracket order this fill was an entry of: the parent of what the fill made."""
        return self.get(self.entries.get(connection, {}).get(broker_execution_id, ""))

    def open_of(self, owner: str) -> list[Order]:
        """The owner's open orders, oldest first."""
        return [order for order in self.open.values() if order.owner == owner]

    def open_at(self, connection: str) -> list[Order]:
        """The open orders sent over a connection, oldest first."""
        return [order for order in self.open.values() if order.connection == connection]

    def all_ids(self) -> list[str]:
        """Our ids of all orders: the open ones, then the ended ones as they ended."""
        return [*self.open, *self.finished]

    def digest(self, owner: str, client_order_id: str) -> str | None:
        """Of the body the order came with; None where the client order id is free."""
        return self.digests.get(ids.order_id(owner, client_order_id))

    def last_intent(self, connection: str) -> int:
        """The last intent number given to the connection; 0 for none."""
        return self.intents.get(connection, 0)

    def receive(self, cause: Ordered, owner: str) -> Break | None:
        """A client's order begins."""
        command = cause.command
        order_id = ids.order_id(owner, command.client_order_id)
        if order_id in self.digests:
            return Break(order_id=order_id, what="its client order id was ordered before")
        self.digests[order_id] = cause.digest
        self.open[order_id] = begin(cause, owner)
        return None

    def update(self, update: OrderUpdate, record: Record) -> Break | None:
        """Folds an order's event in; a Break where it cannot be or was told otherwise."""
        before = self.get(update.order_id) or self._discover(update, record)
        if before is None:
            return Break(order_id=update.order_id, what="an event of an order nobody made")
        after = apply(before, update.event)
        if isinstance(after, Break):
            return after
        self._keep(before, after, update)
        if after.version != update.version or after.status is not update.status:
            what = (
                f"told as {update.status.value} v{update.version}, folded to "
                f"{after.status.value} v{after.version}, in record {record.number}"
            )
            return Break(order_id=after.order_id, what=what)
        return None

    def _discover(self, update: OrderUpdate, record: Record) -> Order | None:
        """An order we did not place, as it is before its External event."""
        event = update.event
        if not isinstance(event, External):
            return None
        # Journals of the first release did not name the parent.
        entries = self.entries.get(connection_of(record) or "", {})
        parent = update.parent_order_id or entries.get(event.parent_execution or "")
        return discover(update, record, parent)

    def _keep(self, before: Order, after: Order, update: OrderUpdate) -> None:
        order_id = after.order_id
        event = update.event
        connection = after.connection or ""
        if after.legs is not before.legs:
            known = self.broker_ids.setdefault(connection, {})
            for leg in after.legs[len(before.legs) :]:
                known[leg] = order_id
        if isinstance(event, Sending):
            self.venue_ids[event.venue_client_id] = order_id
            self.intents[connection] = max(event.intent, self.intents.get(connection, 0))
        elif isinstance(event, Fill) and after.terms is not None and after.terms.bracket:
            self.entries.setdefault(connection, {})[event.broker_execution_id] = order_id
        if after.status in TERMINAL:
            self.open.pop(order_id, None)
            self.finished[order_id] = _encode(after)
        else:
            self.open[order_id] = after


def begin(cause: Ordered, owner: str) -> Order:
    """A client's order before its first event."""
    command = cause.command
    return Order(
        order_id=ids.order_id(owner, command.client_order_id),
        owner=owner,
        origin=Origin.CLIENT,
        terms=command,
        client_order_id=command.client_order_id,
        account=command.account,
        received_ns=cause.received_ns,
        session=cause.session,
    )


def discover(update: OrderUpdate, record: Record, parent_order_id: str | None) -> Order:
    """An order that was not placed here, before its External event."""
    return Order(
        order_id=update.order_id,
        owner=record.owner or "",
        origin=update.origin,
        client_order_id=update.client_order_id,
        parent_order_id=parent_order_id,
        connection=connection_of(record),
        account=update.account,
        received_ns=record.at_ns,
    )


def connection_of(record: Record) -> str | None:
    """The broker connection that a record is what it told."""
    cause = record.cause
    return cause.connection if isinstance(cause, Reported | Synced) else None
