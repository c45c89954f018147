"""What compliance found after the trade: durable facts that later orders are judged by."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from msgspec import Struct

from domain.portfolio import ZERO


class FindingKind(Enum):
    """What was found."""

    PATTERN_DAY_TRADER = "pattern_day_trader"
    DAY_TRADE_CALL = "day_trade_call"
    INTRADAY_DEFICIT = "intraday_deficit"
    GOOD_FAITH = "good_faith"
    LIQUIDATION = "liquidation"
    FREE_RIDE = "free_ride"
    SPOOFING = "spoofing"
    LAYERING = "layering"
    WASH_TRADE = "wash_trade"
    MARKING_THE_CLOSE = "marking_the_close"


SUSPICIONS = frozenset(
    {
        FindingKind.SPOOFING,
        FindingKind.LAYERING,
        FindingKind.WASH_TRADE,
        FindingKind.MARKING_THE_CLOSE,
    }
)
"""What only looks like abuse: for people to look at, and no rule counts it."""


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fact about an account on a business day (ISO date), under an id that never changes.

    Found again it is the same finding; found larger it replaces the smaller. `amount` is the
    deficit, call or uncovered sum, `equity` what the account was worth then, and `met` how much
    of the amount has been made good since. `orders` are those it is about, where it names any.
    """

    id: str
    kind: FindingKind
    account: str
    day: str
    at_ns: int
    rule: str
    citation: str
    message: str
    amount: Decimal = ZERO
    equity: Decimal | None = None
    met: Decimal = ZERO
    orders: tuple[str, ...] = ()


def supersedes(new: Finding, known: Finding | None) -> bool:
    """True where a finding says more than what is known under its id."""
    return known is None or (new.amount, new.met) > (known.amount, known.met)
