"""The limits an operator sets; the defaults are the safe choice."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from msgspec import Struct

from compliance.day_trades import CountMethod
from compliance.deposits import find_deposit_faults
from compliance.limits import MarketSettings, find_market_faults
from compliance.magnitude import QUANTITY_MAX, VALUE_MAX, Bounded, find_bound_faults
from compliance.monitors.suspicion import SuspicionSettings
from domain.records import Halted

DUPLICATE_WINDOW_MS_MAX = 60_000
QUOTE_AGE_MS_MAX = 60_000
VALUATION_AGE_MS_MAX = 3_600_000
CONFIRMATION_DAYS_MAX = 1_100
PERCENT_MAX = Decimal(50)
LEVERAGE_MAX = Decimal(10)


class Restriction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A symbol nobody may trade; `exits_pass` lets orders that only reduce a position through."""

    symbol: str
    reason: str
    exits_pass: bool = False


class AccountFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator knows of an account that its trading here does not tell.

    `is_pattern_day_trader` as the broker has it; `count_method` its way of counting day trades.
    `assumes_practice`: no gateway can see whether a firm finds a practice of unmet deficits, so
    the careful answer is yes. `frozen_until` is a freeze the broker announced. `missteps` are the
    dates of good-faith and liquidation violations in the last year.
    """

    is_pattern_day_trader: bool | None = None
    count_method: CountMethod | None = None
    assumes_practice: bool = True
    frozen_until: date | None = None
    missteps: tuple[date, ...] = ()


class ComplianceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits per order, and how old or uncertain an input may be.

    `max_notional` is in the account's currency. `collar_percent` is how far a limit may be worse
    than the mid, `stop_collar_percent` the same for trigger prices, which are meant to be away
    from it. `valuation_age_ms_max` bounds the rates that value other holdings, `quote_age_ms_max`
    those of the order itself. `duplicate_window_ms` 0 turns that guard off. `regimes` names the
    regime by account where the account's own is not to be used. `security_deposits` raises the
    NFA percents by currency. A legal rule not `confirmed_on` within `confirmation_days_max`
    refuses opening orders. `account_facts` go by account; `leveraged_funds` say how many times
    a fund moves with its index, by symbol. `suspicion` is what people are told of after the trade.
    """

    max_quantity: Decimal = Decimal(100_000)
    max_notional: Decimal = Decimal(150_000)
    collar_percent: Decimal = Decimal(2)
    stop_collar_percent: Decimal = Decimal(20)
    collar_both_sides: bool = False
    duplicate_window_ms: int = 500
    quote_age_ms_max: int = 5_000
    valuation_age_ms_max: int = 60_000
    restricted: tuple[Restriction, ...] = ()
    regimes: dict[str, str] = {}
    security_deposits: dict[str, Decimal] = {}
    confirmation_days_max: int = 400
    halts: tuple[Halted, ...] = ()
    exits_pass_halts: bool = False
    blocks_on_unknown: bool = True
    lot_close_is_instructed: bool = True
    market: MarketSettings = MarketSettings()
    account_facts: dict[str, AccountFacts] = {}
    leveraged_funds: dict[str, Decimal] = {}
    suspicion: SuspicionSettings = SuspicionSettings()


def find_faults(settings: ComplianceSettings) -> tuple[str, ...]:
    """Everything wrong with the settings, each with its field; empty where they can be used."""
    bounds: tuple[Bounded, ...] = (
        ("max_quantity", settings.max_quantity, 0, QUANTITY_MAX),
        ("max_notional", settings.max_notional, 0, VALUE_MAX),
        ("collar_percent", settings.collar_percent, 0, PERCENT_MAX),
        ("stop_collar_percent", settings.stop_collar_percent, 0, PERCENT_MAX),
        ("duplicate_window_ms", settings.duplicate_window_ms, 0, DUPLICATE_WINDOW_MS_MAX),
        ("quote_age_ms_max", settings.quote_age_ms_max, 1, QUOTE_AGE_MS_MAX),
        ("valuation_age_ms_max", settings.valuation_age_ms_max, 1, VALUATION_AGE_MS_MAX),
        ("confirmation_days_max", settings.confirmation_days_max, 1, CONFIRMATION_DAYS_MAX),
    )
    faults = find_bound_faults(bounds)
    faults += [
        f"leveraged_funds.{symbol} must be between 1 and {LEVERAGE_MAX}, not {times}"
        for symbol, times in settings.leveraged_funds.items()
        if not (times.is_finite() and 1 <= times <= LEVERAGE_MAX)
    ]
    return (
        *faults,
        *find_deposit_faults(settings.security_deposits),
        *find_market_faults(settings.market),
    )
