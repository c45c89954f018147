"""Orders, trades, positions, accounts and prices as OANDA v20 writes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from brokers.simulators.book import Account, Listing, Lot, Order, Position, Quote
from brokers.simulators.engine import Engine
from brokers.simulators.money import UNITY
from brokers.simulators.oanda_codes import INSTRUMENT_TYPE, ORDER_STATE, ORDER_TYPE
from brokers.simulators.oanda_views import (
    LIQUIDITY,
    PERCENT_DIGITS,
    USER_ID,
    Stamp,
    View,
    factor,
    label,
    money,
    put_terms,
    text,
)
from brokers.simulators.terms import ZERO
from brokers.simulators.words import Kind

GUARD_FIELDS = {
    Kind.TAKE_PROFIT: "takeProfitOrder",
    Kind.STOP_LOSS: "stopLossOrder",
    Kind.TRAILING_STOP: "trailingStopLossOrder",
}


def order_view(order: Order, stamp: Stamp) -> View:
    """An order."""
    view: View = {
        "id": str(order.id),
        "createTime": stamp(order.created_ns),
        "type": ORDER_TYPE[order.terms.kind],
        "state": ORDER_STATE[order.state],
    }
    put_terms(order.terms, stamp, view)
    if order.label is not None:
        view["clientExtensions"] = label(order.label)
    if order.trail is not None:
        view["trailingStopValue"] = text(order.trail)
    if order.terms.kind is Kind.IF_TOUCHED and order.market_price is not None:
        view["initialMarketPrice"] = text(order.market_price)
    if order.fill is not None and order.filled_ns is not None:
        view["fillingTransactionID"] = str(order.fill)
        view["filledTime"] = stamp(order.filled_ns)
    if order.lot_opened is not None:
        view["tradeOpenedID"] = str(order.lot_opened)
    if order.lot_reduced is not None:
        view["tradeReducedID"] = str(order.lot_reduced)
    if order.lots_closed:
        view["tradeClosedIDs"] = [str(x) for x in order.lots_closed]
    if order.end is not None and order.ended_ns is not None:
        view["cancellingTransactionID"] = str(order.end)
        view["cancelledTime"] = stamp(order.ended_ns)
    if order.replaces is not None:
        view["replacesOrderID"] = str(order.replaces)
    if order.replaced_by is not None:
        view["replacedByOrderID"] = str(order.replaced_by)
    return view


def instrument_view(listing: Listing) -> View:
    """What can be traded, and how finely."""
    return {
        "name": listing.symbol,
        "type": INSTRUMENT_TYPE[listing.kind],
        "displayName": listing.symbol.replace("_", "/"),
        "pipLocation": listing.pip.adjusted(),
        "displayPrecision": _digits(listing.tick),
        "tradeUnitsPrecision": _digits(listing.lot),
        "minimumTradeSize": text(listing.units_min),
        "maximumTrailingStopDistance": text(listing.trail_max),
        "minimumTrailingStopDistance": text(listing.trail_min),
        "maximumPositionSize": "0",
        "maximumOrderUnits": text(listing.units_max),
        "marginRate": text(listing.margin_rate),
    }


def _digits(grid: Decimal) -> int:
    return max(0, -grid.normalize().adjusted())


class Views:
    """Views that need prices: of lots, positions, accounts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def trade(self, account: Account, lot: Lot, stamp: Stamp, as_summary: bool = False) -> View:
        """A trade, with its guards whole or (in an account) by id."""
        view: View = {
            "id": str(lot.id),
            "instrument": lot.instrument,
            "price": text(lot.price),
            "openTime": stamp(lot.opened_ns),
            "state": "OPEN" if lot.units else "CLOSED",
            "initialUnits": text(lot.units_opened),
            "initialMarginRequired": money(lot.margin_opened),
            "currentUnits": text(lot.units),
            "realizedPL": money(lot.realized),
            "financing": money(lot.financing),
        }
        if lot.units:
            view.update(self.trade_state(account, lot))
        if lot.closing:
            tick = self._engine.listings[lot.instrument].tick
            closed_units = lot.units_opened - lot.units
            view["averageClosePrice"] = text((lot.close_value / closed_units).quantize(tick))
            view["closingTransactionIDs"] = [str(x) for x in lot.closing]
        if lot.closed_ns is not None:
            view["closeTime"] = stamp(lot.closed_ns)
        if lot.label is not None:
            view["clientExtensions"] = label(lot.label)
        for kind, field in GUARD_FIELDS.items():
            order = account.working.get(lot.guards.get(kind.value, 0))
            if order is not None and as_summary:
                view[field + "ID"] = str(order.id)
            elif order is not None:
                view[field] = order_view(order, stamp)
        return view

    def trade_state(self, account: Account, lot: Lot) -> View:
        """What of an open trade follows the price."""
        engine = self._engine
        alone = Position(instrument=lot.instrument)
        if lot.units > 0:
            alone.long, alone.long_cost = lot.units, lot.units * lot.price
        else:
            alone.short, alone.short_cost = lot.units, lot.units * lot.price
        long, short = engine.valuer.unrealized(account, alone)
        listing = engine.listings[lot.instrument]
        return {
            "id": str(lot.id),
            "unrealizedPL": money(long + short),
            "marginUsed": money(engine.valuer.margin(account, listing, lot.units)),
        }

    def position(self, account: Account, position: Position) -> View:
        """A position, both sides."""
        engine = self._engine
        long, short = engine.valuer.unrealized(account, position)
        listing = engine.listings[position.instrument]
        units = engine.valuer.units_at_risk(account, position)
        realized = position.long_realized + position.short_realized
        return {
            "instrument": position.instrument,
            "pl": money(realized),
            "resettablePL": money(realized),
            "unrealizedPL": money(long + short),
            "marginUsed": money(engine.valuer.margin(account, listing, units)),
            "financing": money(position.financing),
            "commission": "0.0000",
            "guaranteedExecutionFees": "0.0000",
            "long": _side(position, listing, True, long),
            "short": _side(position, listing, False, short),
        }

    def position_state(self, account: Account, position: Position) -> View:
        """What of a position follows the price."""
        long, short = self._engine.valuer.unrealized(account, position)
        return {
            "instrument": position.instrument,
            "netUnrealizedPL": money(long + short),
            "longUnrealizedPL": money(long),
            "shortUnrealizedPL": money(short),
            "marginUsed": self.position(account, position)["marginUsed"],
        }

    def account_state(self, account: Account) -> View:
        """What of an account follows the price."""
        worth = self._engine.valuer.worth(account)
        closeout = account.settings.closeout
        percent = worth.margin_used / worth.equity if worth.equity > 0 else ZERO
        unrealized, equity = money(worth.unrealized), money(worth.equity)
        used, value = money(worth.margin_used), money(worth.position_value)
        return {
            "unrealizedPL": unrealized,
            "NAV": equity,
            "marginUsed": used,
            "marginAvailable": money(worth.available),
            "positionValue": value,
            "marginCloseoutUnrealizedPL": unrealized,
            "marginCloseoutNAV": equity,
            "marginCloseoutMarginUsed": used,
            "marginCloseoutPercent": text((percent * closeout).quantize(PERCENT_DIGITS)),
            "marginCloseoutPositionValue": value,
            "withdrawalLimit": money(min(worth.available, max(ZERO, account.balance))),
            "marginCallMarginUsed": used,
            "marginCallPercent": text(percent.quantize(PERCENT_DIGITS)),
        }

    def summary(self, account: Account, stamp: Stamp) -> View:
        """An account without its orders, trades and positions."""
        rate = account.margin_rate or Decimal("0.02")
        view: View = {
            "id": account.id,
            "alias": account.alias,
            "currency": account.settings.currency,
            "balance": money(account.balance),
            "createdByUserID": USER_ID,
            "createdTime": stamp(account.created_ns),
            "guaranteedStopLossOrderMode": "DISABLED",
            "pl": money(account.realized),
            "resettablePL": money(account.realized),
            "resettablePLTime": "0",
            "financing": money(account.financing),
            "commission": "0.0000",
            "guaranteedExecutionFees": "0.0000",
            "marginRate": text(rate),
            "openTradeCount": len(account.lots),
            "openPositionCount": sum(1 for x in account.positions.values() if x.lots),
            "pendingOrderCount": len(account.working),
            "hedgingEnabled": account.settings.hedging,
            "lastTransactionID": str(account.last_id),
        }
        if account.last_fill_ns is not None:
            view["lastOrderFillTimestamp"] = stamp(account.last_fill_ns)
        view.update(self.account_state(account))
        return view

    def whole(self, account: Account, stamp: Stamp) -> View:
        """An account with everything in it."""
        view = self.summary(account, stamp)
        view["orders"] = [order_view(x, stamp) for x in account.working.values()]
        view["trades"] = [self.trade(account, x, stamp, True) for x in account.lots.values()]
        view["positions"] = [self.position(account, x) for x in account.positions.values()]
        return view

    def price(self, account: Account | None, quote: Quote, stamp: Stamp) -> View:
        """A price; for an account also with its conversion factors."""
        bid, ask = text(quote.bid), text(quote.ask)
        is_tradeable = self._engine.is_open() and self._engine.listings[quote.instrument].tradeable
        view: View = {
            "type": "PRICE",
            "instrument": quote.instrument,
            "time": stamp(quote.at_ns),
            "status": "tradeable" if is_tradeable else "non-tradeable",
            "tradeable": is_tradeable,
            "bids": [{"price": bid, "liquidity": _liquidity(quote.bid_left)}],
            "asks": [{"price": ask, "liquidity": _liquidity(quote.ask_left)}],
            "closeoutBid": bid,
            "closeoutAsk": ask,
        }
        if account is not None:
            self._put_account(account, quote, view)
        return view

    def _put_account(self, account: Account, quote: Quote, view: View) -> None:
        engine = self._engine
        listing = engine.listings[quote.instrument]
        factors = engine.valuer.factors(listing.quote, account.settings.currency) or UNITY
        view["quoteHomeConversionFactors"] = {
            "positiveUnits": factor(factors.gain),
            "negativeUnits": factor(factors.loss),
        }
        one = engine.valuer.margin(account, listing, Decimal(1_000_000)) / 1_000_000
        units = engine.valuer.worth(account).available / one if one else ZERO
        room = text((units // listing.lot) * listing.lot)
        held = account.positions.get(listing.symbol)
        reduce = {
            "long": text(-held.short) if held is not None else "0",
            "short": text(held.long) if held is not None else "0",
        }
        both = {"long": room, "short": room}
        view["unitsAvailable"] = {
            "default": both,
            "reduceFirst": both,
            "reduceOnly": reduce,
            "openOnly": both,
        }


def _liquidity(left: Decimal | None) -> int:
    return LIQUIDITY if left is None else int(left)


def _side(position: Position, listing: Listing, is_long: bool, unrealized: Decimal) -> View:
    units = position.long if is_long else position.short
    cost = position.long_cost if is_long else position.short_cost
    realized = position.long_realized if is_long else position.short_realized
    view: dict[str, Any] = {
        "units": text(units),
        "pl": money(realized),
        "resettablePL": money(realized),
        "unrealizedPL": money(unrealized),
        "financing": "0.0000",
        "guaranteedExecutionFees": "0.0000",
    }
    if units:
        view["averagePrice"] = text((cost / units).quantize(listing.tick))
        view["tradeIDs"] = [str(x.id) for x in position.lots.values() if (x.units > 0) is is_long]
    return view
