"""An asyncio client that resumes by itself: every command decided, every event applied once.

    async with Client.connect(url, token, "my-strategy") as client:
        decided = await client.place(NewOrder(...))

When the connection is lost the client dials again, logs in as the next generation of its
session with the number of the last applied entry of each stream, and sends all commands without
an answer again, unchanged: the server knows them by their ids. Entries at or below a cursor are
dropped; a heartbeat whose heads stay ahead of a cursor shows a gap, which is read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, Self, TypedDict, Unpack

from domain.commands import Decided, Halt, Resume, SetGuard
from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.orders import AmendOrder, CancelOrder, NewOrder
from domain.quotes import Quote
from domain.streams import OrderUpdate
from gateway import wire
from gateway.client_book import DECIDED, QuoteFeed, UpdateFeed
from gateway.client_session import ClientSession
from gateway.client_socket import Address
from gateway.client_terms import ClientOptions, ConnectionLostError, Refused
from gateway.codec import JSON, MSGPACK
from gateway.tls import trusting

CODECS = {"json": JSON, "msgpack": MSGPACK}
OUTCOME_STATUSES = frozenset(status.value for status in DECIDED)

__all__ = ["Client", "ClientOptions", "ConnectionLostError", "Refused"]


class Choices(TypedDict, total=False):
    """What `Client.connect` may be told: `on_event` hears each applied entry, and must not raise.

    Without `resume` the first loss of the connection is the end.
    """

    codec: Literal["json", "msgpack"]
    on_event: Callable[[wire.Ev], None] | None
    resume: bool
    options: ClientOptions | None


class Client(ClientSession):
    """One session, connected again whenever the connection is lost."""

    @classmethod
    def connect(cls, url: str, token: str, session: str, **given: Unpack[Choices]) -> Self:
        """A client to be entered with `async with`; `given` is described by `Choices`."""
        options = given.get("options") or ClientOptions()
        tls = options.tls or (trusting(options.ca) if url.startswith("wss:") else None)
        codec = CODECS[given.get("codec", "msgpack")]
        address = Address(url, token, codec, tls, options.server_name)
        client = cls(address, session, options)
        client.on_event = given.get("on_event")
        client.resume = given.get("resume", True)
        return client

    # -- what a strategy does

    async def place(self, order: NewOrder) -> Decided:
        """Places an order: durable when this returns. Raises Refused."""
        cseq = self._next_cseq()
        return _decided(await self._ask(wire.OrderNew(id=self._id(), cseq=cseq, order=order)))

    async def place_and_wait(self, order: NewOrder) -> OrderUpdate:
        """Places an order and returns the first outcome at the broker. Raises Refused."""
        name = order.client_order_id
        future: asyncio.Future[OrderUpdate] = asyncio.get_running_loop().create_future()
        self._waiting[name] = future
        try:
            decided = await self.place(order)
            if decided.dup and not future.done():
                return await self._find_outcome(decided, name, future)
            return await future
        finally:
            self._waiting.pop(name, None)

    async def _find_outcome(
        self, decided: Decided, name: str, future: asyncio.Future[OrderUpdate]
    ) -> OrderUpdate:
        """An order placed before may have had its outcome already."""
        known = self.orders.get(name)
        if known is not None and known.status in DECIDED:
            return known
        if decided.status in OUTCOME_STATUSES:
            raise Refused(
                ErrorInfo(
                    code="outcome_before_resume",
                    category=Category.CLIENT,
                    outcome=Outcome.APPLIED,
                    retry=Retry.NEVER,
                    message="its outcome was before this session's cursor; see order.get",
                )
            )
        return await future

    async def cancel(self, cancel: CancelOrder) -> tuple[Decided, ...]:
        """Asks for the cancel of one order or many; the outcomes are updates. Raises Refused."""
        cseq = self._next_cseq()
        res = await self._ask(wire.OrderCancel(id=self._id(), cseq=cseq, cancel=cancel))
        return res.decided

    async def amend(self, amend: AmendOrder) -> Decided:
        """Asks for new terms; the outcome is an update. Raises Refused."""
        cseq = self._next_cseq()
        return _decided(await self._ask(wire.OrderAmend(id=self._id(), cseq=cseq, amend=amend)))

    async def command(self, kind: type[wire.NumberedRequest], **fields: Any) -> wire.Res:
        """Any other command, such as `wire.OrderBatch`; id and cseq are added. Raises Refused."""
        return await self._ask(kind(id=self._id(), cseq=self._next_cseq(), **fields))

    async def query(self, kind: type[wire.Request], **fields: Any) -> wire.Res:
        """Rows in `body`, read at `position`; such as `wire.OrdersList`. Raises Refused."""
        return await self._ask(kind(id=self._id(), **fields))

    async def set_guard(self, guard: SetGuard) -> None:
        """Arms or lifts a guard of this session."""
        await self.command(wire.GuardSet, guard=guard)

    async def halt(self, halt: Halt) -> None:
        """Stops new orders in a scope."""
        await self.command(wire.HaltTrading, halt=halt)

    async def resume_trading(self, resume: Resume) -> None:
        """Lifts a halt."""
        await self.command(wire.ResumeTrading, resume=resume)

    async def ping(self) -> int:
        """The round trip in ns; the server learns this session's clock by it."""
        sent_ns = self._options.utc_ns()
        ping = wire.Ping(id=self._id(), client_ns=sent_ns, rtt_ns=self._rtt_ns)
        await self._ask(ping)
        self._rtt_ns = max(self._options.utc_ns() - sent_ns, 0)
        return self._rtt_ns

    async def follow(
        self, stream: str, after: int | None = None, *, snapshot: bool = False
    ) -> None:
        """Follows a durable stream after a number, or from now on."""
        streams = {stream: after}
        self._followed.add(stream)
        if after is not None:
            self.cursors[stream] = after
        res = await self._ask(wire.Sub(id=self._id(), streams=streams, snapshot=snapshot))
        for name, seq in ((res.body or {}).get("resume") or {}).items():
            self.cursors.setdefault(name, seq)

    def updates(self) -> AsyncIterator[wire.Ev]:
        """Every entry of the streams followed, once, in order, from this call on."""
        feed = UpdateFeed()
        if self._end is not None:
            feed.end(self._end)
        self._feeds.append(feed)
        return self._iterate(feed)

    async def _iterate(self, feed: UpdateFeed) -> AsyncIterator[wire.Ev]:
        try:
            while True:
                yield await feed.take()
        finally:
            self._feeds.remove(feed)

    async def quotes(self, instrument: str, *, conflate: bool = True) -> AsyncIterator[Quote]:
        """The instrument's quotes, first the newest there is, as a repeat.

        Those not taken in time become one. Without `conflate` each comes, here and on the way,
        and whoever cannot keep up is cut off.
        """
        feed = QuoteFeed(conflate)
        feeds = self._quotes.setdefault(instrument, [])
        feeds.append(feed)
        name = f"quotes/{instrument}"
        try:
            # One that wants each sets it for all feeds of the instrument: these conflate here.
            each = not all(one.conflate for one in feeds)
            sub = wire.Sub(id=self._id(), streams={name: None}, conflate=not each)
            await self._ask(sub)
            while True:
                yield await feed.take()
        finally:
            feeds.remove(feed)
            if not feeds and self._quotes.get(instrument) is feeds:
                del self._quotes[instrument]
                self._tell(wire.Unsub(id=self._id(), streams=(name,)))


def _decided(res: wire.Res) -> Decided:
    """The one order's decision. Raises Refused where it was refused."""
    decided = res.decided[0] if res.decided else Decided()
    if decided.error is not None:
        raise Refused(decided.error)
    return decided
