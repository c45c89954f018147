"""Credit by customer and over all: what is held and under way, with this order, in one currency.

The reservation is made in the same step as the answer, so two orders cannot both take the last
of it; it is given back when the order fills (what it bought is held then), ends, or is not sent.
"""

from __future__ import annotations

from decimal import Decimal

from compliance.magnitude import ceil_cent, plain, whole_lots
from compliance.rule import (
    HOUSE,
    REDUCING,
    Check,
    Context,
    Measure,
    RuleCard,
    passes,
)
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.portfolio import ZERO
from domain.screening import Violation

CARD = RuleCard(
    id="credit_limit",
    citation="17 CFR 240.15c3-5(c)(1)(i); house limits",
    jurisdiction=HOUSE,
    opens_only=True,
)


def credit_limit(settings: ComplianceSettings) -> Check:
    """Refuses what would use more credit than the customer's or the firm's limit, ends included."""
    market = settings.market
    if not market.counts_credit:
        return passes

    def check(_order: NewOrder, context: Context) -> Violation | None:
        book = context.credit
        assert book is not None
        if context.credit_price is None or book.unvalued.get(context.owner):
            return _unvalued(context)
        line = book.line(context.holding)
        unit = context.credit_price * line.multiplier
        value, since_ns = unit * context.leaves, context.valued_since_ns
        found = context.rates.convert(line.currency, book.currency, since_ns)
        if found is None:
            return _unvalued(context)
        most = value * found.rate
        for code, tally, limit in (
            ("customer_credit", book.tally(context.owner), customer_max),
            ("firm_credit", book.firm, book.budget),
        ):
            if limit is None:
                continue
            if tally.oldest_ns < since_ns and not book.is_valued(tally, since_ns):
                return _unvalued(context)
            used = tally.total
            # The order adds no more than its whole value: mostly that settles it.
            if used + most > limit:
                worst = line.worst_with(context.sign, value, is_immediate=context.is_immediate)
                more = worst - line.amount
                total = used + more * found.rate
                if more > 0 and total > limit:
                    return _too_much(context, code, total, limit, unit)
        return None

    customer_max = market.customer_credit_max
    return check


def measure(settings: ComplianceSettings) -> Measure:
    """What the customer uses before the order."""
    most = settings.market.customer_credit_max

    def numbers(_order: NewOrder, context: Context) -> dict[str, str]:
        book = context.credit
        assert book is not None
        total = book.total(book.tally(context.owner), context.valued_since_ns)
        found = {} if total is None else {"used": plain(ceil_cent(total))}
        return found if most is None else {**found, "limit": plain(most)}

    return numbers


def _unvalued(context: Context) -> Violation:
    return Violation(
        code="no_reference_price",
        rule=CARD.id,
        citation=CARD.citation,
        message=f"no price or rate to value what {context.owner} holds and has under way",
        would_pass=REDUCING,
    )


def _too_much(
    context: Context, code: str, total: Decimal, limit: Decimal, unit: Decimal
) -> Violation:
    book = context.credit
    assert book is not None
    currency = book.line(context.holding).currency
    found = context.rates.convert(currency, book.currency, context.valued_since_ns)
    assert found is not None
    each = unit * found.rate
    fits = max(context.leaves - (total - limit) / each, ZERO)
    return Violation(
        code=code,
        rule=CARD.id,
        citation=CARD.citation,
        message=f"would use credit of {plain(ceil_cent(total))} {book.currency}; "
        f"the limit is {plain(limit)}",
        field="quantity",
        numbers={
            "order": plain(ceil_cent(each * context.leaves)),
            "would_use": plain(ceil_cent(total)),
            "limit": plain(limit),
        },
        would_pass=f"largest quantity that fits: {plain(whole_lots(fits, context.instrument.lot))}",
    )
