"""Builders for orders and events: they supply what a test does not care about."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from typing import Any

from domain import events as ev
from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.lifecycle import Break, Order, Origin, Status, apply
from domain.orders import NewOrder, OrderType, Side, TimeInForce

ERROR = ErrorInfo(
    code="margin",
    category=Category.VENUE,
    outcome=Outcome.NONE,
    retry=Retry.NEW_ID,
    message="not enough",
)


def new_order(**words: Any) -> NewOrder:
    """A limit order to buy 100 EUR/USD at 1.10, but for what is said."""
    plain: dict[str, Any] = {
        "client_order_id": "c-1",
        "instrument": "EUR/USD",
        "side": Side.BUY,
        "quantity": Decimal(100),
        "type": OrderType.LIMIT,
        "limit_price": Decimal("1.10"),
    }
    return NewOrder(**(plain | words))


def an_order(**words: Any) -> Order:
    """A client's order for 100, just received."""
    plain: dict[str, Any] = {
        "order_id": "o-1",
        "owner": "owner-1",
        "origin": Origin.CLIENT,
        "terms": new_order(),
        "client_order_id": "c-1",
        "received_ns": 5,
    }
    return Order(**(plain | words))


def a_fill(quantity: int | str = 40, name: str = "x-1", **words: Any) -> ev.Fill:
    """A fill at 1.10, but for what is said."""
    plain: dict[str, Any] = {
        "at_ns": 10,
        "execution_id": name,
        "broker_execution_id": name,
        "broker_order_id": "b-1",
        "instrument": "EUR/USD",
        "side": Side.BUY,
        "quantity": Decimal(quantity),
        "price": Decimal("1.10"),
    }
    return ev.Fill(**(plain | words))


EVENTS: dict[type, ev.OrderEvent] = {
    ev.Denied: ev.Denied(at_ns=1, error=ERROR),
    ev.Held: ev.Held(at_ns=1),
    ev.Armed: ev.Armed(at_ns=1),
    ev.Readied: ev.Readied(at_ns=1),
    ev.Sending: ev.Sending(
        at_ns=1,
        connection="oanda-1",
        account="acc-1",
        intent=7,
        attempt=1,
        venue_client_id="v-1",
        verdict="verdict-1",
    ),
    ev.NeverSent: ev.NeverSent(at_ns=1, reason="no send mark"),
    ev.OutcomeUnknown: ev.OutcomeUnknown(at_ns=1, reason="timeout"),
    ev.NotPlaced: ev.NotPlaced(at_ns=1, evidence=("two lookups say no",)),
    ev.Accepted: ev.Accepted(at_ns=1, broker_order_id="b-1"),
    ev.Triggered: ev.Triggered(at_ns=1, broker_order_id="b-2"),
    ev.Fill: a_fill(),
    ev.Rejected: ev.Rejected(at_ns=1, error=ERROR),
    ev.Canceled: ev.Canceled(at_ns=1, reason="client_request"),
    ev.Expired: ev.Expired(at_ns=1, broker_order_id="b-1"),
    ev.Replaced: ev.Replaced(at_ns=1, broker_order_id="b-3"),
    ev.CancelRequested: ev.CancelRequested(at_ns=1, request_id="r-1"),
    ev.CancelRefused: ev.CancelRefused(at_ns=1, error=ERROR),
    ev.AmendRequested: ev.AmendRequested(at_ns=1, request_id="r-2"),
    ev.AmendRefused: ev.AmendRefused(at_ns=1, error=ERROR),
    ev.External: ev.External(
        at_ns=1,
        broker_order_id="b-9",
        instrument="EUR/USD",
        side=Side.SELL,
        quantity=Decimal(100),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        limit_price=Decimal("1.20"),
    ),
}
"""One of each kind."""

WORDS: dict[str, type] = {
    "denied": ev.Denied,
    "held": ev.Held,
    "armed": ev.Armed,
    "ready": ev.Readied,
    "send": ev.Sending,
    "never-sent": ev.NeverSent,
    "unknown": ev.OutcomeUnknown,
    "not-placed": ev.NotPlaced,
    "ack": ev.Accepted,
    "triggered": ev.Triggered,
    "rejected": ev.Rejected,
    "canceled": ev.Canceled,
    "expired": ev.Expired,
    "replaced": ev.Replaced,
    "cancel": ev.CancelRequested,
    "cancel-refused": ev.CancelRefused,
    "amend": ev.AmendRequested,
    "amend-refused": ev.AmendRefused,
    "external": ev.External,
}


def told(words: str) -> list[ev.OrderEvent]:
    """The events of a story; `fill-40` is a new fill, `again-1` the first fill once more."""
    events: list[ev.OrderEvent] = []
    fills: list[ev.Fill] = []
    for word in words.split():
        name, _, number = word.rpartition("-")
        if name == "fill":
            fills.append(a_fill(number, f"x-{len(fills) + 1}"))
            events.append(fills[-1])
        elif name == "again":
            events.append(fills[int(number) - 1])
        elif name == "replaced":
            events.append(ev.Replaced(at_ns=1, broker_order_id="b-3", quantity=Decimal(number)))
        else:
            events.append(EVENTS[WORDS[word]])
    return events


def fold(order: Order | Break, events: list[ev.OrderEvent]) -> Order | Break:
    """The order after the events, or the first break."""
    return reduce(
        lambda at, event: at if isinstance(at, Break) else apply(at, event), events, order
    )


def order_after(words: str, order: Order | None = None) -> Order:
    """The order after a story that has no break."""
    after = fold(order or an_order(), told(words))
    assert isinstance(after, Order), after
    return after


def order_at(status: Status) -> Order:
    """An order that stands at a status, by a way the table allows."""
    return order_after(WAYS[status])


WAYS = {
    Status.RECEIVED: "",
    Status.DENIED: "denied",
    Status.HELD: "held",
    Status.ARMED: "armed",
    Status.READY: "ready",
    Status.SENDING: "send",
    Status.UNKNOWN: "send unknown",
    Status.LIVE: "send ack",
    Status.PARTIALLY_FILLED: "send fill-30",
    Status.FILLED: "send fill-100",
    Status.CANCELED: "send canceled",
    Status.REJECTED: "send rejected",
    Status.EXPIRED: "send expired",
    Status.NOT_PLACED: "send unknown not-placed",
}
assert WAYS.keys() == set(Status)
