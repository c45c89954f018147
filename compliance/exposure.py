"""What each account holds and has reserved: a fold of the router's stream, asked in O(1).

An order reserves its whole quantity when it passes the screen, keeps it while its outcome is
unknown, gives it back by fills and ends it with its life. Updates may come twice or late: an
order's version, and a stream's number for positions and balances, say which are news. Positions
are as told: the update that carries a fill's position comes in the same record as the fill.
All sums are kept by adding and taking away exact amounts, so they equal a recomputation.
"""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal

from msgspec.structs import replace

from compliance.credit import CreditBook
from compliance.holding import AccountExposure, Fingerprint, Holding, OpenOrder, Weigher
from compliance.limits import MarketSettings
from compliance.magnitude import VALUE_MAX
from compliance.progress import note_message, note_progress
from compliance.resting import RestingPrices
from compliance.rule import price_of
from domain.accounts import AccountBalances, AccountSnapshot
from domain.events import AmendRefused, External, Replaced, Triggered
from domain.lifecycle import OPEN, TERMINAL, Order, Origin, Pending, Status
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.portfolio import ZERO, Position
from domain.records import Halted, HaltScope
from domain.streams import OrderUpdate
from domain.transactions import Transaction

CLOSED_ORDERS_MAX = 100_000
"""Ended orders remembered, so that no late update brings one back; the oldest are forgotten."""

NO_LIMITS = MarketSettings()
NEVER_TOLD = -1
"""The version of an order that passed the screen and of which no update came yet."""


