"""What may still leave while compliance is away, and beside an order of unknown outcome."""

from __future__ import annotations

from decimal import Decimal

import pytest
from router_world import ACCOUNT, PAPER, FakeLink, World, market_order

from actors import messages as m
from actors.router.sides import ComplianceSide
from domain import commands as c
from domain.orders import NewOrder, OrderType, Side, TimeInForce


@pytest.fixture
def world() -> World:
    """An account that holds 1,000 EUR/USD."""
    world = World().open()
    world.place(market_order("in-1"))
    world.fill("in-1")
    return world


def an_exit(name: str, quantity: int, side: Side = Side.SELL) -> NewOrder:
    return market_order(name, side=side, quantity=Decimal(quantity), reduce_only=True)


def code_of(decided: c.Decided) -> str | None:
    return decided.error.code if decided.error else decided.status


@pytest.mark.parametrize(
    ("quantity", "side", "outcome"),
    [
        (1000, Side.SELL, "sending"),
        (400, Side.SELL, "sending"),
        (1001, Side.SELL, "compliance_unavailable"),
        (400, Side.BUY, "compliance_unavailable"),
    ],
)
def test_without_compliance_only_what_reduces_the_position_leaves(
    world: World, quantity: int, side: Side, outcome: str
) -> None:
    world.lose_compliance()
    assert code_of(world.place(an_exit("out-1", quantity, side))) == outcome


def test_without_compliance_exits_never_add_up_to_more_than_is_held(world: World) -> None:
    world.lose_compliance()
    assert code_of(world.place(an_exit("out-1", 600))) == "sending"
    assert code_of(world.place(an_exit("out-2", 600))) == "compliance_unavailable"
    assert code_of(world.place(an_exit("out-3", 400))) == "sending"


def test_a_guard_of_a_lot_takes_nothing_of_the_position_from_an_exit(world: World) -> None:
    guard = NewOrder(
        client_order_id="stop-1",
        instrument="EUR/USD",
        side=Side.SELL,
        quantity=Decimal(1000),
        type=OrderType.STOP,
        time_in_force=TimeInForce.GTC,
        stop_price=Decimal("1.09000"),
        closes_lot="x-1",
    )
    world.place(guard)
    world.lose_compliance()
    assert code_of(world.place(an_exit("out-1", 1000))) == "sending"


def test_an_exit_in_an_instrument_that_is_not_held_waits_for_compliance(world: World) -> None:
    world.lose_compliance()
    order = market_order("out-1", instrument="GBP/USD", side=Side.SELL, reduce_only=True)
    assert code_of(world.place(order)) == "compliance_unavailable"


def test_a_dry_run_of_an_exit_waits_for_compliance_too(world: World) -> None:
    world.lose_compliance()
    answer = world.say(c.Place(order=an_exit("out-1", 400), dry_run=True))
    assert answer is not None
    assert code_of(answer.decided[0]) == "compliance_unavailable"
    assert len(world.sent(PAPER, m.Dispatch)) == 1


def test_an_exit_that_left_without_compliance_is_known_to_it_afterwards(world: World) -> None:
    world.lose_compliance()
    world.place(an_exit("out-1", 400))
    world.bring_compliance()
    assert [order.account for order in world.last("compliance", m.LoadBook).orders] == [ACCOUNT]


def test_beside_an_unknown_order_an_exit_passes_and_new_risk_does_not(world: World) -> None:
    world.place(market_order("in-2", quantity=Decimal(100)))
    world.tell(m.InDoubt(intent=2, reason="timeout"))
    assert code_of(world.place(market_order("in-3"))) == "unknown_outstanding"
    assert code_of(world.place(an_exit("out-1", 400))) == "sending"


def test_an_exit_that_left_while_compliance_read_the_book_makes_it_read_again(world: World) -> None:
    world.lose_compliance()
    link = world.links["compliance"] = FakeLink("compliance", "compliance", world.effects)
    side = ComplianceSide(world.router)
    side.link_up(link)  # type: ignore[arg-type]
    world.place(an_exit("out-1", 400))
    side.received(link, m.Loaded(incarnation="k9"))  # type: ignore[arg-type]
    book = world.last("compliance", m.LoadBook)
    assert [order.client_order_id for order in book.orders] == ["out-1"]
    assert world.router.orders.compliance is None
    side.received(link, m.Loaded(incarnation="k9"))  # type: ignore[arg-type]
    assert world.router.orders.compliance == "k9"
