"""Signals at the router: taken once by their id, with the facts of that moment."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import msgpack
from router_world import ACCOUNT, OTHER, OWNER, Anything, World, connection_settings

from actors import messages as m
from domain import commands as c
from domain.errors import Retry
from domain.orders import NewOrder, TimeInForce
from domain.signals import (
    Measure,
    ProtectionRule,
    SignalFields,
    SignalRule,
    Sizing,
    SizingRule,
)

D = Decimal
SIGNAL = {"strategy": "trend", "id": "s-1", "symbol": "EUR/USD", "action": "buy"}
RISK = SizingRule(by=Sizing.RISK_PERCENT, value=D("0.01"))


def a_rule(name: str = "trend", **words: Any) -> SignalRule:
    plain: dict[str, Any] = {
        "name": name,
        "account": ACCOUNT,
        "match": {"strategy": name},
        "sizing": SizingRule(by=Sizing.FIXED, value=D(1000)),
        "instruments": {"EURUSD": "EUR/USD"},
    }
    return SignalRule(**(plain | words))


def a_world(*rules: SignalRule, **words: Any) -> World:
    other = connection_settings(id="paper-2", owner=OTHER, account="acc-2")
    return World(connection_settings(), other, signals=rules or (a_rule(),), **words).open()


def take(world: World, owner: str = OWNER, dry_run: bool = False, **changes: str) -> c.Answer:
    command = c.TakeSignal(signal=SIGNAL | changes, dry_run=dry_run)
    answer = world.say(command, owner=owner)
    assert answer is not None
    return answer


def code(answer: c.Answer) -> tuple[str, str | None]:
    error = answer.error or answer.decided[0].error
    assert error is not None
    return error.code, error.field


def test_a_signal_becomes_an_order_that_carries_its_id_to_the_broker_and_the_stream() -> None:
    world = a_world()
    (decided,) = take(world).decided
    assert (decided.client_order_id, decided.status) == ("s-1", "sending")
    sent = world.last("paper-1", m.Dispatch).order
    assert (sent.signal_id, sent.account, sent.quantity) == ("s-1", ACCOUNT, D(1000))
    world.accept("s-1")
    world.fill("s-1")
    assert [update.body.signal_id for update in world.updates()] == ["s-1"] * 3
    assert world.records()[-3].cause.command.signal_id == "s-1"  # type: ignore[union-attr]


def test_the_same_signal_again_is_answered_as_before_whatever_changed_since() -> None:
    world = a_world(a_rule(sizing=RISK, stop_loss=ProtectionRule(by=Measure.PIPS, value=D(50))))
    take(world)
    world.accept("s-1")
    world.fill("s-1", int(world.order("s-1").quantity))
    world.pass_ms(1000)
    (again,) = take(world).decided
    assert (again.dup, again.status) == (True, "filled")
    assert len(world.sent("paper-1", m.Dispatch)) == 1
    assert code(take(world, action="sell")) == ("id_conflict", "client_order_id")


def test_the_order_of_a_signal_s_fields_means_nothing() -> None:
    world = a_world()
    take(world)
    shuffled = dict(reversed(list(SIGNAL.items())))
    answer = world.say(c.TakeSignal(signal=shuffled))
    assert answer is not None
    assert answer.decided[0].dup


def test_the_same_signal_while_the_first_is_screened_gets_the_same_answer() -> None:
    world = a_world()
    world.holds_verdicts = True
    command = c.TakeSignal(signal=SIGNAL)
    assert world.say(command) is None
    assert world.say(command) is None
    world.holds_verdicts = False
    world.settle()
    first, second = (a for a in world.sent("edge-0", c.Answer) if a.decided)
    assert not first.decided[0].dup
    assert second.decided[0].dup


def test_a_signal_is_taken_by_its_owner_s_rules_alone() -> None:
    world = a_world()
    assert code(take(world, OTHER)) == ("unknown_signal", "signal")
    assert code(take(world, strategy="other")) == ("unknown_signal", "signal.strategy")


def test_a_refusal_names_the_signal_s_own_field() -> None:
    world = a_world()
    assert code(take(world, action="jump")) == ("signal_word_unknown", "signal.action")
    assert code(take(world, symbol="AUD/USD")) == ("unknown_instrument", "signal.symbol")
    assert code(take(world, action="close")) == ("no_position", "signal.action")


def test_without_a_price_the_same_signal_may_be_sent_again() -> None:
    world = World(
        connection_settings(),
        signals=(a_rule(sizing=RISK, stop_loss=ProtectionRule(by=Measure.PIPS, value=D(50))),),
    )
    world.bring_compliance()
    world.bring_connection()
    world.bring_edge()
    world.router.desk.quotes.clear()
    answer = take(world)
    assert code(answer) == ("no_quote", "signal")
    assert answer.error is not None
    assert (answer.error.retry, answer.error.retry_after_ms) == (Retry.SAME_ID, 500)


def test_the_size_by_risk_uses_the_account_s_equity_and_currency() -> None:
    pips = ProtectionRule(by=Measure.PIPS, value=D(50))
    world = a_world(a_rule(sizing=RISK, stop_loss=pips))
    take(world, symbol="USD/JPY")
    # 0.01 % of a million dollars, over half a yen at 150 yen a dollar: 30,000, but one yen in
    # dollars has no end, and what is rounded is rounded down.
    assert world.order("s-1").quantity == 29_999


def test_a_size_without_a_rate_into_the_account_s_currency_waits_for_it() -> None:
    pips = ProtectionRule(by=Measure.PIPS, value=D(50))
    world = a_world(a_rule(sizing=RISK, stop_loss=pips))
    world.router.desk.books.balances.clear()
    assert code(take(world)) == ("no_equity", "signal")
    world.router.desk.quotes.pop("USD/JPY")
    assert code(take(world, symbol="USD/JPY")) == ("no_quote", "signal")


def test_a_close_takes_what_the_account_holds() -> None:
    world = a_world()
    take(world)
    world.accept("s-1")
    world.fill("s-1")
    (decided,) = take(world, id="s-2", action="close").decided
    assert decided.error is None
    order = world.last("paper-1", m.Dispatch).order
    assert (order.side.value, order.quantity, order.reduce_only) == ("sell", D(1000), True)


def test_an_order_that_contradicts_itself_is_refused_before_anyone_is_asked() -> None:
    fields = SignalFields(quantity="qty")
    world = a_world(a_rule(sizing=SizingRule(by=Sizing.SIGNAL), fields=fields))
    assert code(take(world, qty="9" * 20)) == ("signal_malformed", "signal.qty")
    world = a_world(a_rule(stop_loss=ProtectionRule(by=Measure.SIGNAL)))
    # So near to nothing that on the grid it is nothing.
    assert code(take(world, stop_loss="0.000001")) == ("invalid_order", "bracket.stop_loss")


def test_a_signal_s_time_to_live_counts_from_the_router() -> None:
    world = a_world(a_rule(valid_for_ms=200))
    take(world)
    dispatch = world.last("paper-1", m.Dispatch)
    assert dispatch.send_by_ns == world.boot_ns + 200_000_000


def test_a_dry_run_shows_the_order_and_what_it_would_meet_and_places_nothing() -> None:
    world = a_world()
    answer = take(world, dry_run=True)
    assert answer.body is not None
    shown = msgpack.decode(answer.body)
    assert shown["order"]["client_order_id"] == "s-1"
    assert shown["order"]["quantity"] == "1000"
    assert shown["candidates"][0]["candidate"]["account"] == ACCOUNT
    assert shown["passes"]
    assert not world.sent("paper-1", m.Dispatch)
    assert take(world).decided[0].dup is False


def test_a_dry_run_of_a_signal_that_was_taken_shows_it_anew() -> None:
    world = a_world()
    take(world)
    assert take(world, dry_run=True).body is not None
    assert code(take(world, dry_run=True, action="jump")) == (
        "signal_word_unknown", "signal.action",
    )  # fmt: skip


@pytest.mark.parametrize("restarts", [False, True])
def test_a_signal_taken_before_a_restart_is_still_taken(restarts: bool) -> None:
    world = a_world()
    take(world)
    if restarts:
        world.restart()
        world.open()
    assert take(world).decided[0].dup


def test_a_market_order_takes_the_soonest_time_its_broker_has() -> None:
    class OnlyDay(Anything):
        def find_unsupported(self, order: NewOrder) -> str | None:
            return None if order.time_in_force is TimeInForce.DAY else "time_in_force"

    world = a_world(adapter=OnlyDay())
    take(world)
    assert world.last("paper-1", m.Dispatch).order.time_in_force is TimeInForce.DAY
    world.accept("s-1")
    world.fill("s-1")
    take(world, id="s-2", action="close")
    assert world.last("paper-1", m.Dispatch).order.time_in_force is TimeInForce.DAY


def test_a_time_that_the_rule_says_is_kept_for_entries_alone() -> None:
    world = a_world(a_rule(time_in_force=TimeInForce.IOC))
    take(world)
    assert world.last("paper-1", m.Dispatch).order.time_in_force is TimeInForce.IOC
    world.accept("s-1")
    world.fill("s-1")
    take(world, id="s-2", action="close")
    assert world.last("paper-1", m.Dispatch).order.time_in_force is TimeInForce.FOK
