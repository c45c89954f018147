"""The engine's facts and book as OANDA v20 writes them: strings for numbers, its own names.

Views return plain dicts; absent fields are left out, as the broker does.
"""

# ruff: noqa: ARG001 - the renderers share one shape.
from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import to_builtins

from brokers.simulators import facts as f
from brokers.simulators.book import Account
from brokers.simulators.oanda_codes import (
    ORDER_REASON,
    ORDER_TYPE,
    POSITION_FILL,
    TIME_IN_FORCE,
    TRIGGER_CONDITION,
    code_of,
)
from brokers.simulators.terms import ZERO, Guard, Label, Terms
from brokers.simulators.words import GUARDS, Cause, Kind, Part

View = dict[str, Any]
Stamp = Callable[[int], str]
USER_ID = 1_000_001
LIQUIDITY = 10_000_000
FACTOR_DIGITS = Decimal("0.00000001")
PERCENT_DIGITS = Decimal("0.00001")
FILL_REASON = {
    Cause.LOT_CLOSE: "MARKET_ORDER_TRADE_CLOSE",
    Cause.POSITION_CLOSE: "MARKET_ORDER_POSITION_CLOSEOUT",
    Cause.MARGIN_CLOSEOUT: "MARKET_ORDER_MARGIN_CLOSEOUT",
}
TRANSACTION_TYPE = {
    f.Created: "CREATE",
    f.Funded: "TRANSFER_FUNDS",
    f.Configured: "CLIENT_CONFIGURE",
    f.ConfigureRefused: "CLIENT_CONFIGURE_REJECT",
    f.Filled: "ORDER_FILL",
    f.Ended: "ORDER_CANCEL",
    f.EndRefused: "ORDER_CANCEL_REJECT",
    f.Relabeled: "ORDER_CLIENT_EXTENSIONS_MODIFY",
    f.LotRelabeled: "TRADE_CLIENT_EXTENSIONS_MODIFY",
    f.Financed: "DAILY_FINANCING",
}


def text(number: Decimal) -> str:
    """A number in plain digits."""
    return format(number, "f")


def money(amount: Decimal) -> str:
    """Account currency, four decimals."""
    return f"{amount:.4f}"


def type_of(account: Account, fact: f.AnyFact) -> str:
    """The transaction type."""
    if isinstance(fact, f.Booked):
        return f"{ORDER_TYPE[fact.terms.kind]}_ORDER"
    if isinstance(fact, f.Refused):
        return f"{ORDER_TYPE[fact.terms.kind]}_ORDER_REJECT"
    if isinstance(fact, f.RelabelRefused):
        thing = "ORDER" if fact.order is not None else "TRADE"
        return f"{thing}_CLIENT_EXTENSIONS_MODIFY_REJECT"
    return TRANSACTION_TYPE[type(fact)]


def transaction(account: Account, fact: f.AnyFact, stamp: Stamp) -> View:
    """A fact as a transaction."""
    view: View = {
        "id": str(fact.id),
        "accountID": account.settings.id,
        "userID": USER_ID,
        "batchID": str(fact.batch),
        "time": stamp(fact.at_ns),
        "type": type_of(account, fact),
    }
    DETAILS[type(fact)](account, fact, stamp, view)
    return view


def _booked(account: Account, fact: f.Booked, stamp: Stamp, view: View) -> None:
    put_terms(fact.terms, stamp, view)
    view["reason"] = ORDER_REASON[fact.terms.cause]
    if fact.after is not None:
        view["orderFillTransactionID"] = str(fact.after)
    if fact.lot_label is not None and fact.terms.kind in GUARDS:
        view["clientTradeID"] = fact.lot_label
    elif fact.lot_label is not None and "tradeClose" in view:
        view["tradeClose"]["clientTradeID"] = fact.lot_label
    if fact.replaces is not None:
        view["replacesOrderID"] = str(fact.replaces)
        view["cancellingTransactionID"] = str(fact.id - 1)


def _refused(account: Account, fact: f.Refused, stamp: Stamp, view: View) -> None:
    put_terms(fact.terms, stamp, view)
    view["reason"] = ORDER_REASON[fact.terms.cause]
    view["rejectReason"] = code_of(fact.why, fact.part, fact.terms.kind)
    if fact.replaces is not None:
        view["intendedReplacesOrderID"] = str(fact.replaces)