class Book:
    """Every account's exposure, and the open orders it comes from.

    `trips` are the halts that what was followed calls for, until someone takes them.
    """

    def __init__(
        self, market: MarketSettings = NO_LIMITS, credit: CreditBook | None = None
    ) -> None:
        self.market = market
        self.credit = credit
        self.resting = RestingPrices()
        self.trips: list[Halted] = []
        self.loss_sales: dict[tuple[str, str], int] = {}
        self.accounts: dict[str, AccountExposure] = {}
        self.orders: dict[str, OpenOrder] = {}
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._sides: dict[tuple[str, str], list[int]] = {}

    def open_account(self, snapshot: AccountSnapshot, weigher: Weigher) -> None:
        """Starts an account as the broker told it."""
        account = snapshot.account
        self.accounts[account.account] = AccountExposure(account, weigher)
        self.set_balances(snapshot.balances, seq=0)
        for position in snapshot.positions:
            self.set_position(position, seq=0)

    def load_order(self, order: Order) -> None:
        """Takes an order as its events leave it; one that is over, or nowhere, holds nothing."""
        loaded = _from_order(order)
        if loaded is None or loaded.account not in self.accounts:
            return
        self.lay(loaded)
        if order.terms is not None and order.origin is Origin.CLIENT:
            recent = self.accounts[loaded.account].recent
            recent.note(Fingerprint.of(order.terms), order.received_ns, order.order_id)

    def reserve(self, order: OpenOrder, fingerprint: Fingerprint, now_ns: int) -> None:
        """Reserves for an order that passed; one known before moves to its new terms."""
        known = self.orders.get(order.order_id)
        if known is not None:
            self.lift(known)
            order = replace(order, filled=known.filled, version=known.version)
        self.accounts[order.account].recent.note(fingerprint, now_ns, order.order_id)
        self.lay(order)

    def amend(self, order_id: str, terms: NewOrder, credit_price: Decimal | None = None) -> None:
        """Reserves the larger of an open order's quantity and price and those asked for."""
        known = self.orders[order_id]
        self.lift(known)
        self.lay(
            replace(
                known,
                wanted=max(known.wanted or ZERO, terms.quantity),
                wanted_price=terms.limit_price,
                wanted_credit=credit_price,
            )
        )

    def release(self, order_id: str) -> None:
        """Undoes the last reservation of an order that was not sent, or whose amend was not."""
        known = self.orders.get(order_id)
        if known is None:
            return
        self.lift(known)
        if known.version != NEVER_TOLD or known.fingerprint is None:
            self.lay(replace(known, wanted=None, wanted_price=None, wanted_credit=None))
            return
        del self.orders[order_id]
        self.accounts[known.account].recent.forget(known.fingerprint, order_id)

    def keep_only(self, order_ids: frozenset[str]) -> None:
        """Drops the reservation of every other order: its router never committed it."""
        for order_id in [order_id for order_id in self.orders if order_id not in order_ids]:
            self.lift(self.orders.pop(order_id))

    def follow(self, update: OrderUpdate) -> None:
        """Applies what the router says of an order; old news and repeats change nothing."""
        if update.order_id in self._closed:
            return
        known = self.orders.get(update.order_id)
        if known is not None and update.version > known.version:
            self._note(known, update)
        if update.status in TERMINAL:
            if known is not None:
                self.lift(self.orders.pop(update.order_id))
            self._close(update.order_id)
            return
        if known is None:
            known = _from_update(update)
            if known is None or known.account not in self.accounts:
                return
            self.lay(_updated(known, update))
            return
        updated = _updated(known, update)
        if updated.reserves_as(known):
            self.orders[updated.order_id] = updated
            return
        self.lift(known)
        self.lay(updated)

    def set_position(self, position: Position, seq: int) -> None:
        """The account now holds this; older numbers of the stream change nothing."""
        account = self.accounts.get(position.account)
        if account is None:
            return
        holding = account.holding(position.instrument)
        if seq < holding.seq:
            return
        self._count_sides(account, holding, -1)
        account.set_position(holding, position, seq)
        self._count_sides(account, holding, 1)
        if self.credit is not None:
            self.credit.hold(account.account.owner, holding, position.average_cost)

    def set_balances(self, balances: AccountBalances, seq: int, at_ns: int = 0) -> None:
        """The account's equity in its base currency; other currencies are not added up."""
        account = self.accounts.get(balances.account)
        if account is None or balances.currency != account.account.base_currency:
            return
        if seq >= account.balances_seq:
            account.balances_seq = seq
            amounts = (balances.equity, balances.cash)
            is_sane = all(each.is_finite() and abs(each) < VALUE_MAX for each in amounts)
            account.equity = balances.equity if is_sane else None
            if is_sane:
                account.losses.told(balances, at_ns)
            account.balances = balances if is_sane else None

    def move(self, transaction: Transaction) -> None:
        """Money came into an account or went out of it."""
        account = self.accounts.get(transaction.account)
        if account is not None:
            account.losses.moved(transaction)

    def has_opposite_elsewhere(self, owner: str, holding: Holding, sign: int) -> bool:
        """True where another account of the owner holds the instrument the other way round."""
        sides = self._sides.get((owner, holding.instrument))
        against = 0 if sides is None else sides[0 if sign < 0 else 1]
        return against > 1 or (against == 1 and holding.quantity * sign >= 0)

    def lay(self, order: OpenOrder) -> None:
        """Adds an order's reservation to its account."""
        self.orders[order.order_id] = order
        self._shift(order, 1)

    def lift(self, order: OpenOrder) -> None:
        """Takes an order's reservation away; `lay` puts it back."""
        self._shift(order, -1)

    def _shift(self, order: OpenOrder, step: int) -> None:
        account = self.accounts[order.account]
        account.shift(order, step)
        if order.rests:
            self.resting.shift(account.account.owner, order, step)
        if self.credit is not None:
            holding = account.holding(order.instrument)
            self.credit.shift(account.account.owner, holding, order, step)

    def forget_repeats(self, halt: Halted) -> None:
        """A person lifted a halt for repeated executions: they are counted anew."""
        for account in self.accounts.values():
            if halt.scope is HaltScope.TAG:
                account.activity.forget_repeats(halt.subject)
            elif account.account.account == halt.subject:
                account.activity.forget_repeats(None)

    def _note(self, known: OpenOrder, update: OrderUpdate) -> None:
        account = self.accounts[known.account]
        note_message(account, update)
        halt = note_progress(account, known, update, self.market, self.loss_sales)
        if halt is not None:
            self.trips.append(halt)

    def _count_sides(self, account: AccountExposure, holding: Holding, step: int) -> None:
        if holding.quantity:
            key = (account.account.owner, holding.instrument)
            sides = self._sides.setdefault(key, [0, 0])
            sides[0 if holding.quantity > 0 else 1] += step

    def _close(self, order_id: str) -> None:
        self._closed[order_id] = None
        if len(self._closed) > CLOSED_ORDERS_MAX:
            self._closed.popitem(last=False)


_MARKET = OrderType.MARKET
_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


