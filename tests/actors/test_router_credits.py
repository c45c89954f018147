"""Send credits at the router: what waits, in which order, and what is refused instead."""

from __future__ import annotations

from typing import Any

import pytest
from router_world import INSTRUMENTS, PAPER, World, new_order

from actors import messages as m
from domain import commands as c
from domain.accounts import SessionState
from domain.records import HaltScope


@pytest.fixture
def world() -> World:
    """A connection whose broker counts: two orders are granted, 10 ms each."""
    world = World().open()
    attached = m.Attached(
        connection=PAPER,
        epoch=world.router.desk.epoch,
        credits=100,
        state=SessionState.CONNECTED,
        instruments=INSTRUMENTS,
        granted=2,
        per_order_us=10_000,
    )
    world.hear(PAPER, attached)
    return world


def grant(world: World, granted: int, wait_ms: int = 0, epoch: int | None = None) -> None:
    epoch = world.router.desk.epoch if epoch is None else epoch
    world.hear(PAPER, m.Credits(connection=PAPER, epoch=epoch, granted=granted, wait_ms=wait_ms))


def statuses(world: World, *names: str) -> list[str]:
    return [world.status(name) for name in names]


def test_what_is_granted_leaves_and_the_rest_waits_in_order(world: World) -> None:
    for number in range(1, 5):
        world.place(new_order(f"o-{number}"))
    assert statuses(world, "o-1", "o-2", "o-3", "o-4") == ["sending", "sending", "ready", "ready"]
    grant(world, 3)
    assert statuses(world, "o-3", "o-4") == ["sending", "ready"]


def test_a_new_order_does_not_overtake_one_that_waits(world: World) -> None:
    for number in range(1, 4):
        world.place(new_order(f"o-{number}"))
    world.router.desk.venues[PAPER].granted = 3
    world.place(new_order("o-4"))
    world.pass_ms(50)
    assert statuses(world, "o-3", "o-4") == ["sending", "ready"]


def test_one_that_waits_can_be_canceled(world: World) -> None:
    for number in range(1, 4):
        world.place(new_order(f"o-{number}"))
    world.cancel("o-3")
    grant(world, 10)
    assert world.status("o-3") == "canceled"
    assert len(world.sent(PAPER, m.Dispatch)) == 2


def test_one_that_waits_too_long_or_is_halted_meanwhile_is_not_sent(world: World) -> None:
    for number in range(1, 3):
        world.place(new_order(f"o-{number}"))
    late = new_order("o-3")
    world.say(c.Place(order=late), deadline_ns=world.boot_ns + 5_000_000)
    world.place(new_order("o-4", tag="grid"))
    world.say(c.Halt(scope=HaltScope.TAG, subject="grid", reason="stop"))
    world.pass_ms(10)
    grant(world, 10)
    assert statuses(world, "o-3", "o-4") == ["canceled", "canceled"]
    assert len(world.sent(PAPER, m.Dispatch)) == 2


def test_one_that_would_wait_too_long_is_refused_with_how_long(world: World) -> None:
    for number in range(1, 3):
        world.place(new_order(f"o-{number}"))
    grant(world, 2, wait_ms=4_000)
    decided = world.place(new_order("o-3"))
    assert decided.error is not None
    assert (decided.error.code, decided.error.outcome.value) == ("rate_limited", "none")
    assert decided.error.retry_after_ms == 4_000
    world.pass_ms(3_500)
    assert world.place(new_order("o-3")).status == "ready"


def test_the_line_of_those_that_wait_is_bounded_by_the_time_it_takes(world: World) -> None:
    refused = [world.place(new_order(f"o-{number}")).error for number in range(120)]
    codes = [error.code for error in refused if error is not None]
    assert set(codes) == {"rate_limited"}
    assert 90 <= len(world.router.desk.venues[PAPER].ready) <= 110


def test_a_grant_taken_back_lets_nothing_leave(world: World) -> None:
    grant(world, 0, wait_ms=100)
    assert world.place().status == "ready"


def test_a_grant_of_another_epoch_counts_for_nothing(world: World) -> None:
    grant(world, 50, epoch=0)
    assert world.router.desk.venues[PAPER].granted == 2


def test_where_nobody_counts_a_grant_means_nothing() -> None:
    world = World().open()
    grant(world, 0)
    assert world.place().status == "sending"


def test_a_new_attach_starts_to_count_anew(world: World) -> None:
    world.place(new_order("o-1"))
    world.lose_connection()
    world.bring_connection()
    assert world.router.desk.venues[PAPER].spent == 0


def test_connections_list_shows_the_breaker(world: World) -> None:
    query = c.Query(ref=900, owner="alice", what="connections.list")
    answer: Any = world.send(query)
    assert b"breaker" in answer.body