def put_terms(terms: Terms, stamp: Stamp, view: View) -> None:
    """Everything asked for in an order, as both orders and transactions show it."""
    is_guard = terms.kind in GUARDS
    if is_guard:
        if terms.lot is not None:
            view["tradeID"] = str(terms.lot)
    else:
        view["instrument"] = terms.instrument
        view["units"] = text(terms.units)
        view["positionFill"] = POSITION_FILL[terms.netting]
    if terms.price is not None:
        view["price"] = text(terms.price)
    if terms.distance is not None:
        view["distance"] = text(terms.distance)
    if terms.bound is not None:
        view["priceBound"] = text(terms.bound)
    view["timeInForce"] = TIME_IN_FORCE[terms.life]
    if terms.expire_ns is not None:
        view["gtdTime"] = stamp(terms.expire_ns)
    if terms.kind is not Kind.MARKET:
        view["triggerCondition"] = TRIGGER_CONDITION[terms.watch]
    if terms.label is not None:
        view["clientExtensions"] = label(terms.label)
    if terms.lot_label is not None:
        view["tradeClientExtensions"] = label(terms.lot_label)
    if terms.cause is not Cause.CLIENT and not is_guard:
        _put_close(terms, view)
    for name, guard in (
        ("takeProfitOnFill", terms.take_profit),
        ("stopLossOnFill", terms.stop_loss),
        ("trailingStopLossOnFill", terms.trailing),
    ):
        if guard is not None:
            view[name] = _guard(guard, stamp)


def _put_close(terms: Terms, view: View) -> None:
    if terms.cause is Cause.LOT_CLOSE:
        view["tradeClose"] = {"tradeID": str(terms.lot), "units": terms.asked}
    elif terms.cause is Cause.POSITION_CLOSE:
        side = "longPositionCloseout" if terms.units < 0 else "shortPositionCloseout"
        view[side] = {"instrument": terms.instrument, "units": terms.asked}
    elif terms.cause is Cause.MARGIN_CLOSEOUT:
        view["marginCloseout"] = {"reason": "MARGIN_CHECK_VIOLATION"}


def _guard(guard: Guard, stamp: Stamp) -> View:
    view: View = {"timeInForce": TIME_IN_FORCE[guard.life]}
    if guard.price is not None:
        view["price"] = text(guard.price)
    if guard.distance is not None:
        view["distance"] = text(guard.distance)
    if guard.expire_ns is not None:
        view["gtdTime"] = stamp(guard.expire_ns)
    if guard.label is not None:
        view["clientExtensions"] = label(guard.label)
    return view


def label(pinned: Label) -> View:
    """Client extensions."""
    view: View = to_builtins(pinned)
    return view


def _filled(account: Account, fact: f.Filled, stamp: Stamp, view: View) -> None:
    view["orderID"] = str(fact.order)
    if fact.client_id is not None:
        view["clientOrderID"] = fact.client_id
    view["instrument"] = fact.instrument
    view["units"] = text(fact.units)
    view["gainQuoteHomeConversionFactor"] = factor(fact.gain)
    view["lossQuoteHomeConversionFactor"] = factor(fact.loss)
    view["price"] = view["fullVWAP"] = text(fact.price)
    bid, ask = text(fact.bid), text(fact.ask)
    view["fullPrice"] = {
        "bids": [{"price": bid, "liquidity": LIQUIDITY}],
        "asks": [{"price": ask, "liquidity": LIQUIDITY}],
        "closeoutBid": bid,
        "closeoutAsk": ask,
    }
    view["reason"] = FILL_REASON.get(fact.cause) or fill_reason(fact.kind)
    view["pl"] = money(fact.realized)
    view["financing"] = money(fact.financing)
    view["commission"] = money(fact.commission)
    view["guaranteedExecutionFee"] = "0.0000"
    view["accountBalance"] = money(fact.balance)
    view["halfSpreadCost"] = money(fact.half_spread)
    if fact.opened is not None:
        view["tradeOpened"] = _opened(fact.opened)
    if fact.closed:
        view["tradesClosed"] = [_cut(cut) for cut in fact.closed]
    if fact.reduced is not None:
        view["tradeReduced"] = _cut(fact.reduced)


def fill_reason(kind: Kind) -> str:
    """Why an order of that kind filled."""
    return f"{ORDER_TYPE[kind]}_ORDER"


def factor(value: Decimal) -> str:
    """A conversion factor, eight decimals."""
    return text(value.quantize(FACTOR_DIGITS))


def _opened(opened: f.LotOpened) -> View:
    view = {
        "tradeID": str(opened.lot),
        "units": text(opened.units),
        "price": text(opened.price),
        "guaranteedExecutionFee": "0.0000",
        "halfSpreadCost": money(opened.half_spread),
        "initialMarginRequired": money(opened.margin),
    }
    if opened.label is not None:
        return {**view, "clientExtensions": label(opened.label)}
    return view


