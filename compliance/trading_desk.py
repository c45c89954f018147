"""Whose trading is remembered, from which histories, and what was found of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from compliance.calendar import BusinessCalendar
from compliance.holding import AccountExposure
from compliance.rates import RateBook
from compliance.regimes import Plan
from compliance.rulebook import DAY_TRADING_REGIMES
from compliance.settings import ComplianceSettings
from compliance.trading import Trading
from compliance.trading_terms import make_terms
from domain.accounts import BrokerAccount
from domain.findings import Finding
from domain.history import AccountHistory, fold
from domain.instruments import Instrument
from domain.streams import StreamUpdate

MARK_EVERY_NS = 1_000_000_000
"""How often prices alone make an account be looked at; every order and update does too."""


class TradingDesk:
    """Histories as the router keeps them, and the `Trading` of each account made of them."""

    def __init__(
        self, settings: ComplianceSettings, calendars: Mapping[str, BusinessCalendar]
    ) -> None:
        self._settings = settings
        self._calendars = calendars
        self._histories: dict[str, AccountHistory] = {}
        self._findings: list[Finding] = []
        self._turns: deque[tuple[int, AccountExposure]] = deque()

    def load(self, histories: tuple[AccountHistory, ...]) -> None:
        """Replaces what is remembered by what the router remembers."""
        self._histories = {history.account: history for history in histories}
        self._findings = []
        self._turns.clear()

    def take_findings(self) -> tuple[Finding, ...]:
        """What was found since the last call."""
        found, self._findings = tuple(self._findings), []
        return found

    def is_asked_for(self, account: BrokerAccount) -> bool:
        """True where the account's regime asks how it has traded."""
        name = self._settings.regimes.get(account.account, account.regime)
        return name in DAY_TRADING_REGIMES

    def start(
        self,
        exposure: AccountExposure,
        plan: Plan,
        instruments: Mapping[str, Instrument],
        rates: RateBook,
    ) -> None:
        """Begins the account's day, where its plan asks for it and the calendar reaches so far."""
        account, before = exposure.account, exposure.trading
        exposure.trading = None
        if plan.day_trading is None:
            return
        world = instruments, self._calendars
        terms = make_terms(account, plan.day_trading, plan.business_date, self._settings, world)
        if terms is None:
            return
        history = self._histories.get(account.account)
        if history is None:
            history = self._histories[account.account] = AccountHistory(account=account.account)
        trading = Trading(terms, history, exposure.holdings, exposure.balances)
        if before is None:
            self._turns.append((-MARK_EVERY_NS, exposure))
        else:
            before.margin.reprice(rates)
            trading.margin.take_over(before.margin)
        exposure.trading = trading
        self._collect(trading)

    def follow(self, exposure: AccountExposure, update: StreamUpdate, rates: RateBook) -> None:
        """Takes an update that the exposure has taken already."""
        if exposure.trading is None:
            fold(self._histories, update)
            return
        exposure.trading.follow(update, exposure.balances, rates)
        self._collect(exposure.trading)

    def price(self, trading: Trading, symbol: str, rates: RateBook) -> None:
        """Values one holding at its newest price, and judges the account by it."""
        trading.price(symbol, rates)
        self._collect(trading)

    def mark(self, now_ns: int, rates: RateBook) -> None:
        """Judges one account by new prices, each in its turn and at most once in a while."""
        if not self._turns or now_ns - self._turns[0][0] < MARK_EVERY_NS:
            return
        _, exposure = self._turns.popleft()
        trading = exposure.trading
        if trading is None:
            return  # its day could not begin; it comes back when one does
        self._turns.append((now_ns, exposure))
        trading.margin.reprice(rates)
        trading.measure(rates)
        self._collect(trading)

    def _collect(self, trading: Trading) -> None:
        if trading.news:
            self._findings += trading.news
            trading.news = []
