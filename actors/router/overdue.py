"""What time alone brings: a send that nobody answers is unknown, an unknown one an alarm."""

from __future__ import annotations

from actors.router.ages import SILENT_SENDING_NS, UNKNOWN_ALARM_NS, Ages
from actors.router.desk import Desk
from domain import events as ev
from domain.lifecycle import Order, Status
from domain.records import Settled
from domain.streams import NoticeKind

DOUBTFUL = (Status.SENDING, Status.UNKNOWN)


class Overdue:
    """Looks at the open orders, at each tick and after a restart."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._ages = Ages()
        self._alarmed: set[str] = set()

    def tick(self) -> None:
        """What time alone brings: silent sends become UNKNOWN, old UNKNOWNs raise an alarm."""
        desk = self._desk
        doubtful = [o for o in desk.books.orders.open.values() if o.status in DOUBTFUL]
        for order, age in self._ages.of(doubtful, desk.now_ns, desk.boot_ns):
            if order.status is Status.SENDING and age > SILENT_SENDING_NS:
                venue = desk.venues.get(order.connection or "")
                if venue is None or not venue.is_attached:
                    self._give_up(order, "connection lost")
            elif order.status is Status.UNKNOWN and age > UNKNOWN_ALARM_NS:
                self._alarm(order)

    def _give_up(self, order: Order, reason: str) -> None:
        """Nobody will tell what became of it, unless its connection comes back."""
        draft = self._desk.draft(Settled(why="the connection is gone"), order.owner)
        draft.event(order, ev.OutcomeUnknown(at_ns=self._desk.now_ns, reason=reason))
        draft.close()

    def _alarm(self, order: Order) -> None:
        if order.order_id in self._alarmed:
            return
        self._alarmed.add(order.order_id)
        draft = self._desk.draft(Settled(why="unknown for too long"), order.owner)
        what = "its outcome is unknown for over 30 s; new risk on its instrument is blocked"
        draft.notice(NoticeKind.UNKNOWN_ORDER, f"orders/{order.owner}", what, order.order_id)
        draft.close()

    def recover(self) -> None:
        """After replay: what waited for a credit was never sent, and its screening is gone.

        What a connection was sending that is no longer in the settings is unknown.
        """
        for order in tuple(self._desk.books.orders.open.values()):
            if order.status is Status.SENDING and order.connection not in self._desk.venues:
                self._give_up(order, f"connection {order.connection} is not in the settings")
                self._orphaned(order)
            if order.status is Status.READY:
                draft = self._desk.draft(Settled(why="the router restarted"), order.owner)
                reason = "not sent before a restart of the router"
                draft.event(order, ev.Canceled(at_ns=self._desk.now_ns, reason=reason))
                draft.close()

    def _orphaned(self, order: Order) -> None:
        draft = self._desk.draft(Settled(why="its connection is not in the settings"), order.owner)
        what = (
            f"it was being sent by {order.connection}, which the settings no longer have: put the "
            f"connection back, or say what became of it with order.resolve"
        )
        draft.notice(NoticeKind.UNKNOWN_ORDER, f"orders/{order.owner}", what, order.order_id)
        draft.close()
