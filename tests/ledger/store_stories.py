"""Stores in which a journal's records are laid down, and what they must say."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from domain.accounts import AccountBalances, BrokerAccount, ConnectionState, SessionState
from domain.lifecycle import Order
from domain.portfolio import Position
from domain.records import Record, Settled
from domain.streams import ConnectionUpdate, Notice, NoticeKind, TransactionUpdate
from domain.transactions import Transaction, TransactionType
from ledger import store_tables as t
from ledger.journal import JournalSettings, LocalJournal, init
from ledger.projection import Books
from ledger.store import Store
from ledger.store_database import Database
from ledger.store_rebuild import compare
from ledger.store_schema import migrate
from tests.ledger.book_stories import Router

DEPLOYMENT = "deployment-1"
SETTINGS = JournalSettings(
    segment_bytes=1 << 20, reserve_bytes=1 << 16, prepare_in_background=False
)


def open_store(database: Database) -> Store:
    migrate(database)
    return Store(database, DEPLOYMENT)


def a_life(seed: int, steps: int = 200) -> list[Record]:
    """Records of every kind there is."""
    router = Router(seed)
    for number in range(3):
        router.live_on(steps // 3)
        _tell_more(router, number)
    return router.records


def _tell_more(router: Router, number: int) -> None:
    """What the story of the books leaves out: it changes rows, not books."""
    state = ConnectionState(
        connection="oanda-1", state=SessionState.CONNECTED, reason="up", since_ns=number
    )
    router.write(Settled(why="so"), ConnectionUpdate(connection=state))
    router.write(
        Settled(why="so"), Notice(kind=NoticeKind.BREAK, scope="account/x", message="look")
    )
    told = Transaction(
        connection="oanda-1",
        account="oanda-1-account",
        broker_transaction_id=f"x-{router.luck.randint(1, 60)}",
        type=TransactionType.BUY,
        currency="USD",
        amount=Decimal("-12.50"),
        traded_ns=number,
        settled_on="2026-01-02",
    )
    router.write(Settled(why="so"), TransactionUpdate(transaction=told))


def lay_down(store: Store, records: list[Record], batches: Iterable[int]) -> Store:
    """Applies the records in batches of these sizes, the last size over and over."""
    at, size = 0, 1
    sizes = iter(batches)
    while at < len(records):
        size = next(sizes, size)
        store.apply(records[at : at + size])
        at += size
    return store


def differences(one: Database, other: Database) -> list[str]:
    with one.read() as wanted, other.read() as found:
        return compare(wanted, found).differences


def bodies(database: Database, table: Any, kind: type) -> list[Any]:
    decode = msgspec.msgpack.Decoder(kind).decode
    with database.read() as connection:
        return [decode(body) for body in connection.scalars(select(table.c.body))]


def check_books(database: Database, records: list[Record]) -> None:
    """The rows say of orders, fills, holdings and money what the fold of the books says."""
    books = Books()
    for record in records:
        books.apply(record)
    wanted = (books.orders.get(name) for name in books.orders.all_ids())
    orders = {order.order_id: order for order in wanted if order is not None}
    found = {order.order_id: order for order in bodies(database, t.orders, Order)}
    assert found == orders
    assert _by_order(database) == {
        name: sorted(order.executions) for name, order in orders.items() if order.executions
    }
    positions = bodies(database, t.positions, Position)
    assert {(p.account, p.instrument): p for p in positions} == books.positions
    money = bodies(database, t.balances, AccountBalances)
    assert {(b.account, b.currency): b for b in money} == books.balances
    accounts = bodies(database, t.accounts, BrokerAccount)
    assert {account.account: account for account in accounts} == books.accounts
    assert _heads(database) == books.heads


def _by_order(database: Database) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with database.read() as connection:
        asked = select(t.fills.c.order_id, t.fills.c.execution_id)
        for order_id, execution_id in connection.execute(asked):
            found.setdefault(order_id, []).append(execution_id)
    return {name: sorted(each) for name, each in found.items()}


def _heads(database: Database) -> dict[str, int]:
    with database.read() as connection:
        found: dict[str, list[int]] = {}
        for stream, seq in connection.execute(select(t.events.c.stream, t.events.c.seq)):
            found.setdefault(stream, []).append(seq)
    assert all(sorted(seqs) == list(range(1, len(seqs) + 1)) for seqs in found.values())
    return {stream: max(seqs) for stream, seqs in found.items()}


def write_journal(directory: Path, records: list[Record]) -> Path:
    init(directory, DEPLOYMENT, SETTINGS)
    append(directory, records)
    return directory


def append(directory: Path, records: Iterable[Record]) -> None:
    journal = LocalJournal(directory, DEPLOYMENT, SETTINGS)
    for record in records:
        journal.append(record)
    journal.commit()
    journal.close()


def rows(database: Database, table: Any) -> list[dict[str, Any]]:
    with database.read() as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]
