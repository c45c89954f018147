"""The whole order path over real sockets against the OANDA simulator: the logs agree."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from deployment_in_process import (
    ACCOUNT,
    BROKER_ACCOUNT,
    CONNECTION,
    OWNER,
    WAIT_S,
    Deployment,
    deployment,
)
from msgspec import msgpack

from actors import edge as edge_module
from actors import roles
from actors.edge import Edge, Sockets
from domain import commands as c
from domain import events as ev
from domain.lifecycle import Origin
from domain.orders import (
    AmendOrder,
    Bracket,
    CancelOrder,
    NewOrder,
    OrderType,
    Side,
    StopLoss,
    TakeProfit,
    TimeInForce,
    Trailing,
)
from domain.streams import NoticeKind, OrderUpdate
from gateway.client import Client
from gateway.tokens import TokenStore, TokenTerms
from gateway.wire import Scope
from ledger.agreement import compare_client, compare_venue, stream_of
from ledger.recovery import restore

HOUR_NS = 3_600_000_000_000
T, F = OrderType, TimeInForce


def an_order(name: str, kind: str, number: int) -> NewOrder:
    """One of each kind OANDA has, at prices that rest or trade as its name says."""
    words: dict[str, Any] = {
        "market": {"time_in_force": F.FOK},
        "sell": {"time_in_force": F.FOK, "side": Side.SELL},
        "resting limit": {"type": T.LIMIT, "limit_price": Decimal("1.08000")},
        "limit that trades": {"type": T.LIMIT, "limit_price": Decimal("1.11000")},
        "limit until": {
            "type": T.LIMIT, "limit_price": Decimal("1.08500"), "time_in_force": F.GTD,
            "expire_at_ns": time.time_ns() + HOUR_NS,
        },
        "limit at once": {
            "type": T.LIMIT, "limit_price": Decimal("1.11000"), "time_in_force": F.IOC,
        },
        "limit at once or not": {
            "type": T.LIMIT, "limit_price": Decimal("1.08000"), "time_in_force": F.FOK,
        },
        "stop": {"type": T.STOP, "stop_price": Decimal("1.12000")},
        "touched": {"type": T.MARKET_IF_TOUCHED, "stop_price": Decimal("1.09000")},
        "bracket": {
            "time_in_force": F.FOK,
            "bracket": Bracket(
                take_profit=TakeProfit(limit_price=Decimal("1.15000")),
                stop_loss=StopLoss(distance=Decimal("0.05000")),
            ),
        },
    }[kind]  # fmt: skip
    plain = {"side": Side.BUY, "time_in_force": F.GTC, "tag": "whole"}
    return NewOrder(
        client_order_id=name, instrument="EUR/USD", quantity=Decimal(100 + number),
        **(plain | words),
    )  # fmt: skip


KINDS = (
    "market", "resting limit", "bracket", "stop", "limit that trades", "sell", "touched",
    "limit until", "limit at once", "limit at once or not",
)  # fmt: skip


def check(running: Deployment, book: Any) -> None:
    """Client log, journal, books and the broker's own book say the same."""
    journal = running.router.journal
    records = list(journal.replay())
    restored = restore(journal)
    assert restored.breaks == ()
    assert restored.books.to_bytes() == running.router.desk.books.to_bytes()
    updates = [u for record in records for u in record.updates]
    orders = [o for n in restored.books.orders.all_ids() if (o := restored.books.orders.get(n))]
    agreement = compare_venue(orders, updates, book)
    assert agreement.is_clean, agreement
    assert agreement.unknown == 0
    journaled = stream_of(records, f"orders/{OWNER}")
    heard = [u for u in running.edge.published if u.stream == f"orders/{OWNER}"]
    assert compare_client(journaled, heard) == []
    breaks = [u.body for u in updates if getattr(u.body, "kind", None) is NoticeKind.BREAK]
    assert breaks == []


