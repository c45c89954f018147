"""Buys on the first up-tick, and tells what the broker said: first_strategy.py URL TOKEN."""

import asyncio
import sys
from decimal import Decimal

from domain.orders import NewOrder, Side
from gateway.client import Client


async def trade(url: str, token: str) -> None:
    async with Client.connect(url, token, session="first-strategy") as client:
        last = Decimal("Infinity")
        async for quote in client.quotes("EUR/USD"):
            if quote.mid > last:
                break
            last = quote.mid
        name = f"first.{quote.received_ns}"  # ours, unique for ever: safe to send again
        order = NewOrder(
            client_order_id=name, instrument="EUR/USD", side=Side.BUY, quantity=Decimal(1000)
        )
        outcome = await client.place_and_wait(order)
        print(f"{outcome.status.value}: {outcome.filled} at {outcome.average_price}")


asyncio.run(trade(*sys.argv[1:]))
