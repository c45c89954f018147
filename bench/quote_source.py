"""What stands behind the edge in the quote bench: a router that only logs in, a price publisher.

    python -m bench.quote_source HOME CONNECTION SEED

Serves both link paths of a deployment's home, as the router and the connection would, and takes
one JSON line for each run on stdin: how many quotes, how many a second (0: as fast as the edge
takes them). Answers with the run's first and last moment.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import uvloop

from actors import messages as m
from actors.host import Stage
from actors.link import Link, LinkOwner, listen
from actors.paths import connection_role
from domain.commands import LoggedIn, Login
from domain.quotes import Quote

INSTRUMENTS = ("EUR/USD", "USD/JPY", "GBP/USD", "AUD/USD", "USD/CAD", "EUR/GBP")
PIP = Decimal("0.00001")
BATCH = 16
"""Quotes of one link message at full speed: what a read of a busy price stream brings."""
UNSENT_BYTES_MAX = 256 * 1024
TURN_S = 0.001


class LogsIn(LinkOwner[Any]):
    """A router that knows nothing but how to log in."""

    def received(self, link: Link[Any], message: Any) -> None:
        """Every session is new."""
        if isinstance(message, Login):
            heads = {f"orders/{message.owner}": 0}
            link.send(LoggedIn(ref=message.ref, last_cseq=0, heads=heads, accounts=()))


class Publisher(LinkOwner[Any]):
    """A connection that prices what it likes, seeded."""

    def __init__(self, connection: str, seed: int) -> None:
        self.link: Link[Any] | None = None
        self._connection = connection
        self._quotes = self._walk(random.Random(seed))

    def link_up(self, link: Link[Any]) -> None:
        """The edge came."""
        self.link = link

    def _walk(self, luck: random.Random) -> Iterator[Quote]:
        counts: Counter[str] = Counter()
        while True:
            name = luck.choice(INSTRUMENTS)
            counts[name] += 1
            bid = Decimal("1.08000") + PIP * luck.randrange(2_000)
            now_ns = time.time_ns()
            yield Quote(
                instrument=name,
                connection=self._connection,
                bid=bid,
                ask=bid + PIP * luck.randrange(1, 20),
                bid_size=Decimal(1_000_000),
                ask_size=Decimal(2_000_000),
                broker_ns=now_ns,
                received_ns=now_ns,
                update=counts[name],
            )

    def send(self, count: int) -> None:
        """So many, stamped now."""
        assert self.link is not None, "the edge has not dialed"
        self.link.send(m.Quotes(quotes=tuple(next(self._quotes) for _ in range(count))))

    async def run(self, quotes: int, rate: int) -> dict[str, int]:
        """Sends so many at that rate, or as fast as the edge takes them."""
        start_ns = time.time_ns()
        await (self._on_schedule(quotes, rate) if rate else self._at_full_speed(quotes))
        return {"start_ns": start_ns, "end_ns": time.time_ns()}

    async def _at_full_speed(self, quotes: int) -> None:
        left = quotes
        while left:
            assert self.link is not None
            if self.link.unsent_bytes < UNSENT_BYTES_MAX:
                count = min(BATCH, left)
                self.send(count)
                left -= count
            await asyncio.sleep(0)

    async def _on_schedule(self, quotes: int, rate: int) -> None:
        """Open loop: what is due goes at each turn, however the edge fares."""
        sent, start = 0, time.monotonic()
        while sent < quotes:
            due = min(int((time.monotonic() - start) * rate), quotes)
            if due > sent:
                self.send(due - sent)
                sent = due
            await asyncio.sleep(TURN_S)


async def main(home: Path, connection: str, seed: int) -> None:
    """Serves both paths and runs what stdin asks for, until it ends."""
    router, publisher = Stage("router", home), Publisher(connection, seed)
    prices = Stage(connection_role(connection), home)
    sides: tuple[tuple[Stage, Any, LinkOwner[Any]], ...] = (
        (router, m.router_inbox, LogsIn()),
        (prices, m.connection_inbox, publisher),
    )
    served = []
    for stage, inbox, owner in sides:
        path = stage.paths.socket(stage.role)
        served.append(
            await listen(path, lambda s=stage, i=inbox, o=owner: Link(s.hello, i, o))  # type: ignore[misc]
        )
    loop = asyncio.get_running_loop()
    print(json.dumps({"ready": True}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await publisher.run(**json.loads(line))), flush=True)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
