"""Answers to queries, from the books, with a bound on every list.

Lists are the ledger's to answer (actors/ledger_reads.py); the router does while that is away.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from typing import Any

from actors import rows
from actors.router import refusals
from actors.router.desk import Desk
from actors.router.snapshots import Snapshots
from domain.accounts import SessionState
from domain.commands import Query, QueryAnswer
from domain.errors import ErrorInfo
from domain.events import Fill
from domain.lifecycle import OPEN, Order
from domain.rows import AccountRow, ConnectionRow, order_row
from domain.streams import OrderUpdate, StreamUpdate
from gateway.strict import encode_rows


class Reads:
    """Queries of one owner over the desk's books."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._by_name: dict[str, Callable[[Query], Any]] = {
            "order.get": self._order,
            "orders.list": self._orders,
            "executions.since": self._executions,
            "positions.list": self._positions,
            "accounts.list": self._accounts,
            "account.get": self._account,
            "instruments.list": self._instruments,
            "quote.get": self._quotes,
            "transactions.since": self._transactions,
            "connections.list": self._connections,
            "snapshot": self._snapshot,
        }
        self._snapshots = Snapshots(desk, order_row)

    def answer(self, query: Query) -> QueryAnswer:
        """Rows, or the error that says what to ask instead."""
        read = self._by_name.get(query.what)
        if read is None:
            return QueryAnswer(ref=query.ref, error=rows.unavailable(query.what))
        books = self._desk.books
        position = books.number
        if query.at_least > position:
            return QueryAnswer(ref=query.ref, error=rows.not_there_yet(position))
        found = read(query)
        if isinstance(found, ErrorInfo):
            return QueryAnswer(ref=query.ref, error=found)
        if query.what == "snapshot":
            # Of a stream's state, the number it stands at.
            position = books.heads.get(str(query.args.get("stream")), 0)
        return QueryAnswer(ref=query.ref, position=position, body=encode_rows(found))

    def _snapshot(self, query: Query) -> Any:
        found = self._snapshots.read(str(query.args.get("stream")), query.owner)
        return rows.unknown("stream", "no such stream") if found is None else found

    def _order(self, query: Query) -> Any:
        books = self._desk.books
        client_order_id = query.args.get("client_order_id")
        if client_order_id is not None:
            order = books.orders.of_client(query.owner, str(client_order_id))
        else:
            order = books.orders.get(str(query.args.get("order_id")))
        if order is None or order.owner != query.owner:
            return refusals.UNKNOWN_ORDER
        return order_row(order)

    def _orders(self, query: Query) -> Any:
        """Newest first; `status` is `open` (the default), `all`, or one of ours."""
        before = query.args.get("before")
        if before is not None:
            # Our order of ended orders is not the ledger's: a page of each would not fit.
            last = self._desk.books.orders.get(str(before))
            is_own = last is not None and last.owner == query.owner
            return rows.LEDGER_AWAY if is_own else rows.UNKNOWN_BEFORE
        books = self._desk.books
        status = str(query.args.get("status") or "open")
        names = list(books.orders.open) if status == "open" else books.orders.all_ids()
        found: list[Order] = []
        for name in reversed(names):
            order = books.orders.get(name)
            if order is not None and order.owner == query.owner and _matches(order, status, query):
                found.append(order)
            if len(found) == rows.limit_of(query):
                break
        return [order_row(order) for order in found]

    def _executions(self, query: Query) -> Any:
        """Fill updates of the owner's order stream after a number."""
        updates = self._after(query, f"orders/{query.owner}")
        if isinstance(updates, ErrorInfo):
            return updates
        fills = (
            update
            for update in updates
            if isinstance(update.body, OrderUpdate) and isinstance(update.body.event, Fill)
        )
        return list(islice(fills, rows.limit_of(query, rows.ROWS_MAX)))

    def _after(self, query: Query, stream: str) -> list[StreamUpdate] | ErrorInfo:
        """What is kept of the stream after a number; an error where some of it is not."""
        books = self._desk.books
        after = int(query.args.get("after") or 0)
        updates = books.read(stream, after, books.heads.get(stream, 0))
        return rows.too_old(stream) if updates is None else updates

    def _positions(self, query: Query) -> Any:
        accounts = self._owned(query)
        return [
            position
            for (account, _), position in self._desk.books.positions.items()
            if account in accounts and position.quantity
        ][: rows.ROWS_MAX]

    def _owned(self, query: Query) -> set[str]:
        return rows.owned_accounts(query, (v.settings for v in self._desk.venues.values()))

    def _accounts(self, query: Query) -> Any:
        known = self._desk.books.accounts
        return [known[name] for name in sorted(self._owned(query)) if name in known]

    def _account(self, query: Query) -> Any:
        name = query.args.get("account")
        if name not in self._owned(query):
            return rows.UNKNOWN_ACCOUNT
        books = self._desk.books
        balances = [held for (owner, _), held in books.balances.items() if owner == name]
        return AccountRow(account=books.accounts.get(str(name)), balances=tuple(balances))

    def _instruments(self, query: Query) -> Any:
        found = {}
        for venue in self._desk.venues.values():
            if venue.settings.owner == query.owner:
                found.update(venue.instruments)
        return [found[name] for name in sorted(found)]

    def _quotes(self, query: Query) -> Any:
        names = str(query.args.get("instrument") or "").split(",")
        found = [self._desk.find_quote(name) for name in names]
        if not any(found):
            return rows.unknown("instrument", "no quote of it yet; see instruments.list")
        return [quote for quote in found if quote is not None]

    def _transactions(self, query: Query) -> Any:
        account = str(query.args.get("account"))
        if account not in self._owned(query):
            return rows.UNKNOWN_ACCOUNT
        # The books hold none: they are made of fills, and numbered, by the ledger.
        return rows.LEDGER_AWAY

    def _connections(self, query: Query) -> Any:
        return [
            ConnectionRow(
                connection=name,
                broker=venue.settings.broker,
                environment=venue.settings.environment,
                account=venue.settings.account,
                state=venue.state if venue.is_attached else SessionState.DISCONNECTED,
                in_flight=len(venue.in_flight),
                ready=len(venue.ready),
                credits=venue.credits,
                breaker=venue.breaker,
            )
            for name, venue in self._desk.venues.items()
            if venue.settings.owner == query.owner
        ]


def _matches(order: Order, status: str, query: Query) -> bool:
    args = query.args
    instrument, tag = args.get("instrument"), args.get("tag")
    since_ns, until_ns = int(args.get("since_ns") or 0), int(args.get("until_ns") or sys.maxsize)
    return (
        (status in ("all", order.status.value) or (status == "open" and order.status in OPEN))
        and instrument in (None, order.instrument)
        and args.get("account") in (None, order.account)
        and since_ns <= order.received_ns <= until_ns
        and (tag is None or (order.terms is not None and order.terms.tag == tag))
    )
