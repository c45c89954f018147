"""What guards a lot: set where there is none, replaced where there is one, decided once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from router_world import ACCOUNT, OTHER, OWNER, PAPER, World, connection_settings

from actors import messages as m
from domain import commands as c
from domain import events as ev
from domain.lifecycle import Origin
from domain.orders import OrderType, Side, StopLoss, TakeProfit, TimeInForce, Trailing
from domain.portfolio import LotOpened

D = Decimal


@pytest.fixture
def world() -> World:
    """An account that holds lot 7: 1,000 euros bought at 1.10000."""
    other = connection_settings(id="paper-2", owner=OTHER, account="acc-2")
    world = World(connection_settings(), other).open()
    world.live("o-1")
    lot = LotOpened(lot_id="7", quantity=D(1000), price=D("1.10000"))
    world.fill("o-1", lots_opened=(lot,))
    return world


def protect(world: World, request_id: str = "p-1", owner: str = OWNER, **words: Any) -> c.Answer:
    plain: dict[str, Any] = {"account": ACCOUNT, "lot_id": "7"}
    command = c.AmendPosition(**(plain | words))
    answer = world.say(command, request_id=request_id, owner=owner)
    assert answer is not None
    return answer


def accept_last(world: World, broker: str) -> None:
    dispatch = world.last(PAPER, m.Dispatch)
    world.accept(dispatch.order.client_order_id, broker)


def test_each_guard_becomes_an_order_that_names_the_lot(world: World) -> None:
    answer = protect(
        world,
        stop_loss=StopLoss(stop_price=D("1.09000")),
        take_profit=TakeProfit(limit_price=D("1.12000")),
        trailing=Trailing(amount=D("0.01000")),
    )
    assert [decided.error for decided in answer.decided] == [None] * 3
    stop, target, trailing = (d.order for d in world.sent(PAPER, m.Dispatch)[-3:])
    assert (stop.type, stop.stop_price) == (OrderType.STOP, D("1.09000"))
    assert (target.type, target.limit_price) == (OrderType.LIMIT, D("1.12000"))
    assert (trailing.type, trailing.trailing) == (
        OrderType.TRAILING_STOP, Trailing(amount=D("0.01000")),
    )  # fmt: skip
    for order in (stop, target, trailing):
        assert (order.closes_lot, order.side, order.quantity) == ("7", Side.SELL, D(1000))
        assert order.reduce_only


def test_a_distance_is_measured_from_the_lot_s_own_price(world: World) -> None:
    protect(world, stop_loss=StopLoss(distance=D("0.00500")))
    assert world.last(PAPER, m.Dispatch).order.stop_price == D("1.09500")


def test_a_short_lot_is_guarded_from_above(world: World) -> None:
    world.live("o-2", side=Side.SELL, instrument="GBP/USD", limit_price=D("1.31000"))
    lot = LotOpened(lot_id="8", quantity=D(-500), price=D("1.30000"))
    world.fill("o-2", 500, "x-2", lots_opened=(lot,))
    protect(world, lot_id="8", stop_loss=StopLoss(distance=D("0.01000")))
    order = world.last(PAPER, m.Dispatch).order
    assert (order.side, order.quantity, order.stop_price) == (Side.BUY, D(500), D("1.31000"))


def test_a_guard_that_works_is_replaced(world: World) -> None:
    protect(world, take_profit=TakeProfit(limit_price=D("1.12000")))
    accept_last(world, "b-9")
    answer = protect(world, "p-2", take_profit=TakeProfit(limit_price=D("1.13000")))
    assert answer.decided[0].error is None
    sent = world.last(PAPER, m.SendAmend)
    assert (sent.broker_order_id, sent.terms.limit_price) == ("b-9", D("1.13000"))


def test_a_bracket_s_own_child_is_replaced_and_stays_known(world: World) -> None:
    child = ev.External(
        at_ns=world.utc_ns, broker_order_id="b-5", instrument="EUR/USD", side=Side.SELL,
        quantity=D(1000), order_type=OrderType.STOP, time_in_force=TimeInForce.GTC,
        stop_price=D("1.05000"), closes_lot="7",
    )  # fmt: skip
    world.events(child)
    answer = protect(world, stop_loss=StopLoss(stop_price=D("1.06000")))
    assert answer.decided[0].error is None
    sent = world.last(PAPER, m.SendAmend)
    assert (sent.order.closes_lot, sent.order.reduce_only) == ("7", True)
    assert (sent.broker_order_id, sent.terms.stop_price) == ("b-5", D("1.06000"))
    world.events(
        ev.Replaced(
            at_ns=world.utc_ns, broker_order_id="b-6", previous_broker_order_id="b-5",
            stop_price=D("1.06000"),
        )
    )  # fmt: skip
    (moved,) = (o for o in world.router.desk.books.orders.open.values() if "b-6" in o.legs)
    assert moved.origin is Origin.EXTERNAL
    assert moved.external is not None
    assert (moved.external.stop_price, moved.pending) == (D("1.06000"), None)


def test_the_same_request_again_gets_the_same_answers(world: World) -> None:
    words = {"take_profit": TakeProfit(limit_price=D("1.12000"))}
    first = protect(world, **words)
    accept_last(world, "b-9")
    again = protect(world, **words)
    assert again.decided[0].dup
    assert again.decided[0].order_id == first.decided[0].order_id
    moved = {"take_profit": TakeProfit(limit_price=D("1.13000"))}
    protect(world, "p-2", **moved)
    assert protect(world, "p-2", **moved).decided[0].dup
    assert len(world.sent(PAPER, m.SendAmend)) == 1


def test_the_same_request_id_with_other_words_is_a_conflict(world: World) -> None:
    protect(world, take_profit=TakeProfit(limit_price=D("1.12000")))
    accept_last(world, "b-9")
    answer = protect(world, take_profit=TakeProfit(limit_price=D("1.15000")))
    assert answer.decided[0].error is not None
    assert answer.decided[0].error.code == "id_conflict"
    protect(world, "p-2", take_profit=TakeProfit(limit_price=D("1.13000")))
    answer = protect(world, "p-2", take_profit=TakeProfit(limit_price=D("1.14000")))
    assert answer.decided[0].error is not None
    assert answer.decided[0].error.code == "request_conflict"


def test_the_same_request_while_the_first_is_screened_waits_for_it(world: World) -> None:
    world.holds_verdicts = True
    command = c.AmendPosition(
        account=ACCOUNT, lot_id="7", take_profit=TakeProfit(limit_price=D("1.12000"))
    )
    for _ in range(2):
        assert world.say(command, request_id="p-1") is None
    world.holds_verdicts = False
    world.settle()
    assert len(world.sent(PAPER, m.Dispatch)) == 2  # the lot's own order, and the guard


@pytest.mark.parametrize(
    ("words", "code", "field"),
    [
        ({"lot_id": "99"}, "unknown_lot", "lot_id"),
        ({"account": "acc-2"}, "unknown_lot", "lot_id"),
        (
            {"stop_loss": StopLoss(stop_price=D("1.09"), limit_price=D("1.08"))},
            "invalid_order", "stop_loss.limit_price",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_guarded_is_refused(
    world: World, words: dict[str, Any], code: str, field: str
) -> None:
    guard: dict[str, Any] = {"take_profit": TakeProfit(limit_price=D("1.12000"))}
    answer = protect(world, **(guard | words))
    assert answer.error is not None
    assert (answer.error.code, answer.error.field) == (code, field)


def test_one_guard_refused_leaves_the_others(world: World) -> None:
    protect(world, take_profit=TakeProfit(limit_price=D("1.12000")))
    accept_last(world, "b-9")
    answer = protect(
        world,
        "p-2",
        stop_loss=StopLoss(stop_price=D("1.09000")),
        take_profit=TakeProfit(limit_price=D("1.120001")),
    )
    stop, target = answer.decided
    assert stop.error is None
    assert target.error is not None
    assert target.error.field == "limit_price"


def test_an_order_that_guards_another_lot_is_left_alone(world: World) -> None:
    world.live("o-3", limit_price=D("1.08000"))
    for lot, broker in (("3", "b-3"), ("7", "b-4")):
        world.events(
            ev.External(
                at_ns=world.utc_ns, broker_order_id=broker, instrument="EUR/USD",
                side=Side.SELL, quantity=D(1000), order_type=OrderType.LIMIT,
                time_in_force=TimeInForce.GTC, limit_price=D("1.2"), closes_lot=lot,
            )
        )  # fmt: skip
    protect(world, stop_loss=StopLoss(stop_price=D("1.09000")))
    assert not world.sent(PAPER, m.SendAmend)
    assert world.last(PAPER, m.Dispatch).order.type is OrderType.STOP
