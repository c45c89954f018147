"""What a router tells of itself once a second, for metrics and for people."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from actors.figures import Figures
from actors.router.actor import Router
from actors.router.desk import Desk
from domain.events import OrderEvent
from domain.lifecycle import OPEN, Status
from domain.streams import NoticeKind

NS = 1_000_000_000


def figures_of(router: Router) -> Figures:
    """The router as it stands."""
    told = Figures()
    desk = router.desk
    told.put("fillgate_trading", int(router.is_trading))
    told.put("fillgate_cancel_only", int(desk.closed is not None))
    told.put("fillgate_journal_records_total", desk.books.number)
    told.put("fillgate_halts", len(desk.books.halts))
    _put_orders(told, desk)
    for name, venue in desk.venues.items():
        told.put("fillgate_ready_orders", len(venue.ready), name)
        told.put("fillgate_orders_in_flight", len(venue.in_flight), name)
        told.put("fillgate_send_credits", max(0, venue.credits - len(venue.in_flight)), name)
    tally = desk.tally
    # All of them, at zero too: what first appears at one has not risen, to who reads rises.
    for kind in get_args(OrderEvent):
        tag = str(kind.__struct_config__.tag)
        told.put("fillgate_order_events_total", tally.events[kind], tag)
    for notice in NoticeKind:
        told.put("fillgate_notices_total", tally.notices[notice.value], notice.value)
    told.put_all("fillgate_refusals_total", tally.refusals)
    told.put_latency("fillgate_journal_commit_seconds", tally.commit)
    for segment in ("edge", "compliance", "router", "outcome"):
        told.put_latency("fillgate_order_segment_seconds", getattr(tally, segment), segment)
    return told


def _put_orders(told: Figures, desk: Desk) -> None:
    found = Counter(order.status for order in desk.books.orders.open.values())
    for status in OPEN - {Status.RECEIVED}:
        told.put("fillgate_orders", found[status], status.value)
    told.put("fillgate_orders_known", len(desk.books.orders.digests))
    told.put("fillgate_order_unknown_oldest_seconds", _oldest_unknown_ns(desk) / NS)


def _oldest_unknown_ns(desk: Desk) -> int:
    """For how long the order that is UNKNOWN the longest has been so; 0 where none is."""
    orders = desk.books.orders.open
    since = [orders[name].updated_ns for name in desk.unknown if name in orders]
    return max(0, desk.now_ns - min(since)) if since else 0