def _cut(cut: f.LotCut) -> View:
    return {
        "tradeID": str(cut.lot),
        "units": text(cut.units),
        "price": text(cut.price),
        "realizedPL": money(cut.realized),
        "financing": money(cut.financing),
        "guaranteedExecutionFee": "0.0000",
        "halfSpreadCost": money(cut.half_spread),
    }


def _ended(account: Account, fact: f.Ended, stamp: Stamp, view: View) -> None:
    order = account.order(fact.order)
    kind = order.terms.kind if order is not None else Kind.MARKET
    view["orderID"] = str(fact.order)
    if fact.client_id is not None:
        view["clientOrderID"] = fact.client_id
    view["reason"] = code_of(fact.why, fact.part, kind)
    if fact.replaced_by is not None:
        view["replacedByOrderID"] = str(fact.replaced_by)


def _end_refused(account: Account, fact: f.EndRefused, stamp: Stamp, view: View) -> None:
    if fact.order is not None:
        view["orderID"] = str(fact.order)
    if fact.client_id is not None:
        view["clientOrderID"] = fact.client_id
    view["rejectReason"] = code_of(fact.why, Part.ORDER, Kind.MARKET)


def _relabeled(account: Account, fact: f.Relabeled, stamp: Stamp, view: View) -> None:
    view["orderID"] = str(fact.order)
    if fact.client_id is not None:
        view["clientOrderID"] = fact.client_id
    if fact.label is not None:
        view["clientExtensionsModify"] = label(fact.label)
    if fact.lot_label is not None:
        view["tradeClientExtensionsModify"] = label(fact.lot_label)


def _lot_relabeled(account: Account, fact: f.LotRelabeled, stamp: Stamp, view: View) -> None:
    view["tradeID"] = str(fact.lot)
    if fact.client_lot_id is not None:
        view["clientTradeID"] = fact.client_lot_id
    view["tradeClientExtensionsModify"] = label(fact.label)


def _relabel_refused(account: Account, fact: f.RelabelRefused, stamp: Stamp, view: View) -> None:
    if fact.order is not None:
        view["orderID"] = fact.order
    if fact.lot is not None:
        view["tradeID"] = fact.lot
    if fact.label is not None:
        view["clientExtensionsModify"] = label(fact.label)
    if fact.lot_label is not None:
        view["tradeClientExtensionsModify"] = label(fact.lot_label)
    view["rejectReason"] = code_of(fact.why, Part.ORDER, Kind.MARKET)


def _created(account: Account, fact: f.Created, stamp: Stamp, view: View) -> None:
    view.update(divisionID=1, siteID=101, accountUserID=USER_ID, accountNumber=1)
    view["homeCurrency"] = fact.currency


def _funded(account: Account, fact: f.Funded, stamp: Stamp, view: View) -> None:
    view["amount"] = money(fact.amount)
    view["fundingReason"] = "CLIENT_FUNDING"
    view["accountBalance"] = money(fact.balance)


def _configured(
    account: Account, fact: f.Configured | f.ConfigureRefused, stamp: Stamp, view: View
) -> None:
    if fact.alias is not None:
        view["alias"] = fact.alias
    if fact.margin_rate is not None:
        view["marginRate"] = text(fact.margin_rate)
    if isinstance(fact, f.ConfigureRefused):
        view["rejectReason"] = code_of(fact.why, Part.ORDER, Kind.MARKET)


def _financed(account: Account, fact: f.Financed, stamp: Stamp, view: View) -> None:
    by_instrument: dict[str, list[tuple[int, Decimal]]] = {}
    for lot, instrument, amount in fact.lots:
        by_instrument.setdefault(instrument, []).append((lot, amount))
    view["financing"] = money(fact.amount)
    view["accountBalance"] = money(fact.balance)
    view["accountFinancingMode"] = "DAILY"
    view["positionFinancings"] = [
        {
            "instrument": instrument,
            "financing": money(sum((amount for _, amount in rows), ZERO)),
            "openTradeFinancings": [
                {"tradeID": str(lot), "financing": money(amount)} for lot, amount in rows
            ],
        }
        for instrument, rows in by_instrument.items()
    ]


DETAILS: Mapping[type, Callable[[Account, Any, Stamp, View], None]] = {
    f.Created: _created,
    f.Funded: _funded,
    f.Configured: _configured,
    f.ConfigureRefused: _configured,
    f.Booked: _booked,
    f.Refused: _refused,
    f.Filled: _filled,
    f.Ended: _ended,
    f.EndRefused: _end_refused,
    f.Relabeled: _relabeled,
    f.LotRelabeled: _lot_relabeled,
    f.RelabelRefused: _relabel_refused,
    f.Financed: _financed,
}
