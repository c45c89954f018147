"""A client and its edge in one, played by hand at the router's link: no gateway between.

It keeps what a client keeps: the log of its order stream, each number once and in order, read
again from the last one whenever the router was away; and the commands nobody answered, which it
says again under the same ids.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors import messages as m
from actors.link import Hello, Link, LinkOwner, dial
from bench.world import OWNER
from domain import commands as c
from domain.lifecycle import TERMINAL, Status
from domain.streams import OrderUpdate, StreamUpdate

STREAM = f"orders/{OWNER}"
SESSION = "s-bench"
PAGE = 500
PAUSE_S = 0.01
RESTING = TERMINAL | {Status.LIVE, Status.PARTIALLY_FILLED}


class RouterAway(Exception):
    """The link broke before the answer came."""


class HandEdge(LinkOwner[Any]):
    """Asks the router; `log` is the client's own."""

    def __init__(self, path: Path, deployment: str) -> None:
        self._path = path
        self._deployment = deployment
        self.log: list[StreamUpdate] = []
        self.orders: dict[str, OrderUpdate] = {}
        """The last word on each order, by its client order id."""
        self.is_trading = False
        self.unanswered: dict[str, Any] = {}
        self.acknowledged: set[str] = set()
        """Orders of which the router said that they are durable."""
        self.on_update: Callable[[StreamUpdate], object] = lambda _update: None
        self._link: Link[Any] | None = None
        self._refs = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Dials the router for ever."""
        me = Hello(role="edge-0", deployment=self._deployment, incarnation="hand", pid=os.getpid())
        await dial(self._path, lambda: Link(me, m.edge_inbox, self))

    # -- the link

    def link_up(self, link: Link[Any]) -> None:
        """The router answers: what was missed is read from the last number on."""
        self._link = link
        self._read()

    def link_down(self, link: Link[Any]) -> None:
        """Nobody answers any more."""
        self._link, self.is_trading = None, False
        waiting, self._answers = self._answers, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(RouterAway)
        self._wake()

    def received(self, link: Link[Any], message: Any) -> None:
        """Answers by ref; updates as published."""
        match message:
            case m.Standing():
                self.is_trading = message.is_trading
            case c.Published():
                self._take(message.updates)
            case c.StreamPage():
                self._take(message.updates)
                if self.log and self.log[-1].seq < message.head:
                    self._read()
            case c.Answer() if message.ref in self._answers:
                future = self._answers.pop(message.ref)
                if not future.done():
                    future.set_result(message)
        self._wake()

    def _read(self) -> None:
        if self._link is not None:
            after = self.log[-1].seq if self.log else 0
            read = c.ReadStream(
                ref=0, owner=OWNER, stream=STREAM, after=after, limit=PAGE, from_journal=True
            )
            self._link.send(read)

    def _take(self, updates: tuple[StreamUpdate, ...]) -> None:
        """What is next is applied; what is known is dropped; after a hole it is read again."""
        for update in updates:
            last = self.log[-1].seq if self.log else 0
            if update.stream != STREAM or update.seq <= last:
                continue
            if update.seq > last + 1:
                self._read()
                return
            self.log.append(update)
            if isinstance(update.body, OrderUpdate):
                self.orders[update.body.client_order_id or update.body.order_id] = update.body
            self.on_update(update)

    # -- asking

    async def say(self, name: str, command: Any) -> c.Answer:
        """The answer to a command named once and for all. Raises RouterAway."""
        self.unanswered[name] = command
        answer = await self._ask(name, command)
        del self.unanswered[name]
        self.acknowledged |= {
            decided.client_order_id
            for decided in answer.decided
            if decided.client_order_id is not None and decided.error is None
        }
        return answer

    async def try_out(self, command: c.Place) -> c.Answer:
        """What a dry run says; nobody minds if it gets no answer. Raises RouterAway."""
        return await self._ask("dry", command)

    async def _ask(self, name: str, command: Any) -> c.Answer:
        if self._link is None:
            raise RouterAway
        self._refs += 1
        ref = self._refs
        submit = c.Submit(
            ref=ref, owner=OWNER, session=SESSION, cseq=ref, request_id=name, command=command,
            received_ns=time.time_ns(),
        )  # fmt: skip
        future = self._answers[ref] = asyncio.get_running_loop().create_future()
        self._link.send(submit)
        answer = await future
        assert isinstance(answer, c.Answer)
        return answer

    async def say_again(self) -> None:
        """Every command that has no answer, under the id it had. Raises RouterAway."""
        for name, command in tuple(self.unanswered.items()):
            await self.say(name, command)

    # -- waiting

    def _wake(self) -> None:
        self._changed.set()

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Waits until something that comes over the link makes it true. Raises RouterAway."""
        while not is_true():
            if self._link is None:
                raise RouterAway
            self._changed.clear()
            await self._changed.wait()

    async def until_status(self, name: str, *wanted: Status) -> None:
        """Waits until an order stands so. Raises RouterAway."""
        await self.until(lambda: name in self.orders and self.orders[name].status in wanted)

    def is_quiet(self) -> bool:
        """True where no order known here is under way."""
        return all(
            order.status in RESTING and order.pending is None for order in self.orders.values()
        )

    async def rest(self) -> None:
        """Until no order is under way and nothing new is told. Raises RouterAway."""
        last = -1
        while True:
            await self.until(self.is_quiet)
            await asyncio.sleep(PAUSE_S)
            head = self.log[-1].seq if self.log else 0
            if head == last and self.is_quiet():
                return
            last = head

    def working(self) -> list[OrderUpdate]:
        """Orders that rest at a broker."""
        return [order for order in self.orders.values() if order.status not in TERMINAL]

    @property
    def is_up(self) -> bool:
        """True where the router can be asked."""
        return self._link is not None
