"""What an account is judged by on a day: its regime, its broker's policy, tables and calendars."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from msgspec import Struct

from compliance.calendar import BusinessCalendar
from compliance.day_trades import CountMethod
from compliance.editions import in_force
from compliance.finra_4210 import (
    INTRADAY,
    MAINTENANCE,
    PATTERN,
    BrokerPolicy,
    DayTrading,
    IntradayTable,
    MaintenanceTable,
    PatternTable,
    policy_of,
    rates_of,
)
from compliance.settings import AccountFacts, ComplianceSettings
from compliance.settlement import payment_due_on, settles_on
from compliance.stock_margin import MarginTerms
from domain.accounts import BrokerAccount
from domain.instruments import AssetClass, Instrument

SECURITIES = frozenset({AssetClass.EQUITY, AssetClass.ETF, AssetClass.OPTION})
"""What day trades are counted in; crypto, futures and spot forex are under other rules."""

_ONE = Decimal(1)


class TradingTerms(Struct, frozen=True, kw_only=True):
    """All that judging an account's trading takes beside what it did. `today` is a session."""

    account: str
    mode: DayTrading
    today: date
    calendar: BusinessCalendar
    policy: BrokerPolicy
    facts: AccountFacts
    pattern: PatternTable
    intraday: IntradayTable
    maintenance: MaintenanceTable
    instruments: Mapping[str, Instrument]
    calendars: Mapping[str, BusinessCalendar]
    leveraged: Mapping[str, Decimal]

    @property
    def method(self) -> CountMethod:
        """How day trades are counted: the operator's word before what is known of the broker."""
        return self.facts.count_method or self.policy.method

    def counts(self, symbol: str) -> bool:
        """True where day trades of the instrument count; what is not known counts."""
        instrument = self.instruments.get(symbol)
        return instrument is None or instrument.asset_class in SECURITIES

    def margin_of(self, symbol: str) -> MarginTerms:
        """The maintenance of an instrument; one that is not known must be paid whole."""
        instrument = self.instruments.get(symbol)
        table = self.maintenance
        if instrument is None:
            return MarginTerms(_ONE, _ONE, table.short_share, _ONE, _ONE / table.long)
        times = self.leveraged.get(symbol, _ONE)
        long, short = rates_of(instrument, table, times)
        return MarginTerms(long, short, table.short_share, instrument.multiplier, long / table.long)

    def settles(self, symbol: str, day: date) -> date:
        """When a trade in the instrument settles."""
        return settles_on(self.instruments.get(symbol), day, self.calendars)

    def pays_by(self, symbol: str, day: date) -> date:
        """When a purchase of the instrument must be paid."""
        return payment_due_on(self.instruments.get(symbol), day, self.calendars)


def make_terms(
    account: BrokerAccount,
    mode: DayTrading,
    day: date,
    settings: ComplianceSettings,
    world: tuple[Mapping[str, Instrument], Mapping[str, BusinessCalendar]],
) -> TradingTerms | None:
    """The terms of an account on a date, or None where its calendar does not reach so far."""
    instruments, known = world
    calendar = known.get(HOME_CALENDAR)
    if calendar is None or not calendar.covers(day):
        return None
    pattern, intraday = in_force(PATTERN, day), in_force(INTRADAY, day)
    maintenance = in_force(MAINTENANCE, day)
    return TradingTerms(
        account=account.account,
        mode=mode,
        today=calendar.roll(day),
        calendar=calendar,
        policy=policy_of(account.broker),
        facts=settings.account_facts.get(account.account, AccountFacts()),
        # Where none is in force the regime's card has lapsed, and refuses for it.
        pattern=PatternTable() if pattern is None else pattern.values,
        intraday=IntradayTable() if intraday is None else intraday.values,
        maintenance=MaintenanceTable() if maintenance is None else maintenance.values,
        instruments=instruments,
        calendars={**known, "": calendar},
        leveraged=settings.leveraged_funds,
    )


HOME_CALENDAR = "XNYS"
"""Whose business days US rules count."""
