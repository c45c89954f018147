"""In step with the broker: what came before, what comes, what was missed, and how to begin anew."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from connection_world import Wired
from paper_venue import PaperVenue
from router_world import connection_settings, market_order, new_order
from virtual_time import in_virtual_time

from actors import messages as m
from actors import outbox as outbox_module
from actors.event_stream import BACKOFF_S
from brokers.adapter import Report, Response, VenueOrder
from domain import events as ev
from domain.accounts import SessionState

SOON_S = 0.1


def states(wired: Wired) -> list[SessionState]:
    return [changed.state.state for changed in wired.items(m.StateChanged)]


def foreign(wired: Wired, name: str = "foreign") -> str:
    """An order made in the broker's own app; its broker id."""
    before = set(wired.venue.orders)
    wired.venue.book(new_order(name))
    return (set(wired.venue.orders) - before).pop()


@in_virtual_time
async def test_nothing_is_asked_of_the_broker_before_a_router_has_attached(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    await asyncio.sleep(5)
    assert wired.venue.requests == []
    await wired.stop()


@in_virtual_time
async def test_the_first_step_is_the_account_and_then_connected(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    await wired.up()
    kinds = [type(item).__name__ for item in wired.items()]
    assert kinds == ["SyncedAccount", "StateChanged"]
    assert states(wired) == [SessionState.CONNECTED]
    await wired.stop()


@in_virtual_time
async def test_since_the_durable_cursor_everything_is_told_then_the_account(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path)
    first, second = foreign(wired, "a"), foreign(wired, "b")
    wired.venue.fill(second, 300)
    await wired.up(cursor="1")
    kinds = [type(item).__name__ for item in wired.items()]
    assert kinds == ["Told", "SyncedAccount", "StateChanged"]
    assert [e.broker_order_id for e in wired.events()] == [second, second]
    listed = wired.items(m.SyncedAccount)[0].open_orders
    assert {order.broker_order_id for order in listed} == {first, second}
    assert wired.told(m.Items)[-1].cursor == "3"
    await wired.stop()


@in_virtual_time
async def test_a_long_history_is_read_page_by_page(tmp_path: Path) -> None:
    settings = connection_settings()
    wired = Wired(tmp_path, PaperVenue(settings, page=2))
    for number in range(7):
        foreign(wired, f"f-{number}")
    await wired.up(cursor="0")
    assert len(wired.events()) == 7
    assert wired.connection.telling.cursor == "7"
    await wired.stop()


@in_virtual_time
async def test_what_happens_while_we_read_the_past_is_neither_lost_nor_doubled(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path)
    before = foreign(wired, "before")
    wired.attach(cursor="0")
    await wired.venue.opened.wait()
    during = foreign(wired, "during")
    await asyncio.sleep(SOON_S)
    after = foreign(wired, "after")
    await asyncio.sleep(SOON_S)
    assert [e.broker_order_id for e in wired.events()] == [before, during, after]
    assert wired.connection.is_ready()
    await wired.stop()


@in_virtual_time
async def test_an_account_that_moves_under_the_reading_is_read_again(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    restless = wired.venue.answer

    def moving(asked: Any) -> Any:
        told = restless(asked)
        if asked.what == "since" and len(wired.venue.history) < 3:
            foreign(wired, f"m-{len(wired.venue.history)}")
        return told

    wired.venue.answer = moving  # type: ignore[method-assign]
    await wired.up(cursor="0")
    (synced,) = wired.items(m.SyncedAccount)
    assert synced.snapshot.cursor == wired.connection.telling.cursor
    await wired.stop()


@in_virtual_time
async def test_the_stream_is_told_as_it_comes_with_the_cursor_after_it(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    await wired.up()
    name = foreign(wired)
    wired.venue.fill(name, 300)
    wired.venue.cancel(name)
    await asyncio.sleep(SOON_S)
    assert [type(e) for e in wired.events()] == [ev.External, ev.Fill, ev.Canceled]
    assert [i.cursor for i in wired.told(m.Items)[-3:]] == ["1", "2", "3"]
    await wired.stop()


@in_virtual_time
async def test_an_order_s_events_wait_for_its_answer_and_are_one_fact(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    before = len(wired.told(m.Items))
    wired.hear(link, wired.dispatch(1))
    await asyncio.sleep(SOON_S)
    assert len(wired.told(m.Items)) == before + 1
    await wired.stop()


@in_virtual_time
async def test_a_cursor_is_not_given_out_past_what_still_waits_for_an_answer(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    release = asyncio.Event()
    send = wired.transport.send

    async def slow(request: Any, timeout_ms: int, check: Any = None) -> Response:
        answer = await send(request, timeout_ms, check)
        await release.wait()
        return answer

    wired.transport.send = slow  # type: ignore[method-assign]
    wired.hear(link, wired.dispatch(1))
    await asyncio.sleep(SOON_S)
    wired.connection.telling.tell(m.Unread(what="anything"))
    # With a cursor from before our order, which waits.
    assert wired.events() == []
    assert wired.told(m.Items)[-1].cursor == "0"
    foreign(wired)
    await asyncio.sleep(SOON_S)
    # An order made elsewhere since takes ours along.
    assert [e.broker_order_id for e in wired.events()] == ["b1", "b2"]
    assert wired.told(m.Items)[-1].cursor == "2"
    release.set()
    await asyncio.sleep(SOON_S)
    assert len(wired.events()) == 2
    await wired.stop()


@in_virtual_time
async def test_what_waited_for_an_answer_that_never_comes_is_told_with_the_doubt(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.venue.fates.append("lost")
    wired.hear(link, wired.dispatch(1))
    await asyncio.sleep(SOON_S)
    kinds = [type(item).__name__ for item in wired.items()][-2:]
    assert kinds == ["InDoubt", "Told"]
    await wired.stop()


@in_virtual_time
async def test_what_the_account_counts_is_told_before_it_though_its_answer_is_awaited(
    tmp_path: Path,
) -> None:
    """Else its fill would be counted twice: in the account's position, and on top of it."""
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.venue.fates.append("slow")
    wired.hear(link, wired.dispatch(1, market_order("o-1")))
    await asyncio.sleep(0.01)
    wired.venue.cut()
    await asyncio.sleep(2)
    kinds = [type(item).__name__ for item in wired.items()]
    synced = len(kinds) - 1 - kinds[::-1].index("SyncedAccount")
    before = [e for item in wired.items()[:synced] if isinstance(item, m.Told) for e in item.events]
    assert any(isinstance(event, ev.Fill) for event in before)
    assert len([e for e in wired.events() if isinstance(e, ev.Fill)]) == 1
    await wired.stop()


@in_virtual_time
async def test_an_answer_that_comes_while_the_account_is_read_makes_it_read_again(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    read = wired.transport.read
    held = asyncio.Event()

    async def slow(request: Any, timeout_ms: int) -> Response:
        answer = await read(request, timeout_ms)
        if request.path == "account":
            held.set()
            await asyncio.sleep(0.5)
        return answer

    wired.transport.read = slow  # type: ignore[method-assign]
    wired.venue.fates.append("slow")
    wired.hear(link, wired.dispatch(1, market_order("o-1")))
    wired.venue.cut()
    await held.wait()
    await asyncio.sleep(3)
    assert counts(wired, "account") == 3  # at first, and twice after the cut
    assert wired.items(m.SyncedAccount)[-1].snapshot.positions[0].quantity == 1000
    await wired.stop()


# -- trouble


@in_virtual_time
async def test_a_cut_stream_is_told_and_taken_up_again_from_the_cursor(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    await wired.up()
    wired.venue.cut()
    await asyncio.sleep(0.01)
    missed = foreign(wired)
    await asyncio.sleep(0.5)
    assert states(wired) == [
        SessionState.CONNECTED, SessionState.RECONNECTING, SessionState.CONNECTED,
    ]  # fmt: skip
    assert [e.broker_order_id for e in wired.events()] == [missed]
    assert len(wired.items(m.SyncedAccount)) == 2
    await wired.stop()


@in_virtual_time
async def test_a_silent_stream_is_a_broken_one(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    await wired.up()
    wired.venue.is_silent = True
    await asyncio.sleep(1.05)
    assert states(wired)[:2] == [SessionState.CONNECTED, SessionState.RECONNECTING]
    await wired.stop()


@in_virtual_time
async def test_a_broker_that_is_away_is_tried_more_and_more_patiently(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    wired.venue.is_down = True
    wired.attach()
    await asyncio.sleep(10)
    assert states(wired) == [SessionState.RECONNECTING]
    wired.venue.is_down = False
    await asyncio.sleep(2.1)
    assert wired.connection.is_ready()
    await wired.stop()


@in_virtual_time
async def test_many_cuts_over_a_long_life_do_not_make_the_next_return_slower(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path)
    await wired.up()
    for _ in range(8):
        wired.venue.cut()
        await asyncio.sleep(3)
    assert wired.connection.is_ready()
    wired.venue.cut()
    await asyncio.sleep(0.2)
    assert wired.connection.is_ready()
    await wired.stop()


@in_virtual_time
async def test_a_failed_reading_of_the_past_begins_anew(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    foreign(wired)
    wired.venue.read_fates.extend(["ok", "fail", "ok", "fail"])
    wired.attach(cursor="0")
    await asyncio.sleep(2)
    assert wired.connection.is_ready()
    assert len(wired.events()) == 1
    await wired.stop()


@in_virtual_time
async def test_a_heartbeat_ahead_of_us_for_a_whole_period_means_a_gap(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    await wired.up()
    wired.venue.skips = 1
    missed = foreign(wired)
    await asyncio.sleep(1.5)
    assert wired.events() == []
    await asyncio.sleep(1.0)
    assert [e.broker_order_id for e in wired.events()] == [missed]
    assert SessionState.RECONNECTING in states(wired)
    await wired.stop()


@in_virtual_time
async def test_a_heartbeat_ahead_of_us_for_a_moment_means_nothing(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    await wired.up()
    wired.venue.raw_line(wired.venue.heartbeat("1"))
    foreign(wired)
    await asyncio.sleep(5)
    assert SessionState.RECONNECTING not in states(wired)
    await wired.stop()


@in_virtual_time
async def test_where_too_much_waits_for_a_router_the_stream_is_left_and_read_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "ITEMS_MAX", 6)
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.connection.link_down(link)  # type: ignore[arg-type]
    for number in range(20):
        foreign(wired, f"f-{number}")
    await asyncio.sleep(5)
    assert len(wired.connection.telling.outbox.held) < 20
    second = wired.attach(wired.link("second"), epoch=2)
    for _ in range(20):
        last = wired.connection.telling.outbox.next - 1
        wired.hear(second, m.Freed(incarnation="c1", last=last))
        await asyncio.sleep(5)
    told = [e.broker_order_id for e in wired.events("second")]
    assert sorted(set(told)) == sorted(wired.venue.orders)
    assert len(told) == len(set(told))
    await wired.stop()


@in_virtual_time
async def test_an_unreadable_stream_line_is_a_broken_stream_not_a_dead_actor(
    tmp_path: Path,
) -> None:
    from brokers.adapter import BrokerError

    wired = Wired(tmp_path)
    await wired.up()
    parse = wired.connection.adapter.parse_event_line

    def parse_once(line: bytes, now_ns: int) -> Any:
        wired.connection.adapter.parse_event_line = parse  # type: ignore[method-assign]
        raise BrokerError("a stream line cannot be read")

    wired.connection.adapter.parse_event_line = parse_once  # type: ignore[method-assign]
    name = foreign(wired)
    await asyncio.sleep(1)
    assert [e.broker_order_id for e in wired.events()] == [name]
    assert wired.connection.is_ready()
    await wired.stop()


@in_virtual_time
async def test_unknown_words_are_told_passed_over_and_the_account_is_read_again(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path)
    await wired.up()
    parse = wired.connection.adapter.parse_event_line

    def parse_once(line: bytes, now_ns: int) -> Report:
        wired.connection.adapter.parse_event_line = parse  # type: ignore[method-assign]
        cursor = parse(line, now_ns).cursor
        return Report(cursor=cursor, unread=("transaction 7: GIFT",))

    wired.connection.adapter.parse_event_line = parse_once  # type: ignore[method-assign]
    foreign(wired)
    await asyncio.sleep(1)
    items = [item for _, item, _ in wired.connection.telling.outbox.held]
    at = items.index(m.Unread(what="transaction 7: GIFT"))
    assert any(isinstance(item, m.SyncedAccount) for item in items[at:])
    assert wired.connection.is_ready()
    await wired.stop()


# -- evidence


def wanted(wired: Wired, intent: int = 1, cursor: str | None = "0") -> m.LookUp:
    of = wired.dispatch(intent)
    return m.LookUp(
        epoch=1, order_id=of.order_id, venue_client_id=of.venue_client_id, cursor=cursor
    )


def venue_order(wired: Wired, intent: int = 1) -> VenueOrder:
    of = wired.dispatch(intent)
    return VenueOrder(
        order=of.order, instrument=wired.connection.instruments["EUR/USD"],
        venue_client_id=of.venue_client_id,
    )  # fmt: skip


def counts(wired: Wired, what: str) -> int:
    return [asked.what for asked in wired.venue.requests].count(what)


@in_virtual_time
async def test_two_complete_rounds_that_say_no_are_negative_evidence(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wanted(wired))
    await asyncio.sleep(0.45)
    assert counts(wired, "look_up") == 1  # the horizon has not passed: this no does not count
    await asyncio.sleep(1)
    (found,) = wired.items(m.NoTrace)
    assert len(found.evidence) == 2
    assert counts(wired, "look_up") == 3
    await wired.stop()


@in_virtual_time
async def test_a_failed_round_starts_the_count_over(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wanted(wired))
    await asyncio.sleep(0.6)
    assert counts(wired, "look_up") == 2
    wired.venue.read_fates.append("fail")
    await asyncio.sleep(0.7)
    assert wired.items(m.NoTrace) == []
    await asyncio.sleep(2)
    assert len(wired.items(m.NoTrace)) == 1
    assert counts(wired, "look_up") == 2 + 3
    await wired.stop()


@in_virtual_time
async def test_an_order_in_the_history_is_found_with_all_that_became_of_it(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.venue.skips = 99
    wired.venue.place(venue_order(wired))
    wired.venue.fill("b1", Decimal(1000))
    wired.hear(link, wanted(wired))
    await asyncio.sleep(0.7)
    found = wired.items(m.Told)[-1]
    assert {type(e) for e in found.events} == {ev.External, ev.Fill, ev.Accepted}
    assert wired.items(m.NoTrace) == []
    await wired.stop()


@in_virtual_time
async def test_an_order_found_by_its_name_alone_is_found(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.venue.place(venue_order(wired))
    wired.venue.fill("b1", 1000)
    wired.hear(link, wanted(wired, cursor=None))
    await asyncio.sleep(0.7)
    found = wired.items(m.Told)[-1]
    assert [type(e) for e in found.events] == [ev.Accepted]
    await wired.stop()


@in_virtual_time
async def test_an_order_among_the_open_ones_is_found(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.venue._look_up = lambda _name: ()  # type: ignore[method-assign]
    wired.venue.place(venue_order(wired))
    wired.hear(link, wanted(wired, cursor=None))
    await asyncio.sleep(0.7)
    found = wired.items(m.Told)[-1]
    assert [type(e) for e in found.events] == [ev.External]
    await wired.stop()


@in_virtual_time
async def test_an_order_that_lands_late_but_within_the_horizon_is_found(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.venue.fates.append("late")
    wired.hear(link, wired.dispatch(1))
    await asyncio.sleep(0.05)
    wired.hear(link, wanted(wired))
    await asyncio.sleep(2)
    assert wired.items(m.NoTrace) == []
    assert isinstance(wired.items(m.Told)[-1].events[0], ev.External)
    await wired.stop()


@in_virtual_time
async def test_a_broker_that_cannot_be_asked_proves_nothing_however_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.venue.is_down = True
    wired.hear(link, wanted(wired))
    await asyncio.sleep(1_000)
    assert wired.items(m.NoTrace) == []
    wired.venue.is_down = False
    await wired.stop()


@in_virtual_time
async def test_history_without_an_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actors import broker_reads

    monkeypatch.setattr(broker_reads, "PAGES_MAX", 3)
    settings = connection_settings()
    wired = Wired(tmp_path, PaperVenue(settings, page=1))
    for number in range(9):
        foreign(wired, f"f-{number}")
    wired.attach(cursor="0")
    await asyncio.sleep(0.02)
    assert not wired.connection.is_ready()
    # What was read is told; the rest is read on the next try.
    await asyncio.sleep(10)
    assert wired.connection.is_ready()
    assert len(wired.events()) == 9
    await wired.stop()


def test_the_backoff_is_bounded() -> None:
    assert max(BACKOFF_S) <= 2.0
