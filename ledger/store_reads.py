"""What the store is asked for: rows of one owner, bounded, within one read transaction."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from msgspec import Struct
from msgspec.msgpack import Decoder
from sqlalchemy import Connection, Select, func, select, tuple_

from domain.accounts import AccountBalances, BrokerAccount
from domain.lifecycle import OPEN, Order
from domain.portfolio import Position
from domain.streams import StreamUpdate
from domain.transactions import Transaction
from ledger import store_tables as t
from ledger.store_rows import transaction_of

_order = Decoder(Order).decode
_update = Decoder(StreamUpdate).decode
_position = Decoder(Position).decode
_balances = Decoder(AccountBalances).decode
_account = Decoder(BrokerAccount).decode


class OrderFilter(Struct, frozen=True, kw_only=True):
    """Which orders: `status` is `open`, `all`, or one of ours; older than order `before`."""

    owner: str
    status: str = "open"
    instrument: str | None = None
    account: str | None = None
    tag: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    before: str | None = None


def find_orders(connection: Connection, wanted: OrderFilter, limit: int) -> list[Order] | None:
    """Newest first; None where the owner has no order `before`."""
    c = t.orders.c
    asked = select(c.body).where(c.owner == wanted.owner)
    if wanted.status == "open":
        asked = asked.where(c.status.in_(sorted(status.value for status in OPEN)))
    elif wanted.status != "all":
        asked = asked.where(c.status == wanted.status)
    for name in ("instrument", "account", "tag"):
        value = getattr(wanted, name)
        if value is not None:
            asked = asked.where(c[name] == value)
    if wanted.since_ns is not None:
        asked = asked.where(c.received_ns >= wanted.since_ns)
    if wanted.until_ns is not None:
        asked = asked.where(c.received_ns <= wanted.until_ns)
    if wanted.before is not None:
        last = _find_place(connection, wanted)
        if last is None:
            return None
        asked = asked.where(tuple_(c.received_ns, c.order_id) < tuple_(*last))
    newest = asked.order_by(c.received_ns.desc(), c.order_id.desc()).limit(limit)
    return [_order(body) for body in connection.scalars(newest)]


def _find_place(connection: Connection, wanted: OrderFilter) -> tuple[int, str] | None:
    c = t.orders.c
    asked = select(c.received_ns).where(c.order_id == wanted.before, c.owner == wanted.owner)
    received_ns = connection.scalar(asked)
    return None if received_ns is None else (received_ns, wanted.before or "")


def find_executions(
    connection: Connection, owner: str, after: int, limit: int
) -> list[StreamUpdate]:
    """The fills of an owner after a number of `orders/<owner>`, as they were told."""
    fills, events = t.fills.c, t.events.c
    same = (fills.stream == events.stream) & (fills.seq == events.seq)
    asked = (
        select(events.body)
        .select_from(t.fills.join(t.events, same))
        .where(fills.stream == f"orders/{owner}", fills.seq > after)
        .order_by(fills.seq)
        .limit(limit)
    )
    return [_update(body) for body in connection.scalars(asked)]


def find_positions(connection: Connection, accounts: Iterable[str], limit: int) -> list[Position]:
    """What the accounts hold."""
    c = t.positions.c
    asked = select(c.body).where(c.account.in_(sorted(accounts)))
    ordered = connection.scalars(asked.order_by(c.account, c.instrument))
    # Two open lots may come to nothing; zero has many spellings, so SQL is not asked for it.
    held = (position for body in ordered if (position := _position(body)).quantity)
    return list(islice(held, limit))


def find_transactions(
    connection: Connection, account: str, after: int, limit: int
) -> list[tuple[int, Transaction]]:
    """Movements after a number, with theirs. Those of one number stay together."""
    c = t.transactions.c
    these: Select[Any] = select(c.number).where(c.account == account, c.number > after)
    last = connection.scalar(these.order_by(c.number).limit(1).offset(limit - 1))
    asked = select(t.transactions).where(c.account == account, c.number > after)
    if last is not None:
        asked = asked.where(c.number <= last)
    found = connection.execute(asked.order_by(c.number, c.broker_transaction_id)).mappings()
    return [(row["number"], transaction_of(dict(row))) for row in found]


def find_accounts(connection: Connection, accounts: Iterable[str]) -> list[BrokerAccount]:
    """The accounts that have been read from their brokers, by name."""
    c = t.accounts.c
    asked = select(c.body).where(c.account.in_(sorted(accounts))).order_by(c.account)
    return [_account(body) for body in connection.scalars(asked)]


def find_balances(connection: Connection, account: str) -> list[AccountBalances]:
    """The account's money, by currency."""
    c = t.balances.c
    asked = select(c.body).where(c.account == account).order_by(c.currency)
    return [_balances(body) for body in connection.scalars(asked)]


def read_stream(
    connection: Connection, stream: str, after: int, limit: int
) -> tuple[int, list[StreamUpdate]]:
    """The stream's head in the store, and entries after a number."""
    c = t.events.c
    head = connection.scalar(select(func.max(c.seq)).where(c.stream == stream)) or 0
    asked = select(c.body).where(c.stream == stream, c.seq > after).order_by(c.seq).limit(limit)
    return head, [_update(body) for body in connection.scalars(asked)]
