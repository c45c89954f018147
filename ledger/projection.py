"""Books: what the journal's records add up to.

Pure: no I/O, no clock. The router folds each record it makes through `apply`, a start folds
the journal through the same, so both come to the same books. A record number counts once.
"""

from __future__ import annotations

from hashlib import blake2b

from msgspec import MsgspecError, Struct, field
from msgspec.msgpack import Decoder, Encoder
from msgspec.structs import replace

from domain.accounts import AccountBalances, BrokerAccount, ConnectionState
from domain.equity import EquityHistory
from domain.history import AccountHistory, account_of, fold
from domain.lifecycle import Break
from domain.orders import AmendOrder, CancelOrder
from domain.portfolio import Position
from domain.records import (
    Changed,
    EpochStarted,
    Guard,
    GuardKind,
    Halted,
    HaltScope,
    Leased,
    LeaseWord,
    Ordered,
    Record,
    Reported,
    Resumed,
    Synced,
)
from domain.streams import (
    BalancesUpdate,
    ConnectionUpdate,
    Notice,
    NoticeKind,
    OrderUpdate,
    PositionUpdate,
    StreamUpdate,
    TransactionUpdate,
)
from ledger.order_index import OrderIndex

TAIL_UPDATES_MAX = 10_000
CHANGES_MAX = 100_000
"""Cancels and amends remembered per owner; beyond, the oldest whose orders have all ended go."""

SESSIONS_MAX = 10_000
"""Sessions per owner whose last command is remembered; beyond, the one silent for longest goes."""

FORMAT = 2

HOLDING = frozenset({NoticeKind.BREAK, NoticeKind.RESOLVED})

GuardKey = tuple[str, str, GuardKind, str | None, str | None, str | None]
"""(owner, session, kind, tag, instrument, account): a session may hold several."""


class UnreadableState(Exception):
    """Bytes that are no books of this release: replay the journal instead."""


class Change(Struct, frozen=True, kw_only=True):
    """A cancel or amend decided before; `digest` is `change_digest` of its command."""

    number: int
    orders: tuple[str, ...]
    digest: bytes


class Feed(Struct, frozen=True, kw_only=True):
    """How far a connection's events are in the journal, and the broker's cursor there."""

    incarnation: str
    last: int = 0
    cursor: str | None = None


def change_digest(command: AmendOrder | CancelOrder) -> bytes:
    """Equal for equal commands: the same request id with another body is a conflict."""
    return blake2b(_encode(command), digest_size=16).digest()


