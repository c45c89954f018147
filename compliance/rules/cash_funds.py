"""A cash account buys with the cash it has, and sells what it holds.

While it is restricted only settled cash counts: for a free ride by Regulation T, for too many
good-faith or liquidation violations by its broker.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from compliance.finra_4210 import CONFIRMED_ON
from compliance.funding import CASH_CITATION
from compliance.magnitude import ceil_cent, plain, whole_lots
from compliance.rule import REDUCING, Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from compliance.trading_checks import Facts, gather, refuse
from domain.accounts import AccountType
from domain.orders import NewOrder
from domain.portfolio import ZERO
from domain.screening import Violation

CASH_TYPES = frozenset({AccountType.CASH, AccountType.IRA, AccountType.ROTH})
CARD = RuleCard(
    id="cash_funds",
    citation=CASH_CITATION,
    jurisdiction="US",
    account_types=CASH_TYPES,
    effective_from=date(1998, 4, 1),
    confirmed_on=CONFIRMED_ON,
    opens_only=True,
)


def cash_funds(settings: ComplianceSettings) -> Check:
    """Refuses a short sale, and a purchase beyond the cash that counts."""
    collar = settings.collar_percent

    def check(order: NewOrder, context: Context) -> Violation | None:
        facts = gather(CARD, order, context, collar)
        if isinstance(facts, Violation):
            return facts
        if context.sign < 0:
            return refuse(CARD, "short_in_cash_account", "a cash account cannot sell short")
        funding = facts.trading.funding
        assert funding is not None
        restricted = facts.trading.settled_only_until
        counted = funding.available if restricted is None else funding.settled
        room = max(counted - facts.trading.margin.buys, ZERO)
        cost = context.leaves * facts.price * context.instrument.multiplier
        return None if cost <= room else _refuse(context, facts, room, cost)

    return check


def _refuse(context: Context, facts: Facts, room: Decimal, cost: Decimal) -> Violation:
    until, funding = facts.trading.settled_only_until, facts.trading.funding
    assert funding is not None
    fits = whole_lots(room / (facts.price * context.instrument.multiplier), context.instrument.lot)
    what = "settled cash" if until is not None else "cash"
    return Violation(
        code="settled_cash_only" if until is not None else "insufficient_cash",
        rule=CARD.id,
        citation=CARD.citation,
        message=f"costs {plain(ceil_cent(cost))}, {what} not yet spoken for is {plain(room)}"
        + (f"; restricted until {until}" if until is not None else ""),
        field="quantity",
        numbers={
            "cost": plain(ceil_cent(cost)),
            "settled": plain(funding.settled),
            "unsettled": plain(funding.unsettled),
            "reserved": plain(facts.trading.margin.buys),
        },
        would_pass=f"largest quantity that fits: {plain(fits)}" if fits else REDUCING,
    )
