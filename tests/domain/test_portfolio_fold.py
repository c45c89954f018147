"""A position is its lots, whatever fills come."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.portfolio import (
    MATCHED_MAX,
    LotClosed,
    LotOpened,
    Position,
    apply_lots,
    apply_net,
    with_lots,
)

D = Decimal
FLAT = Position(account="acc-1", instrument="EUR/USD", quantity=D(0))


def opened(name: str, quantity: int, price: str = "1.1") -> LotOpened:
    return LotOpened(lot_id=name, quantity=D(quantity), price=D(price))


def closed(name: str, quantity: int) -> LotClosed:
    return LotClosed(lot_id=name, quantity=D(quantity), price=D("1.2"))


def net(position: Position, *fills: tuple[int, str]) -> Position:
    for number, (quantity, price) in enumerate(fills, start=1):
        position = apply_net(position, D(quantity), D(price), number, f"lot-{number}")
    return position


def shape(position: Position) -> list[tuple[str, Decimal]]:
    return [(lot.lot_id, lot.quantity) for lot in position.lots]


def test_a_named_lot_is_opened_with_the_price_it_had() -> None:
    lot = LotOpened(lot_id="t-1", quantity=D(100), price=D("1.1"), has_bracket=True)
    position = apply_lots(FLAT, (lot,), (), at_ns=7)
    (kept,) = position.lots
    assert (kept.lot_id, kept.price, kept.opened_ns, kept.has_bracket) == ("t-1", D("1.1"), 7, True)
    assert (position.quantity, position.average_cost) == (D(100), D("1.1"))


def test_a_named_lot_is_reduced_and_the_others_left_alone() -> None:
    position = apply_lots(FLAT, (opened("t-1", 100), opened("t-2", 50)), (), at_ns=1)
    position = apply_lots(position, (), (closed("t-2", -20),), at_ns=2)
    assert shape(position) == [("t-1", D(100)), ("t-2", D(30))]
    assert position.quantity == 130


def test_a_lot_closed_whole_is_gone_and_a_flat_position_has_no_cost() -> None:
    position = apply_lots(FLAT, (opened("t-1", -100),), (), at_ns=1)
    position = apply_lots(position, (), (closed("t-1", 100),), at_ns=2)
    assert (position.lots, position.quantity, position.average_cost) == ((), D(0), None)


def test_one_fill_may_close_one_lot_and_open_another() -> None:
    position = apply_lots(FLAT, (opened("t-1", 100),), (), at_ns=1)
    position = apply_lots(position, (opened("t-2", -40),), (closed("t-1", -100),), at_ns=2)
    assert shape(position) == [("t-2", D(-40))]


def test_lots_keep_the_sequence_they_were_opened_in() -> None:
    position = apply_lots(FLAT, (opened("t-1", 1), opened("t-2", 1)), (), at_ns=1)
    position = apply_lots(position, (opened("t-3", 1),), (closed("t-1", -1),), at_ns=2)
    assert [lot.opened_sequence for lot in position.lots] == [2, 3]


def test_without_names_the_oldest_lot_is_closed_first() -> None:
    position = net(FLAT, (100, "1.0"), (50, "2.0"), (-120, "3.0"))
    assert shape(position) == [("lot-2", D(30))]
    assert position.average_cost == 2


def test_a_sale_beyond_what_is_held_turns_the_position_short() -> None:
    position = net(FLAT, (100, "1.0"), (-130, "1.5"))
    assert shape(position) == [("lot-2", D(-30))]
    assert (position.quantity, position.average_cost) == (D(-30), D("1.5"))


def test_buying_covers_a_short_from_its_oldest_lot() -> None:
    position = net(FLAT, (-100, "1.0"), (-50, "2.0"), (100, "1.5"))
    assert shape(position) == [("lot-2", D(-50))]


def test_lots_on_the_same_side_are_added_in_sequence() -> None:
    position = net(FLAT, (10, "1"), (20, "2"), (30, "3"))
    assert [lot.opened_sequence for lot in position.lots] == [1, 2, 3]
    assert position.average_cost == D(140) / D(60)


def test_a_position_without_lots_is_flat() -> None:
    assert with_lots(FLAT, ()).quantity == 0


QUANTITIES = st.integers(min_value=-1_000, max_value=1_000).filter(bool)


@given(st.lists(st.tuples(QUANTITIES, st.integers(min_value=1, max_value=500)), max_size=30))
def test_netted_lots_sum_to_the_position_and_lie_on_one_side(
    fills: list[tuple[int, int]],
) -> None:
    position = net(FLAT, *((quantity, str(price)) for quantity, price in fills))
    assert position.quantity == sum(quantity for quantity, _ in fills)
    assert position.quantity == sum(lot.quantity for lot in position.lots)
    assert len({lot.quantity > 0 for lot in position.lots}) <= 1
    assert all(lot.quantity for lot in position.lots)
    sequences = [lot.opened_sequence for lot in position.lots]
    assert sequences == sorted(set(sequences))


FILLS = st.lists(
    st.tuples(QUANTITIES, st.integers(min_value=1, max_value=500), st.integers(0, 30)),
    max_size=MATCHED_MAX,
)


@given(FILLS, st.randoms(use_true_random=False))
def test_the_same_netted_fills_give_the_same_position_in_any_order(
    fills: list[tuple[int, int, int]], shuffle: Random
) -> None:
    named = [(f"x-{number}", *fill) for number, fill in enumerate(fills)]

    def fold(order: list[tuple[str, int, int, int]]) -> Position:
        position = FLAT
        for name, quantity, price, at_ns in order:
            position = apply_net(position, D(quantity), D(price), at_ns, name)
        return position

    shuffled = named[:]
    shuffle.shuffle(shuffled)
    in_time = fold(sorted(named, key=lambda fill: (fill[3], fill[0])))
    assert fold(shuffled) == in_time
    assert in_time.quantity == sum(quantity for quantity, *_ in fills)


def test_a_fill_that_comes_behind_its_time_uses_the_lot_it_would_have_used() -> None:
    position = apply_net(FLAT, D(50), D(2), 2, "later")
    position = apply_net(position, D(-50), D(3), 3, "sale")
    position = apply_net(position, D(50), D(1), 1, "earlier")
    assert shape(position) == [("later", D(50))]
    assert position.average_cost == 2


def test_what_is_used_up_is_forgotten_from_the_oldest_on() -> None:
    position = net(FLAT, *((1 if number % 2 else -1, "1") for number in range(60)))
    assert [lot.lot_id for lot in position.matched] == [f"lot-{n}" for n in range(45, 61)]


def test_a_quantity_whose_lots_nobody_told_is_counted_all_the_same() -> None:
    told = replace(FLAT, quantity=D(100), average_cost=D(7))
    position = apply_net(told, D(-40), D(9), 1, "sale")
    assert (position.quantity, position.lots, position.average_cost) == (D(60), (), D(7))
    more = apply_net(position, D(10), D(8), 2, "buy")
    assert (more.quantity, shape(more), more.average_cost) == (D(70), [("buy", D(10))], D(7))


@given(st.lists(QUANTITIES, min_size=1, max_size=20), st.data())
def test_named_lots_sum_to_the_position_under_any_opens_and_closes(
    opens: list[int], data: st.DataObject
) -> None:
    position, expected = FLAT, D(0)
    for number, quantity in enumerate(opens):
        closes = []
        for lot in position.lots:
            if data.draw(st.booleans()):
                part = data.draw(st.integers(min_value=1, max_value=int(abs(lot.quantity))))
                closes.append(closed(lot.lot_id, -part if lot.quantity > 0 else part))
        position = apply_lots(position, (opened(f"t-{number}", quantity),), tuple(closes), number)
        expected += quantity + sum(close.quantity for close in closes)
        assert position.quantity == expected
        assert position.quantity == sum(lot.quantity for lot in position.lots)
        sequences = [lot.opened_sequence for lot in position.lots]
        assert sequences == sorted(set(sequences))
