"""S5: a token that was revoked or has expired trades no more within a second, by any door."""

from __future__ import annotations

import asyncio
import contextlib
import time
from random import Random

from bench.bare_world import BareWorld, bare_world
from bench.goal import Goal, Tally
from bench.origin_tricks import ALLOWED
from bench.raw_websocket import call, raw
from bench.stream_log import an_order, until_priced
from bench.world import OWNER
from domain.records import Ordered
from gateway.authority import TOKEN_ID_CHARS
from gateway.client import Client, ConnectionLostError, Refused
from gateway.rest_operations import PREFIX
from gateway.tickets import SUBPROTOCOL
from gateway.tokens import TokenStore, digest
from gateway.wire import Scope

NS = 1_000_000_000
CLOSED_S_MAX = 1.0
ROUND = 10
"""So many tokens end at once."""
ORDER_EVERY_S = 0.02
EXPIRES_S = 1.5


class Bearer:
    """A client that trades with a token of its own until it is shut out."""

    def __init__(self, world: BareWorld, name: str, expires_ns: int | None) -> None:
        self.name = name
        self.expires_ns = expires_ns
        self.token = world.mint(Scope.TRADE, owner=OWNER, expires_ns=expires_ns)
        self.ended_ns = 0
        self.closed_ns = 0
        self.ticket = ""
        self._client = Client.connect(world.url, self.token, name)

    async def trade(self) -> None:
        """Orders, by the same client that would come back if it could."""
        with contextlib.suppress(ConnectionLostError):
            async with self._client as client:
                await self._order(client)
        self.closed_ns = time.time_ns()

    async def _order(self, client: Client) -> None:
        for count in range(1_000_000):
            with contextlib.suppress(Refused):
                await client.place(an_order(f"{self.name}-{count}", count))
            await asyncio.sleep(ORDER_EVERY_S)


async def run(trials: int, seed: int) -> Tally:
    """Half of the tokens are revoked, half expire, while all trade."""
    tally = Tally(trials=trials)
    luck = Random(seed)
    async with bare_world() as world:
        await until_priced(world)
        for first in range(0, trials, ROUND):
            await _end_some(world, (first, min(ROUND, trials - first)), luck, tally)
    tally.violations = len(tally.details)
    tally.details = [f"seed {seed}: {detail}" for detail in tally.details[:10]]
    return tally


async def _end_some(world: BareWorld, numbers: tuple[int, int], luck: Random, tally: Tally) -> None:
    first, count = numbers
    until_ns = time.time_ns() + int(EXPIRES_S * NS)
    bearers = [
        Bearer(world, f"b{number}", until_ns if number % 2 else None)
        for number in range(first, first + count)
    ]
    await asyncio.sleep(0.6)  # edges know the tokens
    trading = [asyncio.create_task(bearer.trade()) for bearer in bearers]
    for bearer in bearers:
        bearer.ticket = await _ticket(world, bearer.token)
    await asyncio.sleep(0.2 + 0.3 * luck.random())
    for bearer in bearers:
        if bearer.expires_ns is None:
            TokenStore(world.paths.tokens).revoke(digest(bearer.token)[:TOKEN_ID_CHARS])
            bearer.ended_ns = time.time_ns()
        else:
            bearer.ended_ns = bearer.expires_ns
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(EXPIRES_S + 5):
            await asyncio.gather(*trading)
    await _judge(world, bearers, tally)


async def _ticket(world: BareWorld, token: str) -> str:
    headers = {"Authorization": f"Bearer {token}", "Origin": ALLOWED}
    reply = await call(world.rest_port, "POST", f"{PREFIX}/tickets", headers)
    assert reply.status == 201, reply
    return str(reply.body["ticket"])


async def _judge(world: BareWorld, bearers: list[Bearer], tally: Tally) -> None:
    last: dict[str, int] = {}
    for record in world.records():
        if isinstance(record.cause, Ordered):
            name = record.cause.command.client_order_id.partition("-")[0]
            last[name] = max(last.get(name, 0), record.at_ns)
    samples = tally.samples_us.setdefault("closed", [])
    for bearer in bearers:
        how = "revoked" if bearer.expires_ns is None else "expired"
        closed_s = (bearer.closed_ns - bearer.ended_ns) / NS
        samples.append(int(closed_s * 1e6))
        if not bearer.closed_ns or closed_s > CLOSED_S_MAX:
            tally.details.append(f"{how} {bearer.name}: closed after {closed_s:.2f} s")
        if bearer.name not in last:
            tally.details.append(f"{bearer.name} never traded: this proves nothing")
        elif last[bearer.name] > bearer.ended_ns + CLOSED_S_MAX * NS:
            tally.details.append(f"{how} {bearer.name} traded on")
        reply = await call(
            world.rest_port, "GET", f"{PREFIX}/orders", {"Authorization": f"Bearer {bearer.token}"}
        )
        async with raw(world.port) as line:
            offer = SUBPROTOCOL + bearer.ticket
            upgrade = await line.upgrade(None, ("Origin", ALLOWED), offer=offer)
        if (reply.status, upgrade) != (401, 401):
            words = f"REST {reply.status}, ticket {upgrade} for {how} {bearer.name}"
            tally.details.append(words)
        tally.counts[how] = tally.counts.get(how, 0) + 1


GOAL = Goal(
    id="S5",
    says="a revoked or expired token is shut out within 1 s: WebSocket, REST and tickets",
    unit="tokens",
    short=10,
    long=200,
    batch=40,
    run=run,
    bars_us={"closed max": 1_000_000},
)
