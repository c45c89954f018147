"""The rule book as data: which rules an account is under, and thresholds with their dates.

How a row is added:

1. A rule is one file in rules/ with its `RuleCard` (rule.py): id, citation, jurisdiction, account
   and asset scope, `effective_from`/`effective_to`, `confirmed_on`. List it in rules/__init__.py.
2. Numbers that a regulator or broker changes stand in an `Edition` beside the code that uses
   them, one per change, oldest first; `in_force` finds the one of a date.
3. `REGIMES` says for whom: by name, region, account type, broker, environment and date. The first
   row that covers the account wins, so a broker's own row stands above the general one. An
   account that no row covers may only reduce positions.

Dates are business dates, both ends included. Two accounts may be under different rows that day.
"""

from __future__ import annotations

from datetime import date
from typing import Generic, TypeVar

from msgspec import Struct

from compliance.rule import ALWAYS
from domain.accounts import AccountType, Environment, Region

Values = TypeVar("Values")


class Edition(Struct, Generic[Values], frozen=True, kw_only=True):
    """Thresholds as they stand from a date on, and where they were read."""

    citation: str
    values: Values
    effective_from: date = ALWAYS
    effective_to: date | None = None
    confirmed_on: date | None = None


def in_force(editions: tuple[Edition[Values], ...], today: date) -> Edition[Values] | None:
    """The edition of a date, or None where none holds: then nothing may be opened by it."""
    for edition in reversed(editions):
        ends = edition.effective_to
        if edition.effective_from <= today and (ends is None or today <= ends):
            return edition
    return None


HOME_ZONE = "America/New_York"
HOUSE_RULES = (
    "halt",
    "authorised_person",
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
    *HOUSE_RULES[: HOUSE_RULES.index("self_trade")],
    "sub_penny",
    "luld_band",
    "short_marking",
    "short_locate",
    "short_price_test",
    *HOUSE_RULES[HOUSE_RULES.index("self_trade") :],
)
"""What a US stock order is asked beside the rules of the account's margin or cash."""


class Regime(Struct, frozen=True, kw_only=True):
    """Rule ids for the accounts a row covers; None covers all. `deposits` names a table series."""

    name: str
    rules: tuple[str, ...]
    region: Region | None = None
    account_types: frozenset[AccountType] | None = None
    brokers: frozenset[str] | None = None
    environment: Environment | None = None
    effective_from: date = ALWAYS
    effective_to: date | None = None
    deposits: str | None = None
    zone: str = HOME_ZONE


_US_FX = (*HOUSE_RULES, "us_fx_leverage", "us_fx_fifo")
_OANDA_US = (*_US_FX, "oanda_unique_size", "pending_unique_size", "cross_account_offset")
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
    Regime(
        name="us_stocks_market",
        region=Region.US,
        environment=Environment.PAPER,
        rules=(*US_STOCK_RULES, "replacement_buy"),
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
    # No law binds play money: for simulators of markets whose rules are not built yet.
    Regime(name="house", environment=Environment.PAPER, rules=HOUSE_RULES),
)
