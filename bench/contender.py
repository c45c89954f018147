"""Fillgate in the race: an order is done when its outcome at the broker has come back.

The order's own clock starts before the client library is called and stops when the library
hands over the broker's outcome. On a schedule it starts when the order was due, so orders that
wait behind a slow one count their wait (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

from msgspec import Struct

from bench.pace import Pacer
from bench.workload import Ticket
from domain.commands import Decided
from domain.orders import NewOrder, Side, TimeInForce
from gateway import wire
from gateway.client import Client, Refused

LEAD_NS = 50_000_000
OUTCOMES_S_MAX = 60.0


class Stamps(Struct):
    """When the client sent, learned that the order is durable, and had the outcome: UTC ns."""

    sent_ns: int
    durable_ns: int = 0
    outcome_ns: int = 0


class StampingClient(Client):
    """Notes when each order became durable; changes nothing."""

    stamps: dict[str, Stamps]

    async def place(self, order: NewOrder) -> Decided:
        """As the client does it."""
        decided = await super().place(order)
        self.stamps[order.client_order_id].durable_ns = time.time_ns()
        return decided


class Fillgate:
    """One client session. `name` begins every order's id."""

    name, faces = "fillgate", "Fillgate, and behind it the same simulator"

    def __init__(self, url: str, token: str) -> None:
        self.events: list[wire.Ev] = []
        self.refused: list[str] = []
        self.stamps: dict[str, Stamps] = {}
        self.client = StampingClient.connect(url, token, "bench", on_event=self.events.append)
        self.client.stamps = self.stamps

    async def open(self) -> None:
        """Logs in."""
        await self.client.__aenter__()

    async def close(self) -> None:
        """Hangs up."""
        await self.client.close()

    async def trade(self, tickets: list[Ticket]) -> list[int]:
        """Places the orders one after the other; the ns until each one's outcome."""
        took = []
        for ticket in tickets:
            start = time.monotonic_ns()
            await self._place(ticket)
            took.append(time.monotonic_ns() - start)
        return took

    async def trade_on_schedule(self, tickets: list[Ticket], due_ns: list[int]) -> list[int]:
        """Places each order when it is due, whatever became of the others; ns since due."""
        start = time.monotonic_ns() + LEAD_NS
        tasks = []
        with Pacer() as pacer:
            for ticket, due in zip(tickets, due_ns, strict=True):
                await pacer.until(start + due)
                tasks.append(asyncio.create_task(self._place_due(ticket, start + due)))
        return await asyncio.gather(*tasks)

    async def _place_due(self, ticket: Ticket, due_ns: int) -> int:
        await self._place(ticket)
        return time.monotonic_ns() - due_ns

    async def _place(self, ticket: Ticket) -> None:
        order = NewOrder(
            client_order_id=f"{self.name}-{ticket.number}",
            instrument=ticket.instrument,
            side=Side.BUY if ticket.units > 0 else Side.SELL,
            quantity=Decimal(abs(ticket.units)),
            time_in_force=TimeInForce.FOK,
        )
        stamps = self.stamps[order.client_order_id] = Stamps(sent_ns=time.time_ns())
        try:
            await self.client.place_and_wait(order)
        except Refused as refusal:
            self.refused.append(f"{order.client_order_id}: {refusal}")
        stamps.outcome_ns = time.time_ns()
