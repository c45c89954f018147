"""What an operator decides: an unknown order's end, and a breaker's; each with who and why."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from router_world import PAPER, World, connection_settings, new_order

from actors import messages as m
from domain import commands as c
from domain import ids
from domain.accounts import BreakerState, ConnectionState, SessionState
from domain.commands import Execution, Resolution
from domain.records import BreakerReset, Resolved
from domain.streams import NoticeKind

WHY = "the broker's support read its log to me"
FILL = Execution(
    quantity=Decimal(1000),
    price=Decimal("1.1"),
    broker_order_id="b-9",
    broker_execution_id="x-9",
)


@pytest.fixture
def world() -> World:
    """One order of unknown outcome."""
    world = World().open()
    world.place()
    world.tell(m.InDoubt(intent=1, reason="timeout"))
    assert world.status() == "unknown"
    return world


def resolve(world: World, found: Resolution, by_admin: bool = True, **words: Any) -> c.Decided:
    plain: dict[str, Any] = {"order_id": world.order().order_id, "evidence": WHY}
    command = c.ResolveOrder(**(plain | words), resolution=found)
    answer = world.say(command, by_admin=by_admin)
    assert answer is not None
    return answer.decided[0]


def code_of(decided: c.Decided) -> str | None:
    return decided.error.code if decided.error else None


ENDS = [
    (Resolution.FILLED, FILL, "filled"),
    (Resolution.CANCELED, None, "canceled"),
    (Resolution.NEVER_ARRIVED, None, "not_placed"),
]


@pytest.mark.parametrize(("found", "execution", "status"), ENDS)
def test_an_unknown_order_ends_as_the_operator_found(
    world: World, found: Resolution, execution: Execution | None, status: str
) -> None:
    decided = resolve(world, found, execution=execution)
    assert (code_of(decided), decided.status, world.status()) == (None, status, status)
    cause = world.records()[-1].cause
    assert isinstance(cause, Resolved)
    assert (cause.by, cause.evidence, cause.resolution) == ("alice", WHY, found.value)
    assert world.notices()[-1].kind is NoticeKind.RESOLVED


@pytest.mark.parametrize(("found", "execution", "status"), ENDS)
def test_asked_again_it_answers_the_same_and_writes_nothing(
    world: World, found: Resolution, execution: Execution | None, status: str
) -> None:
    resolve(world, found, execution=execution)
    before = len(world.records())
    again = resolve(world, found, execution=execution)
    assert (again.status, again.dup, len(world.records())) == (status, True, before)


def test_a_fill_told_by_hand_and_then_by_the_broker_counts_once(world: World) -> None:
    resolve(world, Resolution.FILLED, execution=FILL)
    account = connection_settings().broker_account_id
    world.fill(
        execution_id=ids.execution_id("oanda", account, "x-9"),
        broker_execution_id="x-9",
        broker_order_id="b-9",
    )
    assert world.order().filled == 1000
    assert not world.order().overfilled


def test_a_part_that_was_filled_leaves_the_order_working(world: World) -> None:
    part = Execution(
        quantity=Decimal(400), price=FILL.price, broker_order_id="b-9", broker_execution_id="x-9"
    )
    resolve(world, Resolution.FILLED, execution=part)
    assert (world.status(), world.order().leaves) == ("partially_filled", 600)


def test_its_account_is_held_and_read_again_and_then_free(world: World) -> None:
    resolve(world, Resolution.CANCELED)
    assert code_of(world.place(new_order("o-2"))) == "account_held"
    world.pass_ms(1_000)
    assert len(world.sent(PAPER, m.Resync)) == 1


REFUSED: list[tuple[Resolution, dict[str, Any], str, str | None]] = [
    (Resolution.FILLED, {}, "invalid_order", "execution"),
    (Resolution.CANCELED, {"execution": FILL}, "invalid_order", "execution"),
    (Resolution.CANCELED, {"evidence": "dunno"}, "invalid_order", "evidence"),
    (Resolution.CANCELED, {"order_id": "no-such"}, "unknown_order", "client_order_id"),
    (Resolution.CANCELED, {"by_admin": False}, "forbidden", "t"),
]


@pytest.mark.parametrize(("found", "words", "code", "field"), REFUSED)
def test_what_says_nothing_is_refused_and_changes_nothing(
    world: World, found: Resolution, words: dict[str, Any], code: str, field: str | None
) -> None:
    before = len(world.records())
    decided = resolve(world, found, **words)
    assert decided.error is not None
    assert (decided.error.code, decided.error.field) == (code, field)
    assert (world.status(), len(world.records())) == ("unknown", before)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"quantity": Decimal(1001)}, "execution.quantity"),
        ({"quantity": Decimal(0)}, "execution.quantity"),
        ({"price": Decimal(0)}, "execution.price"),
    ],
)
def test_a_fill_that_cannot_be_is_refused(world: World, change: dict[str, Any], field: str) -> None:
    plain = {name: getattr(FILL, name) for name in FILL.__struct_fields__}
    decided = resolve(world, Resolution.FILLED, execution=Execution(**(plain | change)))
    assert decided.error is not None
    assert decided.error.field == field


def test_an_order_that_is_not_unknown_needs_no_operator() -> None:
    world = World().open()
    world.live()
    decided = resolve(world, Resolution.CANCELED)
    assert (code_of(decided), world.status()) == ("not_unknown", "live")


# -- connections that the settings no longer have


def orphaned() -> World:
    """An order was being sent by a connection that is gone at the next start."""
    world = World(connection_settings(), connection_settings(id="paper-2", account="acc-2"))
    world.open()
    world.place(new_order(account="acc-2"))
    del world.settings["paper-2"]
    world.restart()
    world.open()
    return world


def test_what_a_removed_connection_was_sending_is_unknown_with_a_clear_notice() -> None:
    world = orphaned()
    assert world.status() == "unknown"
    notice = world.notices()[-1]
    assert notice.kind is NoticeKind.UNKNOWN_ORDER
    assert "paper-2" in notice.message
    assert "order.resolve" in notice.message


def test_the_clock_goes_on_beside_an_order_of_a_removed_connection() -> None:
    world = orphaned()
    world.pass_ms(60_000)
    assert world.place(new_order("o-2")).status == "sending"


def test_it_can_be_resolved() -> None:
    world = orphaned()
    assert resolve(world, Resolution.FILLED, execution=FILL).status == "filled"


# -- breakers


def opened(world: World) -> None:
    state = ConnectionState(
        connection=PAPER,
        state=SessionState.CONNECTED,
        reason="breaker open: 5 troubles in a row",
        since_ns=1,
        breaker=BreakerState.OPEN,
    )
    world.tell(m.StateChanged(state=state))


def test_while_a_breaker_is_open_new_orders_are_refused_and_told_what_helps() -> None:
    world = World().open()
    world.live()
    opened(world)
    decided = world.place(new_order("o-2"))
    assert decided.error is not None
    assert decided.error.code == "venue_unavailable"
    assert decided.error.outcome.value == "none"
    assert "breaker.reset" in decided.error.message
    assert decided.error.retry_after_ms is not None
    world.cancel("o-1")
    assert len(world.sent(PAPER, m.SendCancel)) == 1
    assert world.notices()[-1].kind is NoticeKind.BREAKER


def test_an_order_that_may_wait_waits_for_the_breaker() -> None:
    world = World().open()
    opened(world)
    assert world.place(new_order(queue_if_down=True)).status == "ready"
    assert world.sent(PAPER, m.Dispatch) == []
    world.tell(world.changed(SessionState.CONNECTED))
    assert len(world.sent(PAPER, m.Dispatch)) == 1


def test_an_amend_is_new_risk_too() -> None:
    world = World().open()
    world.live()
    opened(world)
    answer = world.amend(quantity=Decimal(2000))
    assert answer is not None
    assert answer.error is not None
    assert answer.error.code == "venue_unavailable"


def test_a_reset_is_written_down_and_passed_on() -> None:
    world = World().open()
    answer = world.say(c.ResetBreaker(connection=PAPER), by_admin=True)
    assert answer is not None
    assert answer.decided[0].error is None
    cause = world.records()[-1].cause
    assert cause == BreakerReset(connection=PAPER, by="alice")
    assert len(world.sent(PAPER, m.ResetBreaker)) == 1


@pytest.mark.parametrize(
    ("name", "by_admin", "code"),
    [(PAPER, False, "forbidden"), ("nobody", True, "unknown_connection")],
)
def test_a_reset_needs_an_admin_and_a_connection(name: str, by_admin: bool, code: str) -> None:
    world = World().open()
    answer = world.say(c.ResetBreaker(connection=name), by_admin=by_admin)
    assert answer is not None
    assert code_of(answer.decided[0]) == code
    assert world.sent(PAPER, m.ResetBreaker) == []
