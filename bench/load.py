"""A steady load of orders over both dialects: pairs at OANDA, shares and a coin at Alpaca."""

from __future__ import annotations

import asyncio
import contextlib
import time
from decimal import Decimal
from random import Random
from typing import Any

from bench.world import COIN, INSTRUMENTS, SHARES
from domain.orders import CancelOrder, NewOrder, OrderType, Side, TimeInForce
from gateway import wire
from gateway.client import Client, ConnectionLostError, Refused

TRADED = (*INSTRUMENTS, *SHARES, COIN)
COIN_STEP = Decimal("0.001")
PRICED_S = 30.0


class Load:
    """Orders at a steady rate, whatever becomes of them; remembers what it was told."""

    def __init__(self, client: Client, rate: int, seed: int) -> None:
        self._client = client
        self._rate = rate
        self._luck = Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._start = 0.0
        self.number = 0
        self.durable: set[str] = set()
        self.refused: dict[str, int] = {}
        self.sent_at: dict[str, tuple[float, str]] = {}

    async def until_priced(self) -> None:
        """Until everything traded has a price: before, compliance refuses what it cannot value."""
        async with asyncio.timeout(PRICED_S):
            while not await self._is_priced():
                await asyncio.sleep(0.1)

    async def _is_priced(self) -> bool:
        try:
            res = await self._client.query(wire.QuoteGet, instruments=TRADED)
        except Refused:
            return False
        return {quote["instrument"] for quote in res.body} == set(TRADED)

    async def run(self) -> None:
        """Sends until canceled."""
        start = self._start = time.monotonic()
        while True:
            self.number += 1
            task = asyncio.create_task(self._one(self.number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(max(0.0, start + self.number / self._rate - time.monotonic()))

    def rate_reached(self) -> float:
        """Orders a second since the first."""
        return round(self.number / (time.monotonic() - self._start), 1)

    async def settle(self) -> None:
        """Waits for the answers under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _one(self, number: int) -> None:
        order = self._order(number)
        self.sent_at[order.client_order_id] = (time.monotonic(), order.instrument)
        try:
            await self._client.place(order)
            self.durable.add(order.client_order_id)
        except Refused as refusal:
            code = refusal.error.code
            self.refused[code] = self.refused.get(code, 0) + 1
            return
        if order.type is OrderType.LIMIT:
            with contextlib.suppress(Refused, ConnectionLostError):
                await self._client.cancel(CancelOrder(client_order_id=order.client_order_id))

    def _order(self, number: int) -> NewOrder:
        instrument = TRADED[number % len(TRADED)]
        if instrument in SHARES or instrument == COIN:
            return self._order_at_alpaca(number, instrument)
        common: dict[str, Any] = {
            "client_order_id": f"k{number}",
            "instrument": instrument,
            "side": Side.BUY if self._luck.random() < 0.5 else Side.SELL,
            "quantity": Decimal(self._luck.randint(1, 900)),
            "valid_for_ms": 10_000,
        }
        if number % 4 == 0:
            price = Decimal("70.000") if instrument.endswith("JPY") else Decimal("0.50000")
            return NewOrder(
                **{**common, "side": Side.BUY},
                type=OrderType.LIMIT,
                limit_price=price,
                time_in_force=TimeInForce.GTC,
            )
        return NewOrder(**common, time_in_force=TimeInForce.FOK)

    def _order_at_alpaca(self, number: int, instrument: str) -> NewOrder:
        """A market order, or now and then a limit far away; a coin is never sold short."""
        is_coin = instrument == COIN
        common: dict[str, Any] = {
            "client_order_id": f"k{number}",
            "instrument": instrument,
            "side": Side.BUY if is_coin or self._luck.random() < 0.5 else Side.SELL,
            "quantity": self._luck.randint(1, 9) * (COIN_STEP if is_coin else Decimal(1)),
            "valid_for_ms": 10_000,
        }
        if number % 3 == 0:
            far = Decimal("100.00") if is_coin else Decimal("10.00")
            return NewOrder(
                **{**common, "side": Side.BUY},
                type=OrderType.LIMIT,
                limit_price=far,
                time_in_force=TimeInForce.GTC,
            )
        return NewOrder(**common, time_in_force=TimeInForce.IOC)
