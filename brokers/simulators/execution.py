"""Executes one order at the touch, or ends it and says why."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from brokers.simulators import facts as f
from brokers.simulators.book import Account, Listing, Lot, Order, Quote
from brokers.simulators.bookkeeping import Bookkeeper
from brokers.simulators.matching import available, take_liquidity, touch
from brokers.simulators.money import Factors, Valuer, rounded
from brokers.simulators.netting import Plan, plan_fill
from brokers.simulators.terms import ZERO, Guard, Terms
from brokers.simulators.words import GUARDS, Cause, Kind, Life, Part, State, Why


class _Deal(Struct):
    """One execution under way."""

    account: Account
    order: Order
    listing: Listing
    quote: Quote
    factors: Factors
    price: Decimal


class Execution:
    """Turns a triggered order into lots, money and facts."""

    def __init__(
        self,
        listings: Mapping[str, Listing],
        quotes: Mapping[str, Quote],
        valuer: Valuer,
        books: Bookkeeper,
    ) -> None:
        self._listings = listings
        self._quotes = quotes
        self._valuer = valuer
        self._books = books

    def execute(self, account: Account, order: Order) -> None:
        """Fills what can be filled; ends an order that cannot rest, or may not be filled."""
        terms = order.terms
        listing = self._listings[terms.instrument]
        quote = self._quotes.get(terms.instrument)
        factors = self._valuer.factors(listing.quote, account.settings.currency)
        if quote is None or factors is None:
            self._books.cancel(account, order, Why.MARKET_CLOSED)
            return
        if terms.kind in GUARDS and terms.lot is not None:
            order.leaves = -account.lots[terms.lot].units
        price = touch(quote, order.leaves > 0)
        if terms.bound is not None and _is_beyond(price, terms.bound, order.leaves > 0):
            self._books.cancel(account, order, Why.BOUND)
            return
        self._fill(_Deal(account, order, listing, quote, factors, price))

    def _fill(self, deal: _Deal) -> None:
        order, account = deal.order, deal.account
        wanted = order.leaves
        units = available(wanted, deal.quote, deal.listing)
        if units != wanted and order.terms.life is Life.FOK:
            self._books.cancel(account, order, Why.LIQUIDITY)
            return
        if units:
            plan = plan_fill(account, order, units)
            if isinstance(plan, Why):
                self._books.cancel(account, order, plan)
                return
            why = self._find_obstacle(deal, plan)
            if why is not None:
                self._books.cancel(account, order, why[0], why[1])
                return
            self._apply(deal, plan)
            if plan.units != units:
                self._books.cancel(account, order, Why.NOTHING_TO_REDUCE)
                return
        if order.leaves and order.terms.life in (Life.IOC, Life.FOK):
            self._books.cancel(account, order, Why.LIQUIDITY)

    # -- what can stand in the way

    def _find_obstacle(self, deal: _Deal, plan: Plan) -> tuple[Why, Part] | None:
        if not plan.opens:
            return None
        if not self._has_margin(deal, plan):
            return Why.MARGIN, Part.ORDER
        terms = deal.order.terms
        label = terms.lot_label
        if label is not None and label.id in deal.account.by_lot_label:
            return Why.CLIENT_LOT_ID_TAKEN, Part.ORDER
        if terms.take_profit is None and terms.stop_loss is None and terms.trailing is None:
            return None
        return _find_guard_obstacle(deal, plan.opens)

    def _has_margin(self, deal: _Deal, plan: Plan) -> bool:
        account, listing = deal.account, deal.listing
        position = account.position(listing.symbol)
        risk = self._valuer.units_at_risk(account, position)
        after = risk + plan.units
        if account.settings.hedging:
            after = max(position.long, -position.short, abs(_side_after(deal, plan)))
        if abs(after) <= abs(risk):
            return True
        worth = self._valuer.worth(account)
        freed = self._valuer.margin(account, listing, risk)
        needed = self._valuer.margin(account, listing, after)
        return worth.margin_used - freed + needed <= worth.equity

    # -- what a fill changes

    def _apply(self, deal: _Deal, plan: Plan) -> None:
        account, order = deal.account, deal.order
        number = self._books.number(account)
        cuts = [self._cut(deal, lot, units, number) for lot, units in plan.cuts]
        opened = self._open(deal, plan.opens, number) if plan.opens else None
        realized = sum((cut.realized for cut in cuts), ZERO)
        account.balance += realized
        account.realized += realized
        account.last_fill_ns = self._books.now_ns
        units = plan.units
        take_liquidity(deal.quote, units)
        closed = tuple(cut for cut in cuts if cut.lot not in account.lots)
        reduced = next((cut for cut in cuts if cut.lot in account.lots), None)
        self._books.add(
            account,
            f.Filled(
                id=number,
                batch=account.batch,
                at_ns=self._books.now_ns,
                order=order.id,
                kind=order.terms.kind,
                cause=order.terms.cause,
                instrument=deal.listing.symbol,
                units=units,
                price=deal.price,
                bid=deal.quote.bid,
                ask=deal.quote.ask,
                realized=realized,
                balance=account.balance,
                gain=deal.factors.gain,
                loss=deal.factors.loss,
                half_spread=_half_spread(deal, units),
                client_id=order.client_id,
                opened=opened,
                reduced=reduced,
                closed=closed,
            ),
        )
        self._update_order(deal, units, number)
        for cut in closed:
            self._end_guards(account, account.closed[cut.lot], number)
        if opened is not None:
            self._book_guards(deal, account.lots[number])

    def _cut(self, deal: _Deal, lot: Lot, units: Decimal, number: int) -> f.LotCut:
        account = deal.account
        position = account.positions[lot.instrument]
        realized = self._valuer.realized((deal.price - lot.price) * units, deal.factors)
        if units > 0:
            position.long -= units
            position.long_cost -= lot.price * units
            position.long_realized += realized
        else:
            position.short -= units
            position.short_cost -= lot.price * units
            position.short_realized += realized
        lot.units -= units
        lot.realized += realized
        lot.close_value += deal.price * units
        lot.closing.append(number)
        if not lot.units:
            lot.closed_ns = self._books.now_ns
            del position.lots[lot.id]
            position.guarded.discard(lot.id)
            self._books.keep_closed(account, lot.id)
            if lot.label is not None and lot.label.id is not None:
                account.by_lot_label.pop(lot.label.id, None)
        return f.LotCut(
            lot=lot.id,
            units=-units,
            price=deal.price,
            realized=realized,
            financing=ZERO,
            half_spread=_half_spread(deal, units),
        )

    def _open(self, deal: _Deal, units: Decimal, number: int) -> f.LotOpened:
        account, listing = deal.account, deal.listing
        label = deal.order.terms.lot_label
        margin = self._valuer.margin(account, listing, units)
        lot = Lot(
            id=number,
            instrument=listing.symbol,
            price=deal.price,
            opened_ns=self._books.now_ns,
            units_opened=units,
            units=units,
            margin_opened=margin,
            label=label,
        )
        position = account.position(listing.symbol)
        position.lots[number] = account.lots[number] = lot
        if units > 0:
            position.long += units
            position.long_cost += deal.price * units
        else:
            position.short += units
            position.short_cost += deal.price * units
        if label is not None and label.id is not None:
            account.by_lot_label[label.id] = number
        return f.LotOpened(
            lot=number,
            units=units,
            price=deal.price,
            margin=margin,
            half_spread=_half_spread(deal, units),
            label=label,
        )

    def _update_order(self, deal: _Deal, units: Decimal, number: int) -> None:
        order = deal.order
        order.filled += units
        order.leaves -= units
        order.fill = number
        order.filled_ns = self._books.now_ns
        fact = deal.account.facts[number]
        assert isinstance(fact, f.Filled)
        order.lot_opened = fact.opened.lot if fact.opened is not None else order.lot_opened
        order.lot_reduced = fact.reduced.lot if fact.reduced is not None else order.lot_reduced
        order.lots_closed.extend(cut.lot for cut in fact.closed)
        if not order.leaves:
            order.state = State.FILLED
            self._books.retire(deal.account, order)

    def _end_guards(self, account: Account, lot: Lot, fill: int) -> None:
        for order_id in list(lot.guards.values()):
            order = account.working.get(order_id)
            if order is not None:
                self._books.cancel(account, order, Why.LOT_CLOSED, linked=(None, fill))

    def _book_guards(self, deal: _Deal, lot: Lot) -> None:
        terms = deal.order.terms
        for kind, guard in (
            (Kind.TAKE_PROFIT, terms.take_profit),
            (Kind.STOP_LOSS, terms.stop_loss),
            (Kind.TRAILING_STOP, terms.trailing),
        ):
            if guard is not None:
                asked = guard_terms(kind, guard, lot, Cause.ON_FILL)
                self._books.book(deal.account, asked, deal.quote, after=lot.id)


def guard_terms(kind: Kind, guard: Guard, lot: Lot, cause: Cause) -> Terms:
    """The order a guard becomes once its lot is known; a distance becomes a price."""
    price = guard.price
    if kind is Kind.STOP_LOSS and guard.distance is not None:
        price = level_at(lot.price, lot.units, guard.distance)
    return Terms(
        kind=kind,
        instrument=lot.instrument,
        units=-lot.units,
        life=guard.life,
        price=price,
        distance=guard.distance,
        expire_ns=guard.expire_ns,
        label=guard.label,
        lot=lot.id,
        cause=cause,
    )


def level_at(price: Decimal, units: Decimal, distance: Decimal) -> Decimal:
    """The price that far on the losing side."""
    return price - distance if units > 0 else price + distance


def _is_beyond(price: Decimal, bound: Decimal, is_buy: bool) -> bool:
    return price > bound if is_buy else price < bound


def _side_after(deal: _Deal, plan: Plan) -> Decimal:
    position = deal.account.position(deal.listing.symbol)
    return (position.long if plan.opens > 0 else position.short) + plan.opens


def _half_spread(deal: _Deal, units: Decimal) -> Decimal:
    width = (deal.quote.ask - deal.quote.bid) / 2
    return rounded(width * abs(units) * deal.factors.mid)


def _find_guard_obstacle(deal: _Deal, opens: Decimal) -> tuple[Why, Part] | None:
    """A guard that would execute at once and at a loss, or whose client id is taken."""
    terms, is_long = deal.order.terms, opens > 0
    exit_price = touch(deal.quote, not is_long)
    profit, stop = terms.take_profit, terms.stop_loss
    if profit is not None and profit.price is not None:
        is_losing = profit.price <= exit_price if is_long else profit.price >= exit_price
        if is_losing:
            return Why.LOSS_AT_ONCE, Part.TAKE_PROFIT
    if stop is not None:
        level = stop.price
        if level is None:
            assert stop.distance is not None
            level = level_at(deal.price, opens, stop.distance)
        if level >= exit_price if is_long else level <= exit_price:
            return Why.LOSS_AT_ONCE, Part.STOP_LOSS
    return _find_taken_id(deal)


def _find_taken_id(deal: _Deal) -> tuple[Why, Part] | None:
    terms, account = deal.order.terms, deal.account
    for part, guard in (
        (Part.TAKE_PROFIT, terms.take_profit),
        (Part.STOP_LOSS, terms.stop_loss),
        (Part.TRAILING_STOP, terms.trailing),
    ):
        name = guard.label.id if guard is not None and guard.label is not None else None
        named = account.by_client_id.get(name, ()) if name is not None else ()
        if any(order_id in account.working for order_id in named):
            return Why.CLIENT_ID_TAKEN, part
    return None