class Books(Struct, kw_only=True, forbid_unknown_fields=True):
    """The fold of records 1 to `number`. The fields are for reading; only `apply` writes.

    `positions` go by (account, instrument), `balances` by (account, currency), `changes` by
    owner and request id, `cseqs` by owner and session. `tails` keep each stream's newest
    entries: `tail_max` of them at least, twice that at most. `histories` remember how accounts that
    can trade stocks have traded, `equities` how equity went; `leases` are the newest words on each
    shard's part of the firm's limit. `held` says why an account takes no new risk: something was
    not as it can be, and the account was not found in order since.
    """

    number: int = 0
    epoch: int = 0
    epoch_started: EpochStarted | None = None
    orders: OrderIndex = field(default_factory=OrderIndex)
    heads: dict[str, int] = {}
    tails: dict[str, list[StreamUpdate]] = {}
    tail_max: int = TAIL_UPDATES_MAX
    feeds: dict[str, Feed] = {}
    changes: dict[str, dict[str, Change]] = {}
    cseqs: dict[str, dict[str, int]] = {}
    positions: dict[tuple[str, str], Position] = {}
    balances: dict[tuple[str, str], AccountBalances] = {}
    accounts: dict[str, BrokerAccount] = {}
    connections: dict[str, ConnectionState] = {}
    halts: dict[tuple[HaltScope, str], Halted] = {}
    guards: dict[GuardKey, Guard] = {}
    histories: dict[str, AccountHistory] = {}
    held: dict[str, str] = {}
    equities: dict[str, EquityHistory] = {}
    leases: dict[str, Leased] = {}

    def change(self, owner: str, request_id: str) -> Change | None:
        """What became of a cancel or amend, by its request id."""
        return self.changes.get(owner, {}).get(request_id)

    def last_cseq(self, owner: str, session: str) -> int:
        """The session's last command in the journal; 0 for none."""
        return self.cseqs.get(owner, {}).get(session, 0)

    def read(self, stream: str, after: int, limit: int) -> list[StreamUpdate] | None:
        """Entries after number `after`; None where some are older than what is kept here."""
        tail = self.tails.get(stream)
        if tail is None:
            return []
        skip = after + 1 - tail[0].seq
        return None if skip < 0 else tail[skip : skip + limit]

    def to_bytes(self) -> bytes:
        """The books as a snapshot keeps them."""
        return _encode(_Saved(format=FORMAT, books=self))

    @staticmethod
    def from_bytes(data: bytes) -> Books:
        """The books of a snapshot. Raises UnreadableState."""
        try:
            saved = _decode(data)
        except MsgspecError as error:
            raise UnreadableState(str(error)) from error
        if saved.format != FORMAT:
            raise UnreadableState(f"format {saved.format}, this release reads {FORMAT}")
        return saved.books

    def apply(self, record: Record) -> tuple[Break, ...]:
        """Folds in the next record; one folded before is passed over.

        Returns what cannot be: an event without a row, a number out of turn, an order that
        does not stand where its update says.
        """
        if record.number <= self.number:
            return ()
        assert record.number == self.number + 1
        self.number = record.number
        self.epoch = record.epoch
        found = self._apply_cause(record)
        breaks: tuple[Break, ...] = (found,) if found else ()
        for update in record.updates:
            breaks += self._apply_update(update, record)
        if isinstance(record.cause, Synced):
            self._release(record, record.cause.snapshot.account.account)
        return breaks

    def _release(self, record: Record, account: str) -> None:
        """A look at the whole account that finds nothing amiss ends its hold."""
        notices = (u.body for u in record.updates if isinstance(u.body, Notice))
        if not any(notice.kind is NoticeKind.BREAK for notice in notices):
            self.held.pop(account, None)

    def _apply_cause(self, record: Record) -> Break | None:
        match record.cause:
            case Ordered() as cause:
                owner = record.owner or ""
                self._count(owner, cause.session, cause.cseq)
                return self.orders.receive(cause, owner)
            case Reported() as cause:
                self._advance(cause.connection, cause.incarnation, cause.last, cause.cursor)
            case Changed() as cause:
                self._change(cause, record.number)
            case Synced() as cause:
                self._sync(cause)
            case Halted() as cause:
                self.halts[cause.scope, cause.subject] = cause
            case Resumed() as cause:
                self.halts.pop((cause.scope, cause.subject), None)
            case Guard() as cause:
                self._guard(cause)
            case EpochStarted() as cause:
                self.epoch_started = cause
            case Leased() as cause:
                self._lease(cause)
            case _:
                pass  # Settled, Checked, Ruled, MarketTold: their updates, if any, say it all
        return None

    def _count(self, owner: str, session: str, cseq: int) -> None:
        sessions = self.cseqs.setdefault(owner, {})
        # Taken out and put back, so that the one silent for longest comes first.
        sessions[session] = max(cseq, sessions.pop(session, 0))
        if len(sessions) > SESSIONS_MAX:
            del sessions[next(iter(sessions))]

    def _change(self, cause: Changed, number: int) -> None:
        self._count(cause.owner, cause.session, cause.cseq)
        digest = change_digest(cause.command)
        change = Change(number=number, orders=cause.orders, digest=digest)
        changes = self.changes.setdefault(cause.owner, {})
        changes.setdefault(cause.request_id, change)
        # Two looks for one that came: those put back must not make it grow.
        for _ in range(2):
            if len(changes) > CHANGES_MAX:
                self._forget_oldest(changes)

    def _forget_oldest(self, changes: dict[str, Change]) -> None:
        """One whose orders have ended can do nothing any more; one that still could goes behind."""
        request_id, oldest = next(iter(changes.items()))
        del changes[request_id]
        if any(order_id in self.orders.open for order_id in oldest.orders):
            changes[request_id] = oldest

    def _advance(self, connection: str, incarnation: str, last: int, cursor: str | None) -> None:
        before = self.feeds.get(connection)
        if before is not None and cursor is None:
            cursor = before.cursor
        self.feeds[connection] = Feed(incarnation=incarnation, last=last, cursor=cursor)

    def _sync(self, cause: Synced) -> None:
        snapshot = cause.snapshot
        account = snapshot.account.account
        before = self.feeds.get(cause.connection)
        is_same = before is not None and before.incarnation == cause.incarnation
        last = before.last if before is not None and is_same else 0
        self._advance(cause.connection, cause.incarnation, last, snapshot.cursor)
        self.accounts[account] = snapshot.account
        self.balances[account, snapshot.balances.currency] = snapshot.balances
        for key in [key for key in self.positions if key[0] == account]:
            del self.positions[key]
        for position in snapshot.positions:
            self._hold(position)

    def _hold(self, position: Position) -> None:
        key = (position.account, position.instrument)
        if position.quantity or position.lots:
            self.positions[key] = position
        else:
            self.positions.pop(key, None)

    def _lease(self, told: Leased) -> None:
        """What a shard may believe it has: nothing is counted back before it says so."""
        known = self.leases.get(told.shard)
        if told.word is LeaseWord.RECALLED and known is not None:
            told = replace(told, amount=known.amount)
        self.leases[told.shard] = told

    def _guard(self, guard: Guard) -> None:
        key = (
            guard.owner,
            guard.session,
            guard.kind,
            guard.tag,
            guard.instrument,
            guard.account,
        )
        if guard.armed:
            self.guards[key] = guard
        else:
            self.guards.pop(key, None)

    def _apply_update(self, update: StreamUpdate, record: Record) -> tuple[Break, ...]:
        gap = self._number(update, record)
        self._remember(update)
        found = None
        match update.body:
            case OrderUpdate() as body:
                found = self.orders.update(body, record)
            case PositionUpdate() as body:
                self._hold(body.position)
            case BalancesUpdate() as body:
                self.balances[body.balances.account, body.balances.currency] = body.balances
            case ConnectionUpdate() as body:
                self.connections[body.connection.connection] = body.connection
            case Notice() as body:
                self._note(body)
            case _:
                pass  # transactions are for those who read the stream
        if gap is None and found is None:
            return ()
        return tuple(each for each in (gap, found) if each is not None)

    def _note(self, notice: Notice) -> None:
        """After a break, or what a person said of an order, an account is held."""
        kind, _, account = notice.scope.partition("/")
        if notice.kind in HOLDING and kind == "account" and account:
            self.held[account] = notice.message

    def _remember(self, update: StreamUpdate) -> None:
        account = self.accounts.get(account_of(update) or "")
        if account is None:
            return
        self._follow_equity(account, update)
        if account.can_trade_stocks or isinstance(update.body, Notice):
            fold(self.histories, update)

    def _follow_equity(self, account: BrokerAccount, update: StreamUpdate) -> None:
        body, name = update.body, account.account
        if not isinstance(body, BalancesUpdate | TransactionUpdate):
            return
        known = self.equities.get(name)
        if known is None:
            known = EquityHistory(account=name, currency=account.base_currency)
            self.equities[name] = known
        if isinstance(body, BalancesUpdate):
            known.take(body.balances, update.at_ns)
        else:
            known.move(body.transaction)

    def _number(self, update: StreamUpdate, record: Record) -> Break | None:
        stream = update.stream
        head = self.heads.get(stream, 0)
        self.heads[stream] = update.seq
        tail = self.tails.setdefault(stream, [])
        if len(tail) >= 2 * self.tail_max:
            del tail[: len(tail) - self.tail_max]
        tail.append(update)
        if update.seq == head + 1:
            return None
        what = f"{stream} goes from {head} to {update.seq} in record {record.number}"
        return Break(order_id=None, what=what)


class _Saved(Struct, kw_only=True, forbid_unknown_fields=True):
    format: int
    books: Books


_encode = Encoder().encode
_decode = Decoder(_Saved).decode
