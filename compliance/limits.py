"""Market-access limits an operator sets: `[compliance.market]`. None, or 0, turns a limit off."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import Enum

from msgspec import Struct

from compliance.magnitude import QUANTITY_MAX, VALUE_MAX, Bounded, find_bound_faults
from domain.instruments import AssetClass

MESSAGES_PER_S_MAX = 100_000
WINDOW_MS_MAX = 86_400_000
REPEATS_MAX = 10_000
LEVERAGE_MAX = 10
GROUPS = (1, 2, 3, 4)
_HUNDRED = Decimal(100)


class ClientCategory(Enum):
    """How a regulator sees the holder of an account; leverage limits differ by it."""

    RETAIL = "retail"
    PROFESSIONAL = "professional"
    ACCREDITED = "accredited"


class Authorization(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one owner may trade; empty lists mean everything."""

    owner: str
    asset_classes: tuple[AssetClass, ...] = ()
    instruments: tuple[str, ...] = ()


class Security(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of a listed security; None is not known, and changes nothing when told.

    `tier` is LULD's, `leverage` the multiple of a leveraged product. `band_low` and `band_high`
    are as published at `band_ns`, for that day's session; without it for any time. `last_sale` is
    the last in regular hours, of `at_ns`. `located` is how much may be borrowed on `located_on`;
    `must_preborrow` marks an unclosed fail (Rule 204).
    """

    symbol: str
    tier: int | None = None
    leverage: int | None = None
    prior_close: Decimal | None = None
    reference: Decimal | None = None
    band_low: Decimal | None = None
    band_high: Decimal | None = None
    band_ns: int | None = None
    last_sale: Decimal | None = None
    at_ns: int | None = None
    is_paused: bool | None = None
    restricted_from: date | None = None
    easy_to_borrow: bool | None = None
    located: Decimal | None = None
    located_on: date | None = None
    must_preborrow: bool | None = None


class MarketSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits over a while and over many accounts, beside those per order.

    `customer_credit_max` and `firm_credit_max` bound what is held and under way, in
    `credit_currency`, by owner and over all. `authorized` lists who may trade what; while it is
    empty every owner may trade all his accounts take. `clients` names the category of an account
    that is not a retail client's, `market_makers` accounts with the bona fide exception of
    Reg SHO, `currency_groups` CIRO's group of a currency.
    """

    messages_per_s_max: int = 2_000
    window_ms: int = 60_000
    window_quantity_max: Decimal | None = None
    window_notional_max: Decimal | None = None
    repeats_max: int = 0
    repeats_window_ms: int = 60_000
    prevents_self_trades: bool = True
    customer_credit_max: Decimal | None = None
    firm_credit_max: Decimal | None = None
    credit_currency: str = "USD"
    daily_loss_max: Decimal | None = None
    drawdown_percent_max: Decimal | None = None
    authorized: tuple[Authorization, ...] = ()
    clients: dict[str, ClientCategory] = {}
    currency_groups: dict[str, int] = {}
    market_makers: tuple[str, ...] = ()
    securities: tuple[Security, ...] = ()

    @property
    def counts_credit(self) -> bool:
        """True where any credit limit is set."""
        return self.customer_credit_max is not None or self.firm_credit_max is not None


def find_market_faults(market: MarketSettings) -> tuple[str, ...]:
    """Everything wrong with them, each with its field; empty where they can be used."""
    bounds: tuple[Bounded, ...] = (
        ("market.messages_per_s_max", market.messages_per_s_max, 0, MESSAGES_PER_S_MAX),
        ("market.window_ms", market.window_ms, 1, WINDOW_MS_MAX),
        ("market.window_quantity_max", market.window_quantity_max, 0, QUANTITY_MAX),
        ("market.window_notional_max", market.window_notional_max, 0, VALUE_MAX),
        ("market.repeats_max", market.repeats_max, 0, REPEATS_MAX),
        ("market.repeats_window_ms", market.repeats_window_ms, 1, WINDOW_MS_MAX),
        ("market.customer_credit_max", market.customer_credit_max, 0, VALUE_MAX),
        ("market.firm_credit_max", market.firm_credit_max, 0, VALUE_MAX),
        ("market.daily_loss_max", market.daily_loss_max, 0, VALUE_MAX),
        ("market.drawdown_percent_max", market.drawdown_percent_max, 0, _HUNDRED),
    )
    faults = find_bound_faults(bounds)
    faults += [
        f"market.currency_groups.{currency} must be one of 1 to 4, not {group}"
        for currency, group in market.currency_groups.items()
        if group not in GROUPS
    ]
    return (*faults, *(fault for row in market.securities for fault in find_security_faults(row)))


def find_security_faults(row: Security) -> tuple[str, ...]:
    """What makes a row unusable."""
    named = f"market.securities {row.symbol}"
    faults = []
    if row.tier not in (None, 1, 2):
        faults.append(f"{named}: tier must be 1 or 2, not {row.tier}")
    if row.leverage is not None and not 1 <= row.leverage <= LEVERAGE_MAX:
        faults.append(f"{named}: leverage must be between 1 and {LEVERAGE_MAX}")
    for field in ("prior_close", "reference", "band_low", "band_high", "last_sale", "located"):
        number: Decimal | None = getattr(row, field)
        if number is not None and not (number.is_finite() and 0 < number <= QUANTITY_MAX):
            faults.append(f"{named}: {field} must be above zero, not {number}")
    return tuple(faults)
