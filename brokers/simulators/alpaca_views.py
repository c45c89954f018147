"""Orders, positions, accounts and assets as Alpaca's trading API tells them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from brokers.simulators import facts as f
from brokers.simulators.alpaca_checks import may_short
from brokers.simulators.alpaca_listings import EXCHANGES, is_crypto
from brokers.simulators.alpaca_words import (
    ENDED,
    ORDER_TYPE,
    TIME_IN_FORCE,
    account_uuid,
    asset_id,
    event_of,
    execution_ids,
    money,
    optional,
    optional_time,
    order_ids,
    rfc3339,
    rounded,
    status_of,
    text,
)
from brokers.simulators.book import Account, Listing, Order, Position
from brokers.simulators.netting_engine import NetEngine
from brokers.simulators.netting_money import held_units
from brokers.simulators.terms import ZERO
from brokers.simulators.words import EXITS, Kind, Stage, State, Why

View = dict[str, Any]


class AlpacaViews:
    """Renders what the engine holds."""

    def __init__(self, engine: NetEngine) -> None:
        self._engine = engine
        self.last_equity: dict[str, Decimal] = {}
        self.last_price: dict[str, Decimal] = {}

    # -- orders

    def order(self, account: Account, order: Order, nested: bool = False) -> View:
        """An order as it stands; `nested` puts those that hang on it under `legs`."""
        view = order_view(account, self._engine.listings[order.terms.instrument], order)
        if nested:
            legs = self._engine.groups.legs(account, order)
            view["legs"] = [_as_leg(self.order(account, x)) for x in legs] or None
        return view

    def accepted(self, account: Account, order: Order) -> View:
        """An order as the answer to its request tells it: taken, and nothing done yet."""
        view = self.order(account, order)
        found = self._engine.groups.legs(account, order)
        legs = [_as_leg(self.accepted(account, x)) for x in found]
        is_sent = order.terms.role not in EXITS or order.terms.group is None
        view["status"] = "pending_new" if is_sent else "held"
        if order.stage is Stage.QUEUED and order.state is State.WORKING:
            view["status"] = "accepted"
        view["filled_qty"] = text(abs(order.carried))
        for name in ("filled_avg_price", "filled_at", "expired_at", "canceled_at", "failed_at"):
            view[name] = None
        view["updated_at"] = view["created_at"]
        view["legs"] = legs or None
        return view

    def event(self, account: Account, order: Order, fact: f.AnyFact) -> View | None:
        """What the trade_updates stream says of a fact; None where it says nothing."""
        view: View = {}
        if isinstance(fact, f.Filled):
            view["event"] = "fill" if not fact.leaves else "partial_fill"
            view["price"], view["qty"] = text(fact.price), text(abs(fact.units))
            view["position_qty"] = text(fact.position)
        elif isinstance(fact, f.EndRefused):
            is_cancel = fact.why is Why.ORDER_UNKNOWN
            view["event"] = "order_cancel_rejected" if is_cancel else "order_replace_rejected"
        elif isinstance(fact, f.Booked):
            if order.stage is not Stage.PENDING:
                return None
            view["event"] = "pending_new"
        else:
            view["event"] = event_of(order)
        view["execution_id"] = execution_ids(account).of(fact.id)
        view["timestamp"] = rfc3339(fact.at_ns)
        view["order"] = self.order(account, order, nested=True)
        return view

    # -- activities

    def activity(self, account: Account, fact: f.AnyFact) -> View | None:
        """A fact in the account's history; None where it is no activity."""
        if isinstance(fact, f.Filled):
            return self._fill(account, fact)
        if isinstance(fact, f.Funded):
            day = rfc3339(fact.at_ns)[:10]
            return {
                "id": activity_id(account, fact),
                "activity_type": "CSD" if fact.amount >= 0 else "CSW",
                "date": day,
                "created_at": rfc3339(fact.at_ns),
                "net_amount": money(fact.amount),
                "currency": "USD",
                "status": "executed",
            }
        return None

    def _fill(self, account: Account, fact: f.Filled) -> View:
        is_whole = not fact.leaves
        return {
            "id": activity_id(account, fact),
            "activity_type": "FILL",
            "transaction_time": rfc3339(fact.at_ns),
            "type": "fill" if is_whole else "partial_fill",
            "price": text(fact.price),
            "qty": text(abs(fact.units)),
            "side": "buy" if fact.units > 0 else "sell",
            "symbol": fact.instrument,
            "leaves_qty": text(fact.leaves),
            "order_id": order_ids(account).of(fact.order),
            "cum_qty": text(fact.filled),
            "order_status": "filled" if is_whole else "partially_filled",
        }

    # -- positions and accounts

    def position(self, account: Account, position: Position) -> View:
        """One position at the market. Coins are named without their stroke, as Alpaca does."""
        listing = self._engine.listings[position.instrument]
        units, cost = position.net, position.long_cost + position.short_cost
        price = self._engine.purse.price(position.instrument)
        value, last = units * price, self.last_price.get(position.instrument, price)
        earned, today = value - cost, (price - last) * units
        claimed = held_units(account, position.instrument, units > 0, None)
        return {
            "asset_id": asset_id(listing.symbol),
            "symbol": listing.symbol.replace("/", ""),
            "exchange": exchange_of(listing),
            "asset_class": listing.kind,
            "asset_marginable": listing.is_marginable,
            "qty": text(units),
            "qty_available": text(max(ZERO, abs(units) - claimed).copy_sign(units)),
            "avg_entry_price": rounded(cost / units),
            "side": "long" if units > 0 else "short",
            "market_value": text(value),
            "cost_basis": rounded(cost),
            "unrealized_pl": rounded(earned),
            "unrealized_plpc": rounded(earned / abs(cost)) if cost else "0",
            "unrealized_intraday_pl": rounded(today),
            "unrealized_intraday_plpc": rounded(today / abs(last * units)) if last else "0",
            "current_price": text(price),
            "lastday_price": text(last),
            "change_today": rounded((price - last) / last) if last else "0",
        }

    def account(self, account: Account) -> View:
        """The account. What day trading rules once needed is gone since 2026-07-06."""
        funds = self._engine.purse.funds(account)
        last = self.last_equity.get(account.id, account.settings.balance)
        return {
            "id": account_uuid(account),
            "account_number": account.id,
            "status": "ACTIVE",
            "crypto_status": "ACTIVE",
            "currency": "USD",
            "buying_power": money(funds.buying_power),
            "regt_buying_power": money(funds.regt_power),
            "non_marginable_buying_power": money(funds.cash_power),
            "options_buying_power": money(funds.cash_power),
            "cash": text(funds.cash),
            "accrued_fees": "0",
            "pending_transfer_in": "0",
            "pending_transfer_out": "0",
            "pending_reg_taf_fees": "0",
            "portfolio_value": text(funds.equity),
            "equity": text(funds.equity),
            "last_equity": text(last),
            "long_market_value": text(funds.long_value),
            "short_market_value": text(funds.short_value),
            "initial_margin": money(funds.initial_margin),
            "maintenance_margin": money(funds.maintenance_margin),
            "last_maintenance_margin": "0",
            "sma": "0",
            "multiplier": str(funds.multiplier),
            "shorting_enabled": may_short(self._engine, account),
            "trading_blocked": False,
            "transfers_blocked": False,
            "account_blocked": False,
            "trade_suspended_by_user": bool(account.options.get("suspend_trade")),
            "options_approved_level": 0,
            "options_trading_level": 0,
            "intraday_adjustments": "0",
            "balance_asof": rfc3339(account.created_ns)[:10],
            "created_at": rfc3339(account.created_ns),
        }


