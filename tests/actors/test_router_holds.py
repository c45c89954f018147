"""An account in which something cannot be takes no new risk until it was read and agrees."""

from __future__ import annotations

from decimal import Decimal

import pytest
from router_world import ACCOUNT, PAPER, World, market_order, new_order, snapshot

from actors import messages as m
from domain import commands as c
from domain.orders import Side


@pytest.fixture
def world() -> World:
    """An account that holds 1,000 EUR/USD, a live order, and a break."""
    world = World().open()
    world.place(market_order("in-1"))
    world.fill("in-1")
    world.live("o-1")
    world.tell(m.Unread(what="a word nobody knows"))
    return world


def code_of(decided: c.Decided) -> str | None:
    return decided.error.code if decided.error else decided.status


def agree(world: World) -> None:
    held = tuple(p for p in world.router.desk.books.positions.values() if p.account == ACCOUNT)
    world.tell(m.SyncedAccount(snapshot=snapshot(world.settings[PAPER], held)))


def test_new_risk_is_refused_and_says_why(world: World) -> None:
    decided = world.place(new_order("o-2"))
    assert decided.error is not None
    assert decided.error.code == "account_held"
    assert "a word nobody knows" in decided.error.message


def test_exits_and_cancels_pass(world: World) -> None:
    out = market_order("out-1", side=Side.SELL, quantity=Decimal(400), reduce_only=True)
    assert code_of(world.place(out)) == "sending"
    world.cancel("o-1")
    assert len(world.sent(PAPER, m.SendCancel)) == 1


def test_an_amend_may_lower_an_order_and_not_raise_it(world: World) -> None:
    raised = world.amend(quantity=Decimal(2000))
    assert raised is not None
    assert raised.error is not None
    assert raised.error.code == "account_held"
    world.amend(quantity=Decimal(500))
    assert len(world.sent(PAPER, m.SendAmend)) == 1


def test_the_account_is_read_again_once_a_second_until_it_agrees(world: World) -> None:
    for _ in range(5):
        world.pass_ms(300)
    assert len(world.sent(PAPER, m.Resync)) == 2
    agree(world)
    assert code_of(world.place(new_order("o-2"))) == "sending"
    world.pass_ms(5_000)
    assert len(world.sent(PAPER, m.Resync)) == 2


def test_a_look_that_finds_another_break_does_not_end_the_hold(world: World) -> None:
    world.tell(m.SyncedAccount(snapshot=snapshot(world.settings[PAPER])))
    assert code_of(world.place(new_order("o-2"))) == "account_held"
    agree(world)
    assert code_of(world.place(new_order("o-2"))) == "sending"


def test_another_account_is_not_held(world: World) -> None:
    assert set(world.router.desk.books.held) == {ACCOUNT}


def test_a_hold_survives_a_restart(world: World) -> None:
    world.restart()
    world.bring_compliance()
    world.bring_connection(in_step=False)
    world.bring_edge()
    assert set(world.router.desk.books.held) == {ACCOUNT}


def test_nothing_is_asked_of_a_connection_that_is_down(world: World) -> None:
    world.lose_connection()
    world.pass_ms(2_000)
    assert world.sent(PAPER, m.Resync) == []
