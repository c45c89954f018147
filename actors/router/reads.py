"""Answers to queries, from the books, with a bound on every list."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from typing import Any

from actors.router import refusals
from actors.router.desk import Desk
from domain.accounts import SessionState
from domain.commands import Query, QueryAnswer
from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.events import Fill
from domain.lifecycle import OPEN, Order
from domain.rows import AccountRow, ConnectionRow, order_row
from domain.streams import OrderUpdate, StreamUpdate
from gateway.strict import encode_rows

ROWS_MAX = 500


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
        }

    def answer(self, query: Query) -> QueryAnswer:
        """Rows, or the error that says what to ask instead."""
        read = self._by_name.get(query.what)
        if read is None:
            return QueryAnswer(ref=query.ref, error=_unavailable(query.what))
        rows = read(query)
        if isinstance(rows, ErrorInfo):
            return QueryAnswer(ref=query.ref, error=rows)
        body = encode_rows(rows)
        return QueryAnswer(ref=query.ref, position=self._desk.books.number, body=body)

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
        books = self._desk.books
        status = str(query.args.get("status") or "open")
        before = query.args.get("before")
        # The order a page ended with may not be open any more: then only all of them name it.
        is_first_of_open = status == "open" and before is None
        names = list(books.orders.open) if is_first_of_open else books.orders.all_ids()
        if before is not None:
            last = books.orders.get(str(before))
            if last is None or last.owner != query.owner:
                return _unknown("before", "no such order; start again from the first page")
            names = names[: names.index(last.order_id)]
        found: list[Order] = []
        for name in reversed(names):
            order = books.orders.get(name)
            if order is not None and order.owner == query.owner and _matches(order, status, query):
                found.append(order)
            if len(found) == _limit(query):
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
        return list(islice(fills, _limit(query, ROWS_MAX)))

    def _after(self, query: Query, stream: str) -> list[StreamUpdate] | ErrorInfo:
        """What is kept of the stream after a number; an error where some of it is not."""
        books = self._desk.books
        after = int(query.args.get("after") or 0)
        updates = books.read(stream, after, books.heads.get(stream, 0))
        return _too_old(stream) if updates is None else updates

    def _positions(self, query: Query) -> Any:
        accounts = self._owned(query)
        return [
            position
            for (account, _), position in self._desk.books.positions.items()
            if account in accounts and position.quantity
        ][:ROWS_MAX]

    def _owned(self, query: Query) -> set[str]:
        wanted = query.args.get("account")
        return {
            venue.settings.account
            for venue in self._desk.venues.values()
            if venue.settings.owner == query.owner and wanted in (None, venue.settings.account)
        }

    def _accounts(self, query: Query) -> Any:
        known = self._desk.books.accounts
        return [known[name] for name in sorted(self._owned(query)) if name in known]

    def _account(self, query: Query) -> Any:
        name = query.args.get("account")
        if name not in self._owned(query):
            return _unknown("account", "no such account; see accounts.list")
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
            return _unknown("instrument", "no quote of it yet; see instruments.list")
        return [quote for quote in found if quote is not None]

    def _transactions(self, query: Query) -> Any:
        account = str(query.args.get("account"))
        if account not in self._owned(query):
            return _unknown("account", "no such account; see accounts.list")
        updates = self._after(query, f"transactions/{account}")
        if isinstance(updates, ErrorInfo):
            return updates
        return updates[: _limit(query, ROWS_MAX)]

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


def _limit(query: Query, default: int = 100) -> int:
    return max(1, min(int(query.args.get("limit") or default), ROWS_MAX))


def _unknown(field: str, message: str) -> ErrorInfo:
    return ErrorInfo(
        code=f"unknown_{field}",
        category=Category.CLIENT,
        outcome=Outcome.NONE,
        retry=Retry.NEVER,
        message=message,
        field=field,
    )


def _too_old(stream: str) -> ErrorInfo:
    return ErrorInfo(
        code="too_old",
        category=Category.CLIENT,
        outcome=Outcome.NONE,
        retry=Retry.NEVER,
        message=f"older than what is kept at hand; follow the stream {stream} from there",
        field="after",
    )


def _unavailable(what: str) -> ErrorInfo:
    return ErrorInfo(
        code="unsupported_request",
        category=Category.CLIENT,
        outcome=Outcome.NONE,
        retry=Retry.NEVER,
        message=f"{what} is not available in this release",
        field="t",
    )
