"""Guards: they fire for a silent session, once, across restarts; never for one that is there."""

from __future__ import annotations

from typing import Any

import pytest
from router_world import OTHER, OWNER, PAPER, World, new_order

from actors import messages as m
from domain import commands as c
from domain.lifecycle import Pending
from domain.records import GuardKind
from domain.streams import NoticeKind

ON_DISCONNECT = GuardKind.CANCEL_ON_DISCONNECT


@pytest.fixture
def world() -> World:
    return World().open()


def login(world: World, generation: int = 1, *, edge: str = "edge-0", **words: Any) -> c.LoggedIn:
    plain: dict[str, Any] = {"ref": 900 + generation, "owner": OWNER, "session": "s-1"}
    world.send(c.Login(**(plain | words), generation=generation), edge=edge)
    found = world.last(edge, c.LoggedIn)
    assert isinstance(found, c.LoggedIn)
    return found


def logout(world: World, generation: int = 1) -> None:
    world.send(c.Logout(owner=OWNER, session="s-1", generation=generation))


def guard(world: World, kind: GuardKind = ON_DISCONNECT, grace_ms: int = 1000, **w: Any) -> None:
    answer = world.say(c.SetGuard(kind=kind, grace_ms=grace_ms, **w))
    assert answer is not None
    assert answer.error is None


def fired(world: World) -> int:
    return [n.kind for n in world.notices()].count(NoticeKind.GUARD_FIRED)


def test_a_session_that_goes_and_stays_away_is_canceled_for(world: World) -> None:
    login(world)
    guard(world)
    world.live()
    logout(world)
    world.pass_ms(999)
    assert fired(world) == 0
    world.pass_ms(1)
    assert fired(world) == 1
    assert world.order().pending is Pending.CANCEL
    assert len(world.sent(PAPER, m.SendCancel)) == 1


def test_a_guard_fires_once(world: World) -> None:
    login(world)
    guard(world)
    logout(world)
    world.pass_ms(5_000)
    world.pass_ms(5_000)
    assert fired(world) == 1
    assert world.router.desk.books.guards == {}


def test_a_session_that_comes_back_in_time_keeps_its_orders(world: World) -> None:
    login(world, 1)
    guard(world)
    world.live()
    logout(world, 1)
    world.pass_ms(900)
    login(world, 2)
    world.pass_ms(5_000)
    assert fired(world) == 0
    assert world.order().pending is None


def test_the_goodbye_of_an_older_generation_is_not_ours(world: World) -> None:
    login(world, 1)
    guard(world)
    login(world, 2)
    logout(world, 1)
    world.pass_ms(5_000)
    assert fired(world) == 0


def test_a_goodbye_of_nobody_is_nothing(world: World) -> None:
    logout(world)
    world.pass_ms(5_000)
    assert fired(world) == 0


def test_an_older_generation_may_not_log_in_again(world: World) -> None:
    assert login(world, 2).error is None
    refused = login(world, 1)
    assert refused.error is not None
    assert refused.error.code == "stale_generation"


def test_the_socket_of_an_older_generation_at_another_edge_is_told_to_close(world: World) -> None:
    world.bring_edge("edge-1")
    login(world, 1)
    login(world, 2, edge="edge-1")
    replaced = world.last("edge-0", c.SessionReplaced)
    assert (replaced.owner, replaced.session, replaced.generation) == (OWNER, "s-1", 2)
    assert world.sent("edge-1", c.SessionReplaced) == []


def test_an_edge_that_dies_silences_its_sessions(world: World) -> None:
    world.bring_edge("edge-1")
    login(world)
    guard(world)
    world.live()
    world.lose_edge("edge-0")
    world.pass_ms(1_000)
    assert fired(world) == 1


def test_the_death_of_another_edge_silences_nobody_here(world: World) -> None:
    world.bring_edge("edge-1")
    login(world)
    guard(world)
    world.lose_edge("edge-1")
    world.pass_ms(5_000)
    assert fired(world) == 0


