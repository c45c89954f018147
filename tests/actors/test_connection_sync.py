"""In step though the stream loses lines, the account never rests, or tells less than it should."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from connection_world import Wired
from paper_venue import CAPABILITIES
from router_world import new_order
from virtual_time import in_virtual_time

from actors import messages as m
from actors.event_stream import SYNC_PAUSES_S
from brokers.adapter import Report, Restless
from domain import events as ev
from domain.accounts import SessionState

SOON_S = 0.1


def states(wired: Wired) -> list[SessionState]:
    return [changed.state.state for changed in wired.items(m.StateChanged)]


def foreign(wired: Wired, name: str) -> str:
    before = set(wired.venue.orders)
    wired.venue.book(new_order(name))
    return (set(wired.venue.orders) - before).pop()


@in_virtual_time
async def test_a_line_lost_in_the_middle_is_read_before_the_next_is_told(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    foreign(wired, "before")
    await wired.up()
    told = len(wired.events())
    wired.venue.skips = 1
    lost, next_ = foreign(wired, "lost"), foreign(wired, "next")
    await asyncio.sleep(SOON_S)
    assert [e.broker_order_id for e in wired.events()[told:]] == [lost, next_]
    assert SessionState.RECONNECTING not in states(wired)
    await wired.stop()


@in_virtual_time
async def test_an_account_that_never_rests_is_not_called_connected(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    calm = wired.venue.answer
    is_restless = True

    def moving(asked: Any) -> Any:
        if asked.what == "account" and is_restless:
            foreign(wired, f"m-{len(wired.venue.history)}")
        return calm(asked)

    wired.venue.answer = moving  # type: ignore[method-assign]
    wired.attach(cursor="0")
    await asyncio.sleep(3)
    assert not wired.connection.is_ready()
    assert wired.items(m.SyncedAccount) == []
    is_restless = False
    await asyncio.sleep(3)
    assert wired.connection.is_ready()
    assert len(wired.items(m.SyncedAccount)) == 1
    await wired.stop()


@in_virtual_time
async def test_an_account_whose_parts_differ_is_read_again(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    parse, tries = wired.connection.adapter.parse_account, 0

    def torn(*answers: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries < len(SYNC_PAUSES_S):
            raise Restless("torn")
        return parse(*answers)

    wired.connection.adapter.parse_account = torn  # type: ignore[method-assign]
    wired.attach()
    await asyncio.sleep(2)
    assert wired.connection.is_ready()
    assert len(wired.items(m.SyncedAccount)) == 1
    assert SessionState.RECONNECTING not in states(wired)
    await wired.stop()


@in_virtual_time
async def test_evidence_is_sought_for_as_long_as_the_broker_cannot_be_asked(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    order = wired.dispatch(1)
    wired.venue.read_fates.extend(["fail"] * 400)
    asked = m.LookUp(
        epoch=1, order_id=order.order_id, venue_client_id=order.venue_client_id, cursor="0"
    )
    wired.hear(link, asked)
    await asyncio.sleep(401 * 30)
    (no_trace,) = wired.items(m.NoTrace)
    assert no_trace.order_id == order.order_id
    await wired.stop()


@in_virtual_time
async def test_the_same_order_is_sought_once_at_a_time(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    order = wired.dispatch(1)
    asked = m.LookUp(
        epoch=1, order_id=order.order_id, venue_client_id=order.venue_client_id, cursor="0"
    )
    for _ in range(5):
        wired.hear(link, asked)
    await asyncio.sleep(5)
    assert len(wired.items(m.NoTrace)) == 1
    wired.hear(link, asked)
    await asyncio.sleep(5)
    assert len(wired.items(m.NoTrace)) == 2
    await wired.stop()


def rereading(wired: Wired, period_ms: int) -> None:
    capabilities = msgspec.structs.replace(CAPABILITIES, resync_ms=period_ms)
    wired.connection.adapter.capabilities = capabilities  # type: ignore[misc]


@in_virtual_time
async def test_where_the_stream_tells_too_little_the_account_is_read_again_and_again(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path)
    rereading(wired, 1_000)
    await wired.up()
    wired.venue.skips = 1
    lost = foreign(wired, "lost")
    await asyncio.sleep(1.2)
    assert [e.broker_order_id for e in wired.events()] == [lost]
    assert len(wired.items(m.SyncedAccount)) == 2
    assert states(wired) == [SessionState.CONNECTED]
    await wired.stop()


@in_virtual_time
async def test_a_rereading_that_fails_leaves_us_connected_and_comes_again(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    rereading(wired, 1_000)
    await wired.up()
    wired.venue.read_fates.append("fail")
    await asyncio.sleep(1.5)
    assert (states(wired), len(wired.items(m.SyncedAccount))) == ([SessionState.CONNECTED], 1)
    await asyncio.sleep(1.0)
    assert len(wired.items(m.SyncedAccount)) == 2
    await wired.stop()


@in_virtual_time
async def test_words_that_stay_unknown_are_one_break_however_often_they_are_read(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path)
    rereading(wired, 1_000)
    parse = wired.connection.adapter.parse_open_orders

    def odd(*answers: Any) -> Report:
        return msgspec.structs.replace(parse(*answers), unread=("order 7: a word",))

    wired.connection.adapter.parse_open_orders = odd  # type: ignore[method-assign]
    await wired.up()
    await asyncio.sleep(5)
    assert [item.what for item in wired.items(m.Unread)] == ["order 7: a word"]
    await wired.stop()


@in_virtual_time
async def test_what_a_working_order_replaces_is_told_before_the_account(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    parse = wired.connection.adapter.parse_open_orders
    replaced = ev.Replaced(at_ns=1, broker_order_id="b9", previous_broker_order_id="b1")

    def replacing(*answers: Any) -> Report:
        report = parse(*answers)
        return msgspec.structs.replace(report, events=(replaced, *report.events))

    wired.connection.adapter.parse_open_orders = replacing  # type: ignore[method-assign]
    await wired.up()
    kinds = [type(item).__name__ for item in wired.items()]
    assert kinds == ["Told", "SyncedAccount", "StateChanged"]
    assert wired.events() == [replaced]
    await wired.stop()


@in_virtual_time
async def test_the_account_is_read_again_where_the_router_asks_for_it(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    before = len(wired.items(m.SyncedAccount))
    wired.hear(link, m.Resync(epoch=1))
    await asyncio.sleep(0.1)
    assert len(wired.items(m.SyncedAccount)) == before + 1
    await wired.stop()


@in_virtual_time
async def test_a_connection_out_of_step_reads_it_anyway_when_it_is_back(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    wired.venue.is_down = True
    link = wired.attach()
    await asyncio.sleep(0.1)
    asked = len(wired.venue.requests)
    wired.hear(link, m.Resync(epoch=1))
    await asyncio.sleep(0.01)
    assert len(wired.venue.requests) == asked
    await wired.stop()


@in_virtual_time
async def test_a_reading_that_fails_leaves_the_connection_as_it_is(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    before = len(wired.items(m.SyncedAccount))
    wired.venue.read_fates.extend(["broken"])
    wired.hear(link, m.Resync(epoch=1))
    await asyncio.sleep(0.1)
    assert len(wired.items(m.SyncedAccount)) == before
    assert wired.connection.is_ready()
    await wired.stop()
