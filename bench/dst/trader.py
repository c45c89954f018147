"""A client of the simulation: the real client library, what it asked, was told, and applied."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from msgspec import Struct

from bench.dst.deployment import ORDERS, Deployment
from bench.dst.loop import Process
from domain.commands import Decided
from domain.errors import ErrorInfo
from domain.orders import NewOrder
from domain.streams import StreamUpdate
from gateway import wire
from gateway.client import Client, ConnectionLostError, Refused


class Asked(Struct):
    """One command, and what came of it."""

    what: str
    orders: tuple[NewOrder, ...] = ()
    decided: tuple[Decided, ...] = ()
    error: ErrorInfo | None = None
    is_answered: bool = False
    fields: dict[str, Any] = {}
    body: Any = None
    at_ns: int = 0
    answered_ns: int = 0


class Trader:
    """One session. A restart begins again at the last applied number, and asks again."""

    def __init__(self, deployment: Deployment, session: str = "s-1") -> None:
        self.deployment = deployment
        self.log: list[StreamUpdate] = []
        self.asked: list[Asked] = []
        self.orders: dict[str, NewOrder] = {}
        self.lives = 0
        self.born_ns = 0
        self.client: Client | None = None
        self._session = session
        self._process: Process | None = None
        self.start()

    def start(self) -> None:
        """A new life of the client's process."""
        if self._process is not None and self._process.is_alive:
            return
        self.lives += 1
        self.born_ns = self.deployment.loop.now_ns
        self._process = Process("client")
        self.deployment.loop.start(self._process, self._live())

    def start_if_down(self) -> None:
        """A new life, unless it lives."""
        if self._process is None or not self._process.is_alive:
            self.start()

    def kill(self) -> None:
        """The client's process ends."""
        assert self._process is not None
        self._process.is_alive = False
        self.client = None
        self.deployment.network.bury(self._process)

    async def _live(self) -> None:
        cursors = {ORDERS: self.log[-1].seq if self.log else 0}
        client = self.deployment.client(self._session, self.lives * 1_000, cursors)
        client.on_event = self._apply
        async with client:
            self.client = client
            for asked in tuple(self.asked):
                if asked.orders and not asked.is_answered:
                    # It does not know what became of them: the same ids are asked again.
                    self._do(asked, self._again(asked))
            await self.deployment.loop.create_future()

    async def _again(self, asked: Asked) -> None:
        for order in asked.orders:
            await self._place(asked, order)

    def _apply(self, ev: wire.Ev) -> None:
        if ev.stream == ORDERS:
            self.log.append(
                StreamUpdate(stream=ev.stream, seq=ev.seq, at_ns=ev.at_ns, body=ev.body)
            )

    # -- commands

    def place(self, order: NewOrder) -> None:
        """Places an order, or the same again."""
        self.orders.setdefault(order.client_order_id, order)
        asked = self._new("place", (order,))
        self._do(asked, self._place(asked, order))

    async def _place(self, asked: Asked, order: NewOrder) -> None:
        assert self.client is not None
        asked.decided += (await self.client.place(order),)

    def batch(self, orders: tuple[NewOrder, ...]) -> None:
        """Places several at once."""
        self.orders.update((order.client_order_id, order) for order in orders)
        asked = self._new("batch", orders)
        self._do(asked, self._command(asked, wire.OrderBatch, orders=orders))

    def say(self, what: str, kind: type[wire.NumberedRequest], **fields: Any) -> Asked:
        """Any other command."""
        asked = self._new(what)
        asked.fields = fields
        self._do(asked, self._command(asked, kind, **fields))
        return asked

    async def _command(self, asked: Asked, kind: type[wire.NumberedRequest], **fields: Any) -> None:
        assert self.client is not None
        res = await self.client.command(kind, **fields)
        asked.decided, asked.body = res.decided, res.body

    def _new(self, what: str, orders: tuple[NewOrder, ...] = ()) -> Asked:
        asked = Asked(what, orders, at_ns=self.deployment.loop.now_ns)
        if self.client is not None:
            self.asked.append(asked)
        return asked

    def _do(self, asked: Asked, work: Coroutine[Any, Any, None]) -> None:
        if self.client is None or self._process is None:
            work.close()
            return
        self.deployment.loop.call_soon(
            self._begin, self._answer(asked, work), context=self._process.context
        )

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.get_running_loop().create_task(work)

    async def _answer(self, asked: Asked, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Refused as refused:
            asked.error = refused.error
        except ConnectionLostError:
            return
        asked.is_answered = True
        asked.answered_ns = self.deployment.loop.now_ns

    def waits(self) -> list[str]:
        """What is not answered; a command that is no order dies with its client."""
        return [
            f"never answered: {asked.what} {[o.client_order_id for o in asked.orders]}"
            for asked in self.asked
            if not asked.is_answered and (asked.orders or not self._is_of_a_past_life(asked))
        ]

    def _is_of_a_past_life(self, asked: Asked) -> bool:
        return asked.at_ns < self.born_ns
