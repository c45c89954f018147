"""What others do in the same account: seen while we are up, down, and coming back."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import oandapyV20
import pytest
from oandapyV20.endpoints.orders import OrderCreate

from bench.world import ACCOUNT, CONNECTION_ROLE, OWNER, World, world
from brokers.registry import PAPER_TOKEN
from domain.lifecycle import Origin
from domain.orders import NewOrder
from domain.streams import OrderUpdate
from gateway import wire
from gateway.client import Client
from ledger.agreement import stream_of
from ledger.projection import Books

BROKER_ACCOUNT = "101-001-1000001-001"
ORDERS = 100
PAIRS = ("EUR_USD", "USD_JPY", "GBP_USD")


def sdk(deployment: World) -> oandapyV20.API:
    """The published SDK, unmodified, pointed at the paper broker."""
    place = {"api": deployment.simulator_url, "stream": deployment.simulator_url}
    oandapyV20.oandapyV20.TRADING_ENVIRONMENTS["paper"] = place
    return oandapyV20.API(access_token=PAPER_TOKEN, environment="paper")


def place(api: oandapyV20.API, number: int) -> None:
    order = {
        "type": "MARKET",
        "instrument": PAIRS[number % len(PAIRS)],
        "units": str((1 if number % 3 else -1) * (100 + number)),
        "timeInForce": "FOK",
    }
    api.request(OrderCreate(BROKER_ACCOUNT, data={"order": order}))


async def positions(client: Client) -> dict[str, Decimal]:
    res = await client.query(wire.PositionsList)
    return {row["instrument"]: Decimal(row["quantity"]) for row in res.body or []}


async def theirs(deployment: World) -> dict[str, Decimal]:
    book = await deployment.simulate("/sim/book")
    held = book["accounts"][BROKER_ACCOUNT]["positions"]
    return {
        name.replace("_", "/"): Decimal(str(row["net"]))
        for name, row in held.items()
        if Decimal(str(row["net"]))
    }


async def until_equal(deployment: World, client: Client) -> None:
    async with asyncio.timeout(60):
        while await positions(client) != await theirs(deployment):
            await asyncio.sleep(0.1)


@pytest.mark.asyncio
async def test_orders_of_others_are_external_and_positions_stay_equal() -> None:
    async with world() as deployment:
        api = sdk(deployment)
        async with Client.connect(deployment.url, deployment.token, "external") as client:
            for number in range(40):  # up
                await asyncio.to_thread(place, api, number)
            await until_equal(deployment, client)
            deployment.kill(CONNECTION_ROLE)
            for number in range(40, 70):  # down, and restarting
                await asyncio.to_thread(place, api, number)
            await until_equal(deployment, client)
            deployment.kill("router")
            for number in range(70, ORDERS):
                await asyncio.to_thread(place, api, number)
            await until_equal(deployment, client)

            listed = await client.query(wire.OrdersList, status="all", limit=500)
            rows: list[dict[str, Any]] = listed.body or []
            external = [row for row in rows if row["origin"] == "external"]
            assert len(external) == ORDERS
            await fifo_and_leverage_count_them(client, await theirs(deployment))

        books = Books()
        records = deployment.records()
        for record in records:
            books.apply(record)
        held = {name: p.quantity for (a, name), p in books.positions.items() if a == ACCOUNT}
        assert held == await theirs(deployment)
        seen = {
            update.body.order_id
            for update in stream_of(records, f"orders/{OWNER}")
            if isinstance(update.body, OrderUpdate) and update.body.origin is Origin.EXTERNAL
        }
        assert len(seen) == ORDERS


async def fifo_and_leverage_count_them(client: Client, held: dict[str, Decimal]) -> None:
    """A dry run knows what others opened: an opposite open-only order would hedge it."""
    instrument, quantity = max(held.items(), key=lambda entry: abs(entry[1]))
    order = {
        "client_order_id": "dry",
        "instrument": instrument,
        "side": "sell" if quantity > 0 else "buy",
        "quantity": "10",
        "time_in_force": "fok",
        "position_effect": "open_only",
    }
    res = await client.query(wire.OrderPreview, order=msgspec.convert(order, NewOrder))
    found = {violation["rule"] for violation in (res.body or {}).get("all_violations", [])}
    assert any("fifo" in rule.lower() or "2-43" in rule for rule in found), res.body
