"""The router asks its connections for the prices its orders and positions need."""

from __future__ import annotations

from decimal import Decimal

from router_world import MS, OTHER, PAPER, World, connection_settings, new_order, snapshot

from actors import messages as m
from actors.router.watching import LOOK_EVERY_TICKS, ORDERED_NS
from domain.portfolio import Position


def look(world: World) -> list[tuple[str, ...]]:
    """What was asked of the connection, once the router has looked again."""
    for _ in range(LOOK_EVERY_TICKS):
        world.router._watch()
    return [asked.instruments for asked in world.sent(PAPER, m.WatchQuotes)]


def test_a_connection_just_attached_hears_what_is_needed_after_the_attach() -> None:
    world = World().open()
    kinds = [type(said) for said in world.sent(PAPER)]
    assert kinds.index(m.Attach) < kinds.index(m.WatchQuotes)
    assert look(world) == [()]


def test_open_orders_and_what_was_just_ordered_need_prices() -> None:
    world = World().open()
    world.live("o-1")
    assert look(world)[-1] == ("EUR/USD",)
    asked = len(look(world))
    assert len(look(world)) == asked, "nothing changed, so nothing is said"


def test_a_price_is_wanted_a_while_longer_than_the_order_lived() -> None:
    world = World().open()
    world.place(new_order("o-1", quantity=Decimal(1), limit_price=Decimal("1.09")))
    world.accept("o-1")
    world.fill("o-1", quantity=1)
    world.boot_ns += ORDERED_NS // 2
    world.pass_ms(0)
    assert look(world)[-1] == ("EUR/USD",)
    held = Position(account="acc-1", instrument="EUR/USD", quantity=Decimal(0))
    world.router.desk.books.positions["acc-1", "EUR/USD"] = held
    world.pass_ms(ORDERED_NS // MS + 1)
    assert look(world)[-1] == ()


def test_a_position_needs_its_price_at_its_own_connection_only() -> None:
    world = World(connection_settings(), connection_settings(id="p-2", owner=OTHER, account="a-2"))
    world.open()
    held = Position(account="acc-1", instrument="USD/JPY", quantity=Decimal(5))
    world.tell(m.SyncedAccount(snapshot=snapshot(world.settings[PAPER], (held,))))
    assert look(world)[-1] == ("USD/JPY",)
    assert world.sent("p-2", m.WatchQuotes)[-1].instruments == ()


def test_a_connection_that_is_away_is_told_when_it_is_back() -> None:
    world = World().open()
    world.lose_connection()
    held = Position(account="acc-1", instrument="USD/JPY", quantity=Decimal(5))
    world.router.desk.books.positions["acc-1", "USD/JPY"] = held
    assert look(world) == [()]
    world.bring_connection(in_step=False)
    assert look(world)[-1] == ("USD/JPY",)
