"""The rule book as data: which rules an account is under, and thresholds with their dates.

How a row is added:

1. A rule is one file in rules/ with its `RuleCard` (rule.py): id, citation, jurisdiction, account
   and asset scope, `effective_from`/`effective_to`, `confirmed_on`. List it in rules/__init__.py.
2. Numbers that a regulator or broker changes stand in an `Edition` (editions.py) beside the code
   that uses them, one per change, oldest first; `in_force` finds the one of a date.
3. `REGIMES` says for whom: by name, region, account type, broker, environment and date. The first
   row that covers the account wins, so a broker's own row stands above the general one. An
   account that no row covers may only reduce positions.

Dates are business dates, both ends included. Two accounts may be under different rows that day.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from msgspec import Struct

from compliance.finra_4210 import BROKERS, INTRADAY_FROM, PHASE_IN_TO, DayTrading
from compliance.rule import ALWAYS
from compliance.rules.cash_funds import CASH_TYPES
from domain.accounts import AccountType, Environment, Region

HOME_ZONE = "America/New_York"
HOUSE_RULES = (
    "halt",
    "authorized_person",
    "restricted_list",
    "duplicate_guard",
    "message_rate",
    "max_quantity",
    "max_notional",
    "window_limits",
    "price_collar",
    "self_trade",
    "unknown_outcome",
    "credit_limit",
    "loss_limit",
)
US_STOCK_RULES = (
    *HOUSE_RULES[: HOUSE_RULES.index("duplicate_guard")],
    "luld_band",  # this early because a paused stock has no fresh price: it says why
    *HOUSE_RULES[HOUSE_RULES.index("duplicate_guard") : HOUSE_RULES.index("self_trade")],
    "sub_penny",
    "short_marking",
    "short_locate",
    "short_price_test",
    *HOUSE_RULES[HOUSE_RULES.index("self_trade") :],
)
"""What a US stock order is asked beside the rules of the account's margin or cash."""


class Regime(Struct, frozen=True, kw_only=True):
    """Rule ids for the accounts a row covers; None covers all.

    `deposits` names a table series; `day_trading` says which of those regimes it is.
    """

    name: str
    rules: tuple[str, ...]
    region: Region | None = None
    account_types: frozenset[AccountType] | None = None
    brokers: frozenset[str] | None = None
    environment: Environment | None = None
    effective_from: date = ALWAYS
    effective_to: date | None = None
    deposits: str | None = None
    day_trading: DayTrading | None = None
    zone: str = HOME_ZONE


_US_FX = (*HOUSE_RULES, "us_fx_leverage", "us_fx_fifo")
_OANDA_US = (*_US_FX, "oanda_unique_size", "pending_unique_size", "cross_account_offset")
_PAIRED = ("margin_minimum", "intraday_freeze", "intraday_margin")
_HINT = "replacement_buy"
_OLD = ("legacy_pdt", "day_trading_buying_power")
_LEGACY = (*US_STOCK_RULES, *_OLD, "margin_minimum", _HINT)
_INTRADAY = (*US_STOCK_RULES, *_PAIRED, _HINT)
_BOTH = (*US_STOCK_RULES, *_OLD, *_PAIRED, _HINT)
_MARGIN = frozenset({AccountType.MARGIN})
_DAY = timedelta(days=1)


def _stocks(mode: DayTrading, **words: Any) -> Regime:
    """A row for US stocks in a margin account."""
    rules = {DayTrading.LEGACY: _LEGACY, DayTrading.INTRADAY: _INTRADAY, DayTrading.BOTH: _BOTH}
    plain: dict[str, Any] = {
        "name": "us_stocks",
        "region": Region.US,
        "account_types": _MARGIN,
        "rules": rules[mode],
        "day_trading": mode,
    }
    return Regime(**(plain | words))


def _of_brokers() -> tuple[Regime, ...]:
    """When each broker moved its accounts to intraday margin, where that is known."""
    rows = []
    for policy in BROKERS.values():
        if policy.migrated_on is None:
            continue
        named = frozenset({policy.broker})
        moved = policy.migrated_on
        rows.append(_stocks(DayTrading.INTRADAY, brokers=named, effective_from=moved))
        rows.append(_stocks(DayTrading.LEGACY, brokers=named, effective_to=moved - _DAY))
    return tuple(rows)


US_STOCKS: tuple[Regime, ...] = (
    Regime(
        name="us_stocks",
        region=Region.US,
        account_types=CASH_TYPES,
        rules=(*US_STOCK_RULES, "cash_funds", "cash_settlement", _HINT, "early_sale_warning"),
        day_trading=DayTrading.CASH,
    ),
    Regime(
        name="us_stocks",
        region=Region.US,
        account_types=frozenset({AccountType.PORTFOLIO_MARGIN}),
        effective_from=INTRADAY_FROM,
        rules=(*US_STOCK_RULES, "margin_minimum", "portfolio_margin", _HINT),
        day_trading=DayTrading.PORTFOLIO,
    ),
    *_of_brokers(),
    # Brokers may keep the old rule account by account until the phase-in ends: where nobody
    # has said that the account moved, both hold.
    _stocks(DayTrading.LEGACY, effective_to=INTRADAY_FROM - _DAY),
    _stocks(DayTrading.BOTH, effective_from=INTRADAY_FROM, effective_to=PHASE_IN_TO),
    _stocks(DayTrading.INTRADAY, effective_from=PHASE_IN_TO + _DAY),
    # An account of which the operator knows better (compliance.regimes).
    _stocks(DayTrading.LEGACY, name="us_stocks_legacy", effective_to=PHASE_IN_TO),
    _stocks(DayTrading.INTRADAY, name="us_stocks_intraday", effective_from=INTRADAY_FROM),
)
"""US stocks, by account type, broker and date."""

REGIMES: tuple[Regime, ...] = (
    Regime(
        name="us_forex",
        region=Region.US,
        brokers=frozenset({"oanda"}),
        rules=_OANDA_US,
        deposits="nfa",
    ),
    Regime(
        name="us_forex",
        region=Region.US,
        rules=(*_US_FX, "cross_account_offset"),
        deposits="nfa",
    ),
    Regime(
        name="us_forex_simple",
        region=Region.US,
        rules=(*HOUSE_RULES, "us_fx_leverage_simple", "us_fx_fifo", "cross_account_offset"),
        deposits="simple",
    ),
    *(
        Regime(name=name, region=region, rules=(*HOUSE_RULES, rule), deposits=series, zone=zone)
        for name, region, rule, series, zone in (
            ("eu_cfd", Region.EU, "eu_cfd_leverage", "esma", "Europe/Paris"),
            ("uk_cfd", Region.UK, "uk_cfd_leverage", "fca", "Europe/London"),
            ("au_cfd", Region.AU, "au_cfd_leverage", "asic", "Australia/Sydney"),
            ("jp_forex", Region.JP, "jp_fx_leverage", "jfsa", "Asia/Tokyo"),
            ("sg_forex", Region.SG, "sg_fx_leverage", "mas", "Asia/Singapore"),
            ("ca_forex", Region.CA, "ca_fx_leverage", "ciro", "America/Toronto"),
        )
    ),
    *US_STOCKS,
    # No law binds play money: for simulators of markets whose rules are not built yet.
    Regime(name="house", environment=Environment.PAPER, rules=HOUSE_RULES),
)

DAY_TRADING_REGIMES = frozenset(row.name for row in REGIMES if row.day_trading is not None)
"""Names of regimes under which an account's trading is remembered."""