@pytest.mark.asyncio
async def test_fifty_orders_of_every_kind_end_in_agreement(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with deployment(short_folder, monkeypatch) as running:
        edge = running.edge
        for number in range(50):
            order = an_order(f"o-{number}", KINDS[number % len(KINDS)], number)
            answer = await edge.say(c.Place(order=order))
            assert answer.decided[0].error is None, answer
        await running.rest()
        await _change_some(running)
        running.move(EUR_USD="1.12500")  # the stops
        running.move(EUR_USD="1.08900")  # those that wait to be touched
        await running.rest()
        await _guard_a_lot(running)
        await edge.say(c.Cancel(cancel=CancelOrder(all=True)))
        await running.rest()
        held = running.router.desk.books.positions[ACCOUNT, "EUR/USD"]
        check(running, await running.book())
        sizes = running.simulator.engine.accounts[BROKER_ACCOUNT].positions["EUR_USD"]
        assert held.quantity == sizes.net
        events = {type(e) for e in _events(running)}
        assert {ev.Sending, ev.Accepted, ev.Fill, ev.Canceled, ev.Replaced, ev.External} <= events


def _events(running: Deployment) -> list[Any]:
    return [u.body.event for u in running.edge.published if isinstance(u.body, OrderUpdate)]


async def _change_some(running: Deployment) -> None:
    """One amend that is taken, one cancel, and both again: the same answers."""
    edge = running.edge
    amend = AmendOrder(client_order_id="o-1", limit_price=Decimal("1.07000"))
    assert (await edge.say(c.Amend(amend=amend))).error is None
    cancel = CancelOrder(client_order_id="o-11")
    assert (await edge.say(c.Cancel(cancel=cancel))).error is None
    await running.rest()
    assert running.router.desk.books.orders.of_client(OWNER, "o-11") is not None
    again = await edge.say(c.Place(order=an_order("o-0", "market", 0)))
    assert again.decided[0].dup


async def _guard_a_lot(running: Deployment) -> None:
    """A trailing stop on an open lot, then a part of the position is closed."""
    edge = running.edge
    held = running.router.desk.books.positions[ACCOUNT, "EUR/USD"]
    lot = held.lots[-1]
    guard = NewOrder(
        client_order_id="trail", instrument="EUR/USD", side=Side.SELL, quantity=lot.quantity,
        type=T.TRAILING_STOP, time_in_force=F.GTC, trailing=Trailing(amount=Decimal("0.05000")),
        closes_lot=lot.lot_id,
    )  # fmt: skip
    answer = await edge.say(c.Place(order=guard))
    assert answer.decided[0].error is None, answer
    close = c.ClosePosition(
        client_order_id="close", account=ACCOUNT, instrument="EUR/USD", percent=Decimal(25)
    )
    answer = await edge.say(close)
    assert answer.decided[0].error is None, answer
    await running.rest()


@pytest.mark.asyncio
async def test_orders_made_in_the_broker_s_own_app_are_known_and_counted(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with deployment(short_folder, monkeypatch) as running:
        body = {"order": {"type": "MARKET", "instrument": "EUR_USD", "units": "700"}}
        url = f"{running.simulator.url}/v3/accounts/{BROKER_ACCOUNT}/orders"
        headers = {"Authorization": "Bearer paper"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(url, json=body) as answer,
        ):
            assert answer.status == 201
        books = running.router.desk.books
        await running.until(lambda: (ACCOUNT, "EUR/USD") in books.positions)
        assert books.positions[ACCOUNT, "EUR/USD"].quantity == 700
        origins = {o.origin for n in books.orders.all_ids() if (o := books.orders.get(n))}
        assert origins == {Origin.EXTERNAL}
        await running.rest()
        check(running, await running.book())


@pytest.mark.asyncio
async def test_a_log_in_a_read_and_a_query_over_the_link(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with deployment(short_folder, monkeypatch) as running:
        edge = running.edge
        told = await edge.ask(
            lambda ref: c.Login(ref=ref, owner=OWNER, session="s-1", generation=1)
        )
        assert told.accounts == (ACCOUNT,)
        await edge.say(c.Place(order=an_order("o-1", "market", 0)))
        await running.rest()
        page = await edge.ask(
            lambda ref: c.ReadStream(
                ref=ref, owner=OWNER, stream=f"orders/{OWNER}", after=0, limit=10
            )
        )
        assert [u.seq for u in page.updates] == list(range(1, page.head + 1))
        rows = await edge.ask(
            lambda ref: c.Query(ref=ref, owner=OWNER, what="orders.list", args={"status": "all"})
        )
        assert [row["status"] for row in msgpack.decode(rows.body)] == ["filled"]


@pytest.mark.asyncio
async def test_a_client_trades_through_a_real_edge(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with deployment(short_folder, monkeypatch) as running:
        scopes = (Scope.READ, Scope.TRADE)
        token = TokenStore(running.paths.tokens).create(
            TokenTerms(owner=OWNER, scopes=scopes), time.time_ns(), lambda size: bytes(size)
        )
        sockets = Sockets(*(socket.create_server(("127.0.0.1", 0)) for _ in range(3)))
        url = f"ws://127.0.0.1:{sockets.clients.getsockname()[1]}"
        ready_url = f"http://127.0.0.1:{sockets.health.getsockname()[1]}"
        edge = Edge(running.stage("edge-0"))
        task = running.keep(edge.run(sockets))
        async with asyncio.timeout(WAIT_S):
            await _until_ready(ready_url)
            async with Client.connect(url, token, "s-1") as client:
                done = await client.place_and_wait(an_order("o-1", "market", 0))
                assert isinstance(done.event, ev.Fill | ev.Accepted)
                async for quote in client.quotes("EUR/USD"):
                    assert quote.connection == CONNECTION
                    break
                assert (await client.cancel(CancelOrder(all=True))) == ()
            await _metrics(ready_url)
            signal.raise_signal(signal.SIGTERM)
            await task
        await running.rest()
        check(running, await running.book())


async def _until_ready(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/readyz") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.01)


async def _metrics(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        assert "router_up 1" in await answer.text()


@pytest.mark.asyncio
async def test_an_edge_tells_its_server_when_the_router_goes_and_comes(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with deployment(short_folder, monkeypatch) as running:
        edge = Edge(running.stage("edge-0"))
        told: list[str] = []
        monkeypatch.setattr(edge.server, "router_found", lambda: told.append("found"))
        monkeypatch.setattr(edge.server, "router_lost", lambda: told.append("lost"))
        side, link, other = edge_module.RouterSide(edge), object(), object()
        edge.submit(c.Submit(**_submit()))  # nobody there: dropped, the client asks again
        side.link_up(link)  # type: ignore[arg-type]
        assert edge.status().is_router_up
        side.link_down(other)  # type: ignore[arg-type]
        assert edge.status().is_router_up
        side.link_down(link)  # type: ignore[arg-type]
        assert not edge.status().is_router_up
        assert told == ["found", "lost"]


def _submit() -> dict[str, Any]:
    return {
        "ref": 1, "owner": OWNER, "session": "s", "cseq": 1, "request_id": "r",
        "command": c.Place(order=an_order("o-1", "market", 0)), "received_ns": 1,
    }  # fmt: skip


def test_every_role_has_a_starter_and_its_place() -> None:
    assert roles.starter_of("router") is roles.start_router
    assert roles.starter_of("compliance") is roles.start_compliance
    assert roles.starter_of("ledger") is roles.start_ledger
    assert roles.starter_of("connection-x") is roles.start_connection


@pytest.mark.asyncio
async def test_a_router_waits_for_the_journal_of_one_that_still_dies(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with deployment(short_folder, monkeypatch) as running:
        second = asyncio.create_task(roles._open_journal(running.stage("router")))
        await asyncio.sleep(0.05)
        assert not second.done()
        running.router.journal.close()
        journal = await asyncio.wait_for(second, WAIT_S)
        assert journal.durable == running.router.desk.books.number
        journal.close()
