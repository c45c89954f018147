"""A guard is as large as its lot: it shrinks with it, and is filled when it closed the rest."""

from __future__ import annotations

from decimal import Decimal

from actors.router.lot_guards import find_shrink
from domain import events as ev
from domain.lifecycle import Order, Origin, Status, apply
from domain.portfolio import Lot, LotClosed, Position
from tests.domain.builders import EVENTS, a_fill, an_order, new_order


def a_guard(**words: object) -> Order:
    """A working take profit of 100 on lot 7."""
    plain: dict[str, object] = {
        "terms": new_order(closes_lot="7"), "status": Status.LIVE, "legs": ("b-9",),
    }  # fmt: skip
    return an_order(**(plain | words))


def a_position(left: int) -> Position:
    lots = (
        Lot(
            lot_id="7",
            instrument="EUR/USD",
            quantity=Decimal(left),
            price=Decimal(1),
            opened_ns=0,
            opened_sequence=1,
        ),
    )
    return Position(
        account="a", instrument="EUR/USD", quantity=Decimal(left), lots=lots if left else ()
    )


def a_close(quantity: int, broker_order_id: str = "b-1", lot: str = "7") -> ev.Fill:
    closed = LotClosed(lot_id=lot, quantity=Decimal(-quantity), price=Decimal("1.1"))
    return a_fill(quantity, broker_order_id=broker_order_id, lots_closed=(closed,))


def test_a_guard_shrinks_when_another_order_takes_a_part_of_its_lot() -> None:
    change = find_shrink(a_guard(), a_position(60), a_close(40))
    assert change is not None
    assert (change.quantity, change.broker_order_id) == (Decimal(60), "b-9")


def test_a_guard_that_closed_the_rest_of_its_lot_is_filled() -> None:
    fill = a_close(60, "b-9")
    part = apply(a_guard(), fill)
    assert isinstance(part, Order)
    assert part.status is Status.PARTIALLY_FILLED
    change = find_shrink(part, a_position(0), fill)
    assert change is not None
    done = apply(part, change)
    assert isinstance(done, Order)
    assert done.status is Status.FILLED


def test_a_guard_of_a_lot_that_others_closed_waits_for_the_brokers_cancel() -> None:
    assert find_shrink(a_guard(), a_position(0), a_close(100)) is None


def test_a_guard_whose_fill_was_told_before_the_fill_that_shrank_it_is_filled() -> None:
    part = apply(a_guard(), a_close(60, "b-9"))
    assert isinstance(part, Order)
    change = find_shrink(part, a_position(0), a_close(40))
    assert change is not None
    done = apply(part, change)
    assert isinstance(done, Order)
    assert (done.status, done.filled) == (Status.FILLED, 60)


def test_other_lots_other_orders_and_ended_guards_stay_as_they_are() -> None:
    assert find_shrink(a_guard(), a_position(60), a_close(40, lot="8")) is None
    assert find_shrink(a_guard(terms=new_order()), a_position(60), a_close(40)) is None
    assert find_shrink(a_guard(status=Status.CANCELED), a_position(60), a_close(40)) is None
    assert find_shrink(a_guard(), a_position(100), a_close(40)) is None


def test_a_bracket_child_shrinks_too() -> None:
    external = EVENTS[ev.External]
    assert isinstance(external, ev.External)
    child = a_guard(
        terms=None,
        origin=Origin.CHILD,
        external=ev.External(
            **{name: getattr(external, name) for name in external.__struct_fields__}
            | {"closes_lot": "7"}
        ),
    )
    change = find_shrink(child, a_position(60), a_close(40))
    assert change is not None
    assert change.quantity == 60
