"""From a signal as read to the order it stands for: direction, size, prices. Pure."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from msgspec import Struct

from domain.errors import Retry
from domain.instruments import Instrument
from domain.orders import (
    Bracket,
    NewOrder,
    OrderType,
    PositionEffect,
    Side,
    StopLoss,
    TakeProfit,
    TimeInForce,
    Trailing,
)
from domain.portfolio import ZERO
from domain.quotes import Quote
from domain.signals import Action, Measure, ProtectionRule, Reading, Refusal, Sizing

HUNDRED = Decimal(100)


class Facts(Struct, frozen=True, kw_only=True):
    """What the router knows when the signal comes: `rate` turns the quote currency into home."""

    instrument: Instrument
    held: Decimal = ZERO
    quote: Quote | None = None
    equity: Decimal | None = None
    rate: Decimal | None = None


def order_of(reading: Reading, facts: Facts) -> NewOrder | Refusal:
    """The order the signal stands for, on the instrument's grid."""
    action, held = reading.action, facts.held
    if action is not Action.BUY and action is not Action.SELL and not held:
        field = reading.rule.fields.action
        return Refusal("no_position", field, f"there is nothing of {reading.symbol} to close")
    if action is Action.CLOSE or action is Action.REDUCE:
        return _closing(reading, facts)
    is_buy = held < 0 if action is Action.REVERSE else action is Action.BUY
    return _opening(reading, facts, Side.BUY if is_buy else Side.SELL)


def _opening(reading: Reading, facts: Facts, side: Side) -> NewOrder | Refusal:
    entry = _entry(reading, facts, side)
    if isinstance(entry, Refusal):
        return entry
    quantity = _quantity(reading, facts, entry)
    if isinstance(quantity, Refusal):
        return quantity
    if reading.action is Action.REVERSE:
        quantity += abs(facts.held)
    bracket = _bracket(reading, facts, entry, side)
    if isinstance(bracket, Refusal):
        return bracket
    rule = reading.rule
    price = _on_grid(reading.price, facts) if reading.price is not None else None
    return NewOrder(
        client_order_id=reading.signal_id,
        instrument=facts.instrument.symbol,
        side=side,
        quantity=quantity,
        type=rule.order_type,
        time_in_force=rule.time_in_force or _usual_time(rule.order_type),
        limit_price=price if rule.order_type is OrderType.LIMIT else None,
        stop_price=price if rule.order_type is OrderType.STOP else None,
        bracket=bracket,
        account=rule.account,
        tag=rule.tag,
        signal_id=reading.signal_id,
        valid_for_ms=rule.valid_for_ms,
    )


def _usual_time(order_type: OrderType) -> TimeInForce:
    return TimeInForce.FOK if order_type is OrderType.MARKET else TimeInForce.GTC


def _closing(reading: Reading, facts: Facts) -> NewOrder | Refusal:
    """At the market, whatever the rule's type for entries: an exit must not rest."""
    is_buy = facts.held < 0
    quantity: Decimal | Refusal = abs(facts.held)
    if reading.action is Action.REDUCE:
        quantity = _quantity(reading, facts, _touch(facts, is_buy))
    if isinstance(quantity, Refusal):
        return quantity
    return NewOrder(
        client_order_id=reading.signal_id,
        instrument=facts.instrument.symbol,
        side=Side.BUY if is_buy else Side.SELL,
        quantity=min(quantity, abs(facts.held)),
        type=OrderType.MARKET,
        time_in_force=TimeInForce.FOK,
        position_effect=PositionEffect.REDUCE_ONLY,
        reduce_only=True,
        account=reading.rule.account,
        tag=reading.rule.tag,
        signal_id=reading.signal_id,
        valid_for_ms=reading.rule.valid_for_ms,
    )


def _touch(facts: Facts, is_buy: bool) -> Decimal | None:
    return facts.quote.touch(is_buy) if facts.quote is not None else None


def _entry(reading: Reading, facts: Facts, side: Side) -> Decimal | Refusal | None:
    """The price the order is expected at: its own, or else the market's; None where unknown."""
    if reading.rule.order_type is OrderType.MARKET:
        return _touch(facts, side.is_buy)
    if reading.price is None:
        kind = reading.rule.order_type.value
        return Refusal(
            "signal_incomplete", reading.rule.fields.price, f"a {kind} order needs a price"
        )
    return reading.price


def _no_quote(reading: Reading) -> Refusal:
    message = f"no price of {reading.symbol} yet; send the same signal again"
    return Refusal("no_quote", None, message, Retry.SAME_ID)


def _on_grid(price: Decimal, facts: Facts) -> Decimal:
    """The nearest price of the grid: what a strategy computes seldom lies on it."""
    tick = facts.instrument.tick
    return (price / tick).to_integral_value() * tick


# -- how large


