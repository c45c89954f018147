"""A batch of records to the rows it leaves behind: the last word of each key. Pure.

Orders are folded as the books fold them (order_index.py), from where the store has those that
the batch speaks of; the rest is told whole by each record. So the rows are the same however the
records are cut into batches.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct, field
from sqlalchemy import Table

from domain import ids
from domain.accounts import AccountBalances
from domain.events import External, Fill
from domain.lifecycle import Break, Order, apply
from domain.portfolio import Position
from domain.records import Ordered, Record, Synced
from domain.streams import (
    BalancesUpdate,
    ConnectionUpdate,
    Notice,
    OrderUpdate,
    PositionUpdate,
    StreamUpdate,
    TransactionUpdate,
    UpdateBody,
)
from ledger import store_rows as rows
from ledger import store_tables as t
from ledger.order_index import begin, connection_of, discover
from ledger.store_rows import Row

Key = tuple[Any, ...]
Movement = tuple[str, str]
"""(broker transaction id, connection)."""


class Needs(Struct, frozen=True):
    """What of the store a batch must see before it can be folded: order ids, movement ids."""

    orders: set[str]
    movements: set[str]


class Known(Struct, kw_only=True):
    """That, as the store has it: orders, their parents' entries, movements; home currencies."""

    orders: dict[str, Order] = {}
    movements: dict[Movement, Row] = {}
    homes: dict[str, str] = {}
    owners: dict[str, str | None] = {}


class Holding(Struct, frozen=True):
    """What an account holds of an instrument; None: nothing any more."""

    row: Row | None
    lots: list[Row]


class Changes(Struct):
    """What a batch leaves behind. Holdings are written anew whole, an account's or one's."""

    rows: dict[Table, dict[Key, Row]] = field(default_factory=dict)
    cleared: set[str] = field(default_factory=set)
    held: dict[tuple[str, str], Holding] = field(default_factory=dict)

    def put(self, table: Table, key: Key, row: Row) -> None:
        """The row of a key from now on."""
        self.rows.setdefault(table, {})[key] = row


def find_needs(records: Iterable[Record]) -> Needs:
    """What the records speak of."""
    needs = Needs(orders=set(), movements=set())
    for record in records:
        cause = record.cause
        if isinstance(cause, Ordered):
            needs.orders.add(ids.order_id(record.owner or "", cause.command.client_order_id))
        for update in record.updates:
            _need(update.body, needs)
    return needs


def _need(body: UpdateBody, needs: Needs) -> None:
    if isinstance(body, TransactionUpdate):
        needs.movements.add(body.transaction.broker_transaction_id)
    elif isinstance(body, OrderUpdate):
        needs.orders.add(body.order_id)
        event = body.event
        if isinstance(event, Fill):
            needs.movements.add(event.broker_execution_id)
        elif isinstance(event, External) and event.parent_execution:
            needs.movements.add(event.parent_execution)


def fold(records: Iterable[Record], known: Known) -> Changes:
    """The rows that the records leave behind."""
    folding = _Fold(known)
    for record in records:
        folding.apply(record)
    return folding.finish()


