"""An account's whole state in a file, so that paper accounts survive a restart.

JSON lines: per account one row of what changes, then rows of what no longer does (facts,
finished orders, closed lots), the newest up to a limit. Replaced as a whole by rename.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path

import msgspec
from msgspec import Struct

from brokers.simulators.book import Account, Lot, Order, Position
from brokers.simulators.bookkeeping import can_rest
from brokers.simulators.facts import AnyFact
from brokers.simulators.terms import ZERO
from brokers.simulators.venue import Venue
from brokers.simulators.words import GUARDS

VERSION = 1
ROWS_A_TURN = 100
ENCODER = msgspec.json.Encoder()


class Net(Struct, frozen=True):
    """A position of a netting book: units and what they cost, signed."""

    instrument: str
    units: Decimal
    cost: Decimal


class AccountRow(Struct, frozen=True, kw_only=True, tag="account"):
    """What of an account changes."""

    id: str
    version: int
    created_ns: int
    balance: Decimal
    alias: str
    margin_rate: Decimal | None
    realized: Decimal
    financing: Decimal
    next_id: int
    last_fill_ns: int | None
    working: list[Order]
    lots: list[Lot]
    positions: list[tuple[str, Decimal, Decimal, Decimal]]
    expiring: list[tuple[int, int]]
    nets: list[Net] = []
    names: list[str] = []
    options: dict[str, bool | str] = {}


class FactRow(Struct, frozen=True, tag="fact"):
    """Something that happened."""

    account: str
    fact: AnyFact


class OrderRow(Struct, frozen=True, tag="order"):
    """A finished order."""

    account: str
    order: Order


class LotRow(Struct, frozen=True, tag="lot"):
    """A closed lot."""

    account: str
    lot: Lot


Row = AccountRow | FactRow | OrderRow | LotRow
DECODER = msgspec.json.Decoder(Row)


class BadState(ValueError):
    """A state file that cannot be read."""


class StateFile:
    """Writes the engine's accounts to one file and reads them back."""

    def __init__(self, path: Path, kept_max: int = 2_000) -> None:
        self._path = path
        self._kept_max = kept_max
        self._saved: dict[str, int] = {}
        self._saving = asyncio.Lock()

    def load(self, engine: Venue) -> None:
        """Puts the accounts back that the engine still has. Raises BadState."""
        if not self._path.exists():
            return
        for number, line in enumerate(self._path.read_bytes().splitlines(), start=1):
            try:
                row = DECODER.decode(line)
            except msgspec.MsgspecError as error:
                raise BadState(f"{self._path}:{number}: {error}") from error
            name = row.id if isinstance(row, AccountRow) else row.account
            account = engine.accounts.get(name)
            if account is not None:
                _restore(account, row)
        for account in engine.accounts.values():
            _index(account)

    async def save(self, engine: Venue) -> bool:
        """Writes the accounts if anything happened since; True where it wrote."""
        async with self._saving:
            wanted = {x.id: x.last_id for x in engine.accounts.values()}
            if wanted == self._saved:
                return False
            rows: list[bytes] = []
            # What changes is taken at one moment; the rest cannot change any more.
            frozen = [(x, _frozen_rows(x, self._kept_max)) for x in engine.accounts.values()]
            rows.extend(ENCODER.encode(_account_row(account)) for account, _ in frozen)
            for _, pending in frozen:
                for at in range(0, len(pending), ROWS_A_TURN):
                    rows.extend(ENCODER.encode(x) for x in pending[at : at + ROWS_A_TURN])
                    await asyncio.sleep(0)
            await asyncio.to_thread(self._write, b"\n".join(rows) + b"\n")
            self._saved = wanted
            return True

    def _write(self, data: bytes) -> None:
        fresh = self._path.with_name(self._path.name + ".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self._path)


def _frozen_rows(account: Account, kept_max: int) -> list[FactRow | OrderRow | LotRow]:
    name = account.id
    return [
        *(FactRow(name, x) for x in _newest(account.facts, kept_max * 3)),
        *(OrderRow(name, x) for x in _newest(account.done, kept_max)),
        *(LotRow(name, x) for x in _newest(account.closed, kept_max)),
    ]


def _newest(kept: dict[int, AnyFact] | dict[int, Order] | dict[int, Lot], limit: int) -> Iterator:  # type: ignore[type-arg]
    return reversed(list(islice(reversed(kept.values()), limit)))


def _account_row(account: Account) -> AccountRow:
    return AccountRow(
        id=account.id,
        version=VERSION,
        created_ns=account.created_ns,
        balance=account.balance,
        alias=account.alias,
        margin_rate=account.margin_rate,
        realized=account.realized,
        financing=account.financing,
        next_id=account.next_id,
        last_fill_ns=account.last_fill_ns,
        working=list(account.working.values()),
        lots=list(account.lots.values()),
        positions=[
            (x.instrument, x.long_realized, x.short_realized, x.financing)
            for x in account.positions.values()
        ],
        expiring=list(account.expiring.items()),
        nets=[
            Net(x.instrument, x.net, x.long_cost + x.short_cost)
            for x in account.positions.values()
            if account.settings.netting
        ],
        names=sorted(account.names),
        options=dict(account.options),
    )


def _restore(account: Account, row: Row) -> None:
    if isinstance(row, FactRow):
        account.facts[row.fact.id] = row.fact
    elif isinstance(row, OrderRow):
        account.done[row.order.id] = row.order
    elif isinstance(row, LotRow):
        account.closed[row.lot.id] = row.lot
    else:
        _restore_account(account, row)


def _restore_account(account: Account, row: AccountRow) -> None:
    if row.version != VERSION:
        raise BadState(f"state version {row.version}; this program reads {VERSION}")
    account.facts.clear()
    account.created_ns, account.balance = row.created_ns, row.balance
    account.alias, account.margin_rate = row.alias, row.margin_rate
    account.realized, account.financing = row.realized, row.financing
    account.next_id, account.last_fill_ns = row.next_id, row.last_fill_ns
    account.working = {x.id: x for x in row.working}
    account.lots = {x.id: x for x in row.lots}
    account.positions = {
        name: Position(
            instrument=name, long_realized=long, short_realized=short, financing=financing
        )
        for name, long, short, financing in row.positions
    }
    for net in row.nets:
        position = account.position(net.instrument)
        position.long, position.short = max(net.units, ZERO), min(net.units, ZERO)
        position.long_cost, position.short_cost = max(net.cost, ZERO), min(net.cost, ZERO)
    account.names = set(row.names)
    account.options = dict(row.options)
    account.expiring = dict(row.expiring)
    account.next_expiry_ns = min(account.expiring.values(), default=None)


def _index(account: Account) -> None:
    """Rebuilds what is derived: by instrument, by client id, by label, per position."""
    account.by_instrument.clear()
    account.by_client_id.clear()
    account.by_lot_label.clear()
    for order in [*account.done.values(), *account.working.values()]:
        if order.client_id is not None:
            account.by_client_id.setdefault(order.client_id, []).append(order.id)
    for order in account.working.values():
        if can_rest(account, order.terms):
            account.by_instrument.setdefault(order.terms.instrument, {})[order.id] = order
    account.groups.clear()
    for order in sorted([*account.done.values(), *account.working.values()], key=lambda x: x.id):
        if order.terms.group is not None:
            account.groups.setdefault(order.terms.group, []).append(order.id)
    for lot in account.lots.values():
        _index_lot(account, lot)
    for order in account.working.values():
        if order.terms.kind in GUARDS and order.terms.lot is not None:
            account.position(order.terms.instrument).guarded.add(order.terms.lot)


def _index_lot(account: Account, lot: Lot) -> None:
    position = account.position(lot.instrument)
    position.lots[lot.id] = lot
    if lot.units > 0:
        position.long += lot.units
        position.long_cost += lot.units * lot.price
    else:
        position.short += lot.units
        position.short_cost += lot.units * lot.price
    if lot.label is not None and lot.label.id is not None:
        account.by_lot_label[lot.label.id] = lot.id
