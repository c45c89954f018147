"""Market orders at a steady rate through whatever happens, and what became of each of them."""

from __future__ import annotations

import asyncio
import itertools
import time
from decimal import Decimal

from msgspec import Struct

from bench.kills import Log, compare
from bench.world import OWNER, World
from domain.orders import NewOrder, Side, TimeInForce
from gateway import wire
from gateway.client import Client, ConnectionLostError, Refused

PAIR = "EUR/USD"
OUTCOME_S = 60.0
LOOK_S = 0.02


class Sent(Struct, kw_only=True):
    """One order: when it was sent, when it was decided, and why it was refused if it was."""

    name: str
    sent_s: float
    decided_s: float = 0.0
    refusal: str = ""


class Steady:
    """Sends until stopped; an order that is refused is not sent again."""

    def __init__(self, client: Client, log: Log, rate: int, prefix: str = "s") -> None:
        self.sent: list[Sent] = []
        self._client = client
        self._log = log
        self._rate = rate
        self._prefix = prefix
        self._tasks: set[asyncio.Task[None]] = set()
        self._run = asyncio.create_task(self._send_on())

    async def _send_on(self) -> None:
        start, number = time.monotonic(), 0
        while True:
            number += 1
            task = asyncio.create_task(self._place(number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(max(0.0, start + number / self._rate - time.monotonic()))

    async def _place(self, number: int) -> None:
        sent = Sent(name=f"{self._prefix}{number}", sent_s=time.monotonic())
        self.sent.append(sent)
        order = NewOrder(
            client_order_id=sent.name, instrument=PAIR, quantity=Decimal(100 + number % 7),
            side=Side.BUY if number % 2 else Side.SELL, time_in_force=TimeInForce.FOK,
        )  # fmt: skip
        try:
            await self._client.place(order)
        except Refused as refused:
            sent.refusal = refused.error.code
        except ConnectionLostError:
            sent.refusal = "connection_lost"
        sent.decided_s = time.monotonic()

    async def stop(self) -> None:
        """Sends no more; waits until each order was decided, and had its outcome if taken."""
        self._run.cancel()
        async with asyncio.timeout(OUTCOME_S):
            await asyncio.gather(*self._tasks)
            while self.unheard():
                await asyncio.sleep(LOOK_S)

    def unheard(self) -> set[str]:
        """Orders that were taken, and whose outcome was not told yet."""
        taken = {sent.name for sent in self.sent if sent.decided_s and not sent.refusal}
        return taken - self._outcomes().keys()

    def refusals(self) -> dict[str, int]:
        """How many orders were refused, by code."""
        codes = [sent.refusal for sent in self.sent if sent.refusal]
        return {code: codes.count(code) for code in sorted(set(codes))}

    def _outcomes(self) -> dict[str, float]:
        return {name: at for at, name, _ in self._log.outcomes}

    async def accepted_after(self, since_s: float, within_s: float) -> float | None:
        """Seconds from a moment until an order sent after it had its outcome; None: too late."""
        while time.monotonic() < since_s + within_s:
            outcomes = self._outcomes()
            after = [
                outcomes[sent.name]
                for sent in reversed(self.sent)
                if sent.sent_s > since_s and sent.name in outcomes
            ]
            if after:
                return min(after) - since_s
            await asyncio.sleep(LOOK_S / 4)
        return None

    def longest_pause_s(self, since_s: float, until_s: float) -> float:
        """The longest time without an outcome between two moments."""
        times = sorted(at for at in self._outcomes().values() if since_s <= at <= until_s)
        edges = [since_s, *times, until_s]
        return max(later - earlier for earlier, later in itertools.pairwise(edges))


async def until_priced(client: Client) -> None:
    """Until the pair has a price: before, compliance refuses what it cannot value."""
    async with asyncio.timeout(OUTCOME_S):
        while not await _is_priced(client):
            await asyncio.sleep(LOOK_S)


async def _is_priced(client: Client) -> bool:
    try:
        return bool((await client.query(wire.QuoteGet, instruments=(PAIR,))).body)
    except Refused:
        return False


async def find_differences(deployment: World, log: Log) -> list[str]:
    """Where client, journal and venue do not agree, and epochs that went backward."""
    await asyncio.sleep(1.0)  # the last events reach the client
    agreement = await compare(deployment, log, f"orders/{OWNER}")
    epochs = [record.epoch for record in deployment.records()]
    backward = [] if epochs == sorted(epochs) else ["a record of a fenced epoch"]
    lost = [f"lost: {what}" for what in agreement.lost]
    doubled = [f"doubled: {what}" for what in agreement.doubled]
    return lost + doubled + agreement.differences + backward
