"""NFA Compliance Rule 2-43(a): when a dealer may change or cancel an executed order at all.

In a customer's favor: to settle his complaint, or, for trouble beyond the customers' control
that no price move caused, where all who suffered are made good alike. Against him: only where an
exclusive straight-through dealer's counterparty, no affiliate of it, changed its price, and he
is told in writing within 15 minutes of the execution.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from domain.screening import Violation

CITATION = "NFA Compliance Rule 2-43(a)"
NOTICE_MINUTES_MAX = 15


class Cause(Enum):
    """Why a price would be changed."""

    FAVORABLE = "favorable"
    COUNTERPARTY = "counterparty"


class Adjustment(Struct, frozen=True, kw_only=True):
    """A change of an executed order that someone proposes."""

    cause: Cause
    settles_complaint: bool = False
    is_beyond_control: bool = False
    covers_everyone: bool = False
    is_straight_through: bool = False
    is_affiliate: bool = True
    notice_minutes: int | None = None


def find_violation(adjustment: Adjustment) -> Violation | None:
    """Why it may not be made, or None."""
    if adjustment.cause is Cause.FAVORABLE:
        return _check_favorable(adjustment)
    if not adjustment.is_straight_through:
        return _refuse("adjustment_not_stp", "the dealer is not exclusively straight-through")
    if adjustment.is_affiliate:
        return _refuse("adjustment_affiliate", "the counterparty is an affiliate of the dealer")
    minutes = adjustment.notice_minutes
    if minutes is None or minutes > NOTICE_MINUTES_MAX:
        said = "never" if minutes is None else f"{minutes} minutes after the execution"
        return _refuse("adjustment_notice_late", f"the customer was told {said}")
    return None


def _check_favorable(adjustment: Adjustment) -> Violation | None:
    if adjustment.settles_complaint:
        return None
    if not adjustment.is_beyond_control:
        return _refuse("adjustment_no_ground", "there is neither a complaint nor an outage")
    if not adjustment.covers_everyone:
        return _refuse("adjustment_partial", "not all customers who suffered are made good")
    return None


def _refuse(code: str, message: str) -> Violation:
    return Violation(
        code=code,
        rule="price_adjustment",
        citation=CITATION,
        message=message,
        would_pass=f"written notice within {NOTICE_MINUTES_MAX} minutes"
        if code == "adjustment_notice_late"
        else None,
    )
