"""The gate of a broker connection: what leaves, what must not, and how each end is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from connection_world import FAR_NS, Wired
from router_world import ACCOUNT, OWNER, PAPER, market_order, new_order
from structlog.testing import capture_logs
from virtual_time import in_virtual_time

from actors import messages as m
from actors.gate import sealed
from actors.retries import PAUSES_S, even, pauses_s
from domain import events as ev
from domain.accounts import SessionState
from domain.errors import Outcome
from domain.records import Halted, HaltScope

SOON_S = 0.05


@in_virtual_time
async def test_an_order_is_marked_then_sent_once_and_its_outcome_told(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wired.dispatch(1))
    assert wired.marks.has(1)
    assert wired.placed() == []
    await asyncio.sleep(SOON_S)
    assert len(wired.placed()) == 1
    outcome = next(item for item in wired.items(m.Told) if item.intent == 1)
    assert isinstance(outcome, m.Told)
    accepted = [e for e in wired.events() if isinstance(e, ev.Accepted | ev.External)]
    assert len(accepted) == 1
    await wired.stop()


@in_virtual_time
async def test_a_market_order_s_fill_is_told_once_though_answer_and_stream_say_it(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wired.dispatch(1, market_order("o-1")))
    await asyncio.sleep(SOON_S)
    fills = [e for e in wired.events() if isinstance(e, ev.Fill)]
    assert [fill.quantity for fill in fills] == [1000]
    await wired.stop()


@in_virtual_time
async def test_a_refused_order_is_told_as_rejected(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wired.dispatch(1, new_order("o-1", tag="refuse")))
    await asyncio.sleep(SOON_S)
    assert [type(e) for e in wired.events()] == [ev.Rejected]
    await wired.stop()


# -- what must not leave


def halted(scope: HaltScope, subject: str = "*") -> tuple[Halted, ...]:
    return (Halted(scope=scope, subject=subject, by="ops", reason="stop"),)


@in_virtual_time
async def test_a_stale_order_is_refused_right_before_the_write(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wired.dispatch(1, send_by_ns=wired.clocks.boot_ns() - 1))
    await asyncio.sleep(SOON_S)
    assert [(r.intent, r.reason) for r in wired.items(m.GateRefused)] == [(1, "stale")]
    assert wired.placed() == []
    assert not wired.marks.has(1)
    await wired.stop()


HALTS = [
    (HaltScope.ALL, "*"),
    (HaltScope.OWNER, OWNER),
    (HaltScope.ACCOUNT, ACCOUNT),
    (HaltScope.CONNECTION, PAPER),
    (HaltScope.BROKER, "oanda"),
    (HaltScope.INSTRUMENT, "EUR/USD"),
    (HaltScope.TAG, "grid"),
]


@pytest.mark.parametrize(("scope", "subject"), HALTS, ids=[s.value for s, _ in HALTS])
def test_after_the_gate_has_confirmed_a_halt_nothing_in_scope_leaves(
    tmp_path: Path, scope: HaltScope, subject: str
) -> None:
    @in_virtual_time
    async def story() -> None:
        wired = Wired(tmp_path)
        link = await wired.up()
        wired.hear(link, wired.halt(halted(scope, subject), number=7))
        assert [h.number for h in wired.told(m.HaltsSet)] == [7]
        wired.hear(link, wired.dispatch(1, new_order("o-1", tag="grid")))
        assert [r.reason for r in wired.items(m.GateRefused)] == ["halted"]
        wired.hear(link, wired.halt((), number=8))
        wired.hear(link, wired.dispatch(2, new_order("o-2", tag="grid")))
        await asyncio.sleep(SOON_S)
        assert len(wired.placed()) == 1
        await wired.stop()

    story()


@in_virtual_time
async def test_halts_come_with_the_attach(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up(halts=halted(HaltScope.ALL))
    wired.hear(link, wired.dispatch(1))
    assert [r.reason for r in wired.items(m.GateRefused)] == ["halted"]
    await wired.stop()


@in_virtual_time
async def test_an_intent_that_does_not_rise_is_never_sent(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up(last_intent=5)
    wired.hear(link, wired.dispatch(5))
    wired.hear(link, wired.dispatch(6))
    wired.hear(link, wired.dispatch(6))
    await asyncio.sleep(SOON_S)
    assert len(wired.placed()) == 1
    await wired.stop()


@in_virtual_time
async def test_a_connection_that_restarts_refuses_intents_it_has_marked(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wired.dispatch(3))
    await asyncio.sleep(SOON_S)
    await wired.stop()
    wired.start()
    link = await wired.up(last_intent=0)
    wired.hear(link, wired.dispatch(3))
    await asyncio.sleep(SOON_S)
    assert len(wired.placed()) == 1
    await wired.stop()


@in_virtual_time
async def test_before_it_is_in_step_the_connection_refuses(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    wired.venue.is_down = True
    link = wired.attach()
    await asyncio.sleep(SOON_S)
    wired.hear(link, wired.dispatch(1))
    assert [r.reason for r in wired.items(m.GateRefused)] == ["venue_unavailable"]
    assert not wired.connection.is_ready()
    await wired.stop()


@in_virtual_time
async def test_what_is_not_traded_here_is_refused(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wired.dispatch(1, new_order("o-1", instrument="AUD/USD")))
    assert [r.reason for r in wired.items(m.GateRefused)] == ["unknown_instrument"]
    await wired.stop()


# -- epochs


OLD_FRAMES: dict[str, Callable[[Wired], Any]] = {
    "dispatch": lambda w: w.dispatch(9, epoch=1),
    "cancel": lambda w: w.cancel(1, epoch=1),
    "halts": lambda w: w.halt(halted(HaltScope.ALL), epoch=1),
    "probe": lambda w: m.Probe(epoch=1, intents=(1,)),
    "look up": lambda w: m.LookUp(epoch=1, order_id="o", venue_client_id="v", cursor=None),
}


@pytest.mark.parametrize("kind", OLD_FRAMES)
def test_frames_of_an_older_epoch_are_dropped(tmp_path: Path, kind: str) -> None:
    @in_virtual_time
    async def story() -> None:
        wired = Wired(tmp_path)
        link = await wired.up(epoch=2)
        before, asked = len(wired.effects), len(wired.venue.requests)
        wired.hear(link, OLD_FRAMES[kind](wired))
        await asyncio.sleep(5)
        assert len(wired.effects) == before
        assert len(wired.venue.requests) == asked
        assert wired.connection.gate.halts == ()
        await wired.stop()

    story()


@in_virtual_time
async def test_an_older_router_is_cut_off_and_a_newer_one_takes_over(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    old = await wired.up(epoch=2)
    late = wired.attach(wired.link("late"), epoch=1)
    assert late.is_closed
    assert wired.connection.router is old  # type: ignore[comparison-overlap]
    new = wired.attach(wired.link("new"), epoch=3)
    assert old.is_closed
    wired.hear(old, wired.dispatch(1, epoch=3))
    await asyncio.sleep(SOON_S)
    assert wired.placed() == []
    wired.hear(new, wired.dispatch(1, epoch=3))
    await asyncio.sleep(SOON_S)
    assert len(wired.placed()) == 1
    await wired.stop()


@in_virtual_time
async def test_that_a_router_was_refused_is_said_once(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    await wired.up(epoch=7)
    await wired.stop()
    wired.start()
    structlog.reset_defaults()
    with capture_logs() as logs:
        links = [wired.attach(epoch=1), wired.attach(epoch=1), wired.attach(epoch=2)]
    assert all(link.is_closed for link in links)
    assert [line["why"] for line in logs if line["event"] == "router refused"] == [
        "its epoch 1 is older than 7, which was served here",
        "its epoch 2 is older than 7, which was served here",
    ]
    await wired.stop()


@in_virtual_time
async def test_an_intent_of_an_older_epoch_is_never_sent_under_a_newer(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    await wired.up(epoch=1)
    new = wired.attach(wired.link("new"), epoch=2, last_intent=4)
    wired.hear(new, wired.dispatch(4, epoch=2))
    await asyncio.sleep(SOON_S)
    assert wired.placed() == []
    await wired.stop()


# -- what may have happened


@in_virtual_time
async def test_a_request_that_never_left_is_refused_with_its_proof(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.venue.fates.extend(["not_sent"] * (1 + len(PAUSES_S)))
    wired.hear(link, wired.dispatch(1))
    await asyncio.sleep(1)
    (refused,) = wired.items(m.GateRefused)
    assert refused.reason.startswith("not_sent")
    assert wired.placed() == []
    await wired.stop()


@in_virtual_time
async def test_what_was_not_sent_is_tried_again_while_it_may_still_leave(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.venue.fates.extend(["not_sent"] * len(PAUSES_S))
    wired.hear(link, wired.dispatch(1))
    await asyncio.sleep(1)
    assert len(wired.placed()) == 1
    assert [item.intent for item in wired.items(m.Told) if item.intent] == [1]
    assert wired.items(m.GateRefused) == []
    await wired.stop()


def test_luck_spreads_the_pauses_and_there_are_three() -> None:
    assert list(pauses_s(lambda: 0.0)) == [pause_s / 2 for pause_s in PAUSES_S]
    assert list(pauses_s(even)) == list(PAUSES_S)
    assert len(PAUSES_S) == 3


@pytest.mark.parametrize("fate", ["lost", "late", "dropped", "broken"])
def test_whatever_else_goes_wrong_leaves_the_intent_in_doubt(tmp_path: Path, fate: str) -> None:
    @in_virtual_time
    async def story() -> None:
        wired = Wired(tmp_path)
        link = await wired.up()
        wired.venue.fates.append(fate)
        wired.hear(link, wired.dispatch(1))
        await asyncio.sleep(1)
        assert [d.intent for d in wired.items(m.InDoubt)] == [1]
        assert len(wired.placed()) == (0 if fate == "dropped" else 1)
        await wired.stop()

    story()


@in_virtual_time
async def test_a_probe_tells_never_sent_in_doubt_or_nothing_yet(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.marks.write(2, 1)
    wired.connection.gate.last_intent = 2
    wired.hear(link, wired.dispatch(3))
    wired.hear(link, m.Probe(epoch=1, intents=(1, 2, 3)))
    await asyncio.sleep(0)
    assert [r.intent for r in wired.items(m.GateRefused)] == [1]
    assert [d.intent for d in wired.items(m.InDoubt)] == [2]
    await asyncio.sleep(SOON_S)
    wired.hear(link, m.Probe(epoch=1, intents=(3,)))
    assert [d.intent for d in wired.items(m.InDoubt)] == [2]
    await wired.stop()


@in_virtual_time
async def test_a_connection_killed_while_it_sent_is_in_doubt_and_before_that_it_is_not(
    tmp_path: Path,
) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wired.dispatch(1))
    await asyncio.sleep(0.001)
    await wired.stop()
    wired.start()
    link = wired.attach(epoch=1, last_intent=2)
    wired.hear(link, m.Probe(epoch=1, intents=(1, 2)))
    assert [d.intent for d in wired.items(m.InDoubt)] == [1]
    assert [r.intent for r in wired.items(m.GateRefused)] == [2]
    await wired.stop()


# -- items are held


@in_virtual_time
async def test_items_are_told_again_to_a_new_router_until_they_are_freed(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.connection.link_down(link)  # type: ignore[arg-type]
    wired.venue.place(_venue_order(wired))
    await asyncio.sleep(SOON_S)
    assert wired.items(m.Told) == []
    wired.attach(wired.link("second"), epoch=2)
    again = wired.told(m.Items, "second")
    assert [i.first for i in again] == list(range(1, len(again) + 1))
    assert wired.items(m.Told, "second")
    wired.attach(wired.link("third"), epoch=3, incarnation="c1", last=again[-1].first)
    assert wired.told(m.Items, "third") == []
    await wired.stop()


def _venue_order(wired: Wired, name: str = "foreign") -> Any:
    from brokers.adapter import VenueOrder

    return VenueOrder(
        order=new_order(name), instrument=wired.connection.instruments["EUR/USD"],
        venue_client_id=name,
    )  # fmt: skip


@in_virtual_time
async def test_freed_items_of_another_incarnation_are_not_ours(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    held = len(wired.connection.telling.outbox.held)
    wired.hear(link, m.Freed(incarnation="another", last=99))
    assert len(wired.connection.telling.outbox.held) == held
    wired.hear(link, m.Freed(incarnation="c1", last=1))
    assert len(wired.connection.telling.outbox.held) == held - 1
    await wired.stop()


@in_virtual_time
async def test_a_link_that_is_not_the_router_s_may_go(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.connection.link_down(wired.link("watchdog"))  # type: ignore[arg-type]
    assert wired.connection.router is link  # type: ignore[comparison-overlap]
    await wired.stop()


@in_virtual_time
async def test_the_introduction_says_credits_state_and_instruments(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    await wired.up()
    first, *_, last = wired.told(m.Attached)
    assert (first.state, first.instruments) == (SessionState.DISCONNECTED, ())
    assert (last.credits, len(last.instruments)) == (4, 3)
    wired.attach(wired.link("second"), epoch=2)
    assert wired.told(m.Attached, "second")[0].state is SessionState.CONNECTED
    await wired.stop()


# -- cancels and amends


async def with_order(tmp_path: Path) -> tuple[Wired, Any]:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wired.dispatch(1))
    await asyncio.sleep(SOON_S)
    return wired, link


def asked(wired: Wired, what: str) -> int:
    return [request.what for request in wired.venue.requests].count(what)


@in_virtual_time
async def test_a_cancel_is_told_as_the_broker_answered(tmp_path: Path) -> None:
    wired, link = await with_order(tmp_path)
    wired.hear(link, wired.cancel())
    await asyncio.sleep(SOON_S)
    canceled = [e for e in wired.events() if isinstance(e, ev.Canceled)]
    assert [e.broker_order_id for e in canceled] == ["b1"]
    wired.hear(link, wired.cancel())
    await asyncio.sleep(SOON_S)
    assert isinstance(wired.events()[-1], ev.CancelRefused)
    await wired.stop()


@in_virtual_time
async def test_a_cancel_without_an_answer_is_tried_again_for_it_does_no_harm(
    tmp_path: Path,
) -> None:
    wired, link = await with_order(tmp_path)
    wired.venue.fates.extend(["dropped", "not_sent"])
    wired.hear(link, wired.cancel())
    await asyncio.sleep(2)
    assert isinstance(wired.events()[-1], ev.Canceled)
    await wired.stop()


@in_virtual_time
async def test_a_cancel_is_tried_a_few_times_and_then_told_as_unanswered(tmp_path: Path) -> None:
    wired, link = await with_order(tmp_path)
    wired.venue.fates.extend(["broken"] * 10)
    wired.hear(link, wired.cancel(broker_order_id="b9"))
    await asyncio.sleep(5)
    assert asked(wired, "cancel") == len(PAUSES_S)
    refused = wired.events()[-1]
    assert isinstance(refused, ev.CancelRefused)
    assert (refused.error.code, refused.error.outcome) == ("cancel_unanswered", Outcome.UNKNOWN)
    await wired.stop()


def amend(wired: Wired, **words: Any) -> m.SendAmend:
    of = wired.dispatch(1)
    terms = new_order("o-1", quantity=Decimal(2000))
    plain: dict[str, Any] = {"broker_order_id": "b1", "send_by_ns": FAR_NS, "epoch": 1}
    made = m.SendAmend(
        order_id=of.order_id, order=of.order, terms=terms,
        venue_client_id=of.venue_client_id, **(plain | words),
    )  # fmt: skip
    return sealed(made)


@in_virtual_time
async def test_an_amend_is_told_as_the_broker_answered(tmp_path: Path) -> None:
    wired, link = await with_order(tmp_path)
    wired.hear(link, amend(wired))
    await asyncio.sleep(SOON_S)
    replaced = [e for e in wired.events() if isinstance(e, ev.Replaced)]
    assert [(e.broker_order_id, e.quantity) for e in replaced] == [("b2", 2000)]
    await wired.stop()


@in_virtual_time
async def test_an_amend_the_broker_refuses_is_told_so(tmp_path: Path) -> None:
    wired, link = await with_order(tmp_path)
    wired.hear(link, amend(wired, broker_order_id="b9"))
    await asyncio.sleep(SOON_S)
    refused = wired.events()[-1]
    assert isinstance(refused, ev.AmendRefused)
    assert refused.error.code == "MARGIN"
    await wired.stop()


@pytest.mark.parametrize("fate", ["dropped", "not_sent", "broken"])
def test_an_amend_without_an_answer_is_never_sent_twice(tmp_path: Path, fate: str) -> None:
    @in_virtual_time
    async def story() -> None:
        wired, link = await with_order(tmp_path)
        wired.venue.fates.append(fate)
        wired.hear(link, amend(wired))
        await asyncio.sleep(5)
        assert asked(wired, "amend") == (1 if fate == "broken" else 0)
        refused = [e for e in wired.events() if isinstance(e, ev.AmendRefused)]
        code = "not_amended" if fate == "not_sent" else "amend_unanswered"
        assert [e.error.code for e in refused] == [code]
        await wired.stop()

    story()


@in_virtual_time
async def test_an_amend_that_comes_too_late_is_not_sent(tmp_path: Path) -> None:
    wired, link = await with_order(tmp_path)
    wired.hear(link, amend(wired, send_by_ns=wired.clocks.boot_ns() - 1))
    await asyncio.sleep(1)
    assert asked(wired, "amend") == 0
    assert isinstance(wired.events()[-1], ev.AmendRefused)
    await wired.stop()


@in_virtual_time
async def test_a_cancel_before_the_instruments_are_known_does_not_kill_the_actor(
    tmp_path: Path,
) -> None:
    troubles: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: troubles.append(context))
    wired = Wired(tmp_path)
    wired.venue.is_down = True
    link = wired.attach()
    wired.hear(link, wired.cancel())
    wired.hear(link, amend(wired))
    await asyncio.sleep(5)
    assert troubles == []
    kinds = {type(e) for e in wired.events()}
    assert kinds == {ev.CancelRefused, ev.AmendRefused}
    await wired.stop()


@in_virtual_time
async def test_a_bug_in_a_task_is_not_swallowed(tmp_path: Path) -> None:
    troubles: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: troubles.append(context["exception"]))
    wired, link = await with_order(tmp_path)

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    wired.connection.adapter.cancel = broken  # type: ignore[assignment]
    wired.hear(link, wired.cancel())
    await asyncio.sleep(SOON_S)
    assert [type(trouble) for trouble in troubles] == [ZeroDivisionError]
    await wired.stop()
