"""The plan an account is under: which rules of the book (rulebook.py) to ask, until when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from compliance.deposits import in_force, pair_rate
from compliance.finra_4210 import DayTrading
from compliance.holding import Weigher
from compliance.ladders import LADDERS, ciro_fraction, margin_fraction
from compliance.limits import ClientCategory
from compliance.magnitude import ceil_amount
from compliance.rule import Check, Rule, RuleCard, find_lapse, passes, refuse_lapsed
from compliance.rulebook import HOME_ZONE, HOUSE_RULES, REGIMES, Regime
from compliance.rules import RULES
from compliance.settings import ComplianceSettings
from domain.accounts import BrokerAccount
from domain.instruments import AssetClass, Instrument
from domain.orders import Side
from domain.portfolio import ZERO

_NS_PER_S = 1_000_000_000
_ONE = Decimal(1)
CIRO = "ciro"
NO_REGIME = RuleCard(
    id="no_regime", citation="house: no rules, no risk", jurisdiction="none", opens_only=True
)


Concern = tuple[str, str, bool]
"""What decides which rules are asked: asset class, side, and whether the order opens.

By their words: an enum's own hash runs in Python, a word's does not.
"""


def concern_of(asset_class: AssetClass, side: Side, *, is_opening: bool) -> Concern:
    """The key of a plan's checks."""
    return asset_class._value_, side._value_, is_opening


class Asked(Struct, frozen=True):
    """The checks that refuse, and those that only warn, in order; `every` is both by card."""

    refusing: tuple[Check, ...]
    warning: tuple[Check, ...]
    every: tuple[tuple[RuleCard, Check], ...] = ()


class Plan(Struct, frozen=True, kw_only=True):
    """What an account's orders are asked, valid from `from_ns` until before `until_ns` (UTC).

    `day_from_ns` and `day_until_ns` bound the business date in its zone. Checks go by asset class
    by whether the order opens, and by side, so that an order is asked no more than
    concerns it. `tables_on` is the date whose thresholds count.
    """

    checks: Mapping[Concern, Asked]
    deposits: str | None
    day_trading: DayTrading | None
    business_date: date
    day_from_ns: int
    day_until_ns: int
    from_ns: int
    until_ns: int
    tables_on: date


Planner = Callable[[BrokerAccount, ComplianceSettings, int], Plan]


def as_of(rules_ns: int) -> Planner:
    """Plans by the rules and tables of another moment, for the days of the orders."""

    def plan(account: BrokerAccount, settings: ComplianceSettings, now_ns: int) -> Plan:
        other = make_plan(account, settings, rules_ns)
        return replace(
            make_plan(account, settings, now_ns),
            checks=other.checks,
            deposits=other.deposits,
            day_trading=other.day_trading,
            tables_on=other.tables_on,
        )

    return plan


def choose_regime(account: BrokerAccount, name: str, now_ns: int) -> Regime | None:
    """The first row of that name that covers the account at that moment."""
    return next(
        (row for row in REGIMES if row.name == name and _covers(row, account, now_ns)), None
    )


def make_plan(account: BrokerAccount, settings: ComplianceSettings, now_ns: int) -> Plan:
    """The plan in force now; lapsed rules, and a missing regime, refuse opening orders."""
    name = settings.regimes.get(account.account, account.regime)
    regime = choose_regime(account, name, now_ns)
    ids = regime.rules if regime is not None else HOUSE_RULES
    rules = [RULES[rule_id] for rule_id in ids if _concerns(RULES[rule_id].card, account)]
    made = [(r.card, _make_check(r, settings, now_ns)) for r in rules]
    asked = [(card, check) for card, check in made if check is not passes]
    if regime is None:
        why = f"{name!r} not known for account {account.account}"
        asked.append((NO_REGIME, refuse_lapsed(NO_REGIME, why)))
    zone = regime.zone if regime is not None else HOME_ZONE
    days = [_day(now_ns, zone), *(_day(now_ns, rule.card.zone) for rule in rules)]
    return Plan(
        checks=_by_concern(asked),
        deposits=regime.deposits if regime is not None else None,
        day_trading=regime.day_trading if regime is not None else None,
        business_date=days[0][0],
        day_from_ns=days[0][1],
        day_until_ns=days[0][2],
        from_ns=max(start_ns for _, start_ns, _ in days),
        until_ns=min(end_ns for _, _, end_ns in days),
        tables_on=days[0][0],
    )


