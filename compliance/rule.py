"""What a rule is: a function of an order and its context, and a card that says whose rule it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal

from msgspec import Struct

from compliance.credit import CreditBook
from compliance.holding import AccountExposure, Fingerprint, Holding
from compliance.market import MarketState
from compliance.rates import Conversion, RateBook
from compliance.resting import RestingPrices
from compliance.settings import ComplianceSettings
from domain.accounts import AccountType, BrokerAccount
from domain.instruments import AssetClass, Instrument
from domain.orders import NewOrder, OrderType, Side
from domain.records import Halted, HaltScope
from domain.screening import Rate, Violation

ALWAYS = date.min
HOUSE = "house"
REDUCING = "orders that reduce a position"
"""What passes where a rule cannot be relied on, or an input is missing."""


class RuleCard(Struct, frozen=True, kw_only=True):
    """Whose rule it is, whom and what it concerns, and when it holds.

    `account_types`, `asset_classes` and `sides` None mean all. `confirmed_on` is when someone
    last read the source; a house rule needs none. `opens_only` rules are not asked about an
    order that can only reduce a position; a warning never refuses. Dates are business dates in
    `zone`.
    """

    id: str
    citation: str
    jurisdiction: str
    account_types: frozenset[AccountType] | None = None
    asset_classes: frozenset[AssetClass] | None = None
    effective_from: date = ALWAYS
    effective_to: date | None = None
    confirmed_on: date | None = None
    sides: frozenset[Side] | None = None
    opens_only: bool = False
    is_warning: bool = False
    zone: str = "America/New_York"


class Context(Struct, frozen=True, gc=False):
    """All a rule may look at. Nothing in it is to be changed.

    `sign` is +1 for a buy, -1 for a sell. `leaves` is what the order may still fill, less than its
    quantity only where part is filled; its own reservation is not in `holding`. `quote` is the
    instrument's price where it is fresh, `middle` its middle; `fresh_since_ns` is how old a price
    may be, `valued_since_ns` one that values other holdings. `day_from_ns` is when the business
    date began. `security` is what is known of a listed instrument; `resting`, `credit` and
    `loss_sales` concern all of the owner's accounts, `is_opposite_elsewhere` all but this one.
    `unit_worth` is what one unit may cost in the account's currency, where that can be known,
    `credit_price` what values it for credit.
    """

    owner: str
    order_id: str
    connection: str
    account: BrokerAccount
    instrument: Instrument
    exposure: AccountExposure
    holding: Holding
    rates: RateBook
    quote: Rate | None
    middle: Conversion | None
    halts: Mapping[tuple[HaltScope, str], Halted]
    business_date: date
    day_from_ns: int
    now_ns: int
    fresh_since_ns: int
    valued_since_ns: int
    fingerprint: Fingerprint
    security: MarketState | None
    resting: RestingPrices
    credit: CreditBook | None
    loss_sales: Mapping[tuple[str, str], int]
    is_opposite_elsewhere: Callable[[str, Holding, int], bool]
    unit_worth: Decimal | None
    credit_price: Decimal | None
    sign: int
    leaves: Decimal
    is_opening: bool
    is_immediate: bool
    only_reduces: bool
    is_amend: bool


_LIMIT = OrderType.LIMIT
Check = Callable[[NewOrder, Context], Violation | None]


Measure = Callable[[NewOrder, Context], dict[str, str]]


class Rule(Struct, frozen=True, kw_only=True):
    """A card, how the check is made from the settings, and what it measured where it passes."""

    card: RuleCard
    make: Callable[[ComplianceSettings], Check]
    measure: Callable[[ComplianceSettings], Measure] | None = None


def passes(_order: NewOrder, _context: Context) -> Violation | None:
    """The check of a rule whose settings turn it off: it is not even asked."""
    return None


def find_lapse(card: RuleCard, today: date, confirmation_days_max: int) -> str | None:
    """Why the rule cannot be relied on at a date, or None. House rules never lapse."""
    if card.jurisdiction == HOUSE:
        return None
    if today < card.effective_from:
        return f"in force only from {card.effective_from}"
    if card.effective_to is not None and today > card.effective_to:
        return f"expired on {card.effective_to}"
    if card.confirmed_on is None:
        return "never confirmed against its source"
    if (today - card.confirmed_on).days > confirmation_days_max:
        return f"last confirmed on {card.confirmed_on}"
    return None


def refuse_lapsed(card: RuleCard, why: str) -> Check:
    """A check that refuses every opening order in the place of a rule that lapsed."""

    def check(_order: NewOrder, context: Context) -> Violation | None:
        if not context.is_opening:
            return None
        return Violation(
            code="rule_expired",
            rule=card.id,
            citation=card.citation,
            message=f"rule {card.id} is {why}: only orders that reduce a position pass",
            numbers={"business_date": context.business_date.isoformat()},
            would_pass=REDUCING,
        )

    return check


def price_of(order: NewOrder) -> Decimal | None:
    """The worst price the order itself allows, or the price it waits for."""
    return order.limit_price or order.stop_price or order.price_bound


def touch_of(context: Context) -> Decimal | None:
    """The fresh price an order would meet first."""
    if context.quote is None:
        return None
    return context.quote.ask if context.sign > 0 else context.quote.bid


def price_units(
    order: NewOrder, quote: Rate | None, sign: int, collar: Decimal
) -> tuple[Decimal | None, Decimal | None]:
    """What one unit may cost, and what values it for credit.

    A limit sells at the touch where that is better. For credit it is the worst price the order
    allows, or the market's if more; a buy without a limit may pay up to the collar's edge.
    """
    own = order.limit_price or order.stop_price or order.price_bound
    if quote is None:
        return own, own
    if sign < 0:
        touch = quote.bid
        dearer = touch if own is None or touch > own else own
        return (dearer if own is None or order.type is _LIMIT else own), dearer
    touch = quote.ask
    cost = touch if own is None else own
    if order.limit_price is None and order.price_bound is None:
        touch = touch * (1 + collar)
    return cost, touch if own is None or touch > own else own
