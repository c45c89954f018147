"""Waits for a price, buys, and tells what the broker said. Run it beside `fillgate up`."""

from __future__ import annotations

import asyncio
import sys

from gateway.client import Client


async def trade(url: str, token: str) -> None:
    async with Client.connect(url, token=token, session="first") as client:
        async for quote in client.quotes("EUR/USD"):
            print(f"EUR/USD {quote.bid} / {quote.ask}")
            if quote.tradeable:
                break
        order = await client.place(instrument="EUR/USD", side="buy", quantity="1000")
        final = await order.done()
        print(f"{final.status.value}: {final.filled} at {final.average_price}")


if __name__ == "__main__":
    asyncio.run(trade(*sys.argv[1:3]))
