"""What brokers tell: each fact once, doubt ended by evidence alone, recovery by the same code."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from router_world import (
    ACCOUNT,
    MS,
    OWNER,
    PAPER,
    REFUSED,
    World,
    connection_settings,
    market_order,
    new_order,
    over_the_wire,
    snapshot,
)

from actors import messages as m
from domain import commands as c
from domain import events as ev
from domain import ids
from domain.accounts import SessionState
from domain.lifecycle import Origin, Status
from domain.orders import Bracket, OrderType, Side, TakeProfit, TimeInForce
from domain.portfolio import Lot, Position, with_lots
from domain.records import Reported, Settled
from domain.streams import ConnectionUpdate, NoticeKind, OrderUpdate


@pytest.fixture
def world() -> World:
    return World().open()


def external(broker: str = "b-ext", **words: Any) -> ev.External:
    plain: dict[str, Any] = {
        "at_ns": 1,
        "broker_order_id": broker,
        "instrument": "EUR/USD",
        "side": Side.SELL,
        "quantity": Decimal(500),
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "limit_price": Decimal("1.20"),
    }
    return ev.External(**(plain | words))


def foreign_fill(broker: str = "b-ext", execution: str = "x-ext", **words: Any) -> ev.Fill:
    plain: dict[str, Any] = {
        "at_ns": 2,
        "execution_id": ids.execution_id("paper", ACCOUNT, execution),
        "broker_execution_id": execution,
        "broker_order_id": broker,
        "instrument": "EUR/USD",
        "side": Side.SELL,
        "quantity": Decimal(500),
        "price": Decimal("1.2"),
    }
    return ev.Fill(**(plain | words))


def position(quantity: int, lot: str = "l-1") -> Position:
    held = Position(account=ACCOUNT, instrument="EUR/USD", quantity=Decimal(quantity))
    one = Lot(
        lot_id=lot, instrument="EUR/USD", quantity=Decimal(quantity), price=Decimal("1.1"),
        opened_ns=1, opened_sequence=1,
    )  # fmt: skip
    return with_lots(held, (one,))


def orders_told(world: World) -> list[OrderUpdate]:
    return [u.body for u in world.updates() if isinstance(u.body, OrderUpdate)]


def kinds(world: World, name: str = "o-1") -> list[str]:
    return [type(event).__name__ for event in world.events_of(name)]


# -- items


def test_items_told_twice_change_nothing_and_are_freed_again(world: World) -> None:
    world.place()
    order = world.order()
    accepted = ev.Accepted(at_ns=1, broker_order_id="b-1", venue_client_id=order.venue_client_id)
    told = world.events(accepted, intent=1)
    before = len(world.records())
    world.hear(PAPER, told)
    assert len(world.records()) == before
    freed = world.sent(PAPER, m.Freed)
    assert [f.last for f in freed[-2:]] == [told.first, told.first]


def test_items_are_freed_only_once_durable(world: World) -> None:
    world.place()
    begin = len(world.effects)
    world.accept()
    names = [n if n == "durable" else type(e).__name__ for n, e in world.effects[begin:]]
    assert names.index("durable") < names.index("Freed")


def test_items_that_change_nothing_write_nothing_and_are_known_all_the_same(world: World) -> None:
    world.live()
    before = len(world.records())
    repeated = world.events(ev.Accepted(at_ns=1, broker_order_id="b-o-1"))
    assert len(world.records()) == before
    world.hear(PAPER, repeated)
    assert len(world.records()) == before


def test_the_same_facts_from_another_incarnation_are_one(world: World) -> None:
    world.live()
    fill = world.fill(quantity=400)
    world.lose_connection()
    world.bring_connection()
    before = len(world.records())
    world.events(ev.Accepted(at_ns=9, broker_order_id="b-o-1"), fill)
    assert len(world.records()) == before
    assert world.order().filled == 400


def test_the_broker_s_cursor_is_in_the_record_of_its_events(world: World) -> None:
    world.place()
    order = world.order()
    accepted = ev.Accepted(at_ns=1, broker_order_id="b-1", venue_client_id=order.venue_client_id)
    world.tell(m.Told(events=(accepted,), intent=1), cursor="41")
    cause = world.records()[-1].cause
    assert isinstance(cause, Reported)
    assert cause.cursor == "41"
    world.restart()
    world.bring_connection(in_step=False)
    attach = world.last(PAPER, m.Attach)
    assert (attach.epoch, attach.cursor, attach.last) == (2, "41", cause.last)
    assert attach.last_intent == 1


def test_a_connection_s_state_is_told_on_its_stream(world: World) -> None:
    world.tell(world.changed(SessionState.RECONNECTING))
    told = world.updates("connections")[-1].body
    assert isinstance(told, ConnectionUpdate)
    assert told.connection.state is SessionState.RECONNECTING
    refused = world.place()
    assert refused.error is not None
    assert refused.error.code == "venue_unavailable"


def test_a_router_that_starts_beside_a_live_connection_trades_at_once(world: World) -> None:
    world.restart()
    world.bring_compliance()
    world.bring_edge()
    world.bring_connection(in_step=False)
    world.attached(PAPER, world_instruments(), state=SessionState.CONNECTED, epoch=2)
    world.quote(*world_instruments())
    assert world.place().status == "sending"


def world_instruments() -> Any:
    from router_world import INSTRUMENTS

    return INSTRUMENTS


# -- outcomes


def test_a_broker_s_refusal_ends_the_order_with_its_words(world: World) -> None:
    world.place()
    order = world.order()
    world.events(
        ev.Rejected(at_ns=1, error=REFUSED, venue_client_id=order.venue_client_id), intent=1
    )
    assert (world.status(), world.order().reason) == ("rejected", "MARGIN")


def test_a_fill_may_come_before_the_acceptance(world: World) -> None:
    world.place()
    world.fill(quantity=400)
    world.accept(broker="b-1")
    assert kinds(world) == ["Sending", "Fill"]
    assert (world.status(), world.order().legs) == ("partially_filled", ("b-1",))


def test_our_own_creation_on_the_stream_is_an_acceptance(world: World) -> None:
    world.place()
    world.events(external("b-1", venue_client_id=world.order().venue_client_id))
    assert kinds(world) == ["Sending", "Accepted"]
    assert (world.status(), world.order().origin) == ("live", Origin.CLIENT)


def test_an_order_can_expire_and_trigger(world: World) -> None:
    world.live()
    world.events(ev.Triggered(at_ns=1, broker_order_id="b-t", venue_client_id=venue_id(world)))
    assert world.order().legs == ("b-o-1", "b-t")
    world.events(ev.Expired(at_ns=2, broker_order_id="b-t"))
    assert world.status() == "expired"
    before = len(world.records())
    world.events(ev.Expired(at_ns=3, broker_order_id="b-t"))
    assert len(world.records()) == before


def venue_id(world: World, name: str = "o-1") -> str | None:
    return world.order(name).venue_client_id


def test_a_fill_after_the_end_is_kept_and_raises_a_notice(world: World) -> None:
    world.live()
    world.events(ev.Canceled(at_ns=1, reason="asked", broker_order_id="b-o-1"))
    world.fill(quantity=300)
    order = world.order()
    assert (order.status, order.filled, order.late_fill) == (Status.CANCELED, 300, True)
    assert world.notices()[-1].kind is NoticeKind.LATE_FILL
    assert world.router.desk.books.positions[ACCOUNT, "EUR/USD"].quantity == 300


def test_a_fill_beyond_the_quantity_is_kept_and_raises_a_notice(world: World) -> None:
    world.live()
    world.fill(quantity=900, execution="x-1")
    world.fill(quantity=900, execution="x-2")
    order = world.order()
    assert (order.filled, order.overfilled) == (1800, True)
    assert "beyond" in world.notices()[-1].message


def test_an_event_that_cannot_be_is_a_break_and_changes_nothing(world: World) -> None:
    world.live()
    before = world.order()
    world.tell(m.NoTrace(order_id=before.order_id, evidence=("no",)))
    assert world.order() == before
    world.events(ev.Canceled(at_ns=1, reason="x", broker_order_id="b-o-1"))
    world.events(
        ev.Triggered(at_ns=2, broker_order_id="b-t", venue_client_id=before.venue_client_id),
        ev.Rejected(at_ns=2, error=REFUSED, broker_order_id="b-o-1"),
    )
    assert world.status() == "canceled"


def test_a_late_refusal_of_a_partly_filled_order_is_a_break(world: World) -> None:
    world.live()
    world.fill(quantity=100)
    world.events(ev.Rejected(at_ns=2, error=REFUSED, broker_order_id="b-o-1"))
    assert world.status() == "partially_filled"
    notice = world.notices()[-1]
    assert (notice.kind, notice.scope) == (NoticeKind.BREAK, f"account/{ACCOUNT}")
    assert notice.order_id == world.order().order_id


# -- never sent


def test_the_gate_s_refusal_ends_the_order_with_its_reason(world: World) -> None:
    world.place()
    world.tell(m.GateRefused(intent=1, reason="stale"))
    assert kinds(world) == ["Sending", "NeverSent", "Canceled"]
    assert (world.status(), world.order().reason) == ("canceled", "stale")
    assert world.router.desk.venues[PAPER].in_flight == set()


def test_the_gate_s_word_about_what_has_ended_or_was_never_ours_is_nothing(world: World) -> None:
    world.live()
    before = len(world.records())
    world.tell(m.GateRefused(intent=1, reason="stale"))
    world.tell(m.GateRefused(intent=99, reason="stale"))
    world.tell(m.InDoubt(intent=1, reason="timeout"))
    world.tell(m.InDoubt(intent=99, reason="timeout"))
    assert len(world.records()) == before


# -- doubt


def doubtful(world: World, name: str = "o-1", **words: Any) -> None:
    world.place(new_order(name, **words))
    intent = world.order(name).intent
    assert intent is not None
    world.tell(m.InDoubt(intent=intent, reason="timeout"))


def test_an_order_in_doubt_is_unknown_and_evidence_is_asked_for(world: World) -> None:
    doubtful(world)
    assert (world.status(), world.order().reason) == ("unknown", "timeout")
    wanted = world.last(PAPER, m.LookUp)
    assert (wanted.order_id, wanted.venue_client_id) == (world.order().order_id, venue_id(world))


def test_evidence_is_asked_for_only_once_the_doubt_is_durable(world: World) -> None:
    world.place()
    begin = len(world.effects)
    world.tell(m.InDoubt(intent=1, reason="timeout"))
    names = [n if n == "durable" else type(e).__name__ for n, e in world.effects[begin:]]
    assert names.index("durable") < names.index("LookUp")


def test_doubt_blocks_new_risk_in_that_instrument_and_account_only() -> None:
    world = World(connection_settings(), connection_settings(id="paper-2", account="acc-2")).open()
    doubtful(world, account=ACCOUNT)
    refused = world.place(new_order("o-2", account=ACCOUNT))
    assert refused.error is not None
    assert refused.error.code == "unknown_outstanding"
    elsewhere = new_order("o-3", instrument="USD/JPY", limit_price=Decimal(149), account=ACCOUNT)
    assert world.place(elsewhere).status == "sending"
    assert world.place(new_order("o-4", account="acc-2")).status == "sending"


def test_the_block_ends_with_the_doubt(world: World) -> None:
    doubtful(world)
    world.accept(broker="b-1")
    assert world.place(new_order("o-2")).status == "sending"


def test_positive_evidence_ends_doubt(world: World) -> None:
    doubtful(world)
    found = ev.Accepted(at_ns=1, broker_order_id="b-1", venue_client_id=venue_id(world))
    world.events(found)
    assert world.status() == "live"
    world.fill()
    assert world.status() == "filled"


def test_complete_negative_evidence_ends_doubt_as_not_placed(world: World) -> None:
    doubtful(world)
    world.tell(m.NoTrace(order_id=world.order().order_id, evidence=("no", "no again")))
    assert world.status() == "not_placed"
    assert world.events_of()[-1].evidence == ("no", "no again")


def test_a_fill_of_what_was_proved_absent_is_late_and_loud(world: World) -> None:
    doubtful(world)
    world.tell(m.NoTrace(order_id=world.order().order_id, evidence=("no",)))
    world.fill(quantity=1000)
    assert (world.status(), world.order().late_fill) == ("filled", True)
    assert world.notices()[-1].kind is NoticeKind.LATE_FILL


def test_a_mark_can_prove_late_that_nothing_was_sent(world: World) -> None:
    doubtful(world)
    world.tell(m.GateRefused(intent=1, reason="never sent: no send mark"))
    assert world.status() == "canceled"


def test_old_doubt_raises_one_alarm(world: World) -> None:
    doubtful(world)
    world.pass_ms(29_000)
    assert world.notices() == []
    world.pass_ms(2_000)
    world.pass_ms(2_000)
    assert [n.kind for n in world.notices()] == [NoticeKind.UNKNOWN_ORDER]
    assert world.status() == "unknown"


@pytest.mark.parametrize("step_ms", [3_600_000, -3_600_000])
def test_doubt_grows_old_by_the_clock_that_is_never_set(world: World, step_ms: int) -> None:
    world.pass_ms(50)
    doubtful(world)
    world.pass_ms(50)
    world.utc_ns += step_ms * 1_000_000
    world.pass_ms(29_000)
    assert world.notices() == []
    world.pass_ms(2_000)
    assert [n.kind for n in world.notices()] == [NoticeKind.UNKNOWN_ORDER]


def test_doubt_from_before_a_restart_keeps_its_age(world: World) -> None:
    doubtful(world)
    world.utc_ns += 31_000_000_000
    world.boot_ns = 1
    world.restart()
    world.open()
    world.pass_ms(50)
    assert [n.kind for n in world.notices()] == [NoticeKind.UNKNOWN_ORDER]


def test_an_order_whose_connection_died_becomes_unknown_after_a_while(world: World) -> None:
    world.place()
    world.lose_connection()
    world.pass_ms(4_000)
    assert world.status() == "sending"
    world.pass_ms(2_000)
    assert (world.status(), world.order().reason) == ("unknown", "connection lost")
    assert isinstance(world.records()[-1].cause, Settled)


def test_an_order_on_a_live_connection_may_take_its_time(world: World) -> None:
    world.place()
    world.pass_ms(10_000)
    assert world.status() == "sending"


# -- a connection comes back


def test_a_connection_that_comes_is_asked_what_became_of_every_open_send(world: World) -> None:
    world.live("o-1")
    world.place(new_order("o-2"))
    doubtful(world, "o-3", instrument="USD/JPY", limit_price=Decimal(149))
    world.lose_connection()
    world.bring_connection(in_step=False)
    assert set(world.last(PAPER, m.Probe).intents) == {2, 3}


def test_nothing_open_nothing_asked(world: World) -> None:
    world.live()
    world.lose_connection()
    world.bring_connection()
    assert world.sent(PAPER, m.Probe) == []


def test_a_send_that_never_happened_ends_canceled_after_a_restart(world: World) -> None:
    world.place()
    world.restart()
    world.open()
    assert world.last(PAPER, m.Probe).intents == (1,)
    world.tell(m.GateRefused(intent=1, reason="never sent: no send mark"))
    assert world.status() == "canceled"
    assert world.order().reason == "never sent: no send mark"


def test_a_send_that_may_have_happened_is_looked_for_after_a_restart(world: World) -> None:
    world.place()
    world.restart()
    world.open()
    world.tell(m.InDoubt(intent=1, reason="marked as sent before a crash"))
    assert world.status() == "unknown"
    assert world.last(PAPER, m.LookUp).order_id == world.order().order_id


def test_doubt_from_before_a_restart_is_looked_for_again(world: World) -> None:
    doubtful(world)
    world.restart()
    world.open()
    asked = [w.epoch for w in world.sent(PAPER, m.LookUp)]
    assert asked[0] == 1
    assert 2 in asked
    refused = world.place(new_order("o-2"))
    assert refused.error is not None
    assert refused.error.code == "unknown_outstanding"


def test_a_ready_order_is_canceled_by_a_restart_of_the_router() -> None:
    world = World(connection_settings(credits=1)).open()
    world.place(new_order("o-1"))
    world.place(new_order("o-2"))
    world.restart()
    assert world.status("o-2") == "canceled"
    assert "restart" in (world.order("o-2").reason or "")
    assert world.status("o-1") == "sending"


def test_intents_rise_across_restarts(world: World) -> None:
    world.place(new_order("o-1"))
    world.restart()
    world.open()
    assert world.last(PAPER, m.Attach).last_intent == 1
    world.tell(m.GateRefused(intent=1, reason="never sent"))
    world.place(new_order("o-2"))
    assert world.last(PAPER, m.Dispatch).intent == 2


def test_an_older_link_that_goes_does_not_take_the_newer_along(world: World) -> None:
    old = world.links[PAPER]
    world.bring_connection()
    world.router.connection_down(PAPER, old)  # type: ignore[arg-type]
    assert world.place().status == "sending"


# -- orders that are not ours


def test_an_order_made_elsewhere_becomes_known_with_its_terms(world: World) -> None:
    world.events(external())
    order = next(iter(world.router.desk.books.orders.open.values()))
    assert (order.origin, order.status, order.client_order_id) == (
        Origin.EXTERNAL, Status.LIVE, None,
    )  # fmt: skip
    assert (order.instrument, order.quantity, order.sign) == ("EUR/USD", 500, -1)
    assert orders_told(world)[-1].origin is Origin.EXTERNAL
    before = len(world.records())
    world.events(external())
    assert len(world.records()) == before


def test_a_foreign_order_lives_on_like_ours(world: World) -> None:
    world.events(external())
    world.events(foreign_fill(quantity=Decimal(200)))
    world.events(ev.Canceled(at_ns=3, reason="asked", broker_order_id="b-ext"))
    found = world.router.desk.books.orders.at_broker(PAPER, "b-ext")
    assert found is not None
    assert (found.status, found.filled) == (Status.CANCELED, 200)


def test_a_foreign_order_and_its_fill_may_come_in_one_breath(world: World) -> None:
    world.events(external(), foreign_fill())
    found = world.router.desk.books.orders.at_broker(PAPER, "b-ext")
    assert found is not None
    assert found.status is Status.FILLED
    assert world.router.desk.books.positions[ACCOUNT, "EUR/USD"].quantity == -500


def test_a_fill_of_an_order_nobody_told_of_makes_it_known(world: World) -> None:
    world.events(foreign_fill())
    found = world.router.desk.books.orders.at_broker(PAPER, "b-ext")
    assert found is not None
    assert (found.origin, found.status) == (Origin.EXTERNAL, Status.FILLED)


def test_the_end_of_an_order_nobody_told_of_is_nothing(world: World) -> None:
    before = len(world.records())
    world.events(ev.Canceled(at_ns=1, reason="x", broker_order_id="b-old"))
    world.events(ev.Rejected(at_ns=1, error=REFUSED))
    assert len(world.records()) == before


def bracketed(world: World) -> None:
    bracket = Bracket(take_profit=TakeProfit(limit_price=Decimal("1.2")))
    world.place(market_order(bracket=bracket))
    world.accept(broker="b-1")


def test_a_child_made_by_our_fill_names_its_parent(world: World) -> None:
    bracketed(world)
    world.fill(execution="x-entry")
    world.events(external("b-child", parent_execution="x-entry"))
    child = world.router.desk.books.orders.at_broker(PAPER, "b-child")
    assert child is not None
    assert (child.origin, child.parent_order_id) == (Origin.CHILD, world.order().order_id)


def test_a_child_in_one_breath_with_its_parent_s_fill_names_it_too(world: World) -> None:
    bracketed(world)
    order = world.order()
    fill = foreign_fill(
        "b-1", "x-entry", side=Side.BUY, quantity=Decimal(1000),
        venue_client_id=order.venue_client_id,
    )  # fmt: skip
    world.events(fill, external("b-child", parent_execution="x-entry"))
    child = world.router.desk.books.orders.at_broker(PAPER, "b-child")
    assert child is not None
    assert (child.origin, child.parent_order_id) == (Origin.CHILD, order.order_id)


def test_a_child_of_a_fill_that_is_not_ours_is_external(world: World) -> None:
    world.events(external("b-entry"))
    fill = foreign_fill("b-entry", "x-entry")
    world.events(fill, external("b-child", parent_execution="x-entry"))
    child = world.router.desk.books.orders.at_broker(PAPER, "b-child")
    assert child is not None
    assert child.origin is Origin.EXTERNAL
    world.events(external("b-child-2", parent_execution="x-nowhere"))
    other = world.router.desk.books.orders.at_broker(PAPER, "b-child-2")
    assert other is not None
    assert other.origin is Origin.EXTERNAL


# -- the account, as the broker sees it


def sync(world: World, *positions: Position, orders: tuple[ev.External, ...] = ()) -> None:
    told = snapshot(world.settings[PAPER], positions, "99")
    world.tell(m.SyncedAccount(snapshot=told, open_orders=orders), cursor="99")


def test_the_first_sight_of_an_account_is_no_break() -> None:
    world = World()
    world.bring_compliance()
    world.bring_connection(in_step=False)
    sync(world, position(700))
    assert world.router.desk.books.positions[ACCOUNT, "EUR/USD"].quantity == 700
    assert world.notices() == []


def test_a_sync_that_agrees_says_nothing(world: World) -> None:
    before = world.records()
    sync(world)
    assert world.records() == before


def test_balances_are_told_again_where_they_changed_and_once_an_hour(world: World) -> None:
    stream = f"account/{ACCOUNT}"
    told = snapshot(world.settings[PAPER])
    less = replace(told.balances, cash=Decimal(5))
    world.tell(m.SyncedAccount(snapshot=replace(told, balances=less)))
    assert [u.body.balances.cash for u in world.updates(stream)] == [1_000_000, 5]
    world.tell(m.SyncedAccount(snapshot=replace(told, balances=less)))
    assert len(world.updates(stream)) == 2
    world.utc_ns += 3_600_000_000_000
    world.tell(m.SyncedAccount(snapshot=replace(told, balances=less)))
    assert len(world.updates(stream)) == 3


def test_what_an_account_may_do_is_news_though_its_money_is_the_same(world: World) -> None:
    told = snapshot(world.settings[PAPER])
    other = replace(told, account=replace(told.account, name="renamed", last_sync_ns=7))
    world.tell(m.SyncedAccount(snapshot=other))
    assert world.router.desk.books.accounts[ACCOUNT].name == "renamed"
    later = replace(other, account=replace(other.account, last_sync_ns=8))
    before = world.records()
    world.tell(m.SyncedAccount(snapshot=later))
    assert world.records() == before


def test_a_difference_is_a_break_and_the_broker_is_right(world: World) -> None:
    sync(world, position(700))
    notice = world.notices()[-1]
    assert notice.kind is NoticeKind.BREAK
    assert "700" in notice.message
    assert world.router.desk.books.positions[ACCOUNT, "EUR/USD"].quantity == 700
    sync(world)
    assert (ACCOUNT, "EUR/USD") not in world.router.desk.books.positions
    told = world.updates(f"account/{ACCOUNT}")[-1].body
    assert told.position.quantity == 0  # type: ignore[union-attr]


def test_a_difference_is_told_to_compliance(world: World) -> None:
    sync(world, position(700))
    assert world.compliance is not None
    assert world.compliance.screener is not None
    exposure = world.compliance.screener.book.accounts[ACCOUNT]
    assert exposure.holding("EUR/USD").quantity == 700


def test_the_same_quantity_in_other_lots_is_a_break_too(world: World) -> None:
    sync(world, position(700, "l-1"))
    count = len(world.notices())
    sync(world, position(700, "l-2"))
    assert len(world.notices()) == count + 1


def test_a_listed_order_nobody_knew_becomes_external(world: World) -> None:
    sync(world, orders=(external("b-seen"),))
    assert world.router.desk.books.orders.at_broker(PAPER, "b-seen") is not None


def test_a_working_order_the_broker_does_not_list_is_looked_for(world: World) -> None:
    world.live("o-1")
    world.live("o-2")
    kept = external("b-o-2", venue_client_id=venue_id(world, "o-2"))
    sync(world, orders=(kept,))
    assert [w.order_id for w in world.sent(PAPER, m.LookUp)] == [world.order("o-1").order_id]
    assert world.status("o-1") == "live"


def test_a_sync_in_the_middle_of_other_items_keeps_their_order(world: World) -> None:
    world.place()
    order = world.order()
    accepted = ev.Accepted(at_ns=1, broker_order_id="b-1", venue_client_id=order.venue_client_id)
    listed = external("b-1", venue_client_id=order.venue_client_id)
    world.tell(
        m.Told(events=(accepted,), intent=1),
        m.SyncedAccount(
            snapshot=snapshot(world.settings[PAPER], (position(5),)), open_orders=(listed,)
        ),
        world.changed(SessionState.CONNECTED),
    )
    causes = [type(r.cause).__name__ for r in world.records()[-2:]]
    assert causes == ["Reported", "Synced"]
    assert world.status() == "live"


def test_a_sync_told_again_after_a_restart_is_the_same_sync(world: World) -> None:
    told = world.tell(m.SyncedAccount(snapshot=snapshot(world.settings[PAPER], (position(700),))))
    world.restart()
    world.bring_compliance()
    world.bring_edge()
    world.bring_connection(in_step=False)
    count = len(world.notices())
    world.hear(PAPER, over_the_wire(told, "router-from-connection"))
    assert len(world.notices()) == count
    assert world.router.desk.books.positions[ACCOUNT, "EUR/USD"].quantity == 700


def test_replay_gives_the_books_as_they_were_and_streams_without_holes(world: World) -> None:
    world.live("o-1")
    world.fill("o-1", quantity=400)
    world.cancel("o-1")
    doubtful(world, "o-2", instrument="USD/JPY", limit_price=Decimal(149))
    world.events(external())
    sync(world, position(5))
    books = world.router.desk.books.to_bytes()
    from ledger.recovery import restore

    assert restore(world.journal).books.to_bytes() == books
    for stream in (f"orders/{OWNER}", f"account/{ACCOUNT}", "connections", "admin"):
        numbers = [u.seq for u in world.updates(stream)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_snapshot_is_taken_now_and_then(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    from actors.router import actor

    monkeypatch.setattr(actor, "SNAPSHOT_RECORDS", 2)
    world.live("o-1")
    asked: list[int] = []
    place = msgspec.structs.replace(world.router.place, take_snapshot=asked.append)
    monkeypatch.setattr(world.router, "place", place)
    world.live("o-2")
    world.router._snapshot()
    world.router._snapshot()
    assert asked == [world.journal.durable]


def test_a_commit_declares_itself_to_the_watchdog(world: World) -> None:
    from actors.beacon import Declared

    said: list[Declared] = []

    class Recorder:
        def declare(self, state: Declared) -> None:
            said.append(state)

    world.router.writer._beacon = Recorder()  # type: ignore[assignment]
    world.place()
    assert said == [Declared.COMMITTING, Declared.WORKING]


def test_time_does_not_make_a_settled_order_doubtful(world: World) -> None:
    world.live()
    world.pass_ms(60_000)
    assert world.status() == "live"
    assert world.boot_ns % MS == 0
    assert world.say(c.Cancel(cancel=c.CancelOrder(all=True))) is not None


def test_words_of_the_broker_that_nobody_knows_are_a_break_for_people(world: World) -> None:
    world.tell(m.Unread(what="transaction 7: transaction type 'GIFT'"))

    (notice,) = world.notices()
    assert (notice.kind, notice.scope) == (NoticeKind.BREAK, f"account/{ACCOUNT}")
    assert "GIFT" in notice.message