def make_weigher(
    account: BrokerAccount,
    instruments: Mapping[str, Instrument],
    plan: Plan,
    settings: ComplianceSettings,
) -> Weigher:
    """How much margin one unit of an instrument takes in the account, in its base currency.

    The dearest of the table, the broker's rate and the account's leverage; what is not forex,
    or not known, has to be paid whole. Without a table nothing is weighed.
    """
    if plan.deposits is None:
        return lambda symbol: (symbol.partition("/")[0], ZERO)
    if plan.deposits == CIRO or plan.deposits in LADDERS:
        return _make_ladder_weigher(account, instruments, plan, settings)
    table = in_force(plan.deposits, plan.tables_on)
    ceiling = account.leverage
    floor = _ONE / ceiling if ceiling is not None and ceiling > 0 else ZERO

    def weigh(symbol: str) -> tuple[str, Decimal]:
        instrument = instruments.get(symbol)
        if instrument is None or instrument.asset_class is not AssetClass.FOREX:
            multiplier = _ONE if instrument is None else instrument.multiplier
            base = symbol.partition("/")[0] if instrument is None else instrument.base_currency
            return base, ceil_amount(multiplier)
        base, quote = instrument.base_currency, instrument.quote_currency
        rate = pair_rate(table, base, quote, settings.security_deposits)
        rate = max(rate, instrument.margin_rate or ZERO, floor)
        return base, ceil_amount(rate * instrument.multiplier)

    return weigh


def _make_ladder_weigher(
    account: BrokerAccount,
    instruments: Mapping[str, Instrument],
    plan: Plan,
    settings: ComplianceSettings,
) -> Weigher:
    """The same by classes of underlying, or by CIRO's currency groups.

    The fraction is not rounded: 30:1 of 30,000 is 1,000.00 and not a cent more.
    """
    series = plan.deposits
    assert series is not None
    category = settings.market.clients.get(account.account, ClientCategory.RETAIL)
    floor = _ONE / account.leverage if account.leverage else ZERO

    def weigh(symbol: str) -> tuple[str, Decimal]:
        instrument = instruments.get(symbol)
        if instrument is None:
            return symbol.partition("/")[0], _ONE
        base, quote = instrument.base_currency, instrument.quote_currency
        if series != CIRO:
            rate = margin_fraction(series, instrument, category, plan.tables_on)
        elif instrument.asset_class is AssetClass.FOREX:
            rate = ciro_fraction(base, quote, settings.market.currency_groups)
        else:
            rate = _ONE
        return base, max(rate, instrument.margin_rate or ZERO, floor) * instrument.multiplier

    return weigh


def _covers(row: Regime, account: BrokerAccount, now_ns: int) -> bool:
    today = _day(now_ns, row.zone)[0]
    return (
        row.region in (None, account.region)
        and row.environment in (None, account.environment)
        and (row.account_types is None or account.type in row.account_types)
        and (row.brokers is None or account.broker in row.brokers)
        and row.effective_from <= today
        and (row.effective_to is None or today <= row.effective_to)
    )


def _concerns(card: RuleCard, account: BrokerAccount) -> bool:
    return card.account_types is None or account.type in card.account_types


def _make_check(rule: Rule, settings: ComplianceSettings, now_ns: int) -> Check:
    today = _day(now_ns, rule.card.zone)[0]
    why = find_lapse(rule.card, today, settings.confirmation_days_max)
    return rule.make(settings) if why is None else refuse_lapsed(rule.card, why)


def _by_concern(rows: list[tuple[RuleCard, Check]]) -> dict[Concern, Asked]:
    return {
        concern_of(asset_class, side, is_opening=is_opening): Asked(
            tuple(check for card, check in concerned if not card.is_warning),
            tuple(check for card, check in concerned if card.is_warning),
            tuple(concerned),
        )
        for asset_class in AssetClass
        for is_opening in (True, False)
        for side in Side
        for concerned in [[row for row in rows if _asks(row[0], asset_class, is_opening, side)]]
    }


def _asks(card: RuleCard, asset_class: AssetClass, is_opening: bool, side: Side) -> bool:
    in_scope = card.asset_classes is None or asset_class in card.asset_classes
    in_scope = in_scope and (card.sides is None or side in card.sides)
    return in_scope and (is_opening or not card.opens_only)


def _day(now_ns: int, zone: str) -> tuple[date, int, int]:
    """The date in a zone, and when it began and will end (ns UTC)."""
    home = ZoneInfo(zone)
    today = datetime.fromtimestamp(now_ns // _NS_PER_S, home).date()
    start = datetime.combine(today, time.min, home)
    end = datetime.combine(today + timedelta(days=1), time.min, home)
    return today, int(start.timestamp()) * _NS_PER_S, int(end.timestamp()) * _NS_PER_S
