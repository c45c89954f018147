"""FINRA Rule 4210 as dated tables: pattern day trading, intraday margin, maintenance, brokers.

COMPLIANCE.md 2 says where each number was seen. Amounts are in dollars, days are business days
unless the name says calendar.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import Enum

from msgspec import Struct

from compliance.day_trades import CountMethod
from compliance.editions import Edition
from domain.instruments import AssetClass, Instrument

INTRADAY_FROM = date(2026, 6, 4)
PHASE_IN_TO = date(2027, 10, 20)
CONFIRMED_ON = date(2026, 11, 21)
LEGACY_CITATION = "former FINRA Rule 4210(f)(8)(B)"
INTRADAY_CITATION = "FINRA Rule 4210(d)(2); SEC 34-105226, 91 FR 20731"
MINIMUM_CITATION = "FINRA Rule 4210(b)(4)"
PORTFOLIO_CITATION = "FINRA Rule 4210(g)(1)(K)"


class PatternTable(Struct, frozen=True, kw_only=True):
    """When an account is a pattern day trader, and what it then needs."""

    day_trades: int = 4
    window_days: int = 5
    exempt_percent: Decimal = Decimal(6)
    equity_min: Decimal = Decimal(25_000)
    buying_power: Decimal = Decimal(4)
    called_buying_power: Decimal = Decimal(2)
    call_days: int = 5
    cash_calendar_days: int = 90


class IntradayTable(Struct, frozen=True, kw_only=True):
    """Deficits: how long they stand, what is small, and when the account is frozen."""

    promptly_days: int = 5
    expires_days: int = 15
    freeze_calendar_days: int = 90
    small_percent: Decimal = Decimal(5)
    small_max: Decimal = Decimal(1_000)
    equity_min: Decimal = Decimal(2_000)
    portfolio_equity_max: Decimal = Decimal(5_000_000)


class MaintenanceTable(Struct, frozen=True, kw_only=True):
    """Fractions of market value. A leveraged fund needs so many times as much, long at most all.

    A share sold short needs `short_share` dollars at least; options held need all they cost.
    """

    long: Decimal = Decimal("0.25")
    short: Decimal = Decimal("0.30")
    short_share: Decimal = Decimal(5)
    whole: Decimal = Decimal(1)


PATTERN: tuple[Edition[PatternTable], ...] = (
    Edition(
        citation=LEGACY_CITATION,
        effective_from=date(2001, 9, 28),
        effective_to=PHASE_IN_TO,
        confirmed_on=CONFIRMED_ON,
        values=PatternTable(),
    ),
)
INTRADAY: tuple[Edition[IntradayTable], ...] = (
    Edition(
        citation=INTRADAY_CITATION,
        effective_from=INTRADAY_FROM,
        confirmed_on=CONFIRMED_ON,
        values=IntradayTable(),
    ),
)
MAINTENANCE: tuple[Edition[MaintenanceTable], ...] = (
    Edition(
        citation="FINRA Rule 4210(c), (f); Regulatory Notice 09-53",
        effective_from=date(2009, 12, 1),
        confirmed_on=CONFIRMED_ON,
        values=MaintenanceTable(),
    ),
)


class DayTrading(Enum):
    """Which regime a margin account is under; BOTH where nobody knows whether it has moved."""

    LEGACY = "legacy"
    INTRADAY = "intraday_margin"
    BOTH = "phase_in"
    PORTFOLIO = "portfolio_margin"
    CASH = "cash"


class BrokerPolicy(Struct, frozen=True, kw_only=True):
    """What a broker adds to the rule. `migrated_on` None: not known, so either regime may hold.

    `call_days` is when it wants a deficit met; `occasions` unmet ones in `months` restrict the
    account for `restriction_days`, `is_wide` all accounts associated with it. `good_faith_max`
    violations in `months` mean settled cash alone. `fields_absent_from`: its API tells no day
    trade count from then on, and what is missing is not zero.
    """

    broker: str
    citation: str
    migrated_on: date | None = None
    method: CountMethod = CountMethod.STRICTEST
    call_days: int = 5
    occasions: int = 1
    months: int = 12
    restriction_days: int = 90
    is_wide: bool = False
    is_liquidation_only: bool = False
    blocks_deficits: bool = True
    measures_at_once: bool = False
    good_faith_max: int = 3
    fields_absent_from: date | None = None


ANY_BROKER = BrokerPolicy(broker="*", citation="house: what is not known is the strictest")
BROKERS: dict[str, BrokerPolicy] = {
    policy.broker: policy
    for policy in (
        BrokerPolicy(
            broker="alpaca",
            citation="Alpaca, The Intraday Margin Rule; changelog of 2026-06-03 and 2026-07-06",
            migrated_on=date(2026, 6, 4),
            method=CountMethod.DIRECTION,
            call_days=2,
            fields_absent_from=date(2026, 7, 6),
        ),
        BrokerPolicy(
            broker="robinhood",
            citation="Robinhood help",
            migrated_on=date(2026, 6, 4),
            method=CountMethod.DIRECTION,
        ),
        BrokerPolicy(broker="webull", citation="Webull", migrated_on=date(2026, 6, 4)),
        BrokerPolicy(
            broker="firstrade",
            citation="Firstrade help 15364814",
            migrated_on=date(2026, 6, 4),
            is_liquidation_only=True,
        ),
        BrokerPolicy(broker="tastytrade", citation="tastytrade", migrated_on=date(2026, 6, 4)),
        BrokerPolicy(broker="schwab", citation="Schwab", migrated_on=date(2026, 6, 8)),
        BrokerPolicy(broker="etrade", citation="E*TRADE", migrated_on=date(2026, 6, 9)),
        BrokerPolicy(
            broker="ibkr",
            citation="IBKR, PDT reset and intraday margin, 2026-06-03",
            call_days=3,
            occasions=4,
            is_wide=True,
        ),
        BrokerPolicy(
            broker="optionshouse", citation="OptionsHouse cash account policy", good_faith_max=4
        ),
    )
}
_ALIASES = {"interactive_brokers": "ibkr", "interactivebrokers": "ibkr", "e*trade": "etrade"}


def policy_of(broker: str) -> BrokerPolicy:
    """What is known of a broker, by any of its names; the strictest where nothing is."""
    name = broker.lower().replace(" ", "_")
    return BROKERS.get(_ALIASES.get(name, name), ANY_BROKER)


def day_trading_of(broker: str, today: date) -> DayTrading:
    """Which regime a broker's margin accounts are under on a date."""
    if today < INTRADAY_FROM:
        return DayTrading.LEGACY
    if today > PHASE_IN_TO:
        return DayTrading.INTRADAY
    migrated_on = policy_of(broker).migrated_on
    if migrated_on is None:
        return DayTrading.BOTH
    return DayTrading.INTRADAY if today >= migrated_on else DayTrading.LEGACY


def rates_of(
    instrument: Instrument, table: MaintenanceTable, times: Decimal
) -> tuple[Decimal, Decimal]:
    """Maintenance of a long and of a short, as fractions; never below the broker's own rate.

    `times` is how many times a leveraged fund moves with its index, 1 for everything else.
    """
    told = instrument.margin_rate or table.long
    if instrument.asset_class not in (AssetClass.EQUITY, AssetClass.ETF):
        return table.whole, table.whole
    if not instrument.marginable:
        return table.whole, max(table.whole, told)
    long = min(max(table.long * times, told), table.whole)
    return long, max(table.short * times, told)
