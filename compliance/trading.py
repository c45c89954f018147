"""How an account has traded: day trades, intraday margin and cash funding, kept up as it goes.

Everything here is a function of the account's history (domain/history.py), of what it holds, of
the broker's last balances and of prices. An execution that comes in its order is added on; one
that comes late, or balances that do not add up with what was known, make it all afresh. What is
found is told as findings, which the router writes down: they come back with the history.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec.structs import replace

from compliance.day_trades import DayTrades
from compliance.finra_4210 import DayTrading
from compliance.found import call_found, deficit_found, misstep_found, pattern_found
from compliance.funding import Funding
from compliance.holding import Holding
from compliance.intraday import DayLevel
from compliance.rates import RateBook
from compliance.standing import (
    buying_power,
    count_missteps,
    deficit_of,
    frozen_until,
    is_designated,
    is_pattern,
    settled_only_until,
    times_of,
)
from compliance.stock_margin import StockMargin
from compliance.trading_terms import TradingTerms
from domain.accounts import AccountBalances
from domain.events import Fill
from domain.findings import Finding, FindingKind
from domain.history import AccountHistory, Change, Close, Execution, Movement, execution_of
from domain.portfolio import ZERO
from domain.streams import BalancesUpdate, OrderUpdate, PositionUpdate, StreamUpdate

if TYPE_CHECKING:
    from compliance.rule import Context
    from compliance.trading_checks import Facts

INTRADAY_MODES = (DayTrading.INTRADAY, DayTrading.BOTH)
LEGACY_MODES = (DayTrading.LEGACY, DayTrading.BOTH)
MISSTEPS = frozenset({FindingKind.GOOD_FAITH, FindingKind.LIQUIDATION, FindingKind.FREE_RIDE})


class Trading:
    """One account on one business day. Rules read it; only the screener writes.

    `holdings` are the exposure's own, by instrument.
    """

    def __init__(
        self,
        terms: TradingTerms,
        history: AccountHistory,
        holdings: Mapping[str, Holding],
        balances: AccountBalances | None,
    ) -> None:
        self.terms = terms
        self.history = history
        self.margin = StockMargin(terms.margin_of)
        self.news: list[Finding] = []
        self.balances = balances
        self.buying_power: Decimal | None = None
        self.frozen_until: date | None = None
        self.settled_only_until: date | None = None
        self.missteps = 0
        self.prior_close = _last_before(history.closes, terms.today.isoformat())
        self.gathered: tuple[Context, Facts] | None = None
        self.is_designated = False
        self._holdings = holdings
        self._filled_ns: int | None = None
        self._is_stale = False
        self._base_cash: Decimal | None = None
        self._level = DayLevel(
            has_reduced=any(self._day(e.at_ns) == terms.today for e in history.executions[-1:]),
            at_once=terms.policy.measures_at_once,
        )
        for holding in holdings.values():
            self.margin.weigh(holding)
        self._fill_since_told()
        self._rebuild()

    @property
    def equity(self) -> Decimal | None:
        """What the account is worth now: the broker's last word, and what prices did since."""
        return None if self.balances is None else self.balances.equity + self.margin.gain

    @property
    def cash(self) -> Decimal | None:
        """The cash now: the broker's last word, less what fills took since."""
        return None if self.balances is None else self.balances.cash - self.margin.spent

    def tell(self, balances: AccountBalances | None) -> None:
        """The broker told balances: fills it cannot know of yet still count."""
        self.balances = balances
        self._fill_since_told()
        self.buying_power = self._find_buying_power()
        self._is_stale = self._is_stale or self._cash_base() != self._base_cash

    def follow(
        self, update: StreamUpdate, balances: AccountBalances | None, rates: RateBook
    ) -> None:
        """Takes an update of this account that the exposure has taken already.

        `balances` are the newest that make sense, as the exposure has them.
        """
        change = self.history.take(update)
        body = update.body
        if isinstance(body, OrderUpdate) and isinstance(body.event, Fill):
            if change is not Change.NONE:
                middle = rates.middle(body.event.instrument)
                if middle is not None:
                    self.margin.price(body.event.instrument, middle)
                self._fill(execution_of(body.order_id, body.event), change)
            return  # its position comes with the next update
        if isinstance(body, BalancesUpdate) and body.balances.currency == self.history.currency:
            self.tell(balances)
        elif isinstance(body, PositionUpdate):
            symbol = body.position.instrument
            is_known = self._position_base(symbol) == self._base.get(symbol, ZERO)
            self._is_stale = self._is_stale or not is_known
        self._is_stale = self._is_stale or change is Change.MONEY
        self.measure(rates)

    def measure(self, rates: RateBook) -> None:
        """Makes afresh what no longer adds up, and judges the intraday margin level."""
        if self._is_stale:
            self._rebuild()
        if self.terms.mode not in INTRADAY_MODES:
            self._filled_ns = None
            return
        if self.margin.find_unpriced(0, rates):
            return  # a fill waits for the prices it is judged by
        equity = self.equity  # only now: prices are in it
        if equity is None:
            return
        filled_ns, self._filled_ns = self._filled_ns, None
        level = equity - self.margin.held_required
        if filled_ns is not None:
            self._level.transact(level, filled_ns)
        elif level == self._level.level:
            return
        else:
            self._level.mark(level)
        self._judge_level(level, equity)

    def price(self, symbol: str, rates: RateBook) -> None:
        """Values one holding at its newest price, and judges the account where that is news."""
        middle = rates.middle(symbol)
        is_news = middle is not None and self.margin.price(symbol, middle)
        if is_news or self._is_stale or self._filled_ns is not None:
            self.measure(rates)

    def _fill(self, execution: Execution, change: Change) -> None:
        symbol = execution.instrument
        signed = execution.sign * execution.quantity
        if execution.at_ns > self._told_ns():
            self._fill_margin(execution)
        self._net[symbol] = self._net.get(symbol, ZERO) + signed
        self._filled_ns = execution.at_ns
        self._flows += self._flow(execution)
        today = self.day_trades.today
        if change is Change.LATE or (today is not None and self._day(execution.at_ns) < today):
            self._is_stale = True
            return
        self._advance(execution)
        self._judge_trades()

    def _rebuild(self) -> None:
        """All that is counted, from the history alone."""
        history, terms = self.history, self.terms
        self._is_stale = False
        self._net: dict[str, Decimal] = {}
        self._flows = ZERO
        for execution in history.executions:
            symbol = execution.instrument
            signed = execution.sign * execution.quantity
            self._net[symbol] = self._net.get(symbol, ZERO) + signed
            self._flows += self._flow(execution)
        symbols = {*self._net, *self._holdings}
        self._base = {symbol: self._position_base(symbol) for symbol in symbols}
        self._base_cash = self._cash_base()
        self.day_trades = DayTrades(terms.calendar, self._base, terms.counts)
        self.funding = self._make_funding()
        for happened in self._by_time():
            if isinstance(happened, Execution):
                self._advance(happened)
            elif self.funding is not None:
                self.funding.turn(self._day(happened.at_ns))
                self.funding.move(happened.amount)
        self.day_trades.turn(terms.today)
        if self.funding is not None:
            self.funding.turn(terms.today)
        self._judge_trades()

    def _by_time(self) -> list[Execution | Movement]:
        if not self.history.movements:
            return list(self.history.executions)
        happened: list[Execution | Movement] = [*self.history.executions, *self.history.movements]
        return sorted(happened, key=lambda each: (each.at_ns, each.id))

    def _advance(self, execution: Execution) -> None:
        self.day_trades.advance(execution)
        funding = self.funding
        if funding is None:
            return
        day, symbol = self._day(execution.at_ns), execution.instrument
        funding.turn(day)
        flow = self._flow(execution)
        if execution.sign > 0:
            funding.buy(execution, flow)
        else:
            settles = self.terms.settles(symbol, day)
            funding.sell(execution, -flow, settles, self.terms.pays_by(symbol, day))

    def _make_funding(self) -> Funding | None:
        """Before the oldest execution everything held was paid, and all cash settled, unless the
        broker's withdrawable cash says otherwise of a day without executions."""
        terms, base = self.terms, self._base_cash
        if terms.mode is not DayTrading.CASH or base is None or self.balances is None:
            return None
        happened = self._by_time()
        since = self._day(happened[0].at_ns) if happened else terms.today
        withdrawable = self.balances.withdrawable
        if happened or withdrawable is None or withdrawable >= base:
            return Funding(base, self._base, since)
        funding = Funding(withdrawable, self._base, since)
        funding.expect(terms.settles("", terms.today), base - withdrawable)
        return funding

    def _fill_since_told(self) -> None:
        """What executions changed that the broker's last balances cannot know of."""
        told_ns = self._told_ns()
        self.margin.settle()
        for execution in reversed(self.history.executions):
            if execution.at_ns <= told_ns:
                break
            self._fill_margin(execution)

    def _fill_margin(self, execution: Execution) -> None:
        signed = execution.sign * execution.quantity
        self.margin.fill(execution.instrument, signed, execution.price, execution.fees)

    def _find_buying_power(self) -> Decimal | None:
        """By the prior close, or the broker's own figure; None where neither is known."""
        told = self.balances.day_trading_buying_power if self.balances is not None else None
        close = self.prior_close
        if close is None or close.maintenance is None:
            return told
        times = times_of(self.history.findings.values(), self.history.movements, self.terms)
        found = buying_power(close.equity, close.maintenance, times)
        return found if told is None else min(found, told)

    def _judge_trades(self) -> None:
        terms, history = self.terms, self.history
        self.buying_power = self._find_buying_power()
        if terms.mode in LEGACY_MODES:
            self._judge_pattern()
            self.is_designated = is_designated(history.findings.values(), terms)
            self._judge_power()
        if self.funding is not None:
            for misstep in self.funding.missteps.values():
                self._find(misstep_found(terms.account, misstep))
        findings = self._findings_that_hold()
        self.frozen_until = frozen_until(history.findings, terms)
        self.settled_only_until = settled_only_until(findings, terms)
        self.missteps = count_missteps(findings, terms)

    def _findings_that_hold(self) -> list[Finding]:
        """Those found, less violations that a late execution showed to be none."""
        findings, executions = self.history.findings.values(), self.history.executions
        if self.funding is None or not executions:
            return list(findings)
        since_ns, account = executions[0].at_ns, self.terms.account
        held = [f for f in findings if f.kind not in MISSTEPS or f.at_ns < since_ns]
        return [*held, *(misstep_found(account, m) for m in self.funding.missteps.values())]

    def _judge_pattern(self) -> None:
        terms, table = self.terms, self.terms.pattern
        today = self.day_trades.today or terms.today
        count = self.day_trades.in_window(today, table.window_days)
        trades = count.by(terms.method)
        if is_pattern(trades, count.orders - trades, table):
            self._find(pattern_found(terms.account, today, trades, self._last_ns()))

    def _judge_power(self) -> None:
        terms, table, power = self.terms, self.terms.pattern, self.buying_power
        today = self.day_trades.today or terms.today
        if power is not None and self.is_designated and self.day_trades.open_cost > power:
            excess = (self.day_trades.open_cost - power) / table.buying_power
            self._find(call_found(terms.account, today, excess, self._last_ns()))
            self.buying_power = self._find_buying_power()

    def _judge_level(self, level: Decimal, equity: Decimal) -> None:
        terms = self.terms
        low, is_news = self._level.low, False
        if low < 0:
            found = deficit_found(terms.account, terms.today, -low, self._last_ns())
            is_news = self._find(replace(found, equity=equity))
        if level >= 0:
            for found in list(self.history.findings.values()):
                if found.kind is FindingKind.INTRADAY_DEFICIT and deficit_of(found).owed > 0:
                    is_news = self._find(replace(found, met=found.amount)) or is_news
        if is_news:
            self.frozen_until = frozen_until(self.history.findings, terms)

    def _find(self, finding: Finding) -> bool:
        if not self.history.note(finding):
            return False
        self.news.append(finding)
        return True

    def _position_base(self, symbol: str) -> Decimal:
        """What was held before the oldest execution that is kept."""
        holding = self._holdings.get(symbol)
        held = ZERO if holding is None else holding.quantity
        return held - self._net.get(symbol, ZERO)

    def _cash_base(self) -> Decimal | None:
        """The cash before the oldest execution that is kept."""
        cash = self.cash
        if cash is None:
            return None
        came_in = sum((movement.amount for movement in self.history.movements), ZERO)
        return cash + self._flows - came_in

    def _flow(self, execution: Execution) -> Decimal:
        """What an execution takes out of cash."""
        multiplier = self.margin.row(execution.instrument).terms.multiplier
        value = execution.quantity * execution.price * multiplier
        return execution.sign * value + execution.fees

    def _told_ns(self) -> int:
        """When the broker last told balances: what was executed until then is in them."""
        return self.history.closes[-1].at_ns if self.history.closes else -1

    def _last_ns(self) -> int:
        """When the newest execution was; 0 where none is kept."""
        return self.history.executions[-1].at_ns if self.history.executions else 0

    def _day(self, at_ns: int) -> date:
        return self.terms.calendar.trade_date(at_ns)


def _last_before(closes: list[Close], today: str) -> Close | None:
    """The account at the end of the last day before today that is known."""
    return next((close for close in reversed(closes) if close.day < today), None)
