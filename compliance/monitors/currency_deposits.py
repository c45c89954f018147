"""Cash brought in by one person on one business day: what must be reported, and what is split.

A gateway sees no currency; this is for the back office that does.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from compliance.magnitude import plain
from compliance.monitors.alert import Alert, AlertKind
from domain.portfolio import ZERO

REPORTED_ABOVE = Decimal(10_000)
CITATION = "31 CFR 1010.311, 1010.313; 31 USC 5324"


class CurrencyDay(Struct, frozen=True, kw_only=True):
    """One person's deposits of a day taken together."""

    total: Decimal
    must_report: bool
    alert: Alert | None


def judge_day(person: str, deposits: tuple[Decimal, ...], at_ns: int) -> CurrencyDay:
    """More than 10,000 together is reported; made of parts that alone were not, it is a case."""
    total = sum(deposits, ZERO)
    must_report = total > REPORTED_ABOVE
    is_split = must_report and all(amount <= REPORTED_ABOVE for amount in deposits)
    if not is_split:
        return CurrencyDay(total=total, must_report=must_report, alert=None)
    alert = Alert(
        kind=AlertKind.STRUCTURING,
        subject=person,
        instrument="currency",
        at_ns=at_ns,
        citation=CITATION,
        message=f"{len(deposits)} deposits, none above {plain(REPORTED_ABOVE)}, "
        f"make {plain(total)} on one day",
        numbers={"total": plain(total), "deposits": str(len(deposits))},
    )
    return CurrencyDay(total=total, must_report=must_report, alert=alert)
