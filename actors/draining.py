"""A broker connection leaves its login: nothing more is taken, what is under way is ended."""

from __future__ import annotations

import asyncio

from actors.connection import BrokerConnection

LOOK_S = 0.002


async def drain(connection: BrokerConnection) -> None:
    """Grants no more credits, then waits until every order has its answer and that is durable.

    The router keeps new orders READY meanwhile; the next process grants credits again.
    """
    connection.leave()
    while connection.in_flight or connection.telling.outbox.held:
        await asyncio.sleep(LOOK_S)
