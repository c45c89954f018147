"""What a client remembers: its orders as a fold of updates, and feeds for those who iterate."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

from domain.events import (
    Accepted,
    Canceled,
    Denied,
    Expired,
    Fill,
    NotPlaced,
    Rejected,
    Triggered,
)
from domain.lifecycle import TERMINAL, Status
from domain.quotes import Quote, conflate
from domain.streams import OrderUpdate
from gateway import wire

ORDERS_MAX = 100_000
FEED_UPDATES_MAX = 100_000

OUTCOMES = (Accepted, Triggered, Fill, Rejected, Canceled, Expired, NotPlaced, Denied)
"""Events that say what became of an order at the broker, or that it never got there."""

DECIDED = TERMINAL | {Status.LIVE, Status.PARTIALLY_FILLED}
"""States that only an outcome leads to."""


class Orders:
    """The last update of each order; the oldest finished ones go first when it is full."""

    def __init__(self, orders_max: int = ORDERS_MAX) -> None:
        self._orders_max = orders_max
        self._by_id: dict[str, OrderUpdate] = {}
        self._ids: dict[str, str] = {}

    def apply(self, update: OrderUpdate) -> None:
        """Takes the update as the order's state."""
        if update.order_id not in self._by_id and len(self._by_id) >= self._orders_max:
            self._forget_one()
        self._by_id[update.order_id] = update
        if update.client_order_id is not None:
            self._ids[update.client_order_id] = update.order_id

    def _forget_one(self) -> None:
        finished = (key for key, order in self._by_id.items() if order.status in TERMINAL)
        oldest = next(finished, None) or next(iter(self._by_id))
        gone = self._by_id.pop(oldest)
        if gone.client_order_id is not None:
            self._ids.pop(gone.client_order_id, None)

    def get(self, client_order_id: str) -> OrderUpdate | None:
        """An order by the client's own id."""
        return self._by_id.get(self._ids.get(client_order_id, ""))

    def by_order_id(self, order_id: str) -> OrderUpdate | None:
        """An order by Fillgate's id."""
        return self._by_id.get(order_id)

    def open(self) -> tuple[OrderUpdate, ...]:
        """Those not finished."""
        return tuple(order for order in self._by_id.values() if order.status not in TERMINAL)

    def __iter__(self) -> Iterator[OrderUpdate]:
        """All of them, the oldest first."""
        return iter(tuple(self._by_id.values()))

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._by_id)


class FeedOverflowError(Exception):
    """Who iterates fell behind by more than may wait; the orders are in `client.orders`."""


class Feed:
    """Wakes the one who iterates; ends with an error."""

    def __init__(self) -> None:
        self._wake: asyncio.Future[None] | None = None
        self._end: Exception | None = None

    def end(self, error: Exception) -> None:
        """No more will come."""
        self._end = self._end or error
        self._notify()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _wait(self) -> None:
        if self._end is not None:
            raise self._end
        self._wake = asyncio.get_running_loop().create_future()
        await self._wake


class UpdateFeed(Feed):
    """Every update from the moment the feed was made, in order."""

    def __init__(self, updates_max: int = FEED_UPDATES_MAX) -> None:
        super().__init__()
        self._updates_max = updates_max
        self._held: deque[wire.Ev] = deque()

    def put(self, update: wire.Ev) -> None:
        """Adds one."""
        if len(self._held) >= self._updates_max:
            self.end(FeedOverflowError(f"{self._updates_max} updates wait to be taken"))
        elif self._end is None:
            self._held.append(update)
            self._notify()

    async def take(self) -> wire.Ev:
        """The next; raises what ended the feed once all were taken."""
        while not self._held:
            await self._wait()
        return self._held.popleft()


class QuoteFeed(Feed):
    """The quotes of one instrument: of each connection the newest, for all not taken in time.

    Without `conflate` each one, in order; whoever falls too far behind is told so by the end.
    """

    def __init__(self, conflate: bool = True, quotes_max: int = FEED_UPDATES_MAX) -> None:
        super().__init__()
        self.conflate = conflate
        self._quotes_max = quotes_max
        self._held: dict[str | int, Quote] = {}
        self._number = 0

    def put(self, quote: Quote) -> None:
        """Adds one."""
        if not self.conflate:
            self._put_each(quote)
            return
        held = self._held.get(quote.connection)
        self._held[quote.connection] = quote if held is None else conflate(held, quote)
        self._notify()

    def _put_each(self, quote: Quote) -> None:
        if len(self._held) >= self._quotes_max:
            self.end(FeedOverflowError(f"{self._quotes_max} quotes wait to be taken"))
        elif self._end is None:
            self._number += 1
            self._held[self._number] = quote
            self._notify()

    async def take(self) -> Quote:
        """The next; raises what ended the feed once all were taken."""
        while not self._held:
            await self._wait()
        return self._held.pop(next(iter(self._held)))
