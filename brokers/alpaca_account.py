"""Alpaca's account, positions, assets and non-trade activities in our words."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from brokers import alpaca_messages as wire
from brokers import alpaca_words as words
from brokers.adapter import AdapterSettings
from brokers.reading import NS, format_time, look, parse_time
from domain.accounts import AccountBalances, AccountStatus, BrokerAccount
from domain.instruments import AssetClass, Instrument
from domain.portfolio import ZERO, Lot, Position, with_lots
from domain.transactions import Transaction

CENT = Decimal("0.01")
SUBPENNY = Decimal("0.0001")
"""The price grid below a dollar; from a dollar on it is a cent, which no one tick can say."""
FRACTION = Decimal("0.000000001")
"""Alpaca takes quantities to nine decimals where it takes fractions."""
QUANTITY_MAX = Decimal(10) ** 9
"""Our own bound: Alpaca tells none."""


def account_of(template: BrokerAccount, account: wire.Account, now_ns: int) -> BrokerAccount:
    """The template with the broker's own facts. Raises UnknownWord."""
    is_blocked = (
        account.trading_blocked or account.account_blocked or account.trade_suspended_by_user
    )
    status = look(words.ACCOUNT_STATUS, account.status, "account status")
    if is_blocked and status is AccountStatus.ACTIVE:
        status = AccountStatus.RESTRICTED
    multiplier = account.multiplier
    return replace(
        template,
        base_currency=account.currency,
        hedging=False,
        name=account.account_number or template.name,
        status=status,
        leverage=multiplier,
        can_trade_stocks=True,
        can_trade_margin=multiplier is not None and multiplier > 1,
        can_short=account.shorting_enabled is True,
        can_trade_crypto=account.crypto_status == "ACTIVE",
        options_level=int(account.options_approved_level or 0),
        opened_on=account.created_at[:10] if account.created_at else None,
        last_sync_ns=now_ns,
    )


def balances_of(name: str, account: wire.Account, positions: int, orders: int) -> AccountBalances:
    """The account's money, in its one currency. What Alpaca does not say stays absent."""
    longs, shorts = account.long_market_value, account.short_market_value
    has_value = longs is not None or shorts is not None
    day = None if account.last_equity is None else account.equity - account.last_equity
    return AccountBalances(
        account=name,
        currency=account.currency,
        cash=account.cash,
        equity=account.equity,
        available=account.non_marginable_buying_power,
        buying_power=account.buying_power,
        day_trading_buying_power=account.daytrading_buying_power,
        margin_used=account.initial_margin,
        margin_maintenance=account.maintenance_margin,
        market_value=(longs or ZERO) + (shorts or ZERO) if has_value else None,
        day_pnl=day,
        open_positions=positions,
        pending_orders=orders,
    )


def position_of(name: str, held: wire.HeldPosition, symbol: str, now_ns: int) -> Position:
    """The position as one lot: Alpaca nets, and tells the average alone. Raises UnknownWord."""
    sign = look({"long": 1, "short": -1}, held.side, "position side")
    quantity = abs(held.qty) * sign
    available = held.qty_available
    position = Position(
        account=name,
        instrument=symbol,
        quantity=quantity,
        current_price=held.current_price,
        market_value=held.market_value,
        unrealized_pnl=held.unrealized_pl,
        day_pnl=held.unrealized_intraday_pl,
        broker_position_id=held.asset_id,
        synced_ns=now_ns,
        quantity_available=None if available is None else abs(available) * sign,
        cost_basis=held.cost_basis,
        unrealized_percent=None if held.unrealized_plpc is None else held.unrealized_plpc * 100,
        asset_class=words.ASSET_CLASS.get(held.asset_class or ""),
        exchange=held.exchange,
    )
    if held.avg_entry_price is None or not quantity:
        return position
    # It is older than any fill still to come, which must find it first in, first out.
    lot = Lot(
        lot_id=f"net:{symbol}",
        instrument=symbol,
        quantity=quantity,
        price=held.avg_entry_price,
        opened_ns=0,
        opened_sequence=1,
    )
    return with_lots(position, (lot,))


def is_tradeable(asset: wire.Asset) -> bool:
    """Whether it is of a class that is traded here, and open for trading."""
    is_known = asset.asset_class in words.ASSET_CLASS
    return is_known and asset.tradable and asset.status == "active"


def instrument_of(asset: wire.Asset) -> Instrument:
    """The instrument in our words."""
    if words.ASSET_CLASS[asset.asset_class] is AssetClass.CRYPTO:
        return _pair_of(asset)
    lot = FRACTION if asset.fractionable else Decimal(1)
    requirement = asset.margin_requirement_long
    is_borrowable = asset.easy_to_borrow is not False and asset.borrow_status != "hard_to_borrow"
    return Instrument(
        symbol=asset.symbol,
        broker_symbol=asset.symbol,
        asset_class=AssetClass.EQUITY,
        base_currency=asset.symbol,
        quote_currency="USD",
        tick=SUBPENNY,
        lot=lot,
        quantity_min=lot,
        quantity_max=QUANTITY_MAX,
        pip=CENT,
        margin_rate=None if requirement is None else requirement / 100,
        calendar="XNYS",
        marginable=asset.marginable,
        shortable=asset.shortable and is_borrowable,
        exchange=asset.exchange or None,
    )


def _pair_of(asset: wire.Asset) -> Instrument:
    """A crypto pair: cash only, open always, on the grid Alpaca tells."""
    base, _, quoted = asset.symbol.partition("/")
    tick = asset.price_increment or FRACTION
    lot = asset.min_trade_increment or FRACTION
    return Instrument(
        symbol=asset.symbol,
        broker_symbol=asset.symbol,
        asset_class=AssetClass.CRYPTO,
        base_currency=base,
        quote_currency=quoted,
        tick=tick,
        lot=lot,
        quantity_min=asset.min_order_size or lot,
        quantity_max=QUANTITY_MAX,
        pip=tick,
        calendar="always",
        marginable=False,
        shortable=False,
    )


def transaction_of(settings: AdapterSettings, activity: wire.Activity) -> Transaction | None:
    """A movement Alpaca booked; None where it moves nothing of its own, or was taken back.

    Raises UnknownWord.
    """
    kind = look(words.ACTIVITY, activity.activity_type, "activity type")
    if kind is None or activity.status == "canceled":
        return None
    account = settings.account
    return Transaction(
        connection=account.connection,
        account=account.account,
        broker_transaction_id=activity.id,
        type=kind,
        currency=activity.currency or account.base_currency,
        amount=activity.net_amount or ZERO,
        traded_ns=activity_time(activity),
        instrument=activity.symbol,
        quantity=activity.qty,
        price=activity.price,
    )


def activity_time(activity: wire.Activity) -> int:
    """When it was booked: a day alone is its first moment. Raises ValueError."""
    text = activity.transaction_time or activity.date or ""
    return parse_time(f"{text}T00:00:00Z" if len(text) == 10 else text)


def whole_second(ns: int) -> str:
    """The second as Alpaca's `after` takes it, rounded down."""
    return format_time(ns // NS * NS)[:19] + "Z"
