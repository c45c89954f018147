"""A hostile broker: lost replies, late landings, 5xx, disturbed streams; all from one seed."""

from __future__ import annotations

import asyncio
from random import Random

import aiohttp
import msgspec
import pytest
from oanda_client import next_line, served
from simulator_world import ACCOUNT

from brokers.simulators.hostility import Fate, Hostility, disturb, draw_fate


async def book(client):
    return await client.control("GET", "/book")


async def until_orders(client, count: int) -> None:
    async with asyncio.timeout(10):
        while len((await book(client))["orders"]) < count:
            await asyncio.sleep(0.005)


@pytest.mark.asyncio
async def test_a_lost_reply_leaves_the_order_in_the_book():
    async with served(hostility=Hostility(lost_reply=1.0)) as client:
        with pytest.raises(aiohttp.ClientError):
            await client.order(clientExtensions={"id": "lost"})
        found = await book(client)
        assert [x["client_order_id"] for x in found["fills"]] == ["lost"]
        status, answer = await client.ask("GET", "/orders/@lost")
    assert (status, answer["order"]["state"]) == (200, "FILLED")


@pytest.mark.asyncio
async def test_an_answer_torn_in_the_middle_leaves_the_order_in_the_book():
    async with served(hostility=Hostility(lost_reply=1.0, torn_share=1.0)) as client:
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.order(clientExtensions={"id": "torn"})
        assert [x["client_order_id"] for x in (await book(client))["fills"]] == ["torn"]


@pytest.mark.asyncio
async def test_a_late_landing_is_not_there_at_first_and_then_is():
    faults = Hostility(late_landing=1.0, late_ms=(150, 150))
    async with served(hostility=faults) as client:
        with pytest.raises(aiohttp.ClientError):
            await client.order(clientExtensions={"id": "late"})
        assert (await client.ask("GET", "/orders/@late"))[0] == 404
        await until_orders(client, 1)
        assert (await client.ask("GET", "/orders/@late"))[0] == 200


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("faults", "status", "orders"),
    [
        (Hostility(failed_applied=1.0), 502, 1),
        (Hostility(failed_ignored=1.0), 502, 0),
        (Hostility(delayed_reply=1.0, delay_ms=(1, 2)), 201, 1),
    ],
)
async def test_an_answer_may_lie_or_be_slow(faults, status, orders):
    async with served(hostility=faults) as client:
        assert (await client.order())[0] == status
        assert len((await book(client))["orders"]) == orders


@pytest.mark.asyncio
async def test_reads_are_never_lost():
    async with served(hostility=Hostility(lost_reply=1.0, failed_applied=1.0)) as client:
        assert (await client.ask("GET", "/summary"))[0] == 200


@pytest.mark.asyncio
async def test_without_unique_ids_an_order_sent_twice_is_two_orders():
    asked = {"type": "LIMIT", "price": "1.0", "clientExtensions": {"id": "twin"}}
    async with served() as client:
        assert (await client.order(**asked))[0] == 201
        assert (await client.order(**asked))[0] == 400
        await client.control("POST", "/hostility", {"unique_client_ids": False})
        assert (await client.order(**asked))[0] == 201
        found = await book(client)
        assert found["orders_by_client_id"] == {"twin": 2}
        await client.control("POST", "/hostility", {})
        assert (await client.order(**asked))[0] == 400


@pytest.mark.asyncio
async def test_events_may_come_twice():
    async with (
        served(hostility=Hostility(repeated_event=1.0)) as client,
        client.lines("/transactions/stream") as lines,
    ):
        await client.order()
        first = await next_line(lines, "MARKET_ORDER")
        assert await next_line(lines, "MARKET_ORDER") == first


@pytest.mark.asyncio
async def test_events_may_come_in_another_order():
    async with (
        served(hostility=Hostility(reordered_event=1.0)) as client,
        client.lines("/transactions/stream") as lines,
    ):
        await next_line(lines, "HEARTBEAT")
        await client.order()
        kinds = [(await lines.get())["type"] for _ in range(2)]
    assert kinds == ["ORDER_FILL", "MARKET_ORDER"]


@pytest.mark.asyncio
async def test_a_stream_may_be_cut():
    async with (
        served(hostility=Hostility(cut_stream=1.0)) as client,
        client.lines("/transactions/stream") as lines,
    ):
        await next_line(lines, "HEARTBEAT")
        await client.order()
        assert await next_line(lines, "NEVER") is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("stream_first", "order"), [(True, "event answer"), (False, "answer event")]
)
async def test_the_answer_is_written_before_the_event_unless_told_otherwise(stream_first, order):
    """Watches the bytes leave: a client's loop could not tell which came first."""
    async with (
        served(hostility=Hostility(stream_first=stream_first)) as client,
        client.lines("/transactions/stream") as lines,
    ):
        await next_line(lines, "HEARTBEAT")
        # A second connection is open now, for the order.
        await client.ask("GET", "/summary")
        left = []
        _watch_writes(client.sim, left)
        await client.order()
        await next_line(lines, "ORDER_FILL")
    assert " ".join(left) == order


def _watch_writes(sim, left: list[str]) -> None:
    for connection in (*sim._http.connections, *sim._plain):
        transport = connection.transport
        if transport is not None:
            connection.transport = _Tap(transport, left)


class _Tap:
    """A transport that notes what kind of bytes pass."""

    def __init__(self, transport, left: list[str]) -> None:
        self._transport, self._left = transport, left

    def write(self, data) -> None:
        self._note(bytes(data))
        self._transport.write(data)

    def writelines(self, parts) -> None:
        parts = list(parts)
        self._note(b"".join(bytes(x) for x in parts))
        self._transport.writelines(parts)

    def _note(self, data: bytes) -> None:
        if b"orderCreateTransaction" in data:
            self._left.append("answer")
        elif b"MARKET_ORDER" in data:
            self._left.append("event")

    def __getattr__(self, name: str):
        return getattr(self._transport, name)


def test_the_same_seed_draws_the_same_fates():
    faults = Hostility(lost_reply=0.2, late_landing=0.2, failed_applied=0.2, failed_ignored=0.2)
    drawn = [[draw_fate(faults, luck, True) for _ in range(200)] for luck in (Random(3), Random(3))]
    assert drawn[0] == drawn[1]
    assert {x.lost for x in drawn[0]} == {x.failed for x in drawn[0]} == {True, False}


def test_a_kind_broker_disturbs_nothing():
    assert draw_fate(Hostility(), Random(1), True) == Fate()
    lines = [b"1", b"2"]
    assert disturb(Hostility(), Random(1), lines) is lines


@pytest.mark.parametrize(
    "raw",
    ['{"lost_reply": 1.5}', '{"lost_reply": -1}', '{"late_ms": [5, 1]}', '{"unknown": 1}', "[]"],
)
def test_faults_that_cannot_be_are_refused(raw):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw, type=Hostility)


@pytest.mark.asyncio
async def test_faults_that_cannot_be_are_refused_over_the_wire_and_change_nothing():
    async with served(hostility=Hostility(lost_reply=0.5)) as client:
        url = f"{client.sim.url}/sim/hostility"
        async with client.session.post(url, data=b'{"lost_reply": 2}') as answer:
            assert answer.status == 400
        assert (await client.control("GET", "/hostility"))["lost_reply"] == 0.5
        assert client.sim.engine.accounts[ACCOUNT].last_id == 2
