"""The state of a durable stream at its head: where one who follows it from there on begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.router.desk import Desk
from domain.lifecycle import Order
from domain.rows import OrderRow

TRANSACTIONS_MAX = 100

Row = Callable[[Order], OrderRow]


class Snapshots:
    """Rows by the stream's kind. Who may follow a stream is the edge's to say."""

    def __init__(self, desk: Desk, row: Row) -> None:
        self._desk = desk
        self._row = row
        self._by_kind: dict[str, Callable[[str, str], Any]] = {
            "orders": self._orders,
            "account": self._account,
            "transactions": self._transactions,
            "connections": self._connections,
            "admin": self._admin,
        }

    def read(self, stream: str, owner: str) -> Any:
        """The rows, or None where there is no such stream."""
        kind, _, name = stream.partition("/")
        read = self._by_kind.get(kind)
        return None if read is None else read(name, owner)

    def _orders(self, owner: str, _asker: str) -> Any:
        """The open ones, oldest first: a final order changes no more but by a late fill."""
        orders = self._desk.books.orders.open.values()
        return [self._row(order) for order in orders if order.owner == owner]

    def _account(self, account: str, _asker: str) -> Any:
        books = self._desk.books
        positions = [p for (held_by, _), p in books.positions.items() if held_by == account]
        return {
            "account": books.accounts.get(account),
            "balances": [b for (held_by, _), b in books.balances.items() if held_by == account],
            "positions": [p for p in positions if p.quantity or p.lots],
        }

    def _transactions(self, account: str, _asker: str) -> Any:
        """The newest; older ones are read by `transactions.since`."""
        books = self._desk.books
        stream = f"transactions/{account}"
        head = books.heads.get(stream, 0)
        return books.read(stream, max(head - TRANSACTIONS_MAX, 0), TRANSACTIONS_MAX) or []

    def _connections(self, _name: str, asker: str) -> Any:
        return [
            {
                "connection": name,
                "state": venue.state.value if venue.is_attached else "disconnected",
            }
            for name, venue in self._desk.venues.items()
            if venue.settings.owner == asker
        ]

    def _admin(self, _name: str, _asker: str) -> Any:
        """The halts in force."""
        return list(self._desk.halts())
