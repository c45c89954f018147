"""Ray is the control plane: trading does not notice when it stands still."""

from __future__ import annotations

import asyncio
import signal
from decimal import Decimal

import psutil
import pytest

from actors.cluster import ray_processes
from bench.world import OWNER, World, world
from domain.lifecycle import Status
from domain.orders import NewOrder, Side, TimeInForce
from domain.records import Ordered, Record, Reported
from domain.streams import OrderUpdate
from gateway.client import Client
from ledger.agreement import stream_of

ORDERS = 1_000
AT_ONCE = 20


def market(number: int) -> NewOrder:
    return NewOrder(
        client_order_id=f"r{number}",
        instrument="EUR/USD",
        side=Side.BUY if number % 2 else Side.SELL,
        quantity=Decimal(100 + number % 7),
        time_in_force=TimeInForce.FOK,
    )


async def trade(client: Client, first: int, count: int) -> list[Status]:
    """Places orders, a few at a time, and returns where each ended."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> Status:
        async with gate:
            await client.place_and_wait(market(number))
            update = client.orders.get(f"r{number}")
            assert update is not None
            return update.status

    return await asyncio.gather(*(one(number) for number in range(first, first + count)))


def named(record: Record, stream: str) -> set[str]:
    """The orders that a record tells of on the stream."""
    bodies = (update.body for update in record.updates if update.stream == stream)
    return {body.order_id for body in bodies if isinstance(body, OrderUpdate)}


def ray_of(deployment: World) -> list[psutil.Process]:
    found = ray_processes(deployment.paths.runtime)
    return [found["gcs_server"], found["raylet"]]


@pytest.mark.asyncio
async def test_a_thousand_orders_trade_while_gcs_and_raylet_are_stopped() -> None:
    async with (
        world() as deployment,
        Client.connect(deployment.url, deployment.token, "ray") as client,
    ):
        stopped = ray_of(deployment)
        for process in stopped:
            process.send_signal(signal.SIGSTOP)
        try:
            while {process.status() for process in stopped} != {psutil.STATUS_STOPPED}:
                await asyncio.sleep(0.01)
            ends = await trade(client, 0, ORDERS)
            assert {process.status() for process in stopped} == {psutil.STATUS_STOPPED}
        finally:
            for process in reversed(stopped):
                process.send_signal(signal.SIGCONT)
        assert len(ends) == ORDERS
        assert Status.UNKNOWN not in ends

        # Two records an order, no more: SENDING, and the broker's outcome, perhaps of several.
        stream = f"orders/{OWNER}"
        records = deployment.records()
        ids = {update.body.order_id for update in stream_of(records, stream)}  # type: ignore[union-attr]
        assert len(ids) == ORDERS
        about = [r for r in records if any(u.stream == stream for u in r.updates)]
        assert sum(isinstance(record.cause, Ordered) for record in about) == ORDERS
        told = [named(r, stream) for r in about if isinstance(r.cause, Reported)]
        assert sorted(name for names in told for name in names) == sorted(ids)
        assert len(about) == ORDERS + len(told)
