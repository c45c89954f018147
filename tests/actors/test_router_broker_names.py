"""An order's other names at the broker: what replaces it, what guards it; and a netted account."""

from __future__ import annotations

from decimal import Decimal

import pytest
from router_world import ACCOUNT, PAPER, Anything, World, market_order, snapshot
from test_router_reports import external, position

from actors import messages as m
from domain import events as ev
from domain.lifecycle import Origin, Status
from domain.orders import Bracket, TakeProfit
from domain.portfolio import Position
from domain.streams import NoticeKind


@pytest.fixture
def world() -> World:
    return World().open()


def replaced(previous: str = "b-o-1", **words: object) -> ev.Replaced:
    return ev.Replaced(
        at_ns=5, broker_order_id="b-new", previous_broker_order_id=previous, **words,
    )  # type: ignore[arg-type]  # fmt: skip


def test_a_replacement_is_known_by_the_id_of_what_it_replaces(world: World) -> None:
    world.live()
    world.events(replaced(limit_price=Decimal("1.05")))
    order = world.order()
    assert order.legs == ("b-o-1", "b-new")
    assert order.terms is not None
    assert order.terms.limit_price == Decimal("1.05")


def test_a_replacement_and_its_own_creation_in_one_breath_are_one_order(world: World) -> None:
    world.live()
    world.events(replaced(), external("b-new", venue_client_id="theirs"))
    assert world.order().legs == ("b-o-1", "b-new")
    assert len(world.router.desk.books.orders.open) == 1


def test_a_replacement_of_what_nobody_knows_is_an_order_of_its_own(world: World) -> None:
    world.events(replaced("b-nobody"), external("b-new"))
    (order,) = world.router.desk.books.orders.open.values()
    assert (order.origin, order.legs) == (Origin.EXTERNAL, ("b-new",))


def test_a_child_names_its_parent_by_the_broker_s_id(world: World) -> None:
    bracket = Bracket(take_profit=TakeProfit(limit_price=Decimal("1.2")))
    world.live("o-1")
    world.place(market_order("o-2", bracket=bracket))
    world.accept("o-2", "b-2")
    world.events(external("b-child", parent_broker_order_id="b-2"))
    orders = world.router.desk.books.orders
    child = orders.at_broker(PAPER, "b-child")
    assert child is not None
    assert (child.origin, child.parent_order_id) == (Origin.CHILD, world.order("o-2").order_id)


@pytest.mark.parametrize("parent", ["b-nobody", "b-foreign"])
def test_a_child_of_what_is_not_ours_is_external(world: World, parent: str) -> None:
    world.events(external("b-foreign"))
    world.events(external("b-child", parent_broker_order_id=parent))
    child = world.router.desk.books.orders.at_broker(PAPER, "b-child")
    assert child is not None
    assert child.origin is Origin.EXTERNAL


def breaks(world: World) -> list[str]:
    return [n.message for n in world.notices() if n.kind is NoticeKind.BREAK]


def sync(world: World, *positions: Position) -> None:
    told = snapshot(world.settings[PAPER], positions, "99")
    world.tell(m.SyncedAccount(snapshot=told))


def test_a_broker_without_lots_agrees_where_the_quantity_does() -> None:
    world = World(adapter=Anything(shows_lots=False)).open()
    sync(world, position(700, "l-1"))
    before = breaks(world)
    sync(world, position(700, "l-2"))
    assert breaks(world) == before
    sync(world, position(600, "l-2"))
    assert len(breaks(world)) == len(before) + 1
    assert world.router.desk.books.positions[ACCOUNT, "EUR/USD"].quantity == 600


def test_a_fill_after_the_account_of_a_netting_broker_counts_on_top_of_it() -> None:
    world = World(adapter=Anything(shows_lots=False)).open()
    sync(world, position(700))
    sync(world, position(700))  # It came from nowhere: seen again, the account is free.
    world.live()
    world.events(world.fill(quantity=300))
    held = world.router.desk.books.positions[ACCOUNT, "EUR/USD"]
    assert held.quantity == 1000
    assert world.order().status is not Status.REJECTED
