"""What an account may do because of what was found of it: designated, called, frozen, restricted.

Pure functions of findings and terms, so that a restart comes to the same answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal

from compliance.finra_4210 import PatternTable
from compliance.intraday import Deficit, due_on, freeze_of, is_small
from compliance.trading_terms import TradingTerms
from domain.findings import Finding, FindingKind
from domain.history import Movement
from domain.portfolio import ZERO

YEAR = timedelta(days=365)
RESTRICTION = timedelta(days=90)
_HUNDRED = Decimal(100)
_COUNTED = (FindingKind.GOOD_FAITH, FindingKind.LIQUIDATION)


def is_pattern(day_trades: int, trades: int, table: PatternTable) -> bool:
    """True where so many day trades make a pattern; 6 percent or less of all trades do not."""
    if day_trades < table.day_trades:
        return False
    return _HUNDRED * day_trades > table.exempt_percent * trades


def may_day_trade(equity: Decimal, table: PatternTable) -> bool:
    """True where a pattern day trader has the minimum; the minimum itself is enough."""
    return equity >= table.equity_min


def buying_power(equity: Decimal, maintenance: Decimal, times: Decimal) -> Decimal:
    """Day-trading buying power: what exceeds maintenance at the prior close, so many times."""
    return max(equity - maintenance, ZERO) * times


def is_designated(findings: Iterable[Finding], terms: TradingTerms) -> bool:
    """True for a pattern day trader: by the operator's word, or else by what was found."""
    if terms.facts.is_pattern_day_trader is not None:
        return terms.facts.is_pattern_day_trader
    return any(found.kind is FindingKind.PATTERN_DAY_TRADER for found in findings)


def times_of(
    findings: Iterable[Finding], movements: list[Movement], terms: TradingTerms
) -> Decimal:
    """How many times the excess may be traded: 4, while a call is owed 2, after it was missed 1.

    A call is met by what came in since.
    """
    table, times = terms.pattern, terms.pattern.buying_power
    for found in findings:
        if found.kind is not FindingKind.DAY_TRADE_CALL:
            continue
        came_in = sum((m.amount for m in movements if m.at_ns >= found.at_ns), ZERO)
        due = terms.calendar.after(date.fromisoformat(found.day), table.call_days)
        if came_in + found.met >= found.amount:
            continue
        if terms.today <= due:
            times = min(times, table.called_buying_power)
        elif terms.today <= due + timedelta(days=table.cash_calendar_days):
            times = min(times, Decimal(1))
    return times


def deficit_of(found: Finding) -> Deficit:
    """The deficit a finding tells of."""
    return Deficit(
        day=date.fromisoformat(found.day),
        amount=found.amount,
        equity=found.equity or ZERO,
        met=found.met,
    )


def occasions_of(findings: Iterable[Finding], terms: TradingTerms) -> int:
    """Deficits of the last year, not small, that were not met when they were due."""
    table, calendar, today = terms.intraday, terms.calendar, terms.today
    count = 0
    for found in findings:
        if found.kind is not FindingKind.INTRADAY_DEFICIT:
            continue
        deficit = deficit_of(found)
        if is_small(deficit.amount, deficit.equity, table) or deficit.owed <= 0:
            continue
        if deficit.day > today - YEAR and calendar.covers(deficit.day):
            count += due_on(deficit, table, calendar) < today
    return count


def frozen_until(findings: Mapping[str, Finding], terms: TradingTerms) -> date | None:
    """The last day of a freeze in force today: no new short, no new debit."""
    ends = [terms.facts.frozen_until] if terms.facts.frozen_until is not None else []
    occasions = occasions_of(findings.values(), terms)
    is_practice = terms.facts.assumes_practice or occasions >= terms.policy.occasions
    for found in findings.values():
        if found.kind is not FindingKind.INTRADAY_DEFICIT:
            continue
        deficit = deficit_of(found)
        if is_small(deficit.amount, deficit.equity, terms.intraday):
            continue
        if not terms.calendar.covers(deficit.day):
            continue
        freeze = freeze_of(
            deficit, is_practice=is_practice, table=terms.intraday, calendar=terms.calendar
        )
        if freeze is not None and freeze.since <= terms.today:
            ends.append(freeze.until)
    end = max(ends, default=None)
    return end if end is not None and terms.today <= end else None


def count_missteps(findings: Iterable[Finding], terms: TradingTerms) -> int:
    """Good-faith and liquidation violations that count today."""
    return len(_counted_days(findings, terms))


def settled_only_until(findings: Iterable[Finding], terms: TradingTerms) -> date | None:
    """The last day on which purchases must be paid with settled cash, or None.

    A free ride does it at once (12 CFR 220.8(c)) unless it was paid in time; the others when
    the broker's count is reached.
    """
    found = tuple(findings)
    ends = [terms.facts.frozen_until] if terms.facts.frozen_until is not None else []
    ends += [
        date.fromisoformat(misstep.day) + RESTRICTION
        for misstep in found
        if misstep.kind is FindingKind.FREE_RIDE and misstep.met < misstep.amount
    ]
    days = _counted_days(found, terms)
    if len(days) >= terms.policy.good_faith_max:
        ends.append(max(days) + timedelta(days=terms.policy.restriction_days))
    end = max(ends, default=None)
    return end if end is not None and terms.today <= end else None


def _counted_days(findings: Iterable[Finding], terms: TradingTerms) -> list[date]:
    days = [date.fromisoformat(found.day) for found in findings if found.kind in _COUNTED]
    since = terms.today - YEAR
    return [day for day in (*days, *terms.facts.missteps) if since < day <= terms.today]
