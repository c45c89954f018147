"""What OANDA's transactions mean: one at a time, oldest first, from a stream, a list or an answer.

A reader remembers what a later transaction leaves out: which instrument a trade is in (a guard
names its trade only) and whether an order had to fill at once or has a bracket. The memory is
bounded, fed by whatever is read, and rebuilt by reading the account; it never decides whether
an order exists. A guard whose trade was never told is of a closed trade, and says nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from typing import TypedDict

from msgspec import Struct
from msgspec.structs import replace

from brokers import oanda_messages as wire
from brokers import oanda_words as words
from brokers.reading import UnknownWord, error_info, look, need, parse_time, remember
from domain.errors import ErrorInfo
from domain.events import (
    Accepted,
    AmendRefused,
    Canceled,
    CancelRefused,
    Expired,
    External,
    Fill,
    Rejected,
    Replaced,
    VenueEvent,
)
from domain.ids import execution_id
from domain.orders import NEEDS_STOP, OrderType, Side, TimeInForce, Trailing
from domain.portfolio import ZERO, LotClosed, LotOpened


class _Terms(TypedDict, total=False):
    limit_price: Decimal | None
    stop_price: Decimal | None
    trailing: Trailing | None
    expire_at_ns: int | None


class _Trade(Struct, frozen=True):
    """A trade as of a transaction; `quantity` is signed, `closed` what its end took of it."""

    instrument: str
    quantity: Decimal
    as_of: int
    closed: Decimal = ZERO

    def held_at(self, made_id: str) -> Decimal:
        """What a guard made then was about: an answer may tell of the end before the stream."""
        return self.quantity or (self.closed if int(made_id) < self.as_of else ZERO)


class _Made(Struct, frozen=True):
    """What a fill or cancel leaves out. `must_fill` is set where it fills at once or never."""

    must_fill: Decimal | None
    has_bracket: bool
    has_fill: bool = False


class TransactionReader:
    """Reads the transactions of one account."""

    def __init__(self, broker_account_id: str, currency: str) -> None:
        self.currency = currency
        self._account = broker_account_id
        self._trades: OrderedDict[str, _Trade] = OrderedDict()
        self._orders: OrderedDict[str, _Made] = OrderedDict()

    def read(self, transaction: wire.Transaction) -> tuple[VenueEvent, ...]:
        """The order events in it. Raises UnknownWord."""
        translate = TRANSLATE.get(transaction.type)
        if translate is None:
            raise UnknownWord(f"transaction type {transaction.type[:60]!r}")
        return translate(self, transaction)

    def read_outcome(self, answer: wire.OrderAnswer) -> tuple[VenueEvent, ...]:
        """What followed a creation within the same answer."""
        followed = (
            answer.order_fill_transaction,
            answer.order_cancel_transaction,
            answer.replacing_order_cancel_transaction,
        )
        events = [event for done in followed if done is not None for event in self.read(done)]
        reissued = answer.order_reissue_transaction
        if reissued is not None:
            events.append(self.accept(reissued, client_id_of(reissued)))
        if answer.order_reissue_reject_transaction is not None:
            made = answer.order_create_transaction
            order_id = None if made is None else made.id
            events.append(_not_reissued(answer.order_reissue_reject_transaction, order_id))
        return tuple(events)

    def accept(self, made: wire.Transaction, client_id: str | None) -> Accepted:
        """Our own order, created."""
        self.remember_order(made)
        return Accepted(
            at_ns=parse_time(made.time), broker_order_id=made.id, venue_client_id=client_id
        )

    def replace(
        self, made: wire.Transaction, previous: str | None, client_id: str | None
    ) -> Replaced:
        """An order created in place of another."""
        self.remember_order(made)
        return Replaced(
            at_ns=parse_time(made.time),
            broker_order_id=made.id,
            previous_broker_order_id=made.replaces_order_id or previous,
            venue_client_id=client_id,
            quantity=None if made.units is None else abs(made.units),
            **_terms(made, words.CREATIONS.get(made.type, "")),
        )

    def describe(self, made: wire.Transaction | wire.Order, kind: str) -> External | None:
        """The order as an External; None for the guard of a trade that is closed."""
        self.remember_order(made)
        if made.trade_id is None:
            quantity = need(made.units, "units")
            symbol = symbol_of(need(made.instrument, "instrument"))
        else:
            trade = self._trades.get(made.trade_id)
            held = ZERO if trade is None else trade.held_at(made.id)
            if trade is None or not held:
                return None
            quantity, symbol = -held, trade.instrument
        if isinstance(made, wire.Order):
            at_ns, parent = parse_time(made.create_time), None
        else:
            at_ns, parent = parse_time(made.time), made.order_fill_transaction_id
        time_in_force = TimeInForce.FOK  # A fixed-price order alone has none: it fills at once.
        if made.time_in_force is not None:
            time_in_force = look(words.TIME_IN_FORCE, made.time_in_force, "time in force")
        return External(
            at_ns=at_ns,
            broker_order_id=made.id,
            instrument=symbol,
            side=Side.BUY if quantity > 0 else Side.SELL,
            quantity=abs(quantity),
            order_type=look(words.ORDER_TYPE, kind, "order type"),
            time_in_force=time_in_force,
            parent_execution=parent,
            venue_client_id=client_id_of(made),
            closes_lot=made.trade_id,
            **_terms(made, kind),
        )

    # One transaction type each

    def _nothing(self, _: wire.Transaction) -> tuple[VenueEvent, ...]:
        return ()

    def _created(self, made: wire.Transaction) -> tuple[VenueEvent, ...]:
        if made.replaces_order_id is not None:
            return (self.replace(made, made.replaces_order_id, client_id_of(made)),)
        external = self.describe(made, words.CREATIONS[made.type])
        return () if external is None else (external,)

    def _refused(self, refused: wire.Transaction) -> tuple[VenueEvent, ...]:
        """An order, or a replacement, that was not created."""
        error = reject_error(refused)
        at_ns, client_id = parse_time(refused.time), client_id_of(refused)
        if refused.intended_replaces_order_id is not None:
            replacing = refused.intended_replaces_order_id
            return (AmendRefused(at_ns=at_ns, error=error, broker_order_id=replacing),)
        # Under an id in use the first order lives on: this refusal is not about that one.
        if client_id is None or refused.reject_reason == words.DUPLICATE_CLIENT_ID:
            return ()
        return (Rejected(at_ns=at_ns, error=error, venue_client_id=client_id),)

    def _canceled(self, done: wire.Transaction) -> tuple[VenueEvent, ...]:
        """Canceled, Expired, or Rejected where it never worked; () where it was replaced."""
        order_id, word = need(done.order_id, "orderID"), need(done.reason, "reason")
        if done.replaced_by_order_id is not None:
            return ()  # The creation that replaces it says so.
        at_ns, client_id = parse_time(done.time), done.client_order_id
        made = self._orders.pop(order_id, None)
        # A batch is named by its first transaction: this one created the order and ended it.
        at_once = done.batch_id == order_id
        if word == words.EXPIRED_WORD and not at_once:
            return (Expired(at_ns=at_ns, broker_order_id=order_id, venue_client_id=client_id),)
        error = None
        if word not in words.WANTED_CANCELS:
            error = error_info(look(words.ANY_CANCEL_ERROR, word, "cancel reason"), word)
        has_fill = made is not None and made.has_fill
        if error is None or not at_once or has_fill or word in words.NOT_FILLABLE:
            return (
                Canceled(
                    at_ns=at_ns,
                    reason=word,
                    broker_order_id=order_id,
                    venue_client_id=client_id,
                    error=error,
                ),
            )
        return (
            Rejected(at_ns=at_ns, error=error, broker_order_id=order_id, venue_client_id=client_id),
        )

    def _cancel_refused(self, refused: wire.Transaction) -> tuple[VenueEvent, ...]:
        return (
            CancelRefused(
                at_ns=parse_time(refused.time),
                error=reject_error(refused),
                broker_order_id=refused.order_id,
                venue_client_id=refused.client_order_id,
            ),
        )

    def _filled(self, filled: wire.Transaction) -> tuple[VenueEvent, ...]:
        """The Fill, and Canceled for what an order that must fill at once left open."""
        reason = need(filled.reason, "reason")
        if reason not in words.FILL_REASONS:
            raise UnknownWord(f"fill reason {reason[:60]!r}")
        made = self._orders.get(filled.order_id or "")
        fill = self._fill(filled, has_bracket=made is not None and made.has_bracket)
        self._remember_lots(fill)
        if made is None:
            return (fill,)
        self._orders[fill.broker_order_id] = replace(made, has_fill=True)
        if made.must_fill is None or fill.quantity >= made.must_fill:
            return (fill,)
        rest = Canceled(
            at_ns=fill.at_ns,
            reason="INSUFFICIENT_LIQUIDITY",
            broker_order_id=fill.broker_order_id,
            venue_client_id=fill.venue_client_id,
        )
        return (fill, rest)

    def _fill(self, filled: wire.Transaction, has_bracket: bool) -> Fill:
        units, name = need(filled.units, "units"), need(filled.instrument, "instrument")
        sign = 1 if units > 0 else -1
        closed = _closed_parts(filled)
        opened = () if filled.trade_opened is None else (filled.trade_opened,)
        price = _fill_price(filled, (*opened, *closed))
        return Fill(
            at_ns=parse_time(filled.time),
            execution_id=execution_id("oanda", self._account, filled.id),
            broker_execution_id=filled.id,
            broker_order_id=need(filled.order_id, "orderID"),
            venue_client_id=filled.client_order_id,
            instrument=symbol_of(name),
            side=Side.BUY if units > 0 else Side.SELL,
            quantity=abs(units),
            price=price,
            currency=self.currency,
            commission=_charges(filled),
            financing=filled.financing,
            realized_pnl=filled.pl,
            balance_after=filled.account_balance,
            lots_opened=tuple(
                LotOpened(
                    lot_id=trade.trade_id,
                    quantity=abs(trade.units) * sign,
                    price=price if trade.price is None else trade.price,
                    has_bracket=has_bracket,
                )
                for trade in opened
            ),
            lots_closed=tuple(
                LotClosed(
                    lot_id=trade.trade_id,
                    quantity=abs(trade.units) * sign,
                    price=price if trade.price is None else trade.price,
                    realized_pnl=trade.realized_pl,
                )
                for trade in closed
            ),
        )

    # Memory

    def remember_order(self, made: wire.Transaction | wire.Order) -> None:
        """Keeps what its fill or cancel will leave out."""
        on_fill = (
            made.stop_loss_on_fill or made.take_profit_on_fill or made.trailing_stop_loss_on_fill
        )
        immediate = made.units is not None and made.time_in_force in words.IMMEDIATE
        if made.id in self._orders or not (immediate or on_fill):
            return
        must_fill = abs(made.units) if immediate and made.units is not None else None
        remember(self._orders, made.id, _Made(must_fill, on_fill is not None))

    def remember_trade(self, trade_id: str, instrument: str, quantity: Decimal, as_of: int) -> None:
        """Keeps an open trade as the account or a fill tells it, unless we know it later."""
        known = self._trades.get(trade_id)
        if known is None or known.as_of <= as_of:
            remember(self._trades, trade_id, _Trade(instrument, quantity, as_of))

    def learn(self, transactions: tuple[wire.Transaction, ...]) -> None:
        """Looks ahead for trades opened before the list began and closed in it.

        After a restart such a trade is in neither memory nor account, and its guards would be
        silent. It held at least what the list closes of it.
        """
        found: dict[str, _Trade] = {}
        for filled in transactions:
            if filled.type != "ORDER_FILL" or filled.instrument is None or filled.units is None:
                continue
            sign = 1 if filled.units > 0 else -1
            for part in _closed_parts(filled):
                before = found.get(part.trade_id)
                held = ZERO if before is None else before.quantity
                held -= abs(part.units) * sign
                found[part.trade_id] = _Trade(symbol_of(filled.instrument), held, 0)
        for trade_id, trade in found.items():
            if trade_id not in self._trades:
                remember(self._trades, trade_id, trade)

    def _remember_lots(self, fill: Fill) -> None:
        as_of = int(fill.broker_execution_id)
        for lot in fill.lots_opened:
            self.remember_trade(lot.lot_id, fill.instrument, lot.quantity, as_of)
        for part in fill.lots_closed:
            trade = self._trades.get(part.lot_id)
            # The same fill is read twice (answer and stream); it counts once.
            if trade is not None and trade.as_of < as_of:
                left = trade.quantity + part.quantity
                closed = ZERO if left else trade.quantity
                self._trades[part.lot_id] = _Trade(trade.instrument, left, as_of, closed)


_Translate = Callable[[TransactionReader, wire.Transaction], tuple[VenueEvent, ...]]
TRANSLATE: dict[str, _Translate] = {
    **dict.fromkeys(words.CREATIONS, TransactionReader._created),
    **dict.fromkeys(words.REJECTIONS, TransactionReader._refused),
    **dict.fromkeys(words.NO_ORDER_EVENT, TransactionReader._nothing),
    "ORDER_FILL": TransactionReader._filled,
    "ORDER_CANCEL": TransactionReader._canceled,
    "ORDER_CANCEL_REJECT": TransactionReader._cancel_refused,
}
"""Every TransactionType of the spec."""


def symbol_of(name: str) -> str:
    """EUR_USD as we say it: EUR/USD."""
    return name.replace("_", "/")


def client_id_of(made: wire.Transaction | wire.Order) -> str | None:
    """The client id in its extensions."""
    return made.client_extensions.id if made.client_extensions is not None else None


def reject_error(refused: wire.Transaction, message: str | None = None) -> ErrorInfo:
    """Why it was refused. Raises UnknownWord."""
    word = need(refused.reject_reason, "rejectReason")
    return error_info(look(words.ANY_REJECT, word, "reject reason"), word, message)


def _not_reissued(refused: wire.Transaction, order_id: str | None) -> Canceled:
    """The rest of a partly filled order, which was to go on under a new id and did not."""
    error = reject_error(refused)
    return Canceled(
        at_ns=parse_time(refused.time),
        reason=need(refused.reject_reason, "rejectReason"),
        broker_order_id=order_id,
        venue_client_id=client_id_of(refused),
        error=error,
    )


def _terms(made: wire.Transaction | wire.Order, kind: str) -> _Terms:
    """The prices of an order where our words put them."""
    order_type = look(words.ORDER_TYPE, kind, "order type")
    terms = _Terms()
    if order_type is OrderType.LIMIT:
        terms["limit_price"] = made.price
    elif order_type is OrderType.TRAILING_STOP:
        terms["trailing"] = Trailing(amount=need(made.distance, "distance"))
    elif order_type in NEEDS_STOP:
        terms["stop_price"] = made.price
    if made.gtd_time is not None:
        terms["expire_at_ns"] = parse_time(made.gtd_time)
    return terms


def _closed_parts(filled: wire.Transaction) -> tuple[wire.TradeReduce, ...]:
    if filled.trade_reduced is None:
        return filled.trades_closed
    return (*filled.trades_closed, filled.trade_reduced)


def _fill_price(
    filled: wire.Transaction, parts: tuple[wire.TradeOpen | wire.TradeReduce, ...]
) -> Decimal:
    """The official price is that of the trades touched; `price` itself is deprecated.

    They differ only where a guaranteed stop clamped some: then the mean, to 28 digits.
    """
    prices = {part.price for part in parts if part.price is not None}
    if len(prices) == 1:
        return prices.pop()
    if len(prices) > 1 and all(part.price is not None for part in parts):
        notional = sum((abs(part.units) * (part.price or ZERO) for part in parts), ZERO)
        return notional / sum((abs(part.units) for part in parts), ZERO)
    return need(filled.full_vwap if filled.full_vwap is not None else filled.price, "price")


def _charges(filled: wire.Transaction) -> Decimal | None:
    """Commission and guarantee fee as booked: OANDA states what is paid as positive."""
    given = [fee for fee in (filled.commission, filled.guaranteed_execution_fee) if fee is not None]
    return ZERO - sum(given, ZERO) if given else None
