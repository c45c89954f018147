"""The gate against a router that is not to be trusted: repeated, altered, out of turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from connection_world import Wired
from msgspec.structs import replace
from router_world import FakeLink, new_order
from virtual_time import in_virtual_time

from actors import messages as m
from actors.gate import sealed
from actors.marks import SLOTS, Marks, mark_of
from domain import events as ev
from domain.orders import NewOrder, PositionEffect
from domain.records import Halted, HaltScope

SOON_S = 0.05
HALT = (Halted(scope=HaltScope.ALL, subject="*", by="ops", reason="stop"),)


def reasons(wired: Wired) -> list[str]:
    return [refused.reason for refused in wired.items(m.GateRefused)]


# -- an order leaves once


@in_virtual_time
async def test_an_order_under_a_new_intent_is_not_sent_again_but_looked_for(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wired.dispatch(1, new_order("o-1")))
    await asyncio.sleep(SOON_S)
    wired.hear(link, wired.dispatch(2, new_order("o-1")))
    await asyncio.sleep(SOON_S)
    assert len(wired.placed()) == 1
    # It may be live by its first intent: never "never sent".
    assert [doubt.intent for doubt in wired.items(m.InDoubt)] == [2]
    await wired.stop()


@in_virtual_time
async def test_the_marks_remember_which_orders_were_sent(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wired.dispatch(1, new_order("o-1")))
    await asyncio.sleep(SOON_S)
    await wired.stop()
    wired.start()
    link = await wired.up()
    wired.hear(link, wired.dispatch(9, new_order("o-1")))
    await asyncio.sleep(SOON_S)
    assert len(wired.placed()) == 1
    await wired.stop()


@in_virtual_time
async def test_what_was_proved_never_sent_may_be_tried_again(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.venue.fates.extend(["not_sent"] * 4)
    wired.hear(link, wired.dispatch(1, new_order("o-1")))
    await asyncio.sleep(1)
    assert wired.placed() == []
    wired.hear(link, wired.dispatch(2, new_order("o-1")))
    await asyncio.sleep(SOON_S)
    assert len(wired.placed()) == 1
    await wired.stop()


# -- an order leaves as it was written down


def grown(dispatch: m.Dispatch) -> m.Dispatch:
    return replace(dispatch, order=replace(dispatch.order, quantity=Decimal(9_999)))


ALTERED: dict[str, Callable[[m.Dispatch], m.Dispatch]] = {
    "quantity": grown,
    "no seal": lambda d: replace(d, digest=""),
    "order id": lambda d: sealed(replace(d, order_id=d.order_id[:-1] + "x")),
    "venue client id": lambda d: sealed(replace(d, venue_client_id=d.venue_client_id[:-1] + "x")),
    "attempt": lambda d: sealed(replace(d, attempt=2)),
}


@pytest.mark.parametrize("what", ALTERED)
def test_an_order_that_was_altered_on_its_way_is_not_sent(tmp_path: Path, what: str) -> None:
    @in_virtual_time
    async def story() -> None:
        wired = Wired(tmp_path)
        link = await wired.up()
        wired.hear(link, ALTERED[what](wired.dispatch(1)))
        await asyncio.sleep(SOON_S)
        assert wired.placed() == []
        assert reasons(wired)[0].startswith("altered")
        assert not wired.marks.has(1)
        await wired.stop()

    story()


def amend(wired: Wired, request_id: str = "r-1", quantity: int = 2000) -> m.SendAmend:
    of = wired.dispatch(1)
    made = m.SendAmend(
        epoch=1,
        order_id=of.order_id,
        order=of.order,
        terms=replace(of.order, quantity=Decimal(quantity)),
        venue_client_id=of.venue_client_id,
        broker_order_id="b1",
        send_by_ns=of.send_by_ns,
        request_id=request_id,
    )
    return sealed(made)


async def with_order(tmp_path: Path) -> tuple[Wired, FakeLink]:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wired.dispatch(1))
    await asyncio.sleep(SOON_S)
    return wired, link


def amends(wired: Wired) -> int:
    return sum(asked.what == "amend" for asked in wired.venue.requests)


@in_virtual_time
async def test_an_amend_leaves_once(tmp_path: Path) -> None:
    wired, link = await with_order(tmp_path)
    for _ in range(3):
        wired.hear(link, amend(wired))
        await asyncio.sleep(SOON_S)
    assert amends(wired) == 1
    wired.hear(link, amend(wired, "r-2", 3000))
    await asyncio.sleep(SOON_S)
    assert amends(wired) == 2
    await wired.stop()


@in_virtual_time
async def test_an_amend_that_was_altered_is_refused(tmp_path: Path) -> None:
    wired, link = await with_order(tmp_path)
    altered = replace(amend(wired), terms=replace(new_order(), quantity=Decimal(10**6)))
    wired.hear(link, altered)
    await asyncio.sleep(SOON_S)
    assert amends(wired) == 0
    (refused,) = [event for event in wired.events() if isinstance(event, ev.AmendRefused)]
    assert refused.error.code == "not_amended"
    await wired.stop()


# -- the last look


@pytest.mark.parametrize("what", ["halt", "newer router", "too late"])
def test_what_closes_between_arrival_and_the_first_byte_keeps_the_order_here(
    tmp_path: Path, what: str
) -> None:
    @in_virtual_time
    async def story() -> None:
        wired = Wired(tmp_path)
        link = await wired.up()
        late_ns = wired.clocks.boot_ns() + 20_000_000
        send_by = {"send_by_ns": late_ns} if what == "too late" else {}
        # No connection at once; by the time there is one it is closed to the order.
        wired.venue.fates.append("not_sent")
        wired.hear(link, wired.dispatch(1, **send_by))
        if what == "halt":
            wired.hear(link, wired.halt(HALT, number=5))
        elif what == "newer router":
            wired.attach(wired.link("second"), epoch=2, last_intent=1)
        await asyncio.sleep(1)
        assert wired.placed() == []
        name = "second" if what == "newer router" else "router"
        told = [item.reason for item in wired.items(m.GateRefused, name)]
        expected = {"halt": "halted", "newer router": "fenced", "too late": "stale"}
        assert told == [expected[what]]
        await wired.stop()

    story()


@in_virtual_time
async def test_an_amend_is_halted_too(tmp_path: Path) -> None:
    wired, link = await with_order(tmp_path)
    wired.hear(link, wired.halt(HALT))
    wired.hear(link, amend(wired))
    await asyncio.sleep(SOON_S)
    assert amends(wired) == 0
    await wired.stop()


# -- halts and epochs told out of turn


@in_virtual_time
async def test_an_older_word_about_halts_does_not_lift_a_newer_one(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wired.halt(HALT, number=7))
    wired.hear(link, wired.halt((), number=6))
    wired.attach(link, epoch=1, halts=(), halts_number=5)
    assert wired.connection.gate.halts == HALT
    wired.hear(link, wired.halt((), number=8))
    assert wired.connection.gate.halts == ()
    await wired.stop()


@in_virtual_time
async def test_a_newer_router_s_halts_hold_whatever_their_number(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wired.halt(HALT, number=70))
    wired.attach(wired.link("new"), epoch=2, halts=(), halts_number=3)
    assert wired.connection.gate.halts == ()
    await wired.stop()


@in_virtual_time
async def test_an_older_router_is_cut_off_by_a_connection_that_has_just_started(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path)
    await wired.up(epoch=4)
    await wired.stop()
    wired.start()
    zombie = wired.attach(wired.link("zombie"), epoch=3)
    assert zombie.is_closed
    await wired.stop()


def reducing(kind: str) -> NewOrder:
    if kind == "reduce_only":
        return new_order("o-1", reduce_only=True)
    return new_order("o-1", position_effect=PositionEffect.REDUCE_ONLY)


@pytest.mark.parametrize("passes", [True, False])
@pytest.mark.parametrize("kind", ["reduce_only", "effect"])
def test_an_exit_passes_a_halt_where_the_settings_say_so(
    tmp_path: Path, kind: str, passes: bool
) -> None:
    @in_virtual_time
    async def story() -> None:
        wired = Wired(tmp_path, exits_pass_halts=passes)
        link = await wired.up()
        wired.hear(link, wired.halt(HALT))
        wired.hear(link, wired.dispatch(1, reducing(kind)))
        wired.hear(link, wired.dispatch(2, new_order("o-2")))
        await asyncio.sleep(SOON_S)
        assert len(wired.placed()) == int(passes)
        assert reasons(wired) == ["halted"] * (1 if passes else 2)
        await wired.stop()

    story()


# -- the marks


def test_marks_of_the_release_before_are_read_and_know_no_epoch(tmp_path: Path) -> None:
    path = tmp_path / "old.marks"
    path.write_bytes(bytes(SLOTS * 16))
    old = Marks(path)
    assert (old.epoch, old.last, old.orders()) == (0, 0, ())
    old.write(3, mark_of("o-3"))
    old.write(2, mark_of("o-2"))
    old.write_epoch(8)
    again = Marks(path)
    assert (again.epoch, again.last) == (8, 3)
    assert again.orders() == (mark_of("o-2"), mark_of("o-3"))
    old.close()
    again.close()


def test_the_gate_forgets_the_oldest_before_it_grows_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.gate.SENT_MAX", 2)

    @in_virtual_time
    async def story() -> None:
        wired = Wired(tmp_path)
        gate = wired.connection.gate
        for intent in range(1, 5):
            gate.mark(wired.dispatch(intent))
        assert len(gate._sent) == 2
        await wired.stop()

    story()
