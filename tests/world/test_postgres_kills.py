"""A whole deployment on the PostgreSQL journal: it trades, is killed, and goes on."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from bench.kills import Plan, run
from bench.world import World, WorldOptions, world
from domain.errors import Retry
from domain.lifecycle import Status
from domain.orders import NewOrder, Side, TimeInForce
from domain.records import Ordered
from gateway.client import Client, Refused
from tests.postgres_server import PostgresServer, postgres


def market(name: str) -> NewOrder:
    return NewOrder(
        client_order_id=name,
        instrument="EUR/USD",
        side=Side.BUY,
        quantity=Decimal(100),
        time_in_force=TimeInForce.FOK,
        valid_for_ms=10_000,
    )


@pytest.mark.asyncio
async def test_kills_over_the_postgresql_journal_lose_nothing_and_double_nothing(
    postgres_server: PostgresServer,
) -> None:
    options = WorldOptions(horizon_ms=1_000, journal_url=postgres_server.url(), with_alpaca=True)
    async with world(options) as deployment:
        result = await run(Plan(kills=8, rate=80, seed=12), deployment)

        assert not list(deployment.paths.journal.glob("*"))
    assert (result["lost"], result["doubled"], result["unknown"]) == (0, 0, 0), result
    assert result["differences"] == 0, result["details"]
    assert result["durable"] > 500
    assert all(gap > 0 for gaps in result["trading_again_s"].values() for gap in gaps), result


@pytest.mark.asyncio
async def test_trading_goes_on_after_the_database_crashed_and_after_it_was_away() -> None:
    with postgres() as server:
        options = WorldOptions(journal_url=server.url(), extra="patience_ms = 1000\n")
        async with world(options) as deployment:
            await trade(deployment, "before")
            await asyncio.to_thread(server.crash)
            await trade(deployment, "after-a-crash")
            router = deployment.pid("router")

            # Longer than a commit waits: the router refuses, and waits for the server.
            await asyncio.to_thread(server.stop)
            asking = asyncio.create_task(trade(deployment, "meanwhile", is_late=True))
            await asyncio.sleep(3)
            assert not asking.done()
            await asyncio.to_thread(server.start)
            await asking
            await trade(deployment, "after-an-absence")
            assert deployment.pid("router") == router
            records = deployment.records()
    assert records[-1].epoch == 1
    names = [r.cause.command.client_order_id for r in records if isinstance(r.cause, Ordered)]
    assert len(names) == len(set(names)) >= 3


async def trade(deployment: World, name: str, *, is_late: bool = False) -> None:
    """One order, asked for until it gets through: the same id is the same order.

    One that was taken down too late is not sent any more.
    """
    async with (
        asyncio.timeout(60),
        Client.connect(deployment.url, deployment.token, name) as client,
    ):
        while True:
            try:
                outcome = await client.place_and_wait(market(name))
            except Refused as refused:
                if refused.error.retry is not Retry.SAME_ID:
                    raise
                await asyncio.sleep(0.2)
            else:
                ends = {Status.LIVE, Status.FILLED} | ({Status.CANCELED} if is_late else set())
                assert outcome.status in ends
                return
