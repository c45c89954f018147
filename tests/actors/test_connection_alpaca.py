"""A connection at a simulated Alpaca: real sockets, and nothing in the connection knows whose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from router_world import FakeLink, connection_settings, over_the_wire

from actors import messages as m
from actors.clocks import SYSTEM_CLOCKS
from actors.connection import BrokerConnection, Login
from actors.gate import sealed
from actors.marks import Marks
from brokers.adapter import AdapterSettings
from brokers.alpaca import AlpacaAdapter, auth_headers
from brokers.transport import Transport, TransportSettings
from domain import events as ev
from domain import ids
from domain.accounts import BrokerAccount, Environment
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from tests.simulators.alpaca_client import ACCOUNT, Client, served

D = Decimal
TOKEN = "paper:paper"
SOON_S = 10.0


class Desk:
    """A connection over real sockets, and the link of a router played by hand."""

    def __init__(self, folder: Path, client: Client) -> None:
        self.folder = folder
        self.url = client.sim.url
        self.effects: list[tuple[str, Any]] = []
        self.starts = 0
        self.intent = 0

    def start(self, cursor: str | None = None) -> None:
        self.starts += 1
        settings = connection_settings(broker="alpaca", visibility_horizon_ms=50)
        account = BrokerAccount(
            account="acc-1",
            connection=settings.id,
            owner="alice",
            broker="alpaca",
            environment=Environment.PAPER,
            base_currency="USD",
        )
        adapter = AlpacaAdapter(
            AdapterSettings(account=account, broker_account_id=ACCOUNT, token=TOKEN)
        )
        where = TransportSettings(rest_url=self.url, stream_url=self.url)
        self.transport = Transport(where, auth_headers(TOKEN))
        self.transport.open()
        self.marks = Marks(self.folder / "alpaca.marks")
        login = Login(settings, adapter, self.transport)
        self.connection = BrokerConnection(login, self.marks, f"c{self.starts}", SYSTEM_CLOCKS)
        self.task = asyncio.create_task(self.connection.run())
        self.link = FakeLink(f"router-{self.starts}", "router-from-connection", self.effects)
        self.hear(m.Attach(epoch=1, incarnation="", last=0, last_intent=self.intent, cursor=cursor))

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.connection.close()
        self.marks.close()

    def hear(self, message: Any) -> None:
        self.connection.received(self.link, over_the_wire(message, "connection"))  # type: ignore[arg-type]

    def place(self, name: str, **terms: Any) -> str:
        """Sends an order; our id for it at the broker."""
        self.intent += 1
        plain: dict[str, Any] = {"instrument": "AAPL", "side": Side.BUY, "quantity": D(10)}
        order = NewOrder(client_order_id=name, **(plain | terms))
        self.client_id = ids.venue_client_id("alice", name, "0", 1)
        sent = m.Dispatch(
            epoch=1,
            intent=self.intent,
            attempt=1,
            order_id=ids.order_id("alice", name),
            order=order,
            venue_client_id=self.client_id,
            verdict="v-1",
            send_by_ns=2**62,
        )
        self.sent = sealed(sent)
        self.hear(self.sent)
        return self.client_id

    def cancel(self, broker_order_id: str) -> None:
        sent = self.sent
        self.hear(
            m.SendCancel(
                epoch=1,
                order_id=sent.order_id,
                order=sent.order,
                venue_client_id=sent.venue_client_id,
                broker_order_id=broker_order_id,
            )
        )

    def items(self, kind: Any = object) -> list[Any]:
        """The items told since the last start."""
        return [
            item
            for name, told in self.effects
            if name == self.link.name and isinstance(told, m.Items)
            for item in told.items
            if isinstance(item, kind)
        ]

    def events(self, kind: Any = object) -> list[Any]:
        return [e for item in self.items(m.Told) for e in item.events if isinstance(e, kind)]

    def cursor(self) -> str:
        told = [t for _, t in self.effects if isinstance(t, m.Items) and t.cursor is not None]
        return str(told[-1].cursor)


async def until(is_so: Callable[[], Any]) -> Any:
    """Waits for it."""
    async with asyncio.timeout(SOON_S):
        while not (found := is_so()):
            await asyncio.sleep(0.01)
        return found


@asynccontextmanager
async def desk(folder: Path, **settings: Any) -> AsyncIterator[tuple[Desk, Client]]:
    async with served(**settings) as client:
        one = Desk(folder, client)
        one.start()
        await until(lambda: one.connection.is_ready())
        yield one, client
        await one.stop()


LIMIT = {"type": OrderType.LIMIT, "limit_price": D(90), "time_in_force": TimeInForce.GTC}


@pytest.mark.asyncio
async def test_an_order_is_accepted_and_filled_and_told_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as (one, client):
        one.place("o-1")
        (fill,) = await until(lambda: one.events(ev.Fill))
        await asyncio.sleep(0.2)
        assert [type(e) for e in one.events()] == [ev.Accepted, ev.Fill]
        assert (fill.quantity, fill.venue_client_id) == (D(10), one.client_id)
        (listed,) = await client.get("/v2/account/activities/FILL")
        assert listed["id"].endswith(fill.broker_execution_id)


@pytest.mark.asyncio
async def test_a_cancel_ends_an_order_only_when_the_stream_says_so(tmp_path: Path) -> None:
    async with desk(tmp_path, venue_ms=300) as (one, _):
        one.place("o-1", **LIMIT)
        (accepted,) = await until(lambda: one.events(ev.Accepted))
        await asyncio.sleep(0.5)
        one.cancel(accepted.broker_order_id)
        await asyncio.sleep(0.1)
        assert one.events(ev.Canceled) == []
        (canceled,) = await until(lambda: one.events(ev.Canceled))
        assert canceled.broker_order_id == accepted.broker_order_id


@pytest.mark.asyncio
async def test_an_amend_is_told_as_a_replacement_under_a_new_id(tmp_path: Path) -> None:
    async with desk(tmp_path) as (one, _):
        one.place("o-1", **LIMIT)
        (accepted,) = await until(lambda: one.events(ev.Accepted))
        sent = one.sent
        one.hear(
            sealed(
                m.SendAmend(
                    epoch=1,
                    order_id=sent.order_id,
                    order=sent.order,
                    terms=NewOrder(
                        client_order_id="o-1",
                        instrument="AAPL",
                        side=Side.BUY,
                        quantity=D(12),
                        **{**LIMIT, "limit_price": D(91)},
                    ),
                    venue_client_id=sent.venue_client_id,
                    broker_order_id=accepted.broker_order_id,
                    send_by_ns=2**62,
                )
            )
        )
        (replaced,) = await until(lambda: one.events(ev.Replaced))
        assert replaced.previous_broker_order_id == accepted.broker_order_id
        assert replaced.broker_order_id != accepted.broker_order_id
        assert (replaced.quantity, replaced.limit_price) == (D(12), D(91))
        assert replaced.venue_client_id == one.client_id


@pytest.mark.asyncio
async def test_what_happened_while_nobody_listened_is_told_once_after_a_restart(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as (one, client):
        mine = one.place("o-1", **LIMIT)
        await until(lambda: one.events(ev.Accepted))
        one.place("o-2")
        (before,) = await until(lambda: one.events(ev.Fill))
        cursor = one.cursor()
        await one.stop()
        bought = await client.placed(qty="3")
        gone = await client.placed(type="limit", limit_price="80", time_in_force="gtc")
        await client.ask("DELETE", f"/v2/orders/{gone['id']}")
        resting = await client.placed(type="limit", limit_price="81", time_in_force="gtc")
        found = await client.get(f"/v2/orders:by_client_order_id?client_order_id={mine}")
        moved = {"limit_price": "89"}
        _, replacement = await client.ask("PATCH", f"/v2/orders/{found['id']}", moved)
        one.start(cursor)
        await until(lambda: one.connection.is_ready())
        fills = [e.broker_execution_id for e in one.events(ev.Fill)]
        assert len(fills) == len(set(fills)) == 2
        assert before.broker_execution_id in fills  # Read again, and known by its id.
        assert {e.broker_order_id for e in one.events(ev.Fill)} >= {bought["id"]}
        assert [e.broker_order_id for e in one.events(ev.Canceled)] == [gone["id"]]
        (replaced,) = one.events(ev.Replaced)
        assert (replaced.broker_order_id, replaced.limit_price) == (replacement["id"], D(89))
        assert replaced.previous_broker_order_id == found["id"]
        (synced,) = one.items(m.SyncedAccount)
        listed = {e.broker_order_id for e in synced.open_orders}
        assert listed == {resting["id"], replacement["id"]}
        assert [p.quantity for p in synced.snapshot.positions] == [D(13)]


@pytest.mark.asyncio
async def test_a_first_look_counts_what_was_filled_before_in_the_positions_alone(
    tmp_path: Path,
) -> None:
    async with served() as client:
        await client.placed(qty="3")
        one = Desk(tmp_path, client)
        one.start()
        await until(lambda: one.connection.is_ready())
        (synced,) = one.items(m.SyncedAccount)
        assert [p.quantity for p in synced.snapshot.positions] == [D(3)]
        await one.connection._stream.read_past()
        assert one.events(ev.Fill) == []
        one.place("o-1")
        await until(lambda: one.events(ev.Fill))
        await one.stop()


@pytest.mark.asyncio
async def test_an_order_of_unknown_outcome_is_found_by_our_id(tmp_path: Path) -> None:
    async with desk(tmp_path) as (one, _):
        one.place("o-1", **LIMIT)
        await until(lambda: one.events(ev.Accepted))
        sent, told = one.sent, len(one.events())
        looked_for = m.LookUp(
            epoch=1,
            order_id=sent.order_id,
            venue_client_id=sent.venue_client_id,
            cursor=one.cursor(),
        )
        one.hear(looked_for)
        await until(lambda: len(one.events()) > told)
        assert one.events()[-1].venue_client_id == one.client_id
        never = ids.venue_client_id("alice", "never", "0", 1)
        one.hear(m.LookUp(epoch=1, order_id="x", venue_client_id=never, cursor=looked_for.cursor))
        (no_trace,) = await until(lambda: one.items(m.NoTrace))
        assert len(no_trace.evidence) == 2
