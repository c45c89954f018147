"""US retail forex: the account must cover the security deposit of the worst its orders can lead to.

Deposits by currency (deposits.py), the dearer leg of a pair; the broker's own margin rate and the
account's own leverage are floors (regimes.py weighs them in). A position is valued at mid in the
account's currency by its base leg: for EUR/JPY the yen price does not matter. Equity is the
broker's last word on it.
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_DOWN, Decimal

from compliance.deposits import NFA_CURRENT, Deposit
from compliance.magnitude import CENT, PRICE_MAX, STEP, ceil_cent, plain, whole_lots
from compliance.rule import REDUCING, Check, Context, Measure, RuleCard
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.portfolio import ZERO
from domain.screening import Violation

CARD = RuleCard(
    id="us_fx_leverage",
    citation=NFA_CURRENT.citation,
    jurisdiction="US",
    effective_from=NFA_CURRENT.effective_from,
    confirmed_on=date(2026, 11, 21),
    zone="America/Chicago",
)


WAIT = "the same order once the one that reverses the position is settled"


def us_fx_leverage(_settings: ComplianceSettings) -> Check:
    """Refuses an opening order whose deposit, with all that is open, is above equity."""
    return leverage_check(CARD)


def leverage_check(card: RuleCard) -> Check:
    """The check, speaking for a card. What cannot raise the worst case is not asked for margin."""

    def check(_order: NewOrder, context: Context) -> Violation | None:
        exposure, holding = context.exposure, context.holding
        if not context.is_opening and _worst_with(context, context.leaves) <= holding.worst():
            return None
        unpriced = _find_unpriced(context)
        if unpriced:
            return _refuse(
                card, "no_rate", f"no fresh rate to value {', '.join(unpriced)} in the account"
            )
        if exposure.equity is None:
            return _refuse(card, "no_balances", "the account's equity is not known")
        # The order raises the worst case by no more than itself: mostly that settles it.
        rate = exposure.buckets[holding.base].rate or ZERO
        most = (context.leaves * holding.unit_weight + STEP) * rate + STEP + CENT
        if exposure.required + most <= exposure.equity:
            return None
        needed = exposure.required_at(holding, _worst_with(context, context.leaves))
        if needed <= exposure.required:
            return None
        if ceil_cent(needed) <= exposure.equity:
            return None
        return _too_much(card, context, needed, exposure.equity)

    return check


def measure(_settings: ComplianceSettings) -> Measure:
    """The margin of everything with the order, and what it is held against."""

    def numbers(_order: NewOrder, context: Context) -> dict[str, str]:
        needed = context.exposure.required_at(context.holding, _worst_with(context, context.leaves))
        equity = context.exposure.equity
        known = {} if equity is None else {"equity": plain(equity)}
        return {"required": plain(ceil_cent(needed)), **known}

    return numbers


def _worst_with(context: Context, quantity: Decimal) -> Decimal:
    return context.holding.worst_with(
        context.sign,
        quantity,
        is_immediate=context.is_immediate,
        only_reduces=context.only_reduces,
    )


def deposit_of(context: Context, quantity: Decimal) -> Deposit:
    """What that much of the instrument ties up alone; the base currency's rate must be known."""
    bucket = context.exposure.buckets[context.holding.base]
    rate = context.holding.unit_weight / context.instrument.multiplier
    notional = quantity * context.instrument.multiplier * (bucket.rate or ZERO)
    return Deposit(notional=notional, rate=rate, required=ceil_cent(notional * rate))


def _find_unpriced(context: Context) -> tuple[str, ...]:
    exposure, rates = context.exposure, context.rates
    own = exposure.buckets[context.holding.base]
    if own.at_ns < context.fresh_since_ns:
        return (context.holding.base,)
    return exposure.find_unpriced(context.valued_since_ns, rates)


def _refuse(card: RuleCard, code: str, message: str) -> Violation:
    return Violation(
        code=code,
        rule=card.id,
        citation=card.citation,
        message=message,
        would_pass=REDUCING,
    )


def _too_much(card: RuleCard, context: Context, needed: Decimal, equity: Decimal) -> Violation:
    alone = deposit_of(context, context.leaves)
    leverage = min(alone.notional / equity, PRICE_MAX) if equity > 0 else PRICE_MAX
    fits = f"largest quantity that fits: {plain(_largest_that_fits(context, equity))}"
    return Violation(
        code="leverage",
        rule=card.id,
        citation=card.citation,
        message=f"needs a deposit of {plain(ceil_cent(needed))}, equity is {plain(equity)}",
        field="quantity",
        numbers={
            "notional": plain(alone.notional),
            "deposit_percent": plain(alone.rate * 100),
            "order_deposit": plain(alone.required),
            "required": plain(ceil_cent(needed)),
            "equity": plain(equity),
            "order_leverage": plain(round(leverage, 1)),
        },
        # An exit needs margin only beside an order that reverses the position meanwhile.
        would_pass=WAIT if context.only_reduces else fits,
    )


def _largest_that_fits(context: Context, equity: Decimal) -> Decimal:
    """In whole lots. Computed with room for rounding up, so one lot more may fit still."""
    exposure, holding, lot = context.exposure, context.holding, context.instrument.lot
    rate = exposure.buckets[holding.base].rate or ZERO
    cents = equity.quantize(CENT, rounding=ROUND_DOWN)
    room = max(cents - exposure.required - STEP * (rate + 2), ZERO)
    worst = holding.worst() + room / (holding.unit_weight * rate)
    headroom = holding.headroom(context.sign, worst, is_immediate=context.is_immediate)
    fits = whole_lots(max(headroom, ZERO), lot)
    more = exposure.required_at(holding, _worst_with(context, fits + lot))
    return fits + lot if ceil_cent(more) <= equity else fits