class _Fold:
    """One batch on its way through."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._orders = dict(known.orders)
        self._touched: dict[str, Record] = {}
        self._held: dict[tuple[str, str], tuple[Position, Record]] = {}
        self._money: dict[tuple[str, str], tuple[AccountBalances, Record, str | None]] = {}
        self._changes = Changes()
        self._events = self._changes.rows.setdefault(t.events, {})

    def finish(self) -> Changes:
        """The changes: orders, holdings and money as the last of the batch leaves them."""
        for order_id, record in self._touched.items():
            row = rows.order_row(self._orders[order_id], record)
            self._changes.put(t.orders, (order_id,), row)
        for key, (position, record) in self._held.items():
            self._changes.held[key] = self._holding(position, record)
        for key, told in self._money.items():
            self._changes.put(t.balances, key, rows.balances_row(*told))
        return self._changes

    def _holding(self, position: Position, record: Record) -> Holding:
        if not (position.quantity or position.lots):
            return Holding(None, [])
        owner = self._owner(position.account, record)
        lots = list(rows.lot_rows(position, record, owner))
        return Holding(rows.position_row(position, record, owner), lots)

    def apply(self, record: Record) -> None:
        """One record: its cause, then its updates in their order."""
        match record.cause:
            case Ordered() as cause:
                order = begin(cause, record.owner or "")
                if order.order_id not in self._orders:
                    self._orders[order.order_id] = order
                    self._touched[order.order_id] = record
            case Synced() as cause:
                self._sync(cause, record)
            case _:
                pass
        act = rows.audit_row(record)
        if act is not None:
            self._changes.put(t.audit, (record.number,), act)
        origin = rows.origin(record, record.owner)
        for update in record.updates:
            self._events[update.stream, update.seq] = rows.event_row(update, origin)
            self._update(update, record)

    def _sync(self, cause: Synced, record: Record) -> None:
        """What the account holds is replaced, as the fold of the books does it."""
        snapshot, changes = cause.snapshot, self._changes
        account = snapshot.account
        self._known.homes[account.account] = account.base_currency
        self._known.owners[account.account] = account.owner
        changes.put(t.accounts, (account.account,), rows.account_row(account, record))
        self._balances(snapshot.balances, record)
        changes.cleared.add(account.account)
        for key in [key for key in self._held if key[0] == account.account]:
            del self._held[key]
        for position in snapshot.positions:
            self._held[position.account, position.instrument] = (position, record)

    def _update(self, update: StreamUpdate, record: Record) -> None:
        changes = self._changes
        match update.body:
            case OrderUpdate() as body:
                self._order(body, update, record)
            case PositionUpdate(position=position):
                self._held[position.account, position.instrument] = (position, record)
            case BalancesUpdate(balances=money):
                self._balances(money, record)
            case ConnectionUpdate(connection=state):
                key = (state.connection,)
                changes.put(t.connections, key, rows.connection_row(state, record))
            case TransactionUpdate(transaction=told):
                owner = self._owner(told.account, record)
                self._move(rows.transaction_row(told, record, owner) | {"told_by_broker": True})
            case Notice() as body:
                row = rows.notice_row(body, update, record)
                changes.put(t.notices, (update.stream, update.seq), row)

    def _owner(self, account: str, record: Record) -> str | None:
        return record.owner or self._known.owners.get(account)

    def _balances(self, money: AccountBalances, record: Record) -> None:
        owner = self._owner(money.account, record)
        self._money[money.account, money.currency] = (money, record, owner)

    def _order(self, body: OrderUpdate, update: StreamUpdate, record: Record) -> None:
        event = body.event
        before = self._orders.get(body.order_id)
        if before is None and isinstance(event, External):
            parent = body.parent_order_id or self._parent(event, record)
            before = discover(body, record, parent)
        after = apply(before, event) if before is not None else None
        # What cannot be was told to people when it was journaled: it changes nothing here either.
        if before is None or after is None or isinstance(after, Break):
            return
        self._orders[after.order_id] = after
        self._touched[after.order_id] = record
        if isinstance(event, Fill) and after is not before:
            self._fill(after, event, update, record)

    def _parent(self, event: External, record: Record) -> str | None:
        """The bracket order of whose entry this is a child."""
        movement = self._movement((event.parent_execution or "", connection_of(record) or ""))
        parent = self._orders.get(movement["order_id"] or "") if movement is not None else None
        is_bracket = parent is not None and parent.terms is not None and parent.terms.bracket
        return parent.order_id if parent is not None and is_bracket else None

    def _fill(self, order: Order, fill: Fill, update: StreamUpdate, record: Record) -> None:
        row = rows.fill_row(order, fill, update, record)
        self._changes.put(t.fills, (update.stream, update.seq), row)
        home = self._known.homes.get(order.account or "")
        derived = rows.transaction_row(rows.trade(order, fill, home), record, order.owner)
        self._move(derived | {"client_order_id": order.client_order_id})

    def _movement(self, key: Movement) -> Row | None:
        moved = self._changes.rows.get(t.transactions, {}).get(key)
        return moved or self._known.movements.get(key)

    def _move(self, row: Row) -> None:
        """A movement, once however often and by whomever it is told."""
        key = (row["broker_transaction_id"], row["connection"])
        before = self._movement(key)
        if before is not None and row["told_by_broker"]:
            row = rows.merge(row, before)
        elif before is not None:
            row = rows.merge(before, row) if before["told_by_broker"] else before
        self._changes.put(t.transactions, key, row)