def _quantity(reading: Reading, facts: Facts, entry: Decimal | None) -> Decimal | Refusal:
    rule = reading.rule.sizing
    wanted = _SIZES[rule.by](reading, facts, entry)
    if isinstance(wanted, Refusal):
        return wanted
    if rule.max is not None:
        wanted = min(wanted, rule.max)
    lot = facts.instrument.lot
    quantity = (wanted / lot).to_integral_value(ROUND_DOWN) * lot
    if quantity >= facts.instrument.quantity_min:
        return quantity
    field = reading.rule.fields.quantity if rule.by is Sizing.SIGNAL else None
    least = facts.instrument.quantity_min
    message = f"comes to {format(wanted.normalize(), 'f')}; the least is {least}"
    return Refusal("quantity_too_small", field, message)


def _fixed(reading: Reading, _facts: Facts, _entry: Decimal | None) -> Decimal:
    return reading.rule.sizing.value or ZERO


def _from_signal(reading: Reading, _facts: Facts, _entry: Decimal | None) -> Decimal | Refusal:
    field = reading.rule.fields.quantity
    return reading.quantity or Refusal("signal_incomplete", field, "the signal says the quantity")


def _by_risk(reading: Reading, facts: Facts, entry: Decimal | None) -> Decimal | Refusal:
    """So many units that the stop, if hit at its price, loses the percent of equity."""
    if entry is None:
        return _no_quote(reading)
    stop = reading.rule.stop_loss
    assert stop is not None
    distance = _distance(reading, facts, entry, stop)
    return distance if isinstance(distance, Refusal) else _share(reading, facts, distance)


def _share(reading: Reading, facts: Facts, unit: Decimal | None) -> Decimal | Refusal:
    """The rule's percent of equity, in units that each are worth `unit` of quote currency."""
    if unit is None or facts.rate is None:
        return _no_quote(reading)
    if facts.equity is None or facts.equity <= 0:
        account = reading.rule.account
        return Refusal("no_equity", None, f"the equity of {account} is not known, or is spent")
    percent = reading.rule.sizing.value or ZERO
    worth = unit * facts.rate * facts.instrument.multiplier
    return facts.equity * percent / HUNDRED / worth


_SIZES = {
    Sizing.FIXED: _fixed,
    Sizing.SIGNAL: _from_signal,
    Sizing.EQUITY_PERCENT: _share,
    Sizing.RISK_PERCENT: _by_risk,
}
assert _SIZES.keys() == set(Sizing)


# -- what guards it


def _bracket(
    reading: Reading, facts: Facts, entry: Decimal | None, side: Side
) -> Bracket | Refusal | None:
    rule = reading.rule
    if rule.stop_loss is None and rule.take_profit is None and rule.trailing is None:
        return None
    if entry is None:
        return _no_quote(reading)
    stop = _stop_loss(reading, facts, entry)
    target = _take_profit(reading, facts, entry, side)
    if isinstance(stop, Refusal):
        return stop
    if isinstance(target, Refusal):
        return target
    trailing = None
    if rule.trailing is not None:
        trailing = Trailing(amount=_amount(rule.trailing, facts, entry))
    return Bracket(stop_loss=stop, take_profit=target, trailing=trailing)


def _stop_loss(reading: Reading, facts: Facts, entry: Decimal) -> StopLoss | Refusal | None:
    rule = reading.rule.stop_loss
    if rule is None:
        return None
    if rule.by is not Measure.SIGNAL:
        return StopLoss(distance=_amount(rule, facts, entry))
    if reading.stop_loss is None:
        return Refusal(
            "signal_incomplete", reading.rule.fields.stop_loss, "the rule needs its price"
        )
    return StopLoss(stop_price=_on_grid(reading.stop_loss, facts))


def _take_profit(
    reading: Reading, facts: Facts, entry: Decimal, side: Side
) -> TakeProfit | Refusal | None:
    rule = reading.rule.take_profit
    if rule is None:
        return None
    if rule.by is not Measure.SIGNAL:
        price = entry + _amount(rule, facts, entry) * side.sign
    elif reading.take_profit is None:
        return Refusal(
            "signal_incomplete", reading.rule.fields.take_profit, "the rule needs its price"
        )
    else:
        price = reading.take_profit
    return TakeProfit(limit_price=_on_grid(price, facts))


def _distance(
    reading: Reading, facts: Facts, entry: Decimal, rule: ProtectionRule
) -> Decimal | Refusal:
    """How far the stop lies from the entry."""
    if rule.by is not Measure.SIGNAL:
        return _amount(rule, facts, entry)
    field = reading.rule.fields.stop_loss
    if reading.stop_loss is None:
        return Refusal("signal_incomplete", field, "the risk is measured by it")
    distance = abs(entry - reading.stop_loss)
    return distance or Refusal(
        "signal_risk_unknown", field, "lies at the entry: no risk to measure by"
    )


def _amount(rule: ProtectionRule, facts: Facts, entry: Decimal) -> Decimal:
    """Pips or a percent as a price distance, at least one step of the grid."""
    value = rule.value or ZERO
    unit = facts.instrument.pip if rule.by is Measure.PIPS else entry / HUNDRED
    return max(_on_grid(value * unit, facts), facts.instrument.tick)
