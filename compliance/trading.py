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

from msgspec.structs import replace

from compliance.day_trades import DayTrades
from compliance.finra_4210 import INTRADAY_CITATION, LEGACY_CITATION, DayTrading
from compliance.funding import Funding, Misstep
from compliance.holding import Holding
from compliance.magnitude import plain
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

CASH_CITATION = "12 CFR 220.8(a), (c)"
INTRADAY_MODES = (DayTrading.INTRADAY, DayTrading.BOTH)
LEGACY_MODES = (DayTrading.LEGACY, DayTrading.BOTH)


class DayLevel:
    """The intraday margin level through one day, and its low after what reduced it."""

    def __init__(self, *, has_reduced: bool, at_once: bool) -> None:
        self.level: Decimal | None = None
        self.low = ZERO
        self._has_reduced = has_reduced
        self._at_once = at_once
        self._at_ns = -1
        self._adverse = ZERO

    def transact(self, level: Decimal, at_ns: int) -> None:
        """A transaction led to this level. What happened at one moment counts adversely."""
        before = level if self.level is None else self.level
        is_first = self.level is None
        if at_ns != self._at_ns:
            self._at_ns, self._adverse = at_ns, before
        change = level - before
        if change < 0 or is_first:
            self._adverse += change
            self._has_reduced = True
            self.low = min(self.low, self._adverse, level)
        self.level = level

    def mark(self, level: Decimal) -> None:
        """Prices, or money, led to this level."""
        if self._has_reduced and not self._at_once:
            self.low = min(self.low, level)
        self.level = level


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
        self.margin.settle(self._spent_since_told())
        self._rebuild()

    @property
    def equity(self) -> Decimal | None:
        """What the account is worth now: the broker's last word, and what prices did since."""
        return None if self.balances is None else self.balances.equity + self.margin.gain

    @property
    def cash(self) -> Decimal | None:
        """The cash now: the broker's last word, less what fills took since."""
        return None if self.balances is None else self.balances.cash - self.margin.spent

    @property
    def prior_close(self) -> Close | None:
        """The account at the end of the last day before today that is known."""
        today = self.terms.today.isoformat()
        return next((c for c in reversed(self.history.closes) if c.day < today), None)

    def tell(self, balances: AccountBalances | None) -> None:
        """The broker told balances: fills it cannot know of yet still count."""
        self.balances = balances
        self.margin.settle(self._spent_since_told())
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
        filled_ns, self._filled_ns = self._filled_ns, None
        equity = self.equity
        if self.terms.mode not in INTRADAY_MODES or equity is None:
            return
        if self.margin.find_unpriced(0, rates):
            return
        level = equity - self.margin.held_required
        if filled_ns is not None:
            self._level.transact(level, filled_ns)
        elif level == self._level.level:
            return
        else:
            self._level.mark(level)
        self._judge_level(level, equity)

    def _fill(self, execution: Execution, change: Change) -> None:
        symbol = execution.instrument
        signed = execution.sign * execution.quantity
        self.margin.fill(symbol, signed, execution.price, execution.fees)
        self._net[symbol] = self._net.get(symbol, ZERO) + signed
        self._filled_ns = execution.at_ns
        self._flows += self._flow(execution)
        if change is Change.LATE:
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

    def _spent_since_told(self) -> Decimal:
        """What executions took out of cash that the broker's last balances cannot know of."""
        told_ns = self.history.closes[-1].at_ns if self.history.closes else -1
        spent = ZERO
        for execution in reversed(self.history.executions):
            if execution.at_ns <= told_ns:
                break
            spent += self._flow(execution)
        return spent

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
                self._find(_of_misstep(terms.account, misstep))
        findings = history.findings.values()
        self.frozen_until = frozen_until(history.findings, terms)
        self.settled_only_until = settled_only_until(findings, terms)
        self.missteps = count_missteps(findings, terms)

    def _judge_pattern(self) -> None:
        terms, table = self.terms, self.terms.pattern
        today = self.day_trades.today or terms.today
        count = self.day_trades.in_window(today, table.window_days)
        trades = count.by(terms.method)
        if is_pattern(trades, count.orders - trades, table):
            self._find(
                Finding(
                    id=f"pattern_day_trader:{terms.account}",
                    kind=FindingKind.PATTERN_DAY_TRADER,
                    account=terms.account,
                    day=today.isoformat(),
                    at_ns=self.history.executions[-1].at_ns,
                    rule="legacy_pdt",
                    citation=LEGACY_CITATION,
                    message=f"{trades} day trades in {table.window_days} business days",
                )
            )

    def _judge_power(self) -> None:
        terms, table, power = self.terms, self.terms.pattern, self.buying_power
        today = self.day_trades.today or terms.today
        if power is not None and self.is_designated and self.day_trades.open_cost > power:
            amount = (self.day_trades.open_cost - power) / table.buying_power
            self._find(
                Finding(
                    id=f"day_trade_call:{terms.account}:{today}",
                    kind=FindingKind.DAY_TRADE_CALL,
                    account=terms.account,
                    day=today.isoformat(),
                    at_ns=self.history.executions[-1].at_ns,
                    rule="day_trading_buying_power",
                    citation=LEGACY_CITATION,
                    message=f"day trades exceeded buying power of {plain(power)}",
                    amount=amount,
                )
            )

    def _judge_level(self, level: Decimal, equity: Decimal) -> None:
        terms = self.terms
        key = f"intraday_deficit:{terms.account}:{terms.today}"
        is_news = False
        if self._level.low < 0:
            is_news = self._find(
                Finding(
                    id=key,
                    kind=FindingKind.INTRADAY_DEFICIT,
                    account=terms.account,
                    day=terms.today.isoformat(),
                    at_ns=self.history.executions[-1].at_ns if self.history.executions else 0,
                    rule="intraday_margin",
                    citation=INTRADAY_CITATION,
                    message=f"intraday margin level fell to {plain(self._level.low)}",
                    amount=-self._level.low,
                    equity=equity,
                )
            )
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

    def _day(self, at_ns: int) -> date:
        return self.terms.calendar.trade_date(at_ns)


def _of_misstep(account: str, misstep: Misstep) -> Finding:
    return Finding(
        id=f"{misstep.kind.value}:{account}:{misstep.order_id}",
        kind=misstep.kind,
        account=account,
        day=misstep.day.isoformat(),
        at_ns=misstep.at_ns,
        rule="cash_settlement",
        citation=CASH_CITATION,
        message=f"{misstep.instrument} sold before {plain(misstep.amount)} of its cost was good",
        amount=misstep.amount,
        met=misstep.met,
    )
