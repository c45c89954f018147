"""What an order may not say about itself, and which field is named for it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.commands import AmendPosition, ClosePosition
from domain.instruments import AssetClass, Instrument, find_grid_fault
from domain.orders import (
    DECIMALS_MAX,
    HAVE_NUMBERS,
    NUMBER_MAX,
    AmendOrder,
    Bracket,
    NewOrder,
    OrderType,
    Side,
    StopLoss,
    TakeProfit,
    TimeInForce,
    Trailing,
    find_fault,
    find_number_fault,
)
from tests.domain.builders import new_order

D = Decimal
T = OrderType


def priced(kind: OrderType, **words: Any) -> dict[str, Any]:
    """The words of an order of that type that are complete, but for what is said."""
    needs: dict[str, Any] = {"type": kind, "limit_price": None}
    if kind in (T.LIMIT, T.STOP_LIMIT):
        needs["limit_price"] = D("1.1")
    if kind in (T.STOP, T.STOP_LIMIT, T.MARKET_IF_TOUCHED):
        needs["stop_price"] = D("1.2")
    if kind is T.TRAILING_STOP:
        needs["trailing"] = Trailing(amount=D("0.001"))
    return needs | words


@pytest.mark.parametrize("kind", OrderType)
def test_a_complete_order_of_each_type_has_no_fault(kind: OrderType) -> None:
    assert find_fault(new_order(**priced(kind))) is None


def guarded(**words: Any) -> dict[str, Any]:
    return {"bracket": Bracket(**words)}


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("quantity", {"quantity": D(0)}),
    ("quantity", {"quantity": D(-1)}),
    ("quantity", {"quantity": D("NaN")}),
    ("quantity", {"quantity": D("sNaN")}),
    ("quantity", {"quantity": D("Infinity")}),
    ("quantity", {"quantity": NUMBER_MAX}),
    ("quantity", {"quantity": D("1E+1000000")}),
    ("quantity", {"quantity": D("1E-500")}),
    ("display_quantity", {"display_quantity": D(0)}),
    ("display_quantity", {"display_quantity": D(101)}),
    ("limit_price", {"limit_price": None}),
    ("limit_price", {"limit_price": D(0)}),
    ("limit_price", {"limit_price": D("-Infinity")}),
    ("limit_price", priced(T.MARKET, limit_price=D(1))),
    ("limit_price", priced(T.STOP_LIMIT, limit_price=None)),
    ("stop_price", priced(T.STOP, stop_price=None)),
    ("stop_price", priced(T.STOP, stop_price=D(-1))),
    ("stop_price", priced(T.MARKET_IF_TOUCHED, stop_price=None)),
    ("stop_price", {"stop_price": D(1)}),
    ("price_bound", {"price_bound": D(0)}),
    ("trailing", priced(T.TRAILING_STOP, trailing=None)),
    ("trailing", {"trailing": Trailing(amount=D(1))}),
    ("trailing", priced(T.TRAILING_STOP, trailing=Trailing())),
    ("trailing", priced(T.TRAILING_STOP, trailing=Trailing(amount=D(1), percent=D(1)))),
    ("trailing", priced(T.TRAILING_STOP, trailing=Trailing(percent=D(0)))),
    ("trailing.percent", priced(T.TRAILING_STOP, trailing=Trailing(percent=D("NaN")))),
    ("expire_at_ns", {"expire_at_ns": 5}),
    ("expire_at_ns", {"time_in_force": TimeInForce.GTD}),
    ("post_only", priced(T.MARKET, post_only=True)),
    ("bracket.stop_loss", guarded(stop_loss=StopLoss())),
    ("bracket.stop_loss", guarded(stop_loss=StopLoss(stop_price=D(1), distance=D(1)))),
    ("bracket.stop_loss", guarded(stop_loss=StopLoss(stop_price=D(0)))),
    ("bracket.stop_loss", guarded(stop_loss=StopLoss(distance=D(-1)))),
    (
        "bracket.stop_loss.limit_price",
        guarded(stop_loss=StopLoss(stop_price=D(1), limit_price=D(0))),
    ),
    (
        "bracket.take_profit.limit_price",
        guarded(take_profit=TakeProfit(limit_price=D(0))),
    ),
    (
        "bracket.take_profit.limit_price",
        guarded(take_profit=TakeProfit(limit_price=D("Infinity"))),
    ),
    ("bracket.trailing", guarded(trailing=Trailing())),
]


@pytest.mark.parametrize(("field", "words"), FAULTS)
def test_a_contradiction_is_found_and_its_field_named(field: str, words: dict[str, Any]) -> None:
    fault = find_fault(new_order(**words))
    assert fault is not None
    assert fault.field == field
    assert fault.message


SOUND: list[dict[str, Any]] = [
    {"display_quantity": D(100)},
    {"price_bound": D("1.2")},
    {"post_only": True},
    {"time_in_force": TimeInForce.GTD, "expire_at_ns": 5},
    priced(T.TRAILING_STOP, trailing=Trailing(percent=D("0.5"))),
    guarded(),
    guarded(stop_loss=StopLoss(stop_price=D("1.0"), limit_price=D("0.9"))),
    guarded(stop_loss=StopLoss(distance=D("0.01")), take_profit=TakeProfit(limit_price=D("1.3"))),
    guarded(trailing=Trailing(amount=D("0.01"))),
    {"quantity": NUMBER_MAX - 1},
    {"quantity": D(1).scaleb(-DECIMALS_MAX)},
]


@pytest.mark.parametrize("words", SOUND)
def test_an_order_that_agrees_with_itself_has_no_fault(words: dict[str, Any]) -> None:
    assert find_fault(new_order(**words)) is None


def test_an_amend_has_its_numbers_checked_too() -> None:
    amend = AmendOrder(client_order_id="c-1", trailing=Trailing(amount=D("NaN")))
    fault = find_number_fault(amend)
    assert fault is not None
    assert fault.field == "trailing.amount"
    assert find_number_fault(AmendOrder(client_order_id="c-1", quantity=D(5))) is None


EURUSD = Instrument(
    symbol="EUR/USD",
    broker_symbol="EUR_USD",
    asset_class=AssetClass.FOREX,
    base_currency="EUR",
    quote_currency="USD",
    tick=D("0.00001"),
    lot=D(1),
    quantity_min=D(1),
    quantity_max=D(1_000_000),
    pip=D("0.0001"),
    trailing_distance_min=D("0.0005"),
)
OFF = D("1.100001")

GRID_FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("quantity", {"quantity": D("0.5")}),
    ("quantity", {"quantity": D(1_000_001)}),
    ("quantity", {"quantity": D("1.5")}),
    ("display_quantity", {"display_quantity": D("1.5")}),
    ("limit_price", {"limit_price": OFF}),
    ("stop_price", priced(T.STOP, stop_price=OFF)),
    ("price_bound", {"price_bound": OFF}),
    ("bracket.stop_loss.stop_price", guarded(stop_loss=StopLoss(stop_price=OFF))),
    ("bracket.stop_loss.distance", guarded(stop_loss=StopLoss(distance=OFF))),
    (
        "bracket.stop_loss.limit_price",
        guarded(stop_loss=StopLoss(stop_price=D(1), limit_price=OFF)),
    ),
    ("bracket.take_profit.limit_price", guarded(take_profit=TakeProfit(limit_price=OFF))),
    ("trailing.amount", priced(T.TRAILING_STOP, trailing=Trailing(amount=OFF))),
    ("trailing.amount", priced(T.TRAILING_STOP, trailing=Trailing(amount=D("0.0004")))),
    ("bracket.trailing.amount", guarded(trailing=Trailing(amount=OFF))),
]


@pytest.mark.parametrize(("field", "words"), GRID_FAULTS)
def test_leaving_the_grid_is_found_and_its_field_named(field: str, words: dict[str, Any]) -> None:
    fault = find_grid_fault(new_order(**words), EURUSD)
    assert fault is not None
    assert fault.field == field


ON_GRID: list[dict[str, Any]] = [
    {},
    {"quantity": D("1.000")},
    {"display_quantity": D(10)},
    guarded(trailing=Trailing(percent=D("0.123456"))),
    guarded(trailing=Trailing(amount=D("0.0005"))),
    guarded(stop_loss=StopLoss(stop_price=D("1.0")), take_profit=TakeProfit(limit_price=D(2))),
]


@pytest.mark.parametrize("words", ON_GRID)
def test_an_order_on_the_grid_has_no_grid_fault(words: dict[str, Any]) -> None:
    assert find_grid_fault(new_order(**words), EURUSD) is None


def test_a_trailing_distance_needs_no_minimum_where_the_broker_names_none() -> None:
    free = msgspec.structs.replace(EURUSD, trailing_distance_min=None)
    order = new_order(**priced(T.TRAILING_STOP, trailing=Trailing(amount=D("0.00001"))))
    assert find_grid_fault(order, free) is None


@pytest.mark.parametrize(
    ("tick", "decimals"), [("0.00001", 5), ("0.010", 2), ("1", 0), ("10", 0), ("0.25", 2)]
)
def test_precision_is_that_of_the_grid(tick: str, decimals: int) -> None:
    grid = msgspec.structs.replace(EURUSD, tick=D(tick), lot=D(tick))
    assert (grid.price_precision, grid.quantity_precision) == (decimals, decimals)


@given(st.decimals() | st.integers().map(Decimal), st.decimals())
def test_no_number_a_client_can_spell_makes_the_checks_raise(
    quantity: Decimal, price: Decimal
) -> None:
    order = new_order(quantity=quantity, limit_price=price)
    if find_fault(order) is None:
        assert quantity > 0
        assert price > 0
        grid_fault = find_grid_fault(order, EURUSD)
        assert grid_fault is None or grid_fault.field in ("quantity", "limit_price")


@pytest.mark.parametrize(
    ("side", "sign", "is_buy"),
    [
        (Side.BUY, 1, True),
        (Side.SELL, -1, False),
        (Side.SELL_SHORT, -1, False),
        (Side.BUY_TO_COVER, 1, True),
    ],
)
def test_a_side_has_the_direction_of_its_fills(side: Side, sign: int, is_buy: bool) -> None:
    assert (side.sign, side.is_buy) == (sign, is_buy)


def test_an_order_from_the_wire_refuses_words_it_does_not_know() -> None:
    body = b'{"client_order_id":"a","instrument":"EUR/USD","side":"buy","quantity":"1","qty":"1"}'
    with pytest.raises(msgspec.ValidationError, match="unknown field `qty`"):
        msgspec.json.decode(body, type=NewOrder)


def structs_with_numbers(kind: type[msgspec.Struct]) -> set[type[msgspec.Struct]]:
    """The structs a command is made of, at any depth, that have a decimal field or hold one."""
    found: set[type[msgspec.Struct]] = set()
    for field in msgspec.structs.fields(kind):
        for part in (field.type, *getattr(field.type, "__args__", ())):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                inner = structs_with_numbers(part)
                found |= inner
            elif part is Decimal:
                found.add(kind)
    return found | ({kind} if found else set())


@pytest.mark.parametrize("command", [NewOrder, AmendOrder, ClosePosition, AmendPosition])
def test_no_struct_with_numbers_inside_a_command_escapes_the_number_check(
    command: type[msgspec.Struct],
) -> None:
    assert structs_with_numbers(command) - {command} <= HAVE_NUMBERS
