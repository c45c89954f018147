"""The relational store: the journal's records as rows, and how far they go.

`apply` takes a batch of records and writes its rows and the position after it in one
transaction, so the store is always exactly what the records up to its position say. A record
it has applied before changes nothing; a second writer is noticed and keeps nothing. Whatever
happens to the store, the journal can make it again (store_rebuild.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from msgspec import Struct
from msgspec.msgpack import Decoder
from sqlalchemy import Connection, Table, delete, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from domain.lifecycle import Order
from domain.records import Record
from ledger import store_tables as t
from ledger.store_database import Database
from ledger.store_faults import StoreForeign, StoreMoved, StoreOld
from ledger.store_fold import Changes, Known, Needs, find_needs, fold
from ledger.store_rows import Row
from ledger.store_schema import NEWEST, find_revision

NAMES_MAX = 500
"""So many names in one question."""

REPLACED = (t.orders, t.balances, t.accounts, t.connections, t.transactions)

_order = Decoder(Order).decode


class Cursor(Struct, frozen=True, kw_only=True):
    """The last record in the store, and enough of it to know it again in the journal."""

    position: int = 0
    epoch: int = 0
    at_ns: int = 0


class Store:
    """One deployment's rows; one ledger writes them."""

    def __init__(self, database: Database, deployment_id: str) -> None:
        """Raises StoreForeign, StoreTooNew, StoreOld, StoreFailed."""
        self.database = database
        self._deployment_id = deployment_id
        self._writes = {table: _Write(database, table) for table in t.FOLDED}
        with database.write() as connection:
            found = find_revision(connection, database.place)
            if found != NEWEST:
                raise StoreOld(database.place, found)
            self._claim(connection)
            self.cursor = read_cursor(connection)

    def _claim(self, connection: Connection) -> None:
        if not check_owner(connection, self.database.place, self._deployment_id):
            first = {"id": 1, "deployment_id": self._deployment_id}
            connection.execute(insert(t.store).values(**first, position=0, epoch=0, at_ns=0))

    def apply(self, records: Sequence[Record]) -> int:
        """Writes what is new of the records; returns how many were. Raises StoreError.

        After an error nothing of them is kept, and this object knows what is.
        """
        after = self.cursor.position
        fresh = [record for record in records if record.number > after]
        if not fresh:
            return 0
        assert fresh[0].number == after + 1
        last = fresh[-1]
        with self.database.write() as connection:
            self._advance(connection, last)
            known = _load(connection, find_needs(fresh))
            self._write(connection, fold(fresh, known))
        self.cursor = Cursor(position=last.number, epoch=last.epoch, at_ns=last.at_ns)
        return len(fresh)

    def _advance(self, connection: Connection, last: Record) -> None:
        """First of all: it locks the row, so of two writers one waits, and then finds it moved."""
        moved = connection.execute(
            update(t.store)
            .where(t.store.c.position == self.cursor.position)
            .values(position=last.number, epoch=last.epoch, at_ns=last.at_ns)
        )
        if moved.rowcount != 1:
            raise StoreMoved(self.database.place)

    def clear(self) -> None:
        """Empties every table: the store is at record 0."""
        with self.database.write() as connection:
            for table in t.FOLDED:
                connection.execute(delete(table))
            connection.execute(update(t.store).values(position=0, epoch=0, at_ns=0))
        self.cursor = Cursor()

    def close(self) -> None:
        """Ends all connections; twice does no harm."""
        self.database.close()

    def _write(self, connection: Connection, changes: Changes) -> None:
        _clear_holdings(connection, changes)
        held = [holding for holding in changes.held.values() if holding.row is not None]
        found: dict[Table, list[Row]] = {
            **{table: list(rows.values()) for table, rows in changes.rows.items()},
            t.positions: [holding.row for holding in held if holding.row is not None],
            t.lots: [lot for holding in held for lot in holding.lots],
        }
        for table, rows in found.items():
            if rows:
                self._writes[table].run(connection, rows)


class _Write:
    """An insert of many rows into a table."""

    def __init__(self, database: Database, table: Table) -> None:
        # Not a statement of SQLAlchemy's: that takes longer than all the rest.
        self._text, names = database.compile(_insert(table, database.is_sqlite))
        self._values = itemgetter(*names)

    def run(self, connection: Connection, rows: Iterable[Row]) -> None:
        connection.exec_driver_sql(self._text, list(map(self._values, rows)))


def check_owner(connection: Connection, place: str, deployment_id: str) -> bool:
    """True where the store is the deployment's, False where nobody's yet. Raises StoreForeign."""
    owner = connection.scalar(select(t.store.c.deployment_id))
    if owner is not None and owner != deployment_id:
        raise StoreForeign(place, owner, deployment_id)
    return owner is not None


def read_cursor(connection: Connection) -> Cursor:
    """How far the store is, within a transaction."""
    asked = select(t.store.c.position, t.store.c.epoch, t.store.c.at_ns)
    row = connection.execute(asked).one_or_none()
    if row is None:
        return Cursor()
    return Cursor(position=row.position, epoch=row.epoch, at_ns=row.at_ns)


def _insert(table: Table, is_sqlite: bool) -> Any:
    """An insert; of what is replaced, one that replaces the row of the same key."""
    statement = sqlite.insert(table) if is_sqlite else postgresql.insert(table)
    keys = [column.name for column in table.primary_key]
    if table not in REPLACED:
        return statement
    changed = {c.name: statement.excluded[c.name] for c in table.c if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def _clear_holdings(connection: Connection, changes: Changes) -> None:
    """Positions and their lots: what was there goes before what is held comes."""
    for table in (t.positions, t.lots):
        for names in _pieces(changes.cleared):
            connection.execute(delete(table).where(table.c.account.in_(names)))
        for keys in _pieces(changes.held):
            key = tuple_(table.c.account, table.c.instrument)
            connection.execute(delete(table).where(key.in_(keys)))


def _load(connection: Connection, needs: Needs) -> Known:
    """What the fold of a batch must know of the rows there are."""
    known = Known(orders=_load_orders(connection, needs.orders))
    for names in _pieces(needs.movements):
        asked = select(t.transactions).where(t.transactions.c.broker_transaction_id.in_(names))
        for row in connection.execute(asked).mappings():
            known.movements[row["broker_transaction_id"], row["connection"]] = dict(row)
    parents = {row["order_id"] for row in known.movements.values() if row["order_id"]}
    known.orders |= _load_orders(connection, parents - known.orders.keys())
    columns = (t.accounts.c.account, t.accounts.c.base_currency, t.accounts.c.owner)
    for account, currency, owner in connection.execute(select(*columns)):
        known.homes[account], known.owners[account] = currency, owner
    return known


def _load_orders(connection: Connection, names: Iterable[str]) -> dict[str, Order]:
    found: dict[str, Order] = {}
    for piece in _pieces(names):
        asked = select(t.orders.c.order_id, t.orders.c.body).where(t.orders.c.order_id.in_(piece))
        found |= {name: _order(body) for name, body in connection.execute(asked)}
    return found


def _pieces(names: Iterable[Any]) -> Iterable[list[Any]]:
    whole = list(names)
    for at in range(0, len(whole), NAMES_MAX):
        yield whole[at : at + NAMES_MAX]