def is_immediate(order: NewOrder) -> bool:
    """True for an order that fills or dies on arrival, so that its effect on lots is certain."""
    return order.type is _MARKET or order.time_in_force in _AT_ONCE


def rests(order: NewOrder) -> bool:
    """True for an order that others can meet in the market; a stop only once it triggered."""
    return order.type is OrderType.LIMIT and not is_immediate(order)


def _from_terms(order_id: str, account: str, order: NewOrder) -> OpenOrder:
    return OpenOrder(
        order_id=order_id,
        account=account,
        instrument=order.instrument,
        sign=order.side.sign,
        leaves=order.quantity,
        version=NEVER_TOLD,
        only_reduces=order.only_reduces,
        is_immediate=is_immediate(order),
        has_bracket=order.bracket is not None,
        closes_lot=order.closes_lot,
        tag=order.tag,
        is_short=order.side is Side.SELL_SHORT,
        rests=rests(order),
        limit_price=order.limit_price,
        credit_price=price_of(order),
    )


def _from_external(order_id: str, account: str, event: External) -> OpenOrder:
    return OpenOrder(
        order_id=order_id,
        account=account,
        instrument=event.instrument,
        sign=event.side.sign,
        leaves=event.quantity,
        version=NEVER_TOLD,
        only_reduces=event.closes_lot is not None,
        is_immediate=event.order_type is OrderType.MARKET,
        closes_lot=event.closes_lot,
        is_short=event.side is Side.SELL_SHORT,
        rests=event.order_type is OrderType.LIMIT,
        limit_price=event.limit_price,
        credit_price=event.limit_price or event.stop_price,
    )


def _from_order(order: Order) -> OpenOrder | None:
    account = order.account or (order.terms.account if order.terms else None)
    if order.status not in OPEN or account is None:
        return None
    if order.terms is not None:
        made = _from_terms(order.order_id, account, order.terms)
    elif order.external is not None:
        made = _from_external(order.order_id, account, order.external)
    else:
        return None
    return replace(
        made,
        leaves=order.leaves,
        filled=order.filled,
        version=order.version,
        # What they would do to lots is not in the order: assume the worst of each.
        splits=made.is_immediate,
        picks=made.is_immediate and made.closes_lot is not None,
        is_unknown=order.status is Status.UNKNOWN,
        # What the amend asked for is not in the order: until it settles its size is a guess.
        is_amend_lost=order.pending is Pending.AMEND,
    )


def _from_update(update: OrderUpdate) -> OpenOrder | None:
    if update.account is None:
        return None
    if isinstance(update.event, External):
        return _from_external(update.order_id, update.account, update.event)
    if update.instrument is None:
        return None
    # Its terms come with a later update, if at all: until then it may go either way.
    return OpenOrder(
        order_id=update.order_id,
        account=update.account,
        instrument=update.instrument,
        sign=0,
        leaves=update.leaves,
        version=NEVER_TOLD,
    )


def _updated(known: OpenOrder, update: OrderUpdate) -> OpenOrder:
    if known.sign == 0 and isinstance(update.event, External):
        learned = _from_external(known.order_id, known.account, update.event)
        known = replace(
            learned,
            leaves=known.leaves,
            filled=known.filled,
            version=known.version,
            is_unknown=known.is_unknown,
        )
    if update.version <= known.version:
        return known
    settles = isinstance(update.event, Replaced | AmendRefused)
    if isinstance(update.event, Replaced):
        known = _replaced(known, update.event)
    return replace(
        known,
        leaves=update.leaves,
        filled=update.filled,
        version=update.version,
        wanted=None if settles else known.wanted,
        wanted_price=None if settles else known.wanted_price,
        wanted_credit=None if settles else known.wanted_credit,
        rests=known.rests or (isinstance(update.event, Triggered) and bool(known.limit_price)),
        is_unknown=update.status is Status.UNKNOWN,
        is_amend_lost=known.is_amend_lost and update.pending is Pending.AMEND,
    )


def _replaced(known: OpenOrder, event: Replaced) -> OpenOrder:
    """With the prices it was amended to: the broker's word, or else what was asked for."""
    prices = (known.wanted_credit, event.limit_price, event.stop_price)
    credit = max((price for price in prices if price is not None), default=known.credit_price)
    limit = event.limit_price or known.wanted_price or known.limit_price
    return replace(known, limit_price=limit, credit_price=credit)
