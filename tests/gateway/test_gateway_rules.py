"""Authority, faults, rates, cursors, deadlines: the pure parts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from gateway_world import ACCOUNT, OWN, OWNER, an_order, an_update

from domain.commands import (
    AmendPosition,
    ClosePosition,
    Halt,
    Resolution,
    ResolveOrder,
    Resume,
    SetGuard,
    StreamPage,
)
from domain.errors import Category, ErrorInfo, Retry
from domain.orders import AmendOrder, CancelOrder, OrderType, StopLoss, TakeProfit, Trailing
from domain.records import GuardKind, HaltScope
from gateway import wire
from gateway.authority import ANY_OF, Subject, authorize, may_follow, scopes_of
from gateway.cursors import FROM_NOW, Cursor
from gateway.errors import from_decode_error
from gateway.faults import find_request_fault
from gateway.rates import NS_PER_MS, NS_PER_S, Bucket, Rates
from gateway.requests import Now, find_deadline, query_args, tag_of
from gateway.settings import Limits
from gateway.wire import Role, Scope

D = Decimal
CLOSE = ClosePosition(client_order_id="c", account=ACCOUNT, instrument="EUR/USD")
PROTECT = AmendPosition(account=ACCOUNT, lot_id="7", stop_loss=StopLoss(distance=D("0.001")))
GUARD = SetGuard(kind=GuardKind.DEAD_MAN)
RESOLVE = ResolveOrder(
    order_id="o", resolution=Resolution.CANCELED, evidence="seen in the broker's list"
)

ONE_OF_EACH: dict[type, wire.Request] = {
    type(request): request
    for request in (
        wire.OrderNew(id="r", cseq=1, order=an_order()),
        wire.OrderAmend(id="r", cseq=1, amend=AmendOrder(client_order_id="o", quantity=D(1))),
        wire.OrderCancel(id="r", cseq=1, cancel=CancelOrder(all=True)),
        wire.OrderBatch(id="r", cseq=1, orders=(an_order(),)),
        wire.OrderPreview(id="r", order=an_order()),
        wire.OrderGet(id="r", order_id="x"),
        wire.OrdersList(id="r"),
        wire.ExecutionsSince(id="r"),
        wire.PositionsList(id="r"),
        wire.SignalNew(id="r", cseq=1, signal={"strategy": "trend"}),
        wire.PositionClose(id="r", cseq=1, close=CLOSE),
        wire.PositionAmend(id="r", cseq=1, protect=PROTECT),
        wire.Sub(id="r", streams={OWN: 0}),
        wire.Unsub(id="r", streams=(OWN,)),
        wire.Ack(id="r", stream=OWN, seq=1),
        wire.GuardSet(id="r", cseq=1, guard=GUARD),
        wire.HaltTrading(
            id="r", cseq=1, halt=Halt(scope=HaltScope.OWNER, subject=OWNER, reason="x")
        ),
        wire.ResumeTrading(id="r", cseq=1, resume=Resume(scope=HaltScope.OWNER, subject=OWNER)),
        wire.Ping(id="r"),
        wire.AccountsList(id="r"),
        wire.AccountGet(id="r", account=ACCOUNT),
        wire.InstrumentsList(id="r"),
        wire.QuoteGet(id="r", instruments=("EUR/USD", "USD/JPY")),
        wire.TransactionsSince(id="r", account=ACCOUNT),
        wire.ConnectionsList(id="r"),
        wire.BreakerReset(id="r", connection="c"),
        wire.OrderResolve(id="r", resolve=RESOLVE),
    )
}
assert ONE_OF_EACH.keys() == set(wire.REQUESTS)


def a_subject(*scopes: Scope) -> Subject:
    return Subject(owner=OWNER, scopes=frozenset(scopes), accounts=frozenset({ACCOUNT}))


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("kind", wire.REQUESTS, ids=lambda kind: kind.__name__)
def test_every_request_needs_one_of_its_scopes(kind: type, scope: Scope) -> None:
    error = authorize(a_subject(scope), ONE_OF_EACH[kind])
    assert (error is None) == (scope in ANY_OF[kind])
    assert error is None or (error.category is Category.AUTH and error.field == "t")


FOREIGN = "acc-of-bob"
STRANGERS: list[tuple[Any, str]] = [
    (wire.OrderNew(id="r", cseq=1, order=an_order(account=FOREIGN)), "order.account"),
    (wire.OrderPreview(id="r", order=an_order(account=FOREIGN)), "order.account"),
    (
        wire.OrderBatch(id="r", cseq=1, orders=(an_order(), an_order("p", account=FOREIGN))),
        "orders[1].account",
    ),
    (wire.OrderCancel(id="r", cseq=1, cancel=CancelOrder(account=FOREIGN)), "cancel.account"),
    (
        wire.PositionClose(
            id="r",
            cseq=1,
            close=ClosePosition(client_order_id="c", account=FOREIGN, instrument="A"),
        ),
        "close.account",
    ),
    (wire.GuardSet(id="r", cseq=1, guard=SetGuard(kind=GuardKind.DEAD_MAN, account=FOREIGN)),
     "guard.account"),
    (wire.PositionAmend(id="r", cseq=1, protect=AmendPosition(account=FOREIGN, lot_id="1")),
     "protect.account"),
    (wire.AccountGet(id="r", account=FOREIGN), "account"),
    (wire.PositionsList(id="r", account=FOREIGN), "account"),
    (wire.OrdersList(id="r", account=FOREIGN), "account"),
    (wire.TransactionsSince(id="r", account=FOREIGN), "account"),
    (wire.Sub(id="r", streams={f"account/{FOREIGN}": 0}), f"streams.account/{FOREIGN}"),
    (wire.Sub(id="r", streams={"orders/bob": 0}), "streams.orders/bob"),
    (wire.Sub(id="r", streams={"admin": 0}), "streams.admin"),
    (wire.HaltTrading(id="r", cseq=1, halt=Halt(scope=HaltScope.ALL, reason="x")), "scope"),
    (wire.HaltTrading(id="r", cseq=1, halt=Halt(scope=HaltScope.OWNER, subject="bob", reason="x")),
     "subject"),
    (wire.ResumeTrading(id="r", cseq=1, resume=Resume(scope=HaltScope.ACCOUNT, subject=FOREIGN)),
     "subject"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "field"), STRANGERS)
def test_nobody_asks_about_what_is_anothers(request_: Any, field: str) -> None:
    error = authorize(a_subject(Scope.TRADE, Scope.READ), request_)
    assert error is not None
    assert (error.code, error.field) == ("forbidden", field)


def test_an_admin_halts_everything() -> None:
    halt = wire.HaltTrading(id="r", cseq=1, halt=Halt(scope=HaltScope.ALL, reason="x"))
    assert authorize(a_subject(Scope.ADMIN), halt) is None


@pytest.mark.parametrize(
    ("stream", "scopes", "may"),
    [
        (OWN, (Scope.DROP_COPY,), True),
        ("orders/", (Scope.ADMIN,), False),
        ("orders/bob", (Scope.ADMIN,), True),
        (f"account/{ACCOUNT}", (Scope.READ,), True),
        ("transactions/x", (Scope.READ,), False),
        ("connections", (Scope.READ,), True),
        ("connections/x", (Scope.READ,), False),
        ("admin", (Scope.ADMIN,), True),
        ("quotes/EUR/USD", (Scope.READ,), True),
        ("quotes/EUR/USD", (Scope.DROP_COPY,), False),
        ("secrets/x", (Scope.ADMIN,), False),
    ],
)
def test_who_may_follow_what(stream: str, scopes: tuple[Scope, ...], may: bool) -> None:
    assert may_follow(a_subject(*scopes), stream) is may


@pytest.mark.parametrize(
    ("role", "token", "session"),
    [
        (Role.TRADE, {Scope.TRADE, Scope.ADMIN}, {Scope.TRADE, Scope.ADMIN}),
        (Role.TRADE, {Scope.READ}, set()),
        (Role.READ, {Scope.TRADE}, {Scope.READ}),
        (Role.READ, {Scope.DROP_COPY}, set()),
        (Role.DROP_COPY, {Scope.DROP_COPY, Scope.TRADE}, {Scope.DROP_COPY}),
        (Role.DROP_COPY, {Scope.TRADE}, set()),
    ],
)
def test_a_role_takes_no_more_than_it_needs(role: Role, token: Any, session: Any) -> None:
    assert scopes_of(role, token) == session


FAULTS: list[tuple[Any, str]] = [
    (wire.OrderNew(id="r", cseq=1, order=an_order(quantity=D(-5))), "order.quantity"),
    (wire.OrderNew(id="r", cseq=1, order=an_order(type=OrderType.LIMIT)), "order.limit_price"),
    (wire.OrderPreview(id="r", order=an_order(quantity=D(0))), "order.quantity"),
    (wire.OrderBatch(id="r", cseq=1, orders=(an_order(), an_order())), "orders"),
    (
        wire.OrderBatch(id="r", cseq=1, orders=(an_order(), an_order("b", valid_for_ms=5))),
        "orders",
    ),
    (
        wire.OrderBatch(id="r", cseq=1, orders=(an_order(), an_order("b", quantity=D(0)))),
        "orders[1].quantity",
    ),
    (wire.OrderAmend(id="r", cseq=1, amend=AmendOrder(client_order_id="o")), "amend.quantity"),
    (
        wire.OrderAmend(id="r", cseq=1, amend=AmendOrder(client_order_id="o", stop_price=D(-1))),
        "amend.stop_price",
    ),
    (wire.OrderCancel(id="r", cseq=1, cancel=CancelOrder()), "cancel"),
    (wire.OrderCancel(id="r", cseq=1, cancel=CancelOrder(all=True, tag="x")), "cancel"),
    (wire.OrderGet(id="r"), "client_order_id"),
]


@pytest.mark.parametrize(("request_", "field"), FAULTS)
def test_a_fault_names_its_field(request_: Any, field: str) -> None:
    error = find_request_fault(request_)
    assert error is not None
    assert error.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"quantity": D(1), "percent": D(1)}, "close.percent"),
        ({"quantity": D(0)}, "close.quantity"),
        ({"percent": D(0)}, "close.percent"),
        ({"percent": D(101)}, "close.percent"),
    ],
)
def test_a_position_is_closed_by_a_sane_part(changes: dict[str, Decimal], field: str) -> None:
    close = ClosePosition(client_order_id="c", account=ACCOUNT, instrument="A", **changes)
    error = find_request_fault(wire.PositionClose(id="r", cseq=1, close=close))
    assert error is not None
    assert error.field == field


@pytest.mark.parametrize("kind", wire.REQUESTS, ids=lambda kind: kind.__name__)
def test_a_sound_request_has_no_fault(kind: type) -> None:
    assert find_request_fault(ONE_OF_EACH[kind]) is None


def test_a_bucket_refuses_with_the_wait_and_refills() -> None:
    bucket = Bucket(rate_per_s=10, burst=2)
    assert [bucket.take(1, 0) for _ in range(3)] == [0, 0, 100]
    assert bucket.take(1, 100 * NS_PER_MS) == 0


def test_a_request_larger_than_the_bucket_waits_for_a_full_one() -> None:
    bucket = Bucket(rate_per_s=10, burst=2)
    assert bucket.take(50, NS_PER_S) == 0
    assert bucket.take(50, NS_PER_S) == 200


def test_cancels_pass_when_orders_are_over_their_rate() -> None:
    rates = Rates(Limits(commands_per_s=1, commands_burst=1, cancels_per_s=1, cancels_burst=1))
    order, cancel = ONE_OF_EACH[wire.OrderNew], ONE_OF_EACH[wire.OrderCancel]
    assert rates.find_fault(order, 0) is None
    over = rates.find_fault(order, 0)
    assert over is not None
    assert (over.category, over.retry, over.retry_after_ms) == (Category.RATE, Retry.SAME_ID, 1000)
    assert rates.find_fault(cancel, 0) is None


def test_a_batch_counts_as_its_orders() -> None:
    rates = Rates(Limits(commands_per_s=1, commands_burst=3))
    batch = wire.OrderBatch(id="r", cseq=1, orders=tuple(an_order(str(n)) for n in range(3)))
    assert rates.find_fault(batch, 0) is None
    assert rates.find_fault(ONE_OF_EACH[wire.OrderNew], 0) is not None


def test_a_published_entry_is_sent_once_and_in_order() -> None:
    cursor = Cursor(after=3, head=3)
    assert [cursor.offer(seq) for seq in (3, 4, 4, 5)] == [False, True, False, True]
    assert not cursor.needs_page


def test_a_gap_is_read_until_it_joins_what_is_published() -> None:
    cursor = Cursor(after=0)
    assert not cursor.offer(3)
    assert cursor.needs_page
    cursor.is_reading = True
    page = StreamPage(ref=1, stream=OWN, head=3, updates=(an_update(1), an_update(2)))
    assert not cursor.offer(4)
    assert [update.seq for update in cursor.take_page(page)] == [1, 2]
    assert (cursor.needs_page, cursor.read_after) == (True, 2)


def test_a_cursor_from_now_on_learns_the_head_from_a_page() -> None:
    cursor = Cursor(after=None)
    assert (cursor.needs_page, cursor.read_after) == (True, FROM_NOW)
    assert list(cursor.take_page(StreamPage(ref=1, stream=OWN, head=9))) == []
    assert cursor.offer(10)


def test_a_deadline_is_on_the_boot_clock() -> None:
    now = Now(utc_ns=1_000, boot_ns=50, offset_ns=None)
    order = wire.OrderNew(id="r", cseq=1, order=an_order(valid_for_ms=2))
    assert find_deadline(order, now) == 50 + 2 * NS_PER_MS
    batch = wire.OrderBatch(id="r", cseq=1, orders=(an_order(valid_for_ms=2),))
    assert find_deadline(batch, now) == 50 + 2 * NS_PER_MS
    assert find_deadline(ONE_OF_EACH[wire.OrderNew], now) is None
    assert find_deadline(ONE_OF_EACH[wire.OrderCancel], now) is None


def test_an_absolute_time_needs_a_measured_clock() -> None:
    order = wire.OrderNew(id="r", cseq=1, order=an_order(valid_until_ns=5_000))
    error = find_deadline(order, Now(1_000, 50, None))
    assert isinstance(error, ErrorInfo)
    assert (error.code, error.field) == ("clock_not_measured", "order.valid_until_ns")
    assert find_deadline(order, Now(1_000, 50, -200)) == 50 + 5_000 - 200 - 1_000
    stale = find_deadline(order, Now(9_000, 50, 0))
    assert isinstance(stale, ErrorInfo)
    assert stale.code == "stale"


def test_query_arguments_are_flat() -> None:
    quotes = wire.QuoteGet(id="r", instruments=("EUR/USD", "USD/JPY"))
    assert query_args(quotes) == {"instrument": "EUR/USD,USD/JPY"}
    assert query_args(wire.OrdersList(id="r", limit=5)) == {"limit": 5}


def test_tags_are_the_protocols_names() -> None:
    assert tag_of(ONE_OF_EACH[wire.OrderNew]) == "order.new"


def test_any_other_trouble_is_malformed() -> None:
    assert from_decode_error(RecursionError()).code == "malformed"


HUGE = D(10) ** 15


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (
            wire.OrderAmend(
                id="r", cseq=1, amend=AmendOrder(client_order_id="o", limit_price=HUGE)
            ),
            "amend.limit_price",
        ),
        (
            wire.OrderAmend(
                id="r", cseq=1, amend=AmendOrder(client_order_id="o", trailing=Trailing())
            ),
            "amend.trailing",
        ),
        (
            wire.PositionClose(
                id="r",
                cseq=1,
                close=ClosePosition(
                    client_order_id="c", account="a", instrument="X", quantity=HUGE
                ),
            ),
            "close.quantity",
        ),
        (
            wire.PositionAmend(id="r", cseq=1, protect=AmendPosition(account="a", lot_id="7")),
            "protect.stop_loss",
        ),
        (
            wire.PositionAmend(
                id="r",
                cseq=1,
                protect=AmendPosition(
                    account="a", lot_id="7", take_profit=TakeProfit(limit_price=D(0))
                ),
            ),
            "protect.take_profit.limit_price",
        ),
        (wire.OrdersList(id="r", status="odd"), "status"),
        (wire.SignalNew(id="r", cseq=1, signal={"price": 1.5}), "signal.price"),
        (wire.SignalNew(id="r", cseq=1, signal={"": "x"}), "signal."),
    ],
)
def test_what_no_schema_refuses_is_refused_by_its_field(request_: wire.Request, field: str) -> None:
    fault = find_request_fault(request_)
    assert fault is not None
    assert fault.field == field


def test_a_listing_by_any_status_there_is_passes() -> None:
    for status in ("open", "all", "filled", None):
        assert find_request_fault(wire.OrdersList(id="r", status=status)) is None
