"""Asks every rule about an order and reserves for the first account that may take it.

An order screened again (an amend, or one that waited) is asked without its own reservation.
Nothing here raises on what it is given: whatever is missing, too old or unknown is a violation
with its own code. Verdict ids count up within an incarnation, and equal inputs in equal order
give equal answers, so that replay is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from compliance.calendar import BusinessCalendar
from compliance.credit import CreditBook
from compliance.exposure import Book, is_immediate
from compliance.halts import Halts
from compliance.holding import AccountExposure, Fingerprint, Holding, OpenOrder
from compliance.inputs import by_symbol, find_missing, make_quoter
from compliance.limits import Security
from compliance.market import MarketBook
from compliance.past import NOTHING_PAST, Past, remember
from compliance.preview import Hearing, ask_all, make_measures, said
from compliance.rates import RateBook
from compliance.regimes import Asked, Plan, Planner, make_plan, make_weigher
from compliance.reserving import open_order
from compliance.rule import Context, price_units
from compliance.settings import ComplianceSettings
from compliance.trading_desk import TradingDesk
from compliance.valuing import value_credit, value_margin
from domain.accounts import AccountSnapshot
from domain.findings import Finding
from domain.history import account_of
from domain.instruments import Instrument
from domain.lifecycle import Order
from domain.orders import NewOrder
from domain.portfolio import ZERO
from domain.records import Halted
from domain.screening import (
    Candidate,
    Rate,
    RuleOutcome,
    Ruling,
    ScreenAnswer,
    ScreenRequest,
    Verdict,
    Violation,
)
from domain.streams import (
    BalancesUpdate,
    OrderUpdate,
    PositionUpdate,
    StreamUpdate,
    TransactionUpdate,
)

_NS_PER_MS = 1_000_000


class Screener:
    """The exposure of one shard of owners, and the rules over it. One caller at a time."""

    def __init__(
        self,
        settings: ComplianceSettings,
        incarnation: str,
        calendars: Mapping[str, BusinessCalendar] | None = None,
        planner: Planner = make_plan,
    ) -> None:
        self.incarnation, self._make_plan = incarnation, planner
        self._trading = TradingDesk(settings, calendars or {})
        self._settings = settings
        self._market = market = settings.market
        windows = (market.window_quantity_max, market.window_notional_max)
        self._counts_window = windows != (None, None)
        self._collar = settings.collar_percent / 100
        self._quote_age_ns = settings.quote_age_ms_max * _NS_PER_MS
        self._valuation_age_ns = settings.valuation_age_ms_max * _NS_PER_MS
        self._measures = make_measures(settings)
        self._budget = self._market.firm_credit_max
        self.market = MarketBook(self._market.securities)
        self._rates = RateBook()
        self._instruments: dict[str, Instrument] = {}
        self._book = self._make_book()
        self._halts = Halts(settings.halts)
        self._trips: list[Halted] = []
        self._plans: dict[str, Plan] = {}
        self._verdicts = 0
        self._passed: tuple[ScreenRequest, Candidate, Context] | None = None

    @property
    def book(self) -> Book:
        """Everything held and reserved, the order that passed last included."""
        self.settle()
        return self._book

    def settle(self) -> None:
        """Reserves for the order that passed last: before anything else is asked or told.

        Whoever waits for a verdict need not wait for this; nothing can come between.
        """
        if self._passed is not None:
            passed, self._passed = self._passed, None
            self._reserve(*passed)

    def load(
        self,
        accounts: tuple[AccountSnapshot, ...],
        orders: tuple[Order, ...],
        halts: tuple[Halted, ...],
        instruments: tuple[Instrument, ...],
        past: Past = NOTHING_PAST,
    ) -> None:
        """Replaces everything known by what the router lists."""
        self._passed = None
        self._instruments = by_symbol(instruments)
        self.market = MarketBook(self._market.securities)
        self._book = self._make_book()
        self._trading.load(past.histories)
        self._plans = {}
        self.set_halts(halts)
        self._trips = self._halts.untold
        for snapshot in accounts:
            # Weighed by the plan of the first screen: until then no date is known.
            self._book.open_account(snapshot, _weighs_nothing)
        remember(self._book, past)
        for order in orders:
            self._book.load_order(order)

    def observe(self, update: StreamUpdate) -> None:
        """Follows one durable update; repeats and old news change nothing."""
        self.settle()
        body = update.body
        if isinstance(body, OrderUpdate):
            self._book.follow(body)
            if self._book.trips:
                self._trips += self._halts.trip(self._book.trips)
                self._book.trips = []
        elif isinstance(body, PositionUpdate):
            self._book.set_position(body.position, update.seq)
        elif isinstance(body, BalancesUpdate):
            self._book.set_balances(body.balances, update.seq, update.at_ns)
        elif isinstance(body, TransactionUpdate):
            self._book.move(body.transaction)
        self._remember(update)

    def take_findings(self) -> tuple[Finding, ...]:
        """What was found since the last call: the router writes it down."""
        return self._trading.take_findings()

    def observe_rates(self, rates: tuple[Rate, ...], stepped_ns: int = 0) -> None:
        """Takes prices outside a request; those known move with a wall clock that was set."""
        self._rates.move(stepped_ns)
        for rate in rates:
            self._rates.put(rate)
        if rates:
            self._trading.mark(rates[-1].received_ns, self._rates)

    def observe_market(self, securities: tuple[Security, ...]) -> None:
        """Takes what became known of listed securities."""
        for news in securities:
            self.market.tell(news)

    def set_halts(self, halts: tuple[Halted, ...]) -> None:
        """The halts in force from now on, beside those of the settings and those tripped here.

        What led to a tripped halt that a person lifted is forgotten.
        """
        self.settle()
        for halt in self._halts.tell(halts):
            self._book.forget_repeats(halt)

    def take_trips(self) -> tuple[Halted, ...]:
        """Halts that became necessary since last asked, to be written down; in force already."""
        trips, self._trips = tuple(self._trips), []
        return trips

    def set_firm_budget(self, budget: Decimal | None) -> None:
        """This shard's part of the firm's credit (leases.py), from now on."""
        self.settle()
        self._budget = budget
        if self._book.credit is not None:
            self._book.credit.budget = budget

    def release(self, order_id: str) -> None:
        """An order that passed was not sent after all, or its amend was not."""
        self.settle()
        self._book.release(order_id)

    def keep_only(self, order_ids: frozenset[str]) -> None:
        """A new router's open orders: every other reservation drops."""
        self.settle()
        self._book.keep_only(order_ids)

    def screen(self, request: ScreenRequest) -> ScreenAnswer:
        """A verdict per candidate in order until one passes, which reserves for it (`settle`).

        A dry run asks every rule about every candidate and reserves nothing; its verdicts end
        with the first that passes all the same.
        """
        if self._passed is not None:
            self.settle()
        self._take_rates(request)
        known = self._book.orders.get(request.replaces_order_id or request.order_id)
        if known is not None:
            self._book.lift(known)
        answer = (self._rehearse if request.is_dry_run else self._decide)(request, known)
        if known is not None:
            self._book.lay(known)
        return answer

    def _decide(self, request: ScreenRequest, known: OpenOrder | None) -> ScreenAnswer:
        verdicts: tuple[Verdict, ...] = ()
        for candidate in request.candidates:
            heard = self._look(request, candidate, known)
            verdicts = (*verdicts, self._verdict(candidate, heard))
            if heard.violation is None:
                assert heard.context is not None
                self._passed = request, candidate, heard.context
                break
        return ScreenAnswer(number=request.number, verdicts=verdicts)

    def _rehearse(self, request: ScreenRequest, known: OpenOrder | None) -> ScreenAnswer:
        verdicts: list[Verdict] = []
        refusals: list[Violation] = []
        rulings: list[Ruling] = []
        is_passed = False
        for candidate in request.candidates:
            heard = self._preview(request, candidate, known)
            refusals += heard.refusals
            rulings += heard.rulings
            if not is_passed:
                verdicts.append(self._verdict(candidate, heard))
                is_passed = heard.violation is None
        told = tuple(verdicts), tuple(refusals), tuple(rulings)
        return ScreenAnswer(
            number=request.number, verdicts=told[0], all_violations=told[1], rulings=told[2]
        )

    def _make_book(self) -> Book:
        if not self._market.counts_credit:
            return Book(self._market)
        credit = CreditBook(
            self._market.credit_currency, make_quoter(self._instruments), self._rates
        )
        credit.budget = self._budget
        return Book(self._market, credit)

    def _take_rates(self, request: ScreenRequest) -> None:
        # A price from the future would stay fresh for ever: it is not taken.
        until_ns = request.now_ns + self._quote_age_ns
        for rate in request.rates:
            if rate.received_ns <= until_ns:
                self._rates.put(rate)

    def _look(
        self, request: ScreenRequest, candidate: Candidate, known: OpenOrder | None
    ) -> Hearing:
        missing = find_missing(request, candidate, known, self._book, self._instruments)
        if missing is not None:
            return Hearing(missing)
        context, order = self._see(request, candidate, known), request.order
        asked = self._asked(order, context)
        for check in asked.refusing:
            violation = check(order, context)
            if violation is not None:
                return Hearing(violation)
        warnings: tuple[Violation, ...] = ()
        for check in asked.warning:
            flag = check(order, context)
            if flag is not None:
                warnings = (*warnings, flag)
        return Hearing(None, warnings, context)

    def _asked(self, order: NewOrder, context: Context) -> Asked:
        # The same words as `concern_of`, with every order.
        kind, side = context.instrument.asset_class._value_, order.side._value_
        return self._plans[context.account.account].checks[kind, side, context.is_opening]

    def _preview(
        self, request: ScreenRequest, candidate: Candidate, known: OpenOrder | None
    ) -> Hearing:
        missing = find_missing(request, candidate, known, self._book, self._instruments)
        if missing is not None:
            return Hearing(missing, refusals=(missing,))
        context = self._see(request, candidate, known)
        asked = self._asked(request.order, context)
        rulings = ask_all(asked, request.order, context, self._measures)
        refusals, warnings = said(rulings, RuleOutcome.DENY), said(rulings, RuleOutcome.WARN)
        return Hearing(next(iter(refusals), None), warnings, context, refusals, rulings)

    def _see(
        self, request: ScreenRequest, candidate: Candidate, known: OpenOrder | None
    ) -> Context:
        order, now_ns, book = request.order, request.now_ns, self._book
        symbol, sign, rates = order.instrument, order.side.sign, self._rates
        exposure, plan = book.accounts[candidate.account], self._plans.get(candidate.account)
        if plan is None or not plan.from_ns <= now_ns < plan.until_ns:
            plan = self._plan(exposure, now_ns)
        holding = self._value(exposure, symbol, request.rates)
        leaves, is_amend = order.quantity, request.replaces_order_id is not None
        is_opening = not (reduces := order.only_reduces)
        if known is not None:
            leaves = max(leaves - known.filled, ZERO)
            is_opening = is_opening and not (is_amend and leaves <= known.leaves)
        instrument, fresh_since_ns = self._instruments[symbol], now_ns - self._quote_age_ns
        quote, home = rates.find(symbol, fresh_since_ns), exposure.account.base_currency
        worth = rates.convert(instrument.quote_currency, home, fresh_since_ns)
        cost, credit_price = price_units(order, quote, sign, self._collar)
        return Context(  # by place: thirty words would take longer than many a rule
            request.owner,
            request.order_id,
            candidate.connection,
            exposure.account,
            instrument,
            exposure,
            holding,
            rates,
            quote,
            None if quote is None else rates.middle(symbol),
            self._halts.in_force,
            plan.business_date,
            plan.day_from_ns,
            now_ns,
            fresh_since_ns,
            now_ns - self._valuation_age_ns,
            Fingerprint.of(order),
            self.market.find(symbol),
            book.resting,
            book.credit,
            book.loss_sales,
            book.has_opposite_elsewhere,
            cost * worth.rate * instrument.multiplier if cost and worth else None,
            credit_price if book.credit else None,
            sign=sign,
            leaves=leaves,
            is_opening=is_opening and holding.would_open(sign, leaves),
            is_immediate=is_immediate(order),
            only_reduces=reduces,
            is_amend=is_amend,
        )

    def _plan(self, exposure: AccountExposure, now_ns: int) -> Plan:
        account = exposure.account
        plan = self._plans.get(account.account)
        if plan is None or not plan.from_ns <= now_ns < plan.until_ns:
            plan = self._make_plan(account, self._settings, now_ns)
            self._plans[account.account] = plan
            self._trading.start(exposure, plan, self._instruments, self._rates)
            exposure.weigh_all(make_weigher(account, self._instruments, plan, self._settings))
            exposure.is_weighed = plan.deposits is not None
            exposure.losses.turn(plan.business_date, plan.day_from_ns, plan.day_until_ns)
        return plan

    def _remember(self, update: StreamUpdate) -> None:
        """Goes on with the trading of the account that the update is of."""
        exposure = self._book.accounts.get(account_of(update) or "")
        if exposure is not None and self._trading.is_asked_for(exposure.account):
            self._plan(exposure, update.at_ns)
            self._trading.follow(exposure, update, self._rates)

    def _value(self, exposure: AccountExposure, symbol: str, told: tuple[Rate, ...]) -> Holding:
        """The account's holding, with all that the prices told change brought up to date."""
        rates, credit = self._rates, self._book.credit
        holding = exposure.holdings.get(symbol) or exposure.holding(symbol)
        if exposure.trading is not None:
            self._trading.price(exposure.trading, symbol, rates)
        if exposure.is_weighed:
            value_margin(exposure, holding, told, rates)
        if credit is not None:
            value_credit(credit, exposure, told, rates)
        return holding

    def _verdict(self, candidate: Candidate, heard: Hearing) -> Verdict:
        self._verdicts += 1
        return Verdict(
            id=f"{self.incarnation}-{self._verdicts}",
            incarnation=self.incarnation,
            candidate=candidate,
            violation=heard.violation,
            warnings=heard.warnings,
        )

    def _reserve(self, request: ScreenRequest, candidate: Candidate, context: Context) -> None:
        order = request.order
        activity = context.exposure.activity
        activity.message(request.now_ns)
        if request.replaces_order_id is not None:
            self._book.amend(request.replaces_order_id, order, context.credit_price)
            return
        if self._counts_window:
            value = context.leaves * (context.unit_worth or ZERO)
            window = activity.orders(order.instrument, context.sign)
            window.note(request.now_ns, context.leaves, value)
        made = open_order(request, candidate, context)
        self._book.reserve(made, context.fingerprint, request.now_ns)


def _weighs_nothing(symbol: str) -> tuple[str, Decimal]:
    return symbol, ZERO
