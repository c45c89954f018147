"""The kill switch at the router: who does not confirm is ended, and what is open can go with it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from router_world import (
    ACCOUNT,
    PAPER,
    World,
    connection_settings,
    market_order,
    new_order,
)

from actors import messages as m
from compliance.settings import ComplianceSettings
from domain import commands as c
from domain.orders import Side
from domain.records import HaltScope

ALL = c.Halt(scope=HaltScope.ALL, reason="stop")


def body(world: World) -> Any:
    (answer,) = world.sent("edge-0", c.Answer)
    return msgspec.msgpack.decode(answer.body)


def test_a_gate_that_does_not_confirm_is_killed_before_the_halt_is_answered() -> None:
    second = connection_settings(id="paper-2", account="acc-2")
    world = World(connection_settings(), second).open()
    world.gates_confirm = False
    assert world.say(ALL) is None
    world.hear(PAPER, m.HaltsSet(connection=PAPER, number=world.last(PAPER, m.SetHalts).number))
    world.pass_ms(950)
    assert world.sent("edge-0", c.Answer) == []
    world.pass_ms(60)
    assert ("paper-2", "killed") in world.effects
    assert (PAPER, "killed") not in world.effects
    assert world.sent("edge-0", c.Answer) == []
    world.lose_connection("paper-2")
    world.settle()
    assert body(world) == {"confirmed": [PAPER], "ended": ["paper-2"]}


def test_one_that_confirms_in_time_is_left_alone() -> None:
    world = World().open()
    world.say(ALL)
    world.pass_ms(10_000)
    assert (PAPER, "killed") not in world.effects


def cancels(world: World) -> list[str]:
    return [sent.order.client_order_id for sent in world.sent(PAPER, m.SendCancel)]


def test_a_halt_can_cancel_what_is_open_in_its_scope() -> None:
    world = World(connection_settings(credits=10)).open()
    world.live("o-1", tag="grid")
    world.live("o-2", tag="other")
    world.say(c.Halt(scope=HaltScope.TAG, subject="grid", reason="stop", cancel_open=True))
    assert cancels(world) == ["o-1"]
    assert world.order("o-1").pending is not None
    assert world.order("o-2").pending is None


def test_without_being_asked_it_cancels_nothing() -> None:
    world = World().open()
    world.live("o-1")
    world.say(ALL)
    assert cancels(world) == []


def test_of_many_orders_the_cancels_are_written_in_several_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.router.halts.CANCELED_AT_ONCE_MAX", 2)
    world = World(connection_settings(credits=10)).open()
    for number in range(5):
        world.live(f"o-{number}")
    before = len(world.records())
    world.say(c.Halt(scope=HaltScope.ALL, reason="stop", cancel_open=True))
    assert len(cancels(world)) == 5
    assert len(world.records()) == before + 1 + 3


@pytest.mark.parametrize("passes", [True, False])
def test_an_exit_passes_a_halt_at_the_router_where_the_settings_say_so(passes: bool) -> None:
    settings = ComplianceSettings(duplicate_window_ms=0, exits_pass_halts=passes)
    world = World(compliance=settings).open()
    world.router.desk.venues[PAPER].exits_pass_halts = passes
    world.place(market_order("in-1"))
    world.fill("in-1")
    world.say(c.Halt(scope=HaltScope.ACCOUNT, subject=ACCOUNT, reason="stop"))
    out = market_order("out-1", side=Side.SELL, quantity=Decimal(400), reduce_only=True)
    decided = world.place(out)
    assert (decided.status == "sending") is passes
    opening = world.place(new_order("o-2"))
    assert opening.error is not None
    assert opening.error.code == "halted"