def order_view(account: Account, listing: Listing, order: Order) -> View:
    """An order by itself."""
    terms, ids = order.terms, order_ids(account)
    word = status_of(order)
    ended = {ENDED[order.why]: order.ended_ns} if order.why is not None else {}
    filled = abs(order.filled)
    kind = ORDER_TYPE[terms.kind]
    is_stop = terms.kind in (Kind.STOP, Kind.STOP_LIMIT)
    return {
        "id": ids.of(order.id),
        "client_order_id": order.client_id,
        "created_at": rfc3339(order.created_ns),
        "updated_at": rfc3339(order.changed_ns),
        "submitted_at": rfc3339(order.created_ns),
        "filled_at": optional_time(order.filled_ns if word == "filled" else None),
        "expired_at": optional_time(ended.get("expired")),
        "canceled_at": optional_time(ended.get("canceled")),
        "failed_at": optional_time(ended.get("rejected")),
        "replaced_at": optional_time(ended.get("replaced")),
        "replaced_by": None if order.replaced_by is None else ids.of(order.replaced_by),
        "replaces": None if order.replaces is None else ids.of(order.replaces),
        "asset_id": asset_id(listing.symbol),
        "symbol": listing.symbol,
        "asset_class": listing.kind,
        "notional": optional(terms.notional),
        "qty": None if terms.notional is not None else text(abs(terms.units)),
        "filled_qty": text(filled),
        "filled_avg_price": rounded(order.value / filled) if filled else None,
        "order_class": terms.style,
        "order_type": kind,
        "type": kind,
        "side": "buy" if terms.units > 0 else "sell",
        "position_intent": terms.asked or f"{'buy' if terms.units > 0 else 'sell'}_to_close",
        "time_in_force": TIME_IN_FORCE[terms.life],
        "limit_price": optional(terms.price if terms.kind is Kind.LIMIT else terms.limit),
        "stop_price": optional(terms.price if is_stop else order.trail),
        "status": word,
        "extended_hours": terms.is_extended,
        "legs": None,
        "trail_percent": optional(terms.percent),
        "trail_price": optional(terms.distance),
        "hwm": optional(order.peak),
        **({} if terms.expire_ns is None else {"expires_at": rfc3339(terms.expire_ns)}),
    }