def test_a_dead_edge_gets_no_answers(world: World) -> None:
    world.holds_verdicts = True
    world.say(c.Place(order=new_order()))
    link = world.links["edge-0"]
    world.lose_edge()
    world.holds_verdicts = False
    world.settle()
    world.bring_edge("edge-0")
    assert [e for n, e in world.effects if n == link.name and isinstance(e, c.Answer)] == []
    assert world.status() == "sending"


def test_after_a_restart_every_guarded_session_is_silent_from_then_on(world: World) -> None:
    login(world)
    guard(world)
    world.live()
    world.restart()
    world.open()
    world.pass_ms(999)
    assert fired(world) == 0
    world.pass_ms(1)
    assert fired(world) == 1
    world.restart()
    world.open()
    world.pass_ms(10_000)
    assert fired(world) == 1


def test_a_session_that_returns_after_a_restart_keeps_its_orders(world: World) -> None:
    login(world)
    guard(world)
    world.restart()
    world.open()
    login(world)
    world.pass_ms(10_000)
    assert fired(world) == 0


def test_a_dead_man_must_give_a_sign(world: World) -> None:
    login(world)
    guard(world, GuardKind.DEAD_MAN, grace_ms=1_000)
    world.live()
    world.pass_ms(900)
    world.say(c.Cancel(cancel=c.CancelOrder(client_order_id="o-9")))
    world.pass_ms(900)
    assert fired(world) == 0
    world.pass_ms(100)
    assert fired(world) == 1
    assert world.order().pending is Pending.CANCEL


def test_a_lifted_guard_does_nothing(world: World) -> None:
    login(world)
    guard(world)
    guard(world, armed=False)
    logout(world)
    world.pass_ms(5_000)
    assert fired(world) == 0


def test_a_guard_cancels_what_it_covers_and_no_more(world: World) -> None:
    login(world)
    guard(world, tag="grid")
    world.live("o-1", tag="grid")
    world.live("o-2", tag="other")
    logout(world)
    world.pass_ms(1_000)
    assert world.order("o-1").pending is Pending.CANCEL
    assert world.order("o-2").pending is None


def test_a_guard_leaves_the_orders_of_the_owner_s_other_sessions_alone(world: World) -> None:
    login(world)
    guard(world)
    world.live("o-1")
    assert world.place(new_order("o-2"), session="s-2").status == "sending"
    world.accept("o-2", "b-2")
    world.restart()
    world.open()
    world.pass_ms(1_000)
    assert world.order("o-1").pending is Pending.CANCEL
    assert world.order("o-2").pending is None


def test_a_guard_never_touches_another_owner_s_orders(world: World) -> None:
    login(world, owner=OTHER)
    world.say(c.SetGuard(kind=ON_DISCONNECT, grace_ms=0), owner=OTHER)
    world.live()
    world.send(c.Logout(owner=OTHER, session="s-1", generation=1))
    world.pass_ms(50)
    assert fired(world) == 1
    assert world.order().pending is None


def test_several_guards_of_a_session_stand_side_by_side(world: World) -> None:
    login(world)
    guard(world, tag="a", grace_ms=100)
    guard(world, tag="b", grace_ms=5_000)
    logout(world)
    world.pass_ms(200)
    assert fired(world) == 1
    world.pass_ms(5_000)
    assert fired(world) == 2


def test_a_login_tells_the_last_decided_command_and_the_heads(world: World) -> None:
    world.say(c.Place(order=new_order()), cseq=41)
    told = login(world)
    assert told.last_cseq == 41
    assert told.heads[f"orders/{OWNER}"] == 1
    assert told.accounts == ("acc-1",)
    assert not any("bob" in stream for stream in told.heads)


def test_an_owner_without_accounts_has_streams_all_the_same(world: World) -> None:
    told = login(world, owner=OTHER)
    assert told.accounts == ()
    assert set(told.heads) == {f"orders/{OTHER}", "connections", "admin"}
