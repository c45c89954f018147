"""What the rules said of an order; in a dry run every rule, and by which numbers."""

from __future__ import annotations

from msgspec import Struct

from compliance.regimes import Asked
from compliance.rule import Context, Measure, RuleCard
from compliance.rules import RULES
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.screening import RuleOutcome, Ruling, Violation

Measures = dict[str, Measure]


class Hearing(Struct, frozen=True, gc=False):
    """What the rules said of one candidate; without a context it could not even be asked.

    `refusals` and `rulings` are a dry run's, which asks on after the first `violation`.
    """

    violation: Violation | None
    warnings: tuple[Violation, ...] = ()
    context: Context | None = None
    refusals: tuple[Violation, ...] = ()
    rulings: tuple[Ruling, ...] = ()


def make_measures(settings: ComplianceSettings) -> Measures:
    """How each rule that compares numbers tells them, by id."""
    return {
        rule.card.id: rule.measure(settings) for rule in RULES.values() if rule.measure is not None
    }


def ask_all(
    asked: Asked, order: NewOrder, context: Context, measures: Measures
) -> tuple[Ruling, ...]:
    """Every rule's word, in the order they are asked."""
    return tuple(
        _rule_on(
            card, check(order, context), measures.get(card.id, _no_numbers)(order, context), context
        )
        for card, check in asked.every
    )


def said(rulings: tuple[Ruling, ...], outcome: RuleOutcome) -> tuple[Violation, ...]:
    """The violations of the rules that said so."""
    return tuple(r.violation for r in rulings if r.violation and r.outcome is outcome)


def _rule_on(
    card: RuleCard, violation: Violation | None, numbers: dict[str, str], context: Context
) -> Ruling:
    said = RuleOutcome.WARN if card.is_warning else RuleOutcome.DENY
    return Ruling(
        account=context.account.account,
        rule=card.id,
        citation=card.citation,
        outcome=RuleOutcome.PASS if violation is None else said,
        numbers=numbers if violation is None else violation.numbers,
        violation=violation,
    )


def _no_numbers(_order: NewOrder, _context: Context) -> dict[str, str]:
    return {}
