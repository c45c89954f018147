"""How long from a quote at the broker until the order it causes is booked there?

    python -m bench.tick_to_order [--ticks 1000] [--seed 1] [--json]

One deployment, everything on. The paper broker's price is moved; a strategy in this process
hears the quote over its WebSocket and answers with a market order at once. All is by the paper
broker's clock: from its quote to its fill. How long the quote alone took to the strategy is
timed too. Every order must have filled, and client, journal and the broker's book agree.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import islice

import aiohttp
import msgspec
import uvloop

from bench.contender import Fillgate
from bench.histogram import Histogram
from bench.kills import compare_events
from bench.section import Section, show, times, yardstick
from bench.workload import Ticket, tickets
from bench.world import INSTRUMENTS, World, WorldOptions, world
from domain.events import Fill
from domain.quotes import Quote
from domain.streams import OrderUpdate

PAIR = INSTRUMENTS[0]
WARM_UP = 200
QUOTE_S_MAX = 5.0
SETTLE_S = 0.5
PAUSE_S = 0.002
PIP = Decimal("0.0001")


class Strategy:
    """Waits for a quote, answers with an order."""

    def __init__(self, deployment: World, seed: int) -> None:
        self._deployment = deployment
        self.fillgate = Fillgate(deployment.url, deployment.token)
        self._supply = tickets((PAIR,), seed)
        self._price = Decimal(0)
        self.heard_ns: list[int] = []
        self.names: list[str] = []
        self.quoted_ns: list[int] = []

    async def run(self, ticks: int) -> None:
        """One tick after the other, each with its order."""
        await self.fillgate.open()
        url = f"{self._deployment.simulator_url}/sim/ticks"
        quotes = self.fillgate.client.quotes(PAIR)
        async with asyncio.timeout(QUOTE_S_MAX):
            self._price = (await anext(quotes)).bid
        # From here on the market moves when we move it, and not besides.
        await self._deployment.simulate("/sim/replay", {"action": "stop"})
        async with aiohttp.ClientSession() as session:
            for number, ticket in enumerate(islice(self._supply, WARM_UP + ticks)):
                if number == WARM_UP:
                    gc.collect()
                    gc.freeze()
                    self.heard_ns.clear()
                    self.quoted_ns.clear()
                    self.names.clear()
                moving = asyncio.create_task(self._move(session, url))
                await self._answer(await self._heard(quotes), ticket)
                await moving
                await asyncio.sleep(PAUSE_S)

    async def _move(self, session: aiohttp.ClientSession, url: str) -> None:
        self._price += PIP
        name = PAIR.replace("/", "_")
        tick = {"instrument": name, "bid": str(self._price), "ask": str(self._price + PIP)}
        async with session.post(url, json={"ticks": [tick]}) as answer:
            answer.raise_for_status()

    async def _heard(self, quotes: AsyncIterator[Quote]) -> Quote:
        async with asyncio.timeout(QUOTE_S_MAX):
            while True:
                quote = await anext(quotes)
                if quote.bid == self._price:
                    self.heard_ns.append(time.time_ns() - quote.broker_ns)
                    return quote

    async def _answer(self, quote: Quote, ticket: Ticket) -> None:
        self.quoted_ns.append(quote.broker_ns)
        self.names.append(f"{self.fillgate.name}-{ticket.number}")
        await self.fillgate.trade([ticket])

    def filled_ns(self) -> dict[str, int]:
        """When the broker booked each order."""
        return {
            event.body.client_order_id or "": event.body.event.at_ns
            for event in self.fillgate.events
            if isinstance(event.body, OrderUpdate) and isinstance(event.body.event, Fill)
        }


async def run(ticks: int, seed: int) -> Section:
    """One deployment; the section, faults included."""
    section = Section(
        name="tick_to_order",
        question="How long from a quote at the broker until the order it causes is booked there?",
        command="python -m bench.tick_to_order",
        figures=[],
    )
    async with yardstick(section), world(WorldOptions()) as deployment:
        strategy = Strategy(deployment, seed)
        try:
            await strategy.run(ticks)
            section.faults = await check(deployment, strategy)
        finally:
            gc.unfreeze()
            await strategy.fillgate.close()
    filled_ns = strategy.filled_ns()
    pairs = zip(strategy.names, strategy.quoted_ns, strict=True)
    took = [filled_ns[name] - quoted_ns for name, quoted_ns in pairs if name in filled_ns]
    section.figures = [
        *times("quote at the broker → order booked there", Histogram(took), {"p50": 1.0}),
        *times("quote at the broker → strategy has it", Histogram(strategy.heard_ns)),
    ]
    return section


async def check(deployment: World, strategy: Strategy) -> list[str]:
    """What is wrong with the orders themselves."""
    await asyncio.sleep(SETTLE_S)
    agreement = await compare_events(deployment, strategy.fillgate.events)
    missing = set(strategy.names) - strategy.filled_ns().keys()
    unfilled = [f"{len(missing)} orders were not filled"] if missing else []
    return [
        *unfilled, *strategy.fillgate.refused[:5], *agreement.lost[:5], *agreement.doubled[:5],
        *agreement.differences[:5],
    ]  # fmt: skip


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ticks", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    section = uvloop.run(run(words.ticks, words.seed))
    if words.json:
        print(json.dumps(msgspec.to_builtins(section)))
    else:
        show(section)
    return 1 if section.faults else 0


if __name__ == "__main__":
    sys.exit(main())
