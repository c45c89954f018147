"""What goals about streams share: orders that make entries, and an entry as a few bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import msgspec

from bench.bare_world import BareWorld
from bench.world import INSTRUMENTS, OWNER
from domain.orders import NewOrder, Side, TimeInForce
from gateway import wire
from gateway.client import Client, Refused

STREAM = f"orders/{OWNER}"
WAIT_S = 60.0

_encode = msgspec.msgpack.Encoder().encode


def entry_of(entry: Any) -> bytes:
    """All an entry says, in 16 bytes."""
    return blake2b(_encode((entry.seq, entry.at_ns, entry.body)), digest_size=16).digest()


def journal_of(world: BareWorld) -> list[bytes]:
    """The journal's own entries of the stream."""
    return [entry_of(u) for r in world.records() for u in r.updates if u.stream == STREAM]


def an_order(name: str, count: int) -> NewOrder:
    """A small market order; every second one takes the one before back."""
    return NewOrder(
        client_order_id=name,
        instrument=INSTRUMENTS[(count // 2) % len(INSTRUMENTS)],
        side=Side.SELL if count % 2 else Side.BUY,
        quantity=Decimal(100),
        time_in_force=TimeInForce.FOK,
    )


async def until(is_true: Callable[[], Awaitable[bool]], seconds: float = WAIT_S) -> None:
    """Waits for it, looking every few milliseconds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await is_true():
            await asyncio.sleep(0.02)


async def until_priced(world: BareWorld) -> None:
    """Until everything traded has a price: before, compliance refuses what it cannot value."""
    async with Client.connect(world.url, world.token, "first") as client:
        await until(lambda: _is_priced(client))


async def _is_priced(client: Client) -> bool:
    try:
        res = await client.query(wire.QuoteGet, instruments=INSTRUMENTS)
    except Refused:
        return False
    return {quote["instrument"] for quote in res.body} == set(INSTRUMENTS)
