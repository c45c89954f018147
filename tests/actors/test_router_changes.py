"""Cancels, amends, closes and halts: idempotent, durable before they are passed on."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import msgspec
import pytest
from router_world import (
    ACCOUNT,
    OTHER,
    OWNER,
    PAPER,
    REFUSED,
    FakeLink,
    World,
    connection_settings,
    market_order,
    new_order,
    snapshot,
)

from actors import messages as m
from actors.router.sides import ConnectionSide
from compliance.settings import ComplianceSettings
from domain import commands as c
from domain import events as ev
from domain import ids
from domain.accounts import SessionState
from domain.lifecycle import Pending
from domain.orders import CancelOrder, NewOrder, OrderType, PositionEffect, Side, TimeInForce
from domain.portfolio import Lot, with_lots
from domain.portfolio import Position as Held
from domain.records import Changed, Halted, HaltScope
from domain.streams import NoticeKind


@pytest.fixture
def world() -> World:
    return World().open()


def code_of(answer: c.Answer | None) -> str | None:
    assert answer is not None
    return answer.error.code if answer.error else None


# -- cancels


def test_a_cancel_is_durable_before_it_is_passed_on(world: World) -> None:
    world.live()
    begin = len(world.effects)
    answer = world.cancel("o-1")
    names = [n if n == "durable" else type(e).__name__ for n, e in world.effects[begin:]]
    assert names == ["durable", "SendCancel", "Answer", "Published", "Observe"]
    assert answer.decided[0].status == "live"
    assert world.order().pending is Pending.CANCEL
    sent = world.last(PAPER, m.SendCancel)
    assert (sent.epoch, sent.broker_order_id) == (1, "b-o-1")


def test_a_cancel_of_an_order_on_its_way_waits_until_the_broker_knows_it(world: World) -> None:
    world.place()
    assert world.cancel("o-1").decided[0].status == "sending"
    assert world.sent(PAPER, m.SendCancel) == []
    world.accept()
    assert len(world.sent(PAPER, m.SendCancel)) == 1


def test_a_cancel_can_never_hide_a_fill(world: World) -> None:
    world.live()
    world.cancel("o-1")
    world.fill(quantity=400)
    assert (world.status(), world.order().pending) == ("partially_filled", Pending.CANCEL)
    world.events(ev.Canceled(at_ns=1, reason="asked", broker_order_id="b-o-1"))
    assert (world.status(), world.order().filled) == ("canceled", 400)


def test_a_refused_cancel_leaves_the_order_as_it_was(world: World) -> None:
    world.live()
    world.cancel("o-1")
    refused = ev.CancelRefused(at_ns=1, error=REFUSED, broker_order_id="b-o-1")
    world.events(refused)
    assert (world.status(), world.order().pending) == ("live", None)
    before = len(world.records())
    world.events(refused)
    assert len(world.records()) == before


def test_the_same_cancel_request_again_is_a_dup_and_is_not_sent_again(world: World) -> None:
    world.live()
    world.cancel("o-1", request_id="c-1")
    again = world.cancel("o-1", request_id="c-1")
    assert again.decided[0].dup
    assert len(world.sent(PAPER, m.SendCancel)) == 1


def test_the_same_request_id_for_something_else_is_a_conflict(world: World) -> None:
    world.live("o-1")
    world.live("o-2")
    world.cancel("o-1", request_id="c-1")
    assert code_of(world.cancel("o-2", request_id="c-1")) == "request_conflict"


def test_a_second_cancel_adds_nothing_while_one_is_under_way(world: World) -> None:
    world.live()
    world.cancel("o-1")
    version = world.order().version
    assert world.cancel("o-1").decided[0].order_id == world.order().order_id
    assert world.order().version == version


def test_a_cancel_that_chooses_nothing_is_not_one_of_everything(world: World) -> None:
    world.live()
    answer = world.cancel()
    assert answer.error is not None
    assert (answer.error.code, answer.error.field) == ("invalid_cancel", "cancel")
    assert world.order().pending is None


def test_a_cancel_of_nothing_says_so(world: World) -> None:
    assert code_of(world.cancel("o-9")) == "unknown_order"
    assert code_of(world.cancel(order_id="no-such")) == "unknown_order"


def test_a_cancel_of_an_ended_order_says_how_it_ended(world: World) -> None:
    world.live()
    world.fill()
    answer = world.cancel("o-1")
    assert answer.error is not None
    assert answer.error.code == "not_working"
    assert "filled" in answer.error.message


def test_nobody_cancels_the_orders_of_others(world: World) -> None:
    world.live()
    theirs = world.order().order_id
    assert code_of(world.cancel(order_id=theirs, owner=OTHER)) == "unknown_order"
    assert code_of(world.cancel("o-1", owner=OTHER)) == "unknown_order"
    assert world.cancel(all=True, owner=OTHER).decided == ()
    assert world.order().pending is None


def test_our_own_id_names_an_order_too(world: World) -> None:
    world.live()
    answer = world.cancel(order_id=world.order().order_id)
    assert answer.decided[0].client_order_id == "o-1"


def an_external(broker: str = "b-ext", **words: object) -> ev.External:
    plain = {
        "at_ns": 1,
        "broker_order_id": broker,
        "instrument": "EUR/USD",
        "side": Side.BUY,
        "quantity": Decimal(500),
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "limit_price": Decimal("1.05"),
    }
    return ev.External(**(plain | words))  # type: ignore[arg-type]


def test_cancel_all_leaves_alone_what_is_not_ours(world: World) -> None:
    world.live("o-1")
    world.events(an_external())
    assert len(world.cancel(all=True).decided) == 1
    assert [s.broker_order_id for s in world.sent(PAPER, m.SendCancel)] == ["b-o-1"]


def test_cancel_all_takes_what_is_not_ours_where_asked(world: World) -> None:
    world.events(an_external())
    assert len(world.cancel(all=True, include_external=True).decided) == 1
    sent = world.last(PAPER, m.SendCancel)
    assert (sent.broker_order_id, sent.venue_client_id) == ("b-ext", "")
    assert sent.order.limit_price == Decimal("1.05")


SELECTORS = {
    "tag": ({"tag": "grid"}, {"o-1"}),
    "instrument": ({"instrument": "USD/JPY"}, {"o-2"}),
    "account": ({"account": ACCOUNT}, {"o-1", "o-2", "o-3"}),
    "another account": ({"account": "acc-9"}, set()),
    "all": ({"all": True}, {"o-1", "o-2", "o-3"}),
}


@pytest.mark.parametrize("case", SELECTORS)
def test_many_orders_are_canceled_by_what_they_share(world: World, case: str) -> None:
    words, expected = SELECTORS[case]
    world.live("o-1", tag="grid")
    world.live("o-2", instrument="USD/JPY", limit_price=Decimal(149))
    world.live("o-3", tag="other")
    answer = world.cancel(**words)
    assert {d.client_order_id for d in answer.decided} == expected


def test_cancels_pass_without_compliance_and_through_a_halt(world: World) -> None:
    world.live()
    world.say(c.Halt(scope=HaltScope.ALL, reason="stop"))
    world.lose_compliance()
    assert world.cancel("o-1").error is None
    assert len(world.sent(PAPER, m.SendCancel)) == 1


def test_a_cancel_without_a_connection_goes_out_when_it_is_back(world: World) -> None:
    world.live()
    world.lose_connection()
    assert world.cancel("o-1").decided[0].status == "live"
    assert world.sent(PAPER, m.SendCancel) == []
    world.bring_connection()
    assert len(world.sent(PAPER, m.SendCancel)) == 1


def test_a_pending_cancel_goes_out_again_after_a_restart(world: World) -> None:
    world.live()
    world.cancel("o-1")
    world.restart()
    world.open()
    assert [s.epoch for s in world.sent(PAPER, m.SendCancel)] == [1, 2]


def test_a_cancel_of_a_doubtful_order_goes_out_when_it_turns_out_to_live(world: World) -> None:
    world.place()
    world.tell(m.InDoubt(intent=1, reason="timeout"))
    assert world.cancel("o-1").decided[0].status == "unknown"
    assert world.sent(PAPER, m.SendCancel) == []
    world.accept()
    assert len(world.sent(PAPER, m.SendCancel)) == 1


# -- amends


def test_an_amend_is_screened_then_durable_then_passed_on(world: World) -> None:
    world.live()
    begin = len(world.effects)
    answer = world.amend(limit_price=Decimal("1.08000"))
    names = [n if n == "durable" else type(e).__name__ for n, e in world.effects[begin:]]
    assert names == [
        "ScreenRequest", "ScreenAnswer", "durable", "SendAmend", "Answer", "Published", "Observe",
    ]  # fmt: skip
    assert answer is not None
    assert world.order().pending is Pending.AMEND
    sent = world.last(PAPER, m.SendAmend)
    assert (sent.order.limit_price, sent.terms.limit_price) == (Decimal("1.09"), Decimal("1.08"))


def test_a_replaced_order_has_its_new_terms_and_its_new_name(world: World) -> None:
    world.live()
    world.amend(quantity=Decimal(2000))
    order = world.order()
    replaced = ev.Replaced(
        at_ns=1,
        broker_order_id="b-new",
        previous_broker_order_id="b-o-1",
        venue_client_id=order.venue_client_id,
        quantity=Decimal(2000),
    )
    world.events(replaced)
    assert (world.order().quantity, world.order().legs) == (2000, ("b-o-1", "b-new"))
    assert world.order().pending is None
    before = len(world.records())
    world.events(replaced)
    assert len(world.records()) == before


def test_a_fill_under_the_new_name_in_the_same_breath_finds_its_order(world: World) -> None:
    world.live()
    world.amend(quantity=Decimal(2000))
    order = world.order()
    replaced = ev.Replaced(
        at_ns=1, broker_order_id="b-new", venue_client_id=order.venue_client_id,
        quantity=Decimal(2000),
    )  # fmt: skip
    fill = ev.Fill(
        at_ns=2, execution_id="e-1", broker_execution_id="x-1", broker_order_id="b-new",
        instrument="EUR/USD", side=Side.BUY, quantity=Decimal(2000), price=Decimal("1.1"),
    )  # fmt: skip
    world.events(replaced, fill)
    assert world.status() == "filled"
    assert len(world.router.desk.books.orders.all_ids()) == 1


def test_a_refused_amend_leaves_the_old_terms(world: World) -> None:
    world.live()
    world.amend(quantity=Decimal(2000))
    refused = ev.AmendRefused(at_ns=1, error=REFUSED, broker_order_id="b-o-1")
    world.events(refused)
    assert (world.order().quantity, world.order().pending) == (1000, None)
    before = len(world.records())
    world.events(refused)
    assert len(world.records()) == before


def test_the_same_amend_request_again_is_a_dup(world: World) -> None:
    world.live()
    world.amend(quantity=Decimal(2000), request_id="a-1")
    again = world.amend(quantity=Decimal(2000), request_id="a-1")
    assert again is not None
    assert again.decided[0].dup
    assert len(world.sent(PAPER, m.SendAmend)) == 1


def test_a_stale_amend_is_refused_with_the_version_that_holds(world: World) -> None:
    world.live()
    seen = world.order().version
    world.fill(quantity=10)
    answer = world.amend(quantity=Decimal(2000), if_version=seen)
    assert answer is not None
    assert answer.error is not None
    assert answer.error.code == "stale_version"
    assert str(world.order().version) in answer.error.message
    now = world.amend(quantity=Decimal(2000), if_version=world.order().version)
    assert code_of(now) is None


def test_an_amend_of_nothing_of_the_ended_or_of_the_changing_is_refused(world: World) -> None:
    assert code_of(world.amend("o-9", quantity=Decimal(1))) == "unknown_order"
    world.place()
    assert code_of(world.amend(quantity=Decimal(1))) == "not_working"
    world.accept(broker="b-o-1")
    world.amend(quantity=Decimal(500))
    assert code_of(world.amend(quantity=Decimal(400))) == "change_pending"


def test_an_amend_off_the_grid_is_refused(world: World) -> None:
    world.live()
    answer = world.amend(limit_price=Decimal("1.080001"))
    assert answer is not None
    assert answer.error is not None
    assert (answer.error.code, answer.error.field) == ("invalid_order", "limit_price")


def test_an_amend_needs_the_connection_and_compliance(world: World) -> None:
    world.live()
    world.lose_compliance()
    assert code_of(world.amend(quantity=Decimal(500))) == "compliance_unavailable"
    world.bring_compliance()
    world.lose_connection()
    assert code_of(world.amend(quantity=Decimal(500))) == "venue_unavailable"


def test_an_amend_that_compliance_refuses_is_not_passed_on() -> None:
    world = World(compliance=ComplianceSettings(max_quantity=Decimal(1500))).open()
    world.live()
    answer = world.amend(quantity=Decimal(2000))
    assert answer is not None
    assert answer.decided[0].error is not None
    assert answer.decided[0].error.code == "max_quantity"
    assert world.sent(PAPER, m.SendAmend) == []
    assert world.order().pending is None


def test_an_order_that_ends_while_its_amend_is_screened_is_not_amended(world: World) -> None:
    world.live()
    world.holds_verdicts = True
    assert world.amend(quantity=Decimal(2000)) is None
    world.fill()
    world.holds_verdicts = False
    world.settle()
    answer = world.last("edge-0", c.Answer)
    assert answer.decided[0].error.code == "not_working"
    assert world.sent(PAPER, m.SendAmend) == []


def test_of_two_amends_screened_at_once_the_second_waits_for_the_first(world: World) -> None:
    world.live()
    world.holds_verdicts = True
    world.amend(quantity=Decimal(2000))
    world.amend(quantity=Decimal(3000))
    world.holds_verdicts = False
    world.settle()
    errors = [a.decided[0].error for a in world.sent("edge-0", c.Answer)[-2:]]
    assert [e and e.code for e in errors] == [None, "change_pending"]
    assert len(world.sent(PAPER, m.SendAmend)) == 1


def test_an_amend_refused_late_gives_its_reservation_back(world: World) -> None:
    world.live()
    world.holds_verdicts = True
    world.amend(quantity=Decimal(5000))
    world.lose_connection()
    world.holds_verdicts = False
    world.settle()
    assert world.compliance is not None
    assert world.compliance.screener is not None
    reserved = world.compliance.screener.book.orders[world.order().order_id]
    assert reserved.reserved == 1000


def test_an_amend_whose_fate_went_with_the_connection_does_not_stay_pending(world: World) -> None:
    world.live()
    world.amend(quantity=Decimal(2000))
    world.lose_connection()
    world.bring_connection()
    assert world.order().pending is None
    assert code_of(world.amend(quantity=Decimal(2000))) is None


def test_an_amend_that_took_effect_unseen_is_told_by_the_stream(world: World) -> None:
    world.live()
    world.amend(quantity=Decimal(2000))
    world.lose_connection()
    world.bring_connection()
    order = world.order()
    world.events(
        ev.Replaced(
            at_ns=1, broker_order_id="b-new", venue_client_id=order.venue_client_id,
            quantity=Decimal(2000),
        )
    )  # fmt: skip
    assert (world.order().quantity, world.order().pending) == (2000, None)


def test_an_amend_down_to_what_is_filled_ends_the_order(world: World) -> None:
    world.live()
    world.fill(quantity=400)
    world.amend(quantity=Decimal(400))
    world.events(ev.Replaced(at_ns=1, broker_order_id="b-o-1", quantity=Decimal(400)))
    assert world.status() == "filled"


# -- closing a position


def close(world: World, **words: object) -> c.Answer | None:
    plain = {"client_order_id": "x-1", "account": ACCOUNT, "instrument": "EUR/USD"}
    return world.say(c.ClosePosition(**(plain | words)))  # type: ignore[arg-type]


def held(world: World, quantity: int = 1000) -> None:
    lot = Lot(
        lot_id="l-1", instrument="EUR/USD", quantity=Decimal(quantity), price=Decimal("1.1"),
        opened_ns=1, opened_sequence=1,
    )  # fmt: skip
    position = Held(account=ACCOUNT, instrument="EUR/USD", quantity=Decimal(quantity))
    position = with_lots(position, (lot,))
    told = snapshot(world.settings[PAPER], (position,))
    # A position that comes from nowhere holds the account until it is seen again.
    world.tell(m.SyncedAccount(snapshot=told))
    world.tell(m.SyncedAccount(snapshot=told))


CLOSES = {
    "all of it": ({}, 1001),
    "a part": ({"quantity": Decimal(300)}, 300),
    "more than there is": ({"quantity": Decimal(3000)}, 1001),
    "a percent, on the grid": ({"percent": Decimal("33.3")}, 333),
}


@pytest.mark.parametrize("case", CLOSES)
def test_a_position_is_closed_by_a_reduce_only_order(world: World, case: str) -> None:
    words, quantity = CLOSES[case]
    held(world, 1001)
    close(world, **words)
    order = world.last(PAPER, m.Dispatch).order
    assert (order.side, order.quantity, order.reduce_only) == (Side.SELL, quantity, True)
    assert order.position_effect is PositionEffect.REDUCE_ONLY
    assert order.account == ACCOUNT


def test_a_short_is_bought_back(world: World) -> None:
    held(world, -1000)
    close(world)
    assert world.last(PAPER, m.Dispatch).order.side is Side.BUY


class Picky:
    """An adapter that takes market orders in some times alone."""

    capabilities = SimpleNamespace(shows_lots=True)

    def __init__(self, *taken: TimeInForce) -> None:
        self.taken = taken

    def find_unsupported(self, order: NewOrder) -> str | None:
        return None if order.time_in_force in self.taken else "time_in_force: not that one"


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        (tuple(TimeInForce), TimeInForce.FOK),
        ((TimeInForce.GTC, TimeInForce.IOC), TimeInForce.IOC),
        ((TimeInForce.GTC,), TimeInForce.GTC),
    ],
)
def test_a_close_goes_in_the_soonest_time_its_broker_takes(
    taken: tuple[TimeInForce, ...], chosen: TimeInForce
) -> None:
    world = World(adapter=Picky(*taken)).open()
    held(world)
    close(world)
    assert world.last(PAPER, m.Dispatch).order.time_in_force is chosen


def test_a_broker_that_takes_no_market_order_refuses_the_close() -> None:
    world = World(adapter=Picky()).open()
    held(world)
    answer = close(world)
    assert answer is not None
    assert answer.decided[0].error is not None
    assert "not that one" in answer.decided[0].error.message


def test_the_account_of_another_owner_has_no_position_to_close(world: World) -> None:
    held(world)
    assert code_of(close(world, account="acc-2")) == "no_position"


def test_there_must_be_something_to_close(world: World) -> None:
    assert code_of(close(world)) == "no_position"
    assert code_of(close(world, instrument="AUD/USD")) == "no_position"
    held(world, 1000)
    assert code_of(close(world, percent=Decimal("0.01"))) == "no_position"


def test_the_same_close_again_is_a_dup_though_the_position_is_gone(world: World) -> None:
    held(world, 1000)
    close(world)
    world.accept("x-1", "b-x")
    world.fill("x-1", 1000)
    again = close(world)
    assert again is not None
    assert again.error is None
    assert (again.decided[0].dup, again.decided[0].status) == (True, "filled")


def test_a_close_under_the_id_of_another_order_is_a_conflict(world: World) -> None:
    held(world, 1000)
    world.place(new_order("x-1"))
    answer = close(world)
    assert answer is not None
    assert answer.decided[0].error is not None
    assert answer.decided[0].error.code == "id_conflict"


# -- halts


def test_a_halt_is_durable_and_told_to_every_gate_and_to_compliance() -> None:
    second = connection_settings(id="paper-2", account="acc-2")
    world = World(connection_settings(), second).open()
    begin = len(world.effects)
    world.say(c.Halt(scope=HaltScope.ALL, reason="stop"))
    names = [n if n == "durable" else f"{n} {type(e).__name__}" for n, e in world.effects[begin:]]
    assert names[:3] == ["durable", "paper-1 SetHalts", "paper-2 SetHalts"]
    assert "compliance SetHalts" in names
    halt = world.last("paper-2", m.SetHalts)
    assert (halt.halts[0].scope, halt.halts[0].by) == (HaltScope.ALL, OWNER)
    assert halt.number == world.router.desk.books.number
    assert world.notices()[-1].kind is NoticeKind.HALTED


SCOPES = {
    HaltScope.ALL: "*",
    HaltScope.OWNER: OWNER,
    HaltScope.ACCOUNT: ACCOUNT,
    HaltScope.CONNECTION: PAPER,
    HaltScope.BROKER: "oanda",
    HaltScope.INSTRUMENT: "EUR/USD",
    HaltScope.TAG: "grid",
}
assert SCOPES.keys() == set(HaltScope)


@pytest.mark.parametrize("scope", HaltScope)
def test_what_a_halt_covers_is_not_sent_and_goes_again_after_the_end_of_it(
    world: World, scope: HaltScope
) -> None:
    world.say(c.Halt(scope=scope, subject=SCOPES[scope], reason="stop"))
    refused = world.place(new_order("o-1", tag="grid"))
    assert refused.error is not None
    assert refused.error.code == "halted"
    assert world.sent(PAPER, m.Dispatch) == []
    first = world.say(c.Resume(scope=scope, subject=SCOPES[scope]))
    assert first is not None
    error = first.decided[0].error
    assert error is not None
    assert (error.code, error.field) == ("resume_unconfirmed", "confirm")
    assert len(world.last(PAPER, m.SetHalts).halts) == 1
    word = ids.halt_word(scope.value, SCOPES[scope], OWNER, "stop")
    assert error.message.endswith(f"confirm={word}")
    world.say(c.Resume(scope=scope, subject=SCOPES[scope], confirm=word))
    assert world.last(PAPER, m.SetHalts).halts == ()
    assert world.place(new_order("o-2", tag="grid")).status == "sending"


def test_the_end_of_a_halt_that_is_not_there_needs_no_word(world: World) -> None:
    answer = world.say(c.Resume(scope=HaltScope.TAG, subject="grid"))
    assert answer is not None
    assert answer.decided[0].error is None


def test_a_halt_that_compliance_trips_is_written_down_and_told_to_every_gate(
    world: World,
) -> None:
    trip = Halted(scope=HaltScope.TAG, subject="grid", by="compliance", reason="repeats")
    world.router.from_compliance(m.Tripped(halts=(trip,)))
    world.router.from_compliance(m.Tripped(halts=(trip,)))
    world.settle()
    assert world.last(PAPER, m.SetHalts).halts == (trip,)
    assert [notice.kind for notice in world.notices()] == [NoticeKind.HALTED]
    refused = world.place(new_order("o-1", tag="grid"))
    assert refused.error is not None
    assert refused.error.code == "halted"
    assert world.place(new_order("o-2", tag="other")).status == "sending"


def test_a_halt_elsewhere_stops_nothing_here(world: World) -> None:
    world.say(c.Halt(scope=HaltScope.INSTRUMENT, subject="USD/JPY", reason="news"))
    assert world.place().status == "sending"


def test_a_halt_survives_a_restart_and_comes_with_the_attach(world: World) -> None:
    world.say(c.Halt(scope=HaltScope.ALL, reason="stop"))
    world.restart()
    world.open()
    assert [h.reason for h in world.last(PAPER, m.Attach).halts] == ["stop"]
    refused = world.place()
    assert refused.error is not None
    assert refused.error.code == "halted"


def test_a_halt_is_answered_when_every_gate_has_confirmed_and_names_them() -> None:
    second = connection_settings(id="paper-2", account="acc-2")
    world = World(connection_settings(), second).open()
    world.gates_confirm = False
    assert world.say(c.Halt(scope=HaltScope.ALL, reason="stop")) is None
    number = world.last(PAPER, m.SetHalts).number
    world.hear(PAPER, m.HaltsSet(connection=PAPER, number=number))
    assert world.sent("edge-0", c.Answer) == []
    world.hear("paper-2", m.HaltsSet(connection="paper-2", number=number))
    (answer,) = world.sent("edge-0", c.Answer)
    named = {"confirmed": [PAPER, "paper-2"], "ended": []}
    assert msgspec.msgpack.decode(answer.body) == named


def test_a_gate_that_dies_is_not_waited_for_and_named_as_ended() -> None:
    second = connection_settings(id="paper-2", account="acc-2")
    world = World(connection_settings(), second).open()
    world.gates_confirm = False
    assert world.say(c.Halt(scope=HaltScope.ALL, reason="stop")) is None
    world.hear(PAPER, m.HaltsSet(connection=PAPER, number=world.last(PAPER, m.SetHalts).number))
    world.lose_connection("paper-2")
    world.settle()
    (answer,) = world.sent("edge-0", c.Answer)
    named = {"confirmed": [PAPER], "ended": ["paper-2"]}
    assert msgspec.msgpack.decode(answer.body) == named


def test_a_gate_that_is_just_being_attached_is_told_too() -> None:
    world = World()
    world.bring_edge()
    link = world.links[PAPER] = FakeLink(PAPER, "connection", world.effects)
    ConnectionSide(world.router, PAPER).link_up(link)  # type: ignore[arg-type]
    world.settle()
    assert world.last(PAPER, m.Attach).halts == ()
    assert world.say(c.Halt(scope=HaltScope.ALL, reason="stop")) is not None
    assert [h.reason for h in world.last(PAPER, m.SetHalts).halts] == ["stop"]


def test_the_gates_word_that_it_halts_is_only_noted(world: World) -> None:
    before = len(world.records())
    world.hear(PAPER, m.HaltsSet(connection=PAPER, number=1))
    assert len(world.records()) == before


def test_an_amend_asks_nothing_of_an_order_that_is_not_ours(world: World) -> None:
    world.events(an_external())
    assert code_of(world.amend("b-ext", quantity=Decimal(1))) == "unknown_order"


def test_a_market_order_that_fills_at_once_leaves_nothing_to_cancel(world: World) -> None:
    world.place(market_order())
    order = world.order()
    world.events(
        ev.Accepted(at_ns=1, broker_order_id="b-1", venue_client_id=order.venue_client_id),
        ev.Fill(
            at_ns=1, execution_id="e", broker_execution_id="x", broker_order_id="b-1",
            instrument="EUR/USD", side=Side.BUY, quantity=Decimal(1000), price=Decimal("1.1"),
            venue_client_id=order.venue_client_id,
        ),
        intent=1,
    )  # fmt: skip
    assert world.status() == "filled"
    assert world.cancel(all=True).decided == ()


def test_a_changed_record_names_the_orders_it_touches(world: World) -> None:
    world.live("o-1")
    world.live("o-2")
    world.say(c.Cancel(cancel=CancelOrder(all=True)), cseq=77)
    cause = world.records()[-1].cause
    assert isinstance(cause, Changed)
    assert set(cause.orders) == {world.order("o-1").order_id, world.order("o-2").order_id}
    assert world.router.desk.books.last_cseq(OWNER, "s-1") == 77


def test_a_connection_out_of_step_gets_no_cancel_yet(world: World) -> None:
    world.live()
    world.tell(world.changed(SessionState.RECONNECTING))
    world.cancel("o-1")
    assert world.sent(PAPER, m.SendCancel) == []
    world.tell(world.changed(SessionState.CONNECTED))
    assert len(world.sent(PAPER, m.SendCancel)) == 1
