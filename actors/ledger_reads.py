"""Answers to queries, from the store: the same rows that the router gives of its books."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection

from actors.ledger_side import SERVED
from actors.rows import (
    ROWS_MAX,
    UNKNOWN_ACCOUNT,
    UNKNOWN_BEFORE,
    limit_of,
    owned_accounts,
)
from actors.settings import ConnectionSettings
from domain.commands import Query, ReadStream, StreamPage
from domain.errors import ErrorInfo
from domain.rows import AccountRow, TransactionRow, order_row
from ledger import store_reads
from ledger.store_reads import OrderFilter

PAGE_MAX = 500


class LedgerReads:
    """Queries of one owner; each within a read transaction that it is given."""

    def __init__(self, connections: tuple[ConnectionSettings, ...]) -> None:
        self._connections = connections
        self._by_name: dict[str, Callable[[Connection, Query], Any]] = {
            "orders.list": self._orders,
            "executions.since": self._executions,
            "positions.list": self._positions,
            "transactions.since": self._transactions,
            "accounts.list": self._accounts,
            "account.get": self._account,
        }
        assert self._by_name.keys() == SERVED

    def rows(self, store: Connection, query: Query) -> Any:
        """The rows, or an ErrorInfo."""
        return self._by_name[query.what](store, query)

    def page(self, store: Connection, read: ReadStream) -> StreamPage:
        """Entries of a stream, however old."""
        limit = min(read.limit, PAGE_MAX)
        head, updates = store_reads.read_stream(store, read.stream, read.after, limit)
        # The router may be ahead: told of its head, the reader asks on until it is there.
        head = max(head, read.head)
        return StreamPage(ref=read.ref, stream=read.stream, head=head, updates=tuple(updates))

    def _orders(self, store: Connection, query: Query) -> Any:
        args = {name: query.args.get(name) for name in _FILTERS}
        words = {name: value for name, value in args.items() if value is not None}
        wanted = msgspec.convert({"owner": query.owner, **words}, OrderFilter)
        found = store_reads.find_orders(store, wanted, limit_of(query))
        return UNKNOWN_BEFORE if found is None else [order_row(order) for order in found]

    def _executions(self, store: Connection, query: Query) -> Any:
        limit = limit_of(query, ROWS_MAX)
        return store_reads.find_executions(store, query.owner, _after(query), limit)

    def _positions(self, store: Connection, query: Query) -> Any:
        accounts = owned_accounts(query, self._connections)
        return store_reads.find_positions(store, accounts, ROWS_MAX)

    def _transactions(self, store: Connection, query: Query) -> Any:
        account = str(query.args.get("account"))
        if account not in owned_accounts(query, self._connections):
            return UNKNOWN_ACCOUNT
        limit = limit_of(query, ROWS_MAX)
        found = store_reads.find_transactions(store, account, _after(query), limit)
        return [TransactionRow(seq=number, transaction=moved) for number, moved in found]

    def _accounts(self, store: Connection, query: Query) -> Any:
        return store_reads.find_accounts(store, owned_accounts(query, self._connections))

    def _account(self, store: Connection, query: Query) -> ErrorInfo | AccountRow:
        name = str(query.args.get("account"))
        if name not in owned_accounts(query, self._connections):
            return UNKNOWN_ACCOUNT
        found = next(iter(store_reads.find_accounts(store, [name])), None)
        balances = tuple(store_reads.find_balances(store, name))
        return AccountRow(account=found, balances=balances)


_FILTERS = tuple(name for name in OrderFilter.__struct_fields__ if name != "owner")


def _after(query: Query) -> int:
    return int(query.args.get("after") or 0)