def _as_leg(view: View) -> View:
    """An order under another one: its end is the other's."""
    view.pop("expires_at", None)
    return view


def exchange_of(listing: Listing) -> str:
    """Where it trades."""
    return "CRYPTO" if is_crypto(listing) else EXCHANGES.get(listing.symbol, "NASDAQ")


def activity_id(account: Account, fact: f.AnyFact) -> str:
    """Milliseconds and, for a fill, the id the stream told its execution with."""
    digits = "".join(x for x in rfc3339(fact.at_ns) if x.isdigit())
    return f"{digits[:17]}::{execution_ids(account).of(fact.id)}"


def asset_view(listing: Listing) -> View:
    """An asset."""
    view: View = {
        "id": asset_id(listing.symbol),
        "class": listing.kind,
        "exchange": exchange_of(listing),
        "symbol": listing.symbol,
        "name": listing.name,
        "status": "active",
        "tradable": listing.tradeable,
        "marginable": listing.is_marginable,
        "fractionable": True,
        "shortable": listing.is_marginable,
        "easy_to_borrow": listing.is_marginable,
        "attributes": [],
    }
    if is_crypto(listing):
        view["min_order_size"] = text(listing.units_min)
        view["min_trade_increment"] = text(listing.lot)
        view["price_increment"] = text(listing.tick)
        view["maintenance_margin_requirement"] = 100
    else:
        view["borrow_status"] = "easy_to_borrow"
        view["maintenance_margin_requirement"] = 30
        view["margin_requirement_long"] = view["margin_requirement_short"] = "30"
        view["attributes"] = ["fractional_eh_enabled"]
    return view
