"""OANDA's account and instruments in our words."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from brokers import oanda_messages as wire
from brokers.oanda_transactions import symbol_of
from brokers.reading import look, parse_time
from domain.accounts import AccountBalances, BrokerAccount
from domain.instruments import AssetClass, Instrument
from domain.portfolio import ZERO, Lot, Position, with_lots

_ASSET_CLASS = {
    "CURRENCY": AssetClass.FOREX,
    "CFD": AssetClass.CFD,
    "METAL": AssetClass.METAL,
}


def account_of(template: BrokerAccount, account: wire.Account, now_ns: int) -> BrokerAccount:
    """The template with the broker's own facts."""
    rate = account.margin_rate
    return replace(
        template,
        base_currency=account.currency,
        hedging=account.hedging_enabled,
        name=account.alias or template.name,
        leverage=1 / rate if rate else None,
        can_short=True,
        can_trade_margin=True,
        can_trade_forex=True,
        last_sync_ns=now_ns,
    )


def balances_of(name: str, account: wire.Account) -> AccountBalances:
    """The account's money, in its one currency."""
    has_profit = account.pl is not None and account.unrealized_pl is not None
    return AccountBalances(
        account=name,
        currency=account.currency,
        cash=account.balance,
        equity=account.nav,
        available=account.margin_available,
        withdrawable=account.withdrawal_limit,
        margin_used=account.margin_used,
        margin_available=account.margin_available,
        closeout_percent=account.margin_closeout_percent,
        market_value=account.position_value,
        realized_pnl=account.pl,
        unrealized_pnl=account.unrealized_pl,
        total_pnl=(account.pl or ZERO) + (account.unrealized_pl or ZERO) if has_profit else None,
        open_positions=account.open_position_count,
        pending_orders=account.pending_order_count,
    )


def position_of(
    name: str, held: wire.HeldPosition, trades: tuple[wire.Trade, ...], now_ns: int
) -> Position:
    """The position with its trades as lots, oldest (lowest trade id) first."""
    symbol = symbol_of(held.instrument)
    lots = tuple(
        Lot(
            lot_id=trade.id,
            instrument=symbol,
            quantity=trade.current_units,
            price=trade.price,
            opened_ns=parse_time(trade.open_time),
            opened_sequence=int(trade.id),
            has_bracket=any(
                (trade.stop_loss_order_id, trade.take_profit_order_id,
                 trade.trailing_stop_loss_order_id)
            ),
        )
        for trade in sorted(trades, key=lambda trade: int(trade.id))
        if trade.instrument == held.instrument
    )  # fmt: skip
    position = Position(
        account=name,
        instrument=symbol,
        quantity=held.long.units + held.short.units,
        unrealized_pnl=held.unrealized_pl,
        realized_pnl=held.pl,
        financing=held.financing,
        margin_used=held.margin_used,
        synced_ns=now_ns,
    )
    if lots:
        return with_lots(position, lots)
    side = held.long if held.long.units else held.short
    return replace(position, average_cost=side.average_price)


def instrument_of(tradeable: wire.Tradeable) -> Instrument:
    """The instrument in our words. Raises UnknownWord."""
    base, _, quoted = tradeable.name.partition("_")
    return Instrument(
        symbol=symbol_of(tradeable.name),
        broker_symbol=tradeable.name,
        asset_class=look(_ASSET_CLASS, tradeable.type, "instrument type"),
        base_currency=base,
        quote_currency=quoted,
        tick=Decimal(1).scaleb(-tradeable.display_precision),
        lot=Decimal(1).scaleb(-tradeable.trade_units_precision),
        quantity_min=tradeable.minimum_trade_size,
        quantity_max=tradeable.maximum_order_units,
        pip=Decimal(1).scaleb(tradeable.pip_location),
        margin_rate=tradeable.margin_rate,
        calendar="forex",
        trailing_distance_min=tradeable.minimum_trailing_stop_distance,
    )
