"""What the day-trading and cash-account rules ask alike: inputs, the worst price, the shortfall."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from compliance.magnitude import ceil_cent, plain
from compliance.rule import REDUCING, Context, RuleCard, price_of
from compliance.trading import Trading
from domain.orders import NewOrder
from domain.portfolio import ZERO
from domain.screening import Violation

_HUNDRED = Decimal(100)


class Facts(Struct, frozen=True, gc=False):
    """What a rule has to go by: the account's trading, its equity and cash, the worst price."""

    trading: Trading
    equity: Decimal
    cash: Decimal
    price: Decimal


def gather(
    card: RuleCard, order: NewOrder, context: Context, collar_percent: Decimal
) -> Facts | Violation:
    """The facts, or why the rule cannot be asked: then only what reduces a position passes.

    Rules asked of one order by one context share them.
    """
    trading = context.exposure.trading
    if trading is None:
        return refuse(card, "no_calendar", "the exchange's business days are not known")
    gathered = trading.gathered
    if gathered is not None and gathered[0] is context:
        return gathered[1]
    unpriced = trading.margin.find_unpriced(context.valued_since_ns, context.rates)
    equity, cash = trading.equity, trading.cash  # only now: prices are in it
    if equity is None or cash is None:
        return refuse(card, "no_balances", "the account's equity is not known")
    if unpriced:
        names = ", ".join(unpriced[:3])
        return refuse(card, "no_rate", f"no fresh price to value {names} in the account")
    price = worst_price(order, context, collar_percent)
    if price is None or trading.margin.row(order.instrument).price is None:
        return refuse(card, "no_reference_price", f"no fresh price of {order.instrument}")
    facts = Facts(trading, equity, cash, price)
    trading.gathered = context, facts
    return facts


def worst_price(order: NewOrder, context: Context, collar_percent: Decimal) -> Decimal | None:
    """The order's own limit, or for one without the touch and the whole collar beyond it.

    A short sale is valued at the touch where that is above its limit.
    """
    price, quote = price_of(order), context.quote
    if context.sign > 0:
        if price is not None:
            return price
        return None if quote is None else quote.ask * (1 + collar_percent / _HUNDRED)
    if quote is None:
        return price
    return quote.ask if price is None else max(price, quote.ask)


def refuse(card: RuleCard, code: str, message: str) -> Violation:
    """A refusal for want of something to go by."""
    return Violation(
        code=code, rule=card.id, citation=card.citation, message=message, would_pass=REDUCING
    )


def find_shortfall(card: RuleCard, context: Context, facts: Facts) -> Violation | None:
    """Refuses where equity would be less than the maintenance of the worst that may come."""
    margin, symbol = facts.trading.margin, context.instrument.symbol
    room = facts.equity - margin.required
    # Mostly there is room for all that the order could need.
    if margin.added_at_most(symbol, context.sign, context.leaves, facts.price) <= room:
        return None
    added = margin.added(symbol, context.sign, context.leaves, facts.price)
    after = room - added
    if after >= 0 or not added:
        return None
    lot = context.instrument.lot
    fits = margin.fits(symbol, context.sign, room, facts.price, lot)
    return Violation(
        code=card.id,
        rule=card.id,
        citation=card.citation,
        message=f"would leave a deficit of {plain(ceil_cent(-after))}",
        field="quantity",
        numbers={
            "equity": plain(facts.equity),
            "maintenance": plain(ceil_cent(margin.required)),
            "order_maintenance": plain(ceil_cent(added)),
            "iml": plain(room),
            "iml_after": plain(after),
        },
        would_pass=f"largest quantity that fits: {plain(fits)}",
    )


def takes_credit(context: Context, facts: Facts) -> Decimal | None:
    """How much cash the order would lack: a new or larger debit; zero for a short; None if paid."""
    if context.sign < 0:
        return ZERO
    cost = context.leaves * facts.price * context.instrument.multiplier
    left = facts.cash - facts.trading.margin.buys - cost
    return -left if left < 0 else None
