"""What is read of a broker beside its streams: the account, what can be traded, and the past."""

from __future__ import annotations

from collections.abc import AsyncIterator

from msgspec import Struct

from actors.clocks import Clocks
from actors.line import Line
from brokers.adapter import Adapter, BrokerError, Report, Request, Response
from domain.accounts import AccountSnapshot
from domain.instruments import Instrument

PAGES_MAX = 10_000


class BrokerReads(Struct, frozen=True):
    """Whom to ask, and how long to wait for each answer."""

    adapter: Adapter
    line: Line
    clocks: Clocks
    timeout_ms: int

    async def answers(self, requests: tuple[Request, ...]) -> tuple[Response, ...]:
        """The answers, asked one after another. Raises BrokerError."""
        return tuple([await self.line.read(one, self.timeout_ms) for one in requests])

    async def instruments(self) -> dict[str, Instrument]:
        """What can be traded, by symbol. Raises BrokerError."""
        answers = await self.answers(self.adapter.instruments())
        return {found.symbol: found for found in self.adapter.parse_instruments(answers)}

    async def account(self) -> tuple[AccountSnapshot, Report]:
        """The account and its working orders, of one moment. Raises BrokerError, Restless."""
        answers = await self.answers(self.adapter.account())
        now_ns = self.clocks.utc_ns()
        snapshot = self.adapter.parse_account(answers, now_ns)
        return snapshot, self.adapter.parse_open_orders(answers, now_ns)

    async def working(self) -> Report:
        """The working orders, whatever else moves. Raises BrokerError."""
        answers = await self.answers(self.adapter.account())
        return self.adapter.parse_open_orders(answers, self.clocks.utc_ns())

    async def look_up(self, venue_client_id: str) -> Report:
        """What the broker knows under an id of ours. Raises BrokerError."""
        answer = await self.line.read(self.adapter.look_up(venue_client_id), self.timeout_ms)
        return self.adapter.parse_looked_up(venue_client_id, answer, self.clocks.utc_ns())

    async def pages(self, cursor: str) -> AsyncIterator[Report]:
        """What happened after the cursor, page by page, to its end. Raises BrokerError."""
        for _ in range(PAGES_MAX):
            answer = await self.line.read(self.adapter.since(cursor), self.timeout_ms)
            page = self.adapter.parse_since(cursor, answer, self.clocks.utc_ns())
            yield page
            if not page.has_more or page.cursor is None:
                return
            cursor = page.cursor
        raise BrokerError(f"more than {PAGES_MAX} pages of history")
