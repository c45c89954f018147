"""What connections tell, and what the router concludes: recovery is the same code.

Items come numbered; what is already known changes nothing and is not written again. A
connection that comes (back) is probed for every order that was SENDING, and asked for
evidence of every UNKNOWN; orders that wait to be canceled are canceled again.
"""

from __future__ import annotations

from decimal import Decimal

from actors import messages as m
from actors.router.balances import find_news
from actors.router.changes import Changes
from actors.router.desk import Desk, Draft
from actors.router.facts import changes_nothing, what_is_held
from actors.router.holds import Holds
from actors.router.overdue import Overdue
from actors.router.venue import Venue
from domain import events as ev
from domain import ids
from domain.accounts import BreakerState, ConnectionState, SessionState
from domain.events import VenueEvent
from domain.lifecycle import Order, Origin, Status
from domain.orders import OrderType, TimeInForce
from domain.portfolio import Position
from domain.records import Reported, Synced
from domain.streams import ConnectionUpdate, NoticeKind, PositionUpdate
from ledger.projection import Feed

NS_PER_MS = 1_000_000
WORKING = (Status.LIVE, Status.PARTIALLY_FILLED)
DOUBTFUL = (Status.SENDING, Status.UNKNOWN)


class Reports:
    """Folds connections' items into records at the desk."""

    def __init__(self, desk: Desk, changes: Changes) -> None:
        self.desk = desk
        self.changes = changes
        self._holds = Holds(desk)
        self._overdue = Overdue(desk)
        self._last: dict[str, tuple[str, int]] = {}

    # -- a connection comes and goes

    def attach(self, connection: str) -> None:
        """A link is up: introduce our epoch."""
        books = self.desk.books
        feed = books.feeds.get(connection) or Feed(incarnation="")
        self.desk.to_connections.append(
            (
                connection,
                m.Attach(
                    epoch=self.desk.epoch,
                    incarnation=feed.incarnation,
                    last=feed.last,
                    last_intent=self.desk.last_intent(connection),
                    cursor=feed.cursor,
                    halts=self.desk.halts(),
                    halts_number=books.number,
                ),
            )
        )

    def attached(self, message: m.Attached) -> None:
        """The connection is ours: probe what was under way."""
        venue = self.desk.venues[message.connection]
        is_new = not venue.is_attached
        venue.is_attached = True
        venue.credits = message.credits
        venue.state, venue.breaker = message.state, message.breaker
        venue.granted, venue.per_order_us = message.granted, message.per_order_us
        venue.instruments = {i.symbol: i for i in message.instruments}
        if is_new:
            venue.spent = 0
            self._probe(message.connection)
        if venue.is_up:
            self._resume(message.connection)

    def granted(self, credits: m.Credits) -> None:
        """Leave to send more, or what was given is taken back."""
        venue = self.desk.venues[credits.connection]
        if venue.granted is None or credits.epoch != self.desk.epoch:
            return
        venue.granted = credits.granted
        venue.next_grant_ns = self.desk.boot_ns + credits.wait_ms * NS_PER_MS
        self.changes.orders.spend_credits(venue)

    def _under_way(self, connection: str) -> list[Order]:
        return self.desk.books.orders.open_at(connection)

    def _probe(self, connection: str) -> None:
        """Asks what became of every order that may have left."""
        desk = self.desk
        doubtful = [o for o in self._under_way(connection) if o.status in DOUBTFUL]
        desk.venues[connection].in_flight = {
            o.intent for o in doubtful if o.status is Status.SENDING and o.intent is not None
        }
        intents = tuple(o.intent for o in doubtful if o.intent is not None)
        if intents:
            probe = m.Probe(epoch=desk.epoch, intents=intents)
            desk.to_connections.append((connection, probe))
        self.changes.give_up_amends(connection)

    def _resume(self, connection: str) -> None:
        """The broker can be asked again: look for what is unknown, cancel what waits for it."""
        for order in self._under_way(connection):
            if order.status is Status.UNKNOWN:
                self._look_up(order)
            self.changes.send_cancel(order)

    def lost(self, connection: str) -> None:
        """The link broke: nothing more can be sent until it is back."""
        venue = self.desk.venues[connection]
        venue.is_attached = False
        venue.state = SessionState.DISCONNECTED

    # -- items

    def items(self, message: m.Items) -> None:
        """Writes down what is new in them, then frees them."""
        desk = self.desk
        last = message.first + len(message.items) - 1
        if last <= self._known(message):
            self._free(message, last)
            return
        venue = desk.venues[message.connection]
        cause = Reported(
            connection=message.connection,
            incarnation=message.incarnation,
            first=message.first,
            last=last,
            cursor=message.cursor,
        )
        draft = desk.draft(cause, venue.settings.owner)
        for item in message.items:
            draft = self._item(draft, venue, item, message)
        if draft.updates:
            draft.close()
        self._last[message.connection] = (message.incarnation, last)
        self._free(message, last)
        self.changes.orders.spend_credits(venue)

    def _known(self, message: m.Items) -> int:
        """The last item of this incarnation taken so far, durable or of no consequence."""
        feed = self.desk.books.feeds.get(message.connection)
        durable = feed.last if feed and feed.incarnation == message.incarnation else 0
        incarnation, last = self._last.get(message.connection, ("", 0))
        return max(durable, last if incarnation == message.incarnation else 0)

    def _free(self, message: m.Items, last: int) -> None:
        freed = m.Freed(incarnation=message.incarnation, last=last)
        self.desk.freed[message.connection] = freed

    def _item(self, draft: Draft, venue: Venue, item: m.Item, message: m.Items) -> Draft:
        match item:
            case m.Told():
                self._told(draft, venue, item)
            case m.GateRefused():
                self._gate_refused(draft, venue, item)
            case m.InDoubt():
                self._in_doubt(draft, venue, item)
            case m.NoTrace():
                order = draft.order(item.order_id)
                if order is not None and order.status is Status.UNKNOWN:
                    evidence = ev.NotPlaced(at_ns=self.desk.now_ns, evidence=item.evidence)
                    draft.event(order, evidence)
            case m.Unread():
                scope = f"account/{venue.settings.account}"
                draft.notice(NoticeKind.BREAK, scope, item.what, None)
            case m.SyncedAccount():
                return self._synced(draft, venue, item, message)
            case m.StateChanged():
                self._changed(draft, venue, item.state)
        return draft

    def _changed(self, draft: Draft, venue: Venue, state: ConnectionState) -> None:
        was = venue.breaker
        venue.state, venue.breaker = state.state, state.breaker
        if venue.is_up:
            self._resume(venue.settings.id)
        draft.add("connections", ConnectionUpdate(connection=state))
        if state.breaker is BreakerState.OPEN and was is not BreakerState.OPEN:
            draft.notice(NoticeKind.BREAKER, f"connection/{venue.settings.id}", state.reason, None)

    def _told(self, draft: Draft, venue: Venue, told: m.Told) -> None:
        if told.intent is not None:
            venue.in_flight.discard(told.intent)
        for event in told.events:
            self._venue_event(draft, venue, event)

    def _venue_event(self, draft: Draft, venue: Venue, event: VenueEvent) -> None:
        order = self._find(draft, venue, event)
        if order is None:
            self._external(draft, venue, event)
            return
        if order.origin is Origin.CLIENT and isinstance(event, ev.External):
            event = ev.Accepted(
                at_ns=event.at_ns,
                broker_order_id=event.broker_order_id,
                venue_client_id=event.venue_client_id,
            )
        if changes_nothing(order, event):
            return
        after = draft.event(order, event)
        if order.status in DOUBTFUL and order.intent is not None:
            venue.in_flight.discard(order.intent)
            self.desk.tally.ended(order, self.desk.now_ns)
        if after.status in WORKING and order.status not in WORKING:
            self.changes.send_cancel(after)

    def _find(self, draft: Draft, venue: Venue, event: VenueEvent) -> Order | None:
        books = self.desk.books
        if event.venue_client_id is not None:
            found = books.orders.at_venue(event.venue_client_id)
            if found is not None:
                return draft.order(found.order_id)
        order = self._at_broker(draft, venue, event.broker_order_id)
        if order is None and isinstance(event, ev.Replaced):
            # A replacement may be under an id of which nobody has heard.
            order = self._at_broker(draft, venue, event.previous_broker_order_id)
        return order

    def _at_broker(self, draft: Draft, venue: Venue, broker_order_id: str | None) -> Order | None:
        if broker_order_id is None:
            return None
        found = self.desk.books.orders.at_broker(venue.settings.id, broker_order_id)
        if found is not None:
            return draft.order(found.order_id)
        # Not in the books, but maybe earlier in this very draft.
        return draft.at_broker(venue.settings.id, broker_order_id)

    def _external(self, draft: Draft, venue: Venue, event: VenueEvent) -> None:
        """An order we did not place comes to be known, from its creation or its first fill."""
        if isinstance(event, ev.External):
            made = event
        elif isinstance(event, ev.Fill):
            made = ev.External(
                at_ns=event.at_ns,
                broker_order_id=event.broker_order_id,
                instrument=event.instrument,
                side=event.side,
                quantity=event.quantity,
                order_type=OrderType.MARKET,
                time_in_force=TimeInForce.FOK,
            )
        else:
            # The end of an order from before our time: nothing of ours hangs on it.
            return
        parent = self._parent(draft, venue, made)
        order = Order(
            order_id=ids.external_order_id(venue.settings.id, made.broker_order_id),
            owner=venue.settings.owner,
            origin=Origin.CHILD if parent else Origin.EXTERNAL,
            parent_order_id=parent,
            connection=venue.settings.id,
            account=venue.settings.account,
            venue_client_id=made.venue_client_id,
            received_ns=self.desk.now_ns,
        )
        order = draft.event(order, made)
        if isinstance(event, ev.Fill):
            draft.event(order, event)

    def _parent(self, draft: Draft, venue: Venue, made: ev.External) -> str | None:
        """The bracket order of ours that this one guards, by its id or by the fill that made it."""
        if made.parent_broker_order_id is not None:
            entry = self._at_broker(draft, venue, made.parent_broker_order_id)
            return entry.order_id if entry is not None and entry.client_order_id else None
        if made.parent_execution is None:
            return None
        found = self.desk.books.orders.of_entry(venue.settings.id, made.parent_execution)
        return found.order_id if found else draft.entry_of(made.parent_execution)

    def _gate_refused(self, draft: Draft, venue: Venue, item: m.GateRefused) -> None:
        venue.in_flight.discard(item.intent)
        order = self._by_intent(venue, item.intent)
        if order is None or order.status not in (Status.SENDING, Status.UNKNOWN):
            return
        now = self.desk.now_ns
        order = draft.event(order, ev.NeverSent(at_ns=now, reason=item.reason))
        draft.event(order, ev.Canceled(at_ns=now, reason=item.reason))

    def _by_intent(self, venue: Venue, intent: int) -> Order | None:
        for order in self.desk.books.orders.open.values():
            if order.intent == intent and order.connection == venue.settings.id:
                return order
        return None

    def _in_doubt(self, draft: Draft, venue: Venue, item: m.InDoubt) -> None:
        venue.in_flight.discard(item.intent)
        order = self._by_intent(venue, item.intent)
        if order is None or order.status is not Status.SENDING:
            return
        order = draft.event(order, ev.OutcomeUnknown(at_ns=self.desk.now_ns, reason=item.reason))
        if venue.is_up:
            self._look_up(order)

    def _look_up(self, order: Order) -> None:
        """Asks the connection for evidence, from before the attempt on."""
        connection = order.connection or ""
        feed = self.desk.books.feeds.get(connection)
        wanted = m.LookUp(
            epoch=self.desk.epoch,
            order_id=order.order_id,
            venue_client_id=order.venue_client_id or "",
            cursor=order.sent_cursor or (feed.cursor if feed else None),
        )
        self.desk.to_connections.append((connection, wanted))

    # -- the account, as the broker sees it

    def _synced(self, draft: Draft, venue: Venue, item: m.SyncedAccount, message: m.Items) -> Draft:
        if draft.updates:
            draft.close()
        cause = Synced(
            connection=venue.settings.id,
            incarnation=message.incarnation,
            snapshot=item.snapshot,
        )
        account = item.snapshot.account.account
        draft = self.desk.draft(cause, venue.settings.owner)
        if (news := find_news(self.desk.books, item.snapshot, self.desk.now_ns)) is not None:
            draft.add(f"account/{account}", news)
        self._compare_positions(draft, venue, item.snapshot.positions)
        for made in item.open_orders:
            self._venue_event(draft, venue, made)
        self._look_for_missing(draft, venue, item)
        return draft

    def _compare_positions(
        self, draft: Draft, venue: Venue, positions: tuple[Position, ...]
    ) -> None:
        books, account = self.desk.books, venue.settings.account
        has_lots = venue.adapter.capabilities.shows_lots
        theirs = {position.instrument: position for position in positions}
        ours = {name: p for (owner, name), p in books.positions.items() if owner == account}
        is_first = account not in books.accounts
        for instrument in sorted(theirs.keys() | ours.keys()):
            their, our = theirs.get(instrument), ours.get(instrument)
            if what_is_held(their, has_lots) == what_is_held(our, has_lots):
                continue
            if not is_first:
                both = (
                    f"broker {what_is_held(their, has_lots)}, books {what_is_held(our, has_lots)}"
                )
                what = f"{instrument}: {both}"
                draft.notice(NoticeKind.BREAK, f"account/{account}", what, None)
            empty = Position(account=account, instrument=instrument, quantity=Decimal(0))
            draft.add(f"account/{account}", PositionUpdate(position=their or empty))

    def _look_for_missing(self, draft: Draft, venue: Venue, item: m.SyncedAccount) -> None:
        """Orders we hold for working that the broker no longer lists: look, never guess."""
        listed = {made.broker_order_id for made in item.open_orders}
        for order in tuple(self.desk.books.orders.open.values()):
            if order.connection != venue.settings.id or order.status not in WORKING:
                continue
            if order.legs and order.legs[-1] not in listed and draft.order(order.order_id) is order:
                self._look_up(order)

    # -- the clock

    def tick(self) -> None:
        """What time alone brings."""
        self._overdue.tick()
        self._holds.tick()

    def recover(self) -> None:
        """After replay: what was waiting or under way when the last router ended."""
        self._overdue.recover()
