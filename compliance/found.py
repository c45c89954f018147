"""Findings in words: one for each thing that can be found of how an account has traded."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from compliance.finra_4210 import INTRADAY_CITATION, LEGACY_CITATION
from compliance.funding import CASH_CITATION, Misstep
from compliance.magnitude import ceil_cent, plain
from domain.findings import Finding, FindingKind


def pattern_found(account: str, day: date, day_trades: int, at_ns: int) -> Finding:
    """The account is a pattern day trader, once and for all."""
    return Finding(
        id=f"pattern_day_trader:{account}",
        kind=FindingKind.PATTERN_DAY_TRADER,
        account=account,
        day=day.isoformat(),
        at_ns=at_ns,
        rule="legacy_pdt",
        citation=LEGACY_CITATION,
        message=f"{day_trades} day trades within the window",
    )


def call_found(account: str, day: date, amount: Decimal, at_ns: int) -> Finding:
    """The day's trades went beyond day-trading buying power: a special maintenance call."""
    return Finding(
        id=f"day_trade_call:{account}:{day}",
        kind=FindingKind.DAY_TRADE_CALL,
        account=account,
        day=day.isoformat(),
        at_ns=at_ns,
        rule="day_trading_buying_power",
        citation=LEGACY_CITATION,
        message=f"beyond day-trading buying power: {plain(ceil_cent(amount))} to be paid in",
        amount=amount,
    )


def deficit_found(account: str, day: date, amount: Decimal, at_ns: int) -> Finding:
    """The intraday margin level fell below zero after what reduced it."""
    return Finding(
        id=f"intraday_deficit:{account}:{day}",
        kind=FindingKind.INTRADAY_DEFICIT,
        account=account,
        day=day.isoformat(),
        at_ns=at_ns,
        rule="intraday_margin",
        citation=INTRADAY_CITATION,
        message=f"the intraday margin level fell to {plain(-amount)}",
        amount=amount,
    )


def misstep_found(account: str, misstep: Misstep) -> Finding:
    """A sale before what paid the lot was good."""
    good = plain(ceil_cent(misstep.amount))
    return Finding(
        id=f"{misstep.kind.value}:{account}:{misstep.order_id}",
        kind=misstep.kind,
        account=account,
        day=misstep.day.isoformat(),
        at_ns=misstep.at_ns,
        rule="cash_settlement",
        citation=CASH_CITATION,
        message=f"{misstep.instrument} sold before {good} of its cost was good",
        amount=misstep.amount,
        met=misstep.met,
    )
