"""Rows of one owner, bounded, in a fixed order; and who did what."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from msgspec.structs import replace

from domain import events as ev
from domain.lifecycle import OPEN
from domain.portfolio import Lot, Position
from domain.records import EpochStarted, Guard, GuardKind, Halted, HaltScope, Resumed, Settled
from domain.screening import Candidate, Verdict, Violation
from domain.streams import PositionUpdate
from ledger import store_reads as reads
from ledger import store_tables as t
from ledger.store_database import Database
from ledger.store_reads import OrderFilter
from tests.ledger.book_stories import Router, account_snapshot
from tests.ledger.store_stories import lay_down, open_store, rows

ANN = OrderFilter(owner="ann", status="all")


@pytest.fixture
def router(database: Database) -> Router:
    """A life laid down in the store."""
    router = Router(4).live_on(200)
    lay_down(open_store(database), router.records, [50])
    return router


def ids_of(database: Database, wanted: OrderFilter, limit: int = 500) -> list[str]:
    with database.read() as connection:
        found = reads.find_orders(connection, wanted, limit)
    assert found is not None
    return [order.order_id for order in found]


def test_orders_come_newest_first_and_page_by_page(router: Router, database: Database):
    everything = ids_of(database, ANN)
    assert set(everything) == {o.order_id for o in router.orders.values() if o.owner == "ann"}
    paged: list[str] = []
    while page := ids_of(database, replace(ANN, before=paged[-1] if paged else None), 7):
        paged += page
    assert paged == everything
    with database.read() as connection:
        assert reads.find_orders(connection, replace(ANN, before="nobody's"), 5) is None
        stranger = replace(ANN, owner="bob", before=everything[0])
        assert reads.find_orders(connection, stranger, 5) is None


def test_orders_are_found_by_what_they_are(router: Router, database: Database):
    ours = [order for order in router.orders.values() if order.owner == "ann"]
    working = {order.order_id for order in ours if order.status in OPEN}
    assert set(ids_of(database, replace(ANN, status="open"))) == working != set()
    canceled = {order.order_id for order in ours if order.status.value == "canceled"}
    assert set(ids_of(database, replace(ANN, status="canceled"))) == canceled != set()
    assert ids_of(database, replace(ANN, tag="none")) == []
    assert ids_of(database, replace(ANN, instrument="none")) == []
    account = {order.order_id for order in ours if order.account}
    assert set(ids_of(database, replace(ANN, account="oanda-1-account"))) == account
    middle = sorted(order.received_ns for order in ours if order.terms)[5]
    newer, older = (
        ids_of(database, replace(ANN, since_ns=middle)),
        ids_of(database, replace(ANN, until_ns=middle - 1)),
    )
    assert newer
    assert older
    assert set(newer) | set(older) == set(ids_of(database, ANN))


def test_executions_are_the_updates_that_told_them(router: Router, database: Database):
    told = [
        update
        for record in router.records
        for update in record.updates
        if update.stream == "orders/ann" and isinstance(getattr(update.body, "event", 0), ev.Fill)
    ]
    with database.read() as connection:
        assert reads.find_executions(connection, "ann", 0, 500) == told
        after = told[2].seq
        assert reads.find_executions(connection, "ann", after, 2) == told[3:5]
        assert reads.find_executions(connection, "nobody", 0, 500) == []


def test_a_stream_is_read_from_any_number(router: Router, database: Database):
    told = [u for record in router.records for u in record.updates if u.stream == "orders/bob"]
    with database.read() as connection:
        assert reads.read_stream(connection, "orders/bob", 0, 5) == (len(told), told[:5])
        assert reads.read_stream(connection, "orders/bob", 7, 999) == (len(told), told[7:])
        assert reads.read_stream(connection, "orders/nobody", 0, 5) == (0, [])


def test_accounts_and_balances_are_as_last_synced(router: Router, database: Database):
    snapshot = account_snapshot("oanda-1", "")
    with database.read() as connection:
        assert reads.find_accounts(connection, ["oanda-1-account", "x"]) == [snapshot.account]
        assert reads.find_balances(connection, "oanda-1-account") == [snapshot.balances]
        assert reads.find_balances(connection, "x") == []


def held(instrument: str, quantity: str, *lots: tuple[str, str]) -> Position:
    return Position(
        account="a",
        instrument=instrument,
        quantity=Decimal(quantity),
        lots=tuple(
            Lot(
                lot_id=name, instrument=instrument, quantity=Decimal(size), price=Decimal("1.5"),
                opened_ns=number, opened_sequence=number,
            )
            for number, (name, size) in enumerate(lots, 1)
        ),
    )  # fmt: skip


@pytest.mark.parametrize("batch", [1, 9])
def test_positions_and_lots_are_those_held_now(batch: int, database: Database):
    router = Router()
    now = (held("EUR/USD", "3", ("2", "3")), held("GBP/USD", "0.00", ("3", "1"), ("4", "-1")))
    for position in (held("EUR/USD", "5", ("1", "2"), ("2", "3")), held("JPY", "1"), *now):
        router.write(Settled(why="x"), PositionUpdate(position=position))
    router.write(Settled(why="x"), PositionUpdate(position=held("JPY", "0")))
    lay_down(open_store(database), router.records, [batch])
    with database.read() as connection:
        assert reads.find_positions(connection, ["a", "b"], 9) == [now[0]]
        assert reads.find_positions(connection, ["b"], 9) == []
    assert [(row["lot_id"], row["quantity"]) for row in rows(database, t.lots)] == [
        ("2", Decimal(3)),
        ("3", Decimal(1)),
        ("4", Decimal(-1)),
    ]


def test_each_check_and_each_act_is_a_row_of_the_audit(database: Database):
    router = Router()
    candidate = Candidate(connection="oanda-1", account="a")
    no = Violation(
        code="too_big", rule="max_quantity", citation="house", message="too big",
        numbers={"limit": "5"},
    )  # fmt: skip
    for violation in (None, no):
        router.order()
        record = router.records[-1]
        verdict = Verdict(
            id="v", incarnation="c", candidate=candidate, violation=violation,
            warnings=(replace(no, code="odd"),),
        )  # fmt: skip
        router.records[-1] = replace(record, cause=replace(record.cause, verdict=verdict))
    halted = Halted(scope=HaltScope.ACCOUNT, subject="a", by="ops", reason="test")
    guard = Guard(owner="ann", session="s", kind=GuardKind.DEAD_MAN, grace_ms=5, tag="t")
    for cause in (
        halted, Resumed(scope=HaltScope.ACCOUNT, subject="a", by="ops"), guard,
        replace(guard, armed=False), EpochStarted(boot_id="b", incarnation="i"),
        Settled(why="nothing to see"),
    ):  # fmt: skip
        router.write(cause)
    lay_down(open_store(database), router.records, [4])
    found = rows(database, t.audit)
    assert [(row["actor"], row["act"], row["subject"], row["outcome"]) for row in found] == [
        ("compliance", "screen", "c-1", "passed"),
        ("compliance", "screen", router.records[1].cause.command.client_order_id, "too_big"),
        ("ops", "halt", "account/a", "done"),
        ("ops", "resume", "account/a", "done"),
        ("ann", "guard.arm", "s", "done"),
        ("ann", "guard.lift", "s", "done"),
        ("router", "epoch.start", "1", "done"),
    ]
    assert {row["retention"] for row in found} == {"audit"}
    detail = json.loads(found[1]["detail"])
    assert (detail["rule"], detail["number.limit"], detail["warnings"]) == (
        "max_quantity",
        "5",
        "odd",
    )
    assert json.loads(found[2]["detail"]) == {"reason": "test"}
    assert json.loads(found[4]["detail"])["tag"] == "t"
