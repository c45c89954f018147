"""The demo's strategy plays every order type OANDA has, and only orders that are well formed."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.adapter import AdapterSettings
from brokers.oanda import CAPABILITIES, OandaAdapter
from cli.dealer import Act, Dealer, Scene
from cli.plays import SIZE_BEYOND
from cli.plays_pairs import PAIRS
from cli.sight import OpenLot, Sight
from cli.strategy import Strategy
from domain.accounts import BrokerAccount, Environment
from domain.commands import ClosePosition
from domain.instruments import AssetClass, Instrument, find_grid_fault
from domain.lifecycle import Status
from domain.orders import (
    AmendOrder,
    CancelOrder,
    NewOrder,
    OrderType,
    PositionEffect,
    Side,
    TimeInForce,
    find_fault,
)
from domain.portfolio import LotClosed, LotOpened
from domain.quotes import Quote
from domain.streams import OrderUpdate
from tests.domain.builders import EVENTS, a_fill

EUR = Instrument(
    symbol="EUR/USD",
    broker_symbol="EUR_USD",
    asset_class=AssetClass.FOREX,
    base_currency="EUR",
    quote_currency="USD",
    tick=Decimal("0.00001"),
    lot=Decimal(1),
    quantity_min=Decimal(1),
    quantity_max=Decimal(100_000_000),
    pip=Decimal("0.0001"),
    trailing_distance_min=Decimal("0.0005"),
)
QUOTE = Quote(
    instrument="EUR/USD",
    connection="c",
    bid=Decimal("1.12120"),
    ask=Decimal("1.12160"),
    broker_ns=0,
    received_ns=0,
    update=1,
)
ADAPTER = OandaAdapter(
    AdapterSettings(
        account=BrokerAccount(
            account="a",
            connection="c",
            owner="o",
            broker="oanda",
            environment=Environment.PAPER,
            base_currency="USD",
        ),
        broker_account_id="101-001-1000001-001",
        token="t",
    )
)


def a_lot(quantity: int = 500, name: str = "7", **words: object) -> OpenLot:
    plain: dict[str, object] = {
        "lot_id": name, "instrument": "EUR/USD", "quantity": Decimal(quantity),
        "price": Decimal("1.12"),
    }  # fmt: skip
    return OpenLot(**(plain | words))  # type: ignore[arg-type]


def an_update(name: str, status: Status, event: object = None, **words: object) -> OrderUpdate:
    plain: dict[str, object] = {
        "order_id": f"id-{name}", "client_order_id": name, "status": status, "version": 1,
        "filled": Decimal(0), "leaves": Decimal(0),
        "event": event or EVENTS[type(next(iter(EVENTS.values())))],
    }  # fmt: skip
    return OrderUpdate(**(plain | words))  # type: ignore[arg-type]


def busy_sight() -> Sight:
    """A sight with a lot to guard and a limit to amend."""
    sight = Sight()
    sight.lots["7"] = a_lot()
    limit = NewOrder(
        client_order_id="l",
        instrument="EUR/USD",
        side=Side.BUY,
        quantity=Decimal(10),
        type=OrderType.LIMIT,
        limit_price=Decimal("1.1"),
    )
    sight.working["l"] = limit
    return sight


def play(seed: int, count: int, sight: Sight | None = None) -> list[Act]:
    strategy = Strategy("s", Random(seed))
    scene = Scene(
        instrument=EUR, account="a", quote=QUOTE, sight=sight or busy_sight(), now_ns=10**18
    )
    return [strategy.next(scene) for _ in range(count)]


def orders_of(acts: list[Act]) -> list[NewOrder]:
    return [act for act in acts if isinstance(act, NewOrder)]


def test_one_round_plays_every_type_and_time_oanda_has() -> None:
    orders = orders_of(play(1, len(PAIRS)))
    assert {order.type for order in orders} == CAPABILITIES.order_types
    times = {order.time_in_force for order in orders}
    assert times == {tif for tif in TimeInForce} - {TimeInForce.OPG, TimeInForce.CLS}
    assert any(order.bracket is not None for order in orders)


def test_one_round_amends_cancels_and_closes_too() -> None:
    kinds = Counter(type(act) for act in play(1, len(PAIRS)))
    assert kinds[AmendOrder] == kinds[CancelOrder] == 1
    assert kinds[ClosePosition] == 2


def test_equal_seeds_play_equal_games() -> None:
    assert play(5, 100) == play(5, 100)
    assert play(5, 100) != play(6, 100)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_every_order_is_well_formed_on_the_grid_and_known_to_the_broker(seed: int) -> None:
    for order in orders_of(play(seed, 2 * len(PAIRS))):
        assert find_fault(order) is None, order
        assert find_grid_fault(order, EUR) is None, order
        assert ADAPTER.find_unsupported(order) is None, order


def test_no_two_orders_have_one_name_and_no_two_openings_one_size() -> None:
    orders = orders_of(play(2, 200))
    assert len({order.client_order_id for order in orders}) == len(orders)
    sizes = [o.quantity for o in orders if o.closes_lot is None and o.quantity != SIZE_BEYOND]
    assert len(set(sizes)) == len(sizes)


def test_without_a_position_there_is_nothing_to_guard_or_close() -> None:
    acts = play(3, 100, Sight())
    assert not [act for act in acts if isinstance(act, ClosePosition | AmendOrder | CancelOrder)]
    assert all(o.closes_lot is None for o in orders_of(acts))
    assert all(o.position_effect is not PositionEffect.OPEN_ONLY for o in orders_of(acts))


def test_a_large_position_is_come_down_from() -> None:
    sight = Sight()
    sight.lots["7"] = a_lot(50_000)
    markets = [o for o in orders_of(play(4, 60, sight)) if o.type is OrderType.MARKET]
    plain = [o for o in markets if o.bracket is None]
    assert {o.side for o in plain} == {Side.SELL}


def test_a_filled_lot_is_seen_and_a_closed_one_forgotten() -> None:
    sight = Sight()
    opened = LotOpened(lot_id="7", quantity=Decimal(40), price=Decimal("1.1"))
    sight.apply(an_update("x", Status.FILLED, a_fill(lots_opened=(opened,))))
    assert sight.position("EUR/USD") == 40
    part = LotClosed(lot_id="7", quantity=Decimal(-10), price=Decimal("1.1"))
    rest = LotClosed(lot_id="7", quantity=Decimal(-30), price=Decimal("1.1"))
    sight.apply(an_update("y", Status.FILLED, a_fill(lots_closed=(part,))))
    assert sight.position("EUR/USD") == 30
    sight.apply(an_update("z", Status.FILLED, a_fill(lots_closed=(rest,))))
    assert not sight.lots


def test_a_lot_with_a_bracket_needs_no_more_guards() -> None:
    sight = Sight()
    opened = LotOpened(lot_id="7", quantity=Decimal(40), price=Decimal("1.1"), has_bracket=True)
    sight.apply(an_update("x", Status.FILLED, a_fill(lots_opened=(opened,))))
    assert not sight.free_lots("EUR/USD", OrderType.TRAILING_STOP)


def test_lots_of_one_size_are_left_unguarded() -> None:
    sight = Sight()
    sight.lots = {"7": a_lot(), "8": a_lot(name="8"), "9": a_lot(300, "9")}
    assert [lot.lot_id for lot in sight.free_lots("EUR/USD", OrderType.LIMIT)] == ["9"]


def test_a_guard_keeps_its_lot_taken_until_it_ends() -> None:
    sight = Sight()
    sight.lots["7"] = a_lot()
    guard = next(o for o in orders_of(play(1, 100)) if o.type is OrderType.TRAILING_STOP)
    sight.placed(guard)
    assert not sight.free_lots("EUR/USD", OrderType.TRAILING_STOP)
    sight.apply(an_update(guard.client_order_id, Status.CANCELED))
    assert sight.free_lots("EUR/USD", OrderType.TRAILING_STOP)


def test_only_what_works_and_has_nothing_pending_can_be_changed() -> None:
    sight = Sight()
    order = orders_of(play(1, 10))[0]
    name = order.client_order_id
    sight.placed(order)
    sight.apply(an_update(name, Status.SENDING))
    assert not sight.working
    sight.apply(an_update(name, Status.LIVE))
    assert sight.working == {name: order}
    sight.apply(an_update(name, Status.FILLED))
    assert not sight.working


def test_what_others_trade_is_not_counted_as_its_own() -> None:
    sight = Sight()
    sight.named("mine")
    sight.apply(an_update("theirs", Status.FILLED, a_fill(40, "1")))
    assert not sight.net
    sight.apply(an_update("mine", Status.FILLED, a_fill(30, "2")))
    assert sight.net == {"EUR/USD": Decimal(30)}
    assert sight.own == {"id-mine"}


def test_the_broker_made_children_of_its_own_brackets_are_its_own() -> None:
    from msgspec.structs import replace

    from domain import events as ev

    sight = Sight()
    sight.named("mine")
    sight.apply(an_update("mine", Status.FILLED, a_fill(30, "2")))
    external = EVENTS[ev.External]
    assert isinstance(external, ev.External)
    child = replace(external, parent_execution="2")
    sight.apply(an_update("child", Status.LIVE, child, client_order_id=None))
    assert sight.own == {"id-mine", "id-child"}


@pytest.mark.parametrize("name", PAIRS)
def test_every_play_can_be_played(name: str) -> None:
    scene = Scene(instrument=EUR, account="a", quote=QUOTE, sight=busy_sight(), now_ns=0)
    acts = [PAIRS[name](Dealer("s", Random(seed), scene, 1)) for seed in range(20)]
    assert any(act is not None for act in acts)
