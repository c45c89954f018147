"""A router played by hand, over a real link to a real connection: it keeps the journal's account.

What it wrote down stands in `journaled`; a trial may then say anything to the connection, in any
order and as often as it likes, and ask the broker what arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from actors import messages as m
from actors.beacon import boot_ns
from actors.gate import sealed
from actors.link import Link, LinkOwner
from bench.world import OWNER
from domain import ids
from domain.accounts import SessionState
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.records import Halted

SEND_BY_NS = 500_000_000
PRICE = Decimal("0.50000")


class HandRouter(LinkOwner[Any]):
    """One epoch after another; every item is freed as soon as it is heard."""

    def __init__(self) -> None:
        self.link: Link[Any] | None = None
        self.epoch = 1
        self.intent = 0
        self.is_attached = False
        self.state = SessionState.DISCONNECTED
        self.journaled: dict[str, Decimal] = {}
        """What may be on the wire: quantities by the broker's client id."""
        self.halts_set: dict[int, asyncio.Future[None]] = {}
        self.outcomes: dict[int, str] = {}
        self.granted: int | None = None
        self.heard: Callable[[Any], None] = _ignore

    def link_up(self, link: Link[Any]) -> None:
        """The connection answers: take it."""
        self.link = link
        self.attach()

    def link_down(self, link: Link[Any]) -> None:
        """It is gone."""
        if link is self.link:
            self.link, self.is_attached = None, False
            self.state = SessionState.DISCONNECTED

    def attach(self, epoch: int | None = None) -> None:
        """Introduces an epoch, the present one unless said."""
        self.say(
            m.Attach(
                epoch=epoch or self.epoch,
                incarnation="",
                last=0,
                last_intent=self.intent,
                cursor=None,
            )
        )

    def say(self, message: Any) -> None:
        """Whatever it is."""
        if self.link is not None:
            self.link.send(message)

    def received(self, link: Link[Any], message: Any) -> None:
        """The connection's word."""
        match message:
            case m.Attached():
                self.is_attached, self.state = True, message.state
                self.granted = message.granted
            case m.Credits():
                self.granted = message.granted
            case m.HaltsSet():
                future = self.halts_set.pop(message.number, None)
                if future is not None and not future.done():
                    future.set_result(None)
            case m.Items():
                self._items(message)
        self.heard(message)

    def _items(self, items: m.Items) -> None:
        for item in items.items:
            if isinstance(item, m.StateChanged):
                self.state = item.state.state
            intent = getattr(item, "intent", None)
            if intent is not None:
                self.outcomes[intent] = type(item).__name__
        last = items.first + len(items.items) - 1
        self.say(m.Freed(incarnation=items.incarnation, last=last))

    @property
    def is_up(self) -> bool:
        """True where orders can be sent."""
        return self.is_attached and self.state is SessionState.CONNECTED

    # -- what a router would say

    def write_down(self, name: str, quantity: int = 1) -> m.Dispatch:
        """The intent of an order, journaled: the one frame that may be sent, once."""
        self.intent += 1
        dispatch = self.dispatch(name, quantity, intent=self.intent)
        self.journaled[dispatch.venue_client_id] = dispatch.order.quantity
        return dispatch

    def dispatch(self, name: str, quantity: int, **words: Any) -> m.Dispatch:
        """A frame as a router would make it, whether it wrote anything down or not."""
        attempt = words.get("attempt", 1)
        plain: dict[str, Any] = {
            "epoch": self.epoch,
            "attempt": attempt,
            "order_id": ids.order_id(OWNER, name),
            "order": order(name, quantity),
            "venue_client_id": ids.venue_client_id(OWNER, name, "0", attempt),
            "verdict": "v",
            "send_by_ns": boot_ns() + SEND_BY_NS,
        }
        return sealed(m.Dispatch(**(plain | words)))

    async def halt(self, number: int, halts: tuple[Halted, ...]) -> None:
        """Until the gate has confirmed."""
        future = self.halts_set[number] = asyncio.get_running_loop().create_future()
        self.say(m.SetHalts(epoch=self.epoch, number=number, halts=halts))
        await asyncio.wait_for(future, 10)


def order(name: str, quantity: int) -> NewOrder:
    """An order that rests."""
    return NewOrder(
        client_order_id=name,
        instrument="EUR/USD",
        side=Side.BUY,
        quantity=Decimal(quantity),
        type=OrderType.LIMIT,
        limit_price=PRICE,
        time_in_force=TimeInForce.GTC,
    )


def _ignore(_message: Any) -> None:
    return None
