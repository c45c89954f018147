"""Movements of money: made of fills, told by brokers, and the two brought together."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from domain import events as ev
from domain import ids
from domain.lifecycle import Order, Origin
from domain.orders import NewOrder, Side
from domain.records import Ordered, Synced
from domain.records import Settled as Cause
from domain.streams import TransactionUpdate, order_update
from domain.transactions import Transaction, TransactionType
from ledger import store_tables as t
from ledger.store_database import Database
from ledger.store_reads import find_transactions
from tests.ledger.book_stories import Router, account_snapshot
from tests.ledger.store_stories import lay_down, open_store, rows

ACCOUNT = "oanda-1-account"


def sent(router: Router, **terms: object) -> Order:
    """An order with a strategy's signal, on its way to the broker."""
    count = router.next_count()
    words = {
        "client_order_id": f"c-{count}", "instrument": "EUR/USD", "side": Side.BUY,
        "quantity": Decimal(100), "signal_id": "signal-7",
    }  # fmt: skip
    command = NewOrder(**(words | terms))  # type: ignore[arg-type]
    order = Order(
        order_id=ids.order_id("ann", command.client_order_id), owner="ann", origin=Origin.CLIENT,
        terms=command, client_order_id=command.client_order_id, received_ns=count,
    )  # fmt: skip
    event = router.event(order, ev.Sending)
    order = router.step(order, event)
    cause = Ordered(command=command, digest="d", session="s", cseq=count, received_ns=count)
    router.write(cause, order_update(order, event))
    return order


def filled(router: Router, order: Order, **facts: object) -> ev.Fill:
    fill = router.event(order, ev.Fill)
    assert isinstance(fill, ev.Fill)
    fill = replace(fill, quantity=Decimal(100), price=Decimal("1.1"), **facts)
    router.report(order, fill)
    return fill


def told(name: str, **facts: object) -> TransactionUpdate:
    plain = {
        "connection": "oanda-1", "account": ACCOUNT, "broker_transaction_id": name,
        "type": TransactionType.BUY, "currency": "USD", "amount": Decimal("-110.01"),
        "traded_ns": 5, "settled_on": "2026-01-02", "fees": Decimal("0.01"),
    }  # fmt: skip
    return TransactionUpdate(transaction=Transaction(**(plain | facts)))  # type: ignore[arg-type]


def only(database: Database, router: Router, batch: int = 500) -> dict[str, object]:
    lay_down(open_store(database), router.records, [batch])
    (row,) = rows(database, t.transactions)
    return row


def test_a_fill_is_a_trade_that_names_its_order_and_its_signal(database: Database):
    router = Router()
    order = sent(router)
    fill = filled(
        router, order, currency="USD", realized_pnl=Decimal("3.20"),
        commission=Decimal("-0.15"), financing=Decimal("-0.05"), balance_after=Decimal(1003),
    )  # fmt: skip
    row = only(database, router)
    wanted = {
        "connection": "oanda-1", "broker_transaction_id": fill.broker_execution_id,
        "account": ACCOUNT, "type": "buy", "currency": "USD", "amount": Decimal("3.00"),
        "quantity": Decimal(100), "price": Decimal("1.1"), "commission": Decimal("-0.15"),
        "financing": Decimal("-0.05"), "balance_after": Decimal(1003), "owner": "ann",
        "order_id": order.order_id, "client_order_id": order.client_order_id,
        "signal_id": "signal-7", "told_by_broker": False, "retention": "ledger", "number": 2,
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted
    assert [each["signal_id"] for each in rows(database, t.fills)] == ["signal-7"]


@pytest.mark.parametrize(
    ("side", "amount"), [(Side.BUY, "-110.2"), (Side.SELL, "109.8"), (Side.SELL_SHORT, "109.8")]
)
def test_where_no_profit_is_booked_the_cash_moves_by_the_price(
    side: Side, amount: str, database: Database
):
    router = Router()
    order = sent(router, instrument="AAPL", side=side)
    filled(router, order, instrument="AAPL", side=side, commission=Decimal("-0.2"))
    row = only(database, router)
    assert row["amount"] == Decimal(amount)


@pytest.mark.parametrize(
    ("instrument", "said", "currency"),
    [("EUR/USD", None, "USD"), ("EUR/USD", "CHF", "CHF"), ("AAPL", None, "USD")],
)
def test_the_currency_is_the_broker_s_word_or_what_the_price_is_in(
    instrument: str, said: str | None, currency: str, database: Database
):
    router = Router()
    snapshot = account_snapshot("oanda-1", "1")
    router.write(Synced(connection="oanda-1", incarnation="i", snapshot=snapshot))
    order = sent(router, instrument=instrument)
    filled(router, order, instrument=instrument, currency=said)
    assert only(database, router, batch=1)["currency"] == currency


@pytest.mark.parametrize("batch", [1, 500])
@pytest.mark.parametrize("broker_first", [True, False])
def test_a_trade_that_the_broker_tells_too_is_one_row(
    broker_first: bool, batch: int, database: Database
):
    router = Router()
    order = sent(router)
    name = f"x-{router.count + 1}"
    if broker_first:
        router.write(Cause(why="read"), told(name))
    fill = filled(router, order, commission=Decimal("-0.1"))
    assert fill.broker_execution_id == name
    if not broker_first:
        router.write(Cause(why="read"), told(name))
    row = only(database, router, batch)
    assert (row["amount"], row["fees"], row["settled_on"]) == (
        Decimal("-110.01"),
        Decimal("0.01"),
        "2026-01-02",
    )
    assert (row["order_id"], row["signal_id"]) == (order.order_id, "signal-7")
    assert (row["commission"], row["told_by_broker"]) == (Decimal("-0.1"), True)
    assert (row["number"], row["record"]) == (2, 3)


@pytest.mark.parametrize("batch", [1, 500])
def test_what_a_broker_tells_twice_is_one_row_with_its_last_word(batch: int, database: Database):
    router = Router()
    router.write(Cause(why="read"), told("d-1", type=TransactionType.DIVIDEND))
    later = told("d-1", type=TransactionType.DIVIDEND, amount=Decimal(7), reconciled=True)
    router.write(Cause(why="read"), later)
    row = only(database, router, batch)
    assert (row["amount"], row["reconciled"], row["number"]) == (Decimal(7), True, 1)


def test_equal_ids_of_two_connections_are_two_movements(database: Database):
    router = Router()
    router.write(Cause(why="read"), told("1"), told("1", connection="oanda-2", account="b"))
    lay_down(open_store(database), router.records, [500])
    assert len(rows(database, t.transactions)) == 2


def test_pages_go_on_after_a_number_and_never_split_one(database: Database):
    router = Router()
    for record in range(4):
        bodies = [told(f"{record}-{piece}", amount=Decimal(record)) for piece in range(3)]
        router.write(Cause(why="read"), *bodies)
    lay_down(open_store(database), router.records, [500])
    seen, after = [], 0
    while True:
        with database.read() as connection:
            page = find_transactions(connection, ACCOUNT, after, 4)
        if not page:
            break
        after = page[-1][0]
        seen.append([moved.broker_transaction_id for _, moved in page])
    assert [len(page) for page in seen] == [6, 6]
    assert sorted(name for page in seen for name in page) == [
        f"{r}-{p}" for r in range(4) for p in range(3)
    ]
    with database.read() as connection:
        assert find_transactions(connection, "another", 0, 4) == []
        ((_, moved),) = find_transactions(connection, ACCOUNT, 3, 1)[:1]
    assert moved == told("3-0", amount=Decimal(3)).transaction
