"""Asks every rule about an order and reserves for the first account that may take it.

An order screened again (an amend, or one that waited) is asked without its own reservation.
Nothing here raises on what it is given: whatever is missing, too old or unknown is a violation
with its own code. Verdict ids count up within an incarnation, and equal inputs in equal order
give equal answers, so that replay is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from compliance.calendar import BusinessCalendar
from compliance.credit import CreditBook
from compliance.exposure import Book, is_immediate
from compliance.halts import Halts
from compliance.holding import AccountExposure, Fingerprint, Holding, OpenOrder
from compliance.inputs import by_symbol, find_missing, make_quoter
from compliance.limits import Security
from compliance.market import MarketBook
from compliance.preview import ask_all, make_measures
from compliance.rates import RateBook
from compliance.regimes import Asked, Plan, concern_of, make_plan, make_weigher
from compliance.reserving import open_order
from compliance.rule import Context, credit_price, unit_worth
from compliance.settings import ComplianceSettings
from compliance.trading_desk import TradingDesk
from domain.accounts import AccountSnapshot
from domain.findings import Finding
from domain.history import AccountHistory, account_of
from domain.instruments import Instrument
from domain.lifecycle import Order
from domain.orders import NewOrder
from domain.portfolio import ZERO
from domain.records import Halted
from domain.screening import (
    Candidate,
    Outcome,
    Rate,
    Ruling,
    ScreenAnswer,
    ScreenRequest,
    Verdict,
    Violation,
)
from domain.streams import BalancesUpdate, OrderUpdate, PositionUpdate, StreamUpdate

_NS_PER_MS = 1_000_000


class _Finding(Struct, frozen=True, gc=False):
    """What the rules said of one candidate; without a context it could not even be asked."""

    violations: tuple[Violation, ...]
    warnings: tuple[Violation, ...] = ()
    context: Context | None = None
    rulings: tuple[Ruling, ...] = ()


class Screener:
    """The exposure of one shard of owners, and the rules over it. One caller at a time."""

    def __init__(
        self,
        settings: ComplianceSettings,
        incarnation: str,
        calendars: Mapping[str, BusinessCalendar] | None = None,
    ) -> None:
        self.incarnation = incarnation
        self._trading = TradingDesk(settings, calendars or {})
        self._settings = settings
        self._market = settings.market
        self._counts_window = (
            self._market.window_quantity_max is not None
            or self._market.window_notional_max is not None
        )
        self._collar = settings.collar_percent / 100
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
        histories: tuple[AccountHistory, ...] = (),
    ) -> None:
        """Replaces everything known by what the router lists."""
        self._passed = None
        self._instruments = by_symbol(instruments)
        self._book = self._make_book()
        self._trading.load(histories)
        self._plans = {}
        self.set_halts(halts)
        self._trips = self._halts.untold
        for snapshot in accounts:
            # Weighed by the plan of the first screen: until then no date is known.
            self._book.open_account(snapshot, _weighs_nothing)
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
        self.settle()
        self._take_rates(request)
        known = self._book.orders.get(request.replaces_order_id or request.order_id)
        if known is not None:
            self._book.lift(known)
        verdicts: list[Verdict] = []
        refusals: list[Violation] = []
        rulings: list[Ruling] = []
        chosen: tuple[Candidate, Context] | None = None
        for candidate in request.candidates:
            finding = self._look(request, candidate, known)
            refusals += finding.violations
            rulings += finding.rulings
            if chosen is None:
                verdicts.append(self._verdict(candidate, finding))
                if finding.context is not None and not finding.violations:
                    chosen = candidate, finding.context
            if chosen is not None and not request.is_dry_run:
                break
        if known is not None:
            self._book.lay(known)
        if chosen is not None and not request.is_dry_run:
            self._passed = (request, *chosen)
        return ScreenAnswer(
            number=request.number,
            verdicts=tuple(verdicts),
            all_violations=tuple(refusals) if request.is_dry_run else (),
            rulings=tuple(rulings),
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
        """A price from the future would stay fresh for ever: it is not taken."""
        until_ns = request.now_ns + self._settings.quote_age_ms_max * _NS_PER_MS
        for rate in request.rates:
            if rate.received_ns <= until_ns:
                self._rates.put(rate)

    def _look(
        self, request: ScreenRequest, candidate: Candidate, known: OpenOrder | None
    ) -> _Finding:
        missing = find_missing(request, candidate, known, self._book, self._instruments)
        if missing is not None:
            return _Finding((missing,))
        context = self._make_context(request, candidate, known)
        order, plan = request.order, self._plans[candidate.account]
        concern = concern_of(
            context.instrument.asset_class, order.side, is_opening=context.is_opening
        )
        asked = plan.checks[concern]
        if request.is_dry_run:
            return self._preview(asked, order, context)
        for check in asked.refusing:
            violation = check(order, context)
            if violation is not None:
                return _Finding((violation,))
        flags = [check(order, context) for check in asked.warning]
        warnings = tuple([flag for flag in flags if flag is not None])
        return _Finding((), warnings, context)

    def _preview(self, asked: Asked, order: NewOrder, context: Context) -> _Finding:
        rulings = ask_all(asked, order, context, self._measures)
        said = [(ruling.outcome, ruling.violation) for ruling in rulings]
        return _Finding(
            tuple([why for outcome, why in said if why and outcome is Outcome.DENY]),
            tuple([why for outcome, why in said if why and outcome is Outcome.WARN]),
            context,
            rulings,
        )

    def _make_context(
        self, request: ScreenRequest, candidate: Candidate, known: OpenOrder | None
    ) -> Context:
        order, now_ns = request.order, request.now_ns
        exposure = self._book.accounts[candidate.account]
        plan = self._plan(exposure, now_ns)
        holding = exposure.holding(order.instrument)
        self._value(exposure, holding, request.rates)
        fresh_since_ns = now_ns - self._settings.quote_age_ms_max * _NS_PER_MS
        leaves = order.quantity
        is_opening = not (reduces := order.only_reduces)
        is_amend = request.replaces_order_id is not None
        if known is not None:
            leaves = max(order.quantity - known.filled, ZERO)
            is_opening = is_opening and not (is_amend and leaves <= known.leaves)
        sign, book = order.side.sign, self._book
        instrument, home = self._instruments[order.instrument], exposure.account.base_currency
        quote = self._rates.find(order.instrument, fresh_since_ns)
        worth = self._rates.convert(instrument.quote_currency, home, fresh_since_ns)
        return Context(
            owner=request.owner,
            order_id=request.order_id,
            connection=candidate.connection,
            account=exposure.account,
            instrument=instrument,
            exposure=exposure,
            holding=holding,
            rates=self._rates,
            quote=quote,
            halts=self._halts.in_force,
            now_ns=now_ns,
            business_date=plan.business_date,
            fresh_since_ns=fresh_since_ns,
            valued_since_ns=now_ns - self._settings.valuation_age_ms_max * _NS_PER_MS,
            fingerprint=Fingerprint.of(order),
            sign=sign,
            leaves=leaves,
            is_opening=is_opening and holding.would_open(sign, leaves),
            is_immediate=is_immediate(order),
            only_reduces=reduces,
            is_amend=is_amend,
            is_offset_elsewhere=book.has_opposite_elsewhere(request.owner, holding, sign),
            day_from_ns=plan.day_from_ns,
            security=self.market.find(order.instrument),
            resting=book.resting,
            credit=book.credit,
            loss_sales=book.loss_sales,
            unit_worth=unit_worth(order, quote, worth, instrument.multiplier),
            credit_price=credit_price(order, quote, self._collar) if book.credit else None,
        )

    def _plan(self, exposure: AccountExposure, now_ns: int) -> Plan:
        account = exposure.account
        plan = self._plans.get(account.account)
        if plan is None or not plan.from_ns <= now_ns < plan.until_ns:
            plan = make_plan(account, self._settings, now_ns)
            self._plans[account.account] = plan
            self._trading.start(exposure, plan, self._instruments, self._rates)
            exposure.weigh_all(make_weigher(account, self._instruments, plan, self._settings))
            exposure.is_weighed = plan.deposits is not None
            exposure.losses.turn(plan.business_date, plan.day_until_ns)
        return plan

    def _remember(self, update: StreamUpdate) -> None:
        """Goes on with the trading of the account that the update is of."""
        exposure = self._book.accounts.get(account_of(update) or "")
        if exposure is not None and self._trading.is_asked_for(exposure.account):
            self._plan(exposure, update.at_ns)
            self._trading.follow(exposure, update, self._rates)

    def _value(self, exposure: AccountExposure, holding: Holding, rates: tuple[Rate, ...]) -> None:
        self._trading.price(exposure, holding.instrument, self._rates)
        if exposure.is_weighed:
            self._value_margin(exposure, holding, rates)
        if self._book.credit is not None:
            self._value_credit(self._book.credit, exposure, rates)

    def _value_margin(
        self, exposure: AccountExposure, holding: Holding, rates: tuple[Rate, ...]
    ) -> None:
        exposure.value(holding.base, self._rates)
        home = exposure.account.base_currency
        for currency in [c for rate in rates for c in self._rates.moved(rate.instrument, home)]:
            if currency != holding.base and currency in exposure.buckets:
                exposure.value(currency, self._rates)

    def _value_credit(
        self, credit: CreditBook, exposure: AccountExposure, rates: tuple[Rate, ...]
    ) -> None:
        owner = exposure.account.owner
        for rate in rates:
            held = exposure.holdings.get(rate.instrument)
            if held is not None:
                credit.value(owner, held, (rate.bid + rate.ask) / 2)
            for currency in self._rates.moved(rate.instrument, credit.currency):
                credit.revalue(owner, currency)

    def _verdict(self, candidate: Candidate, finding: _Finding) -> Verdict:
        self._verdicts += 1
        return Verdict(
            id=f"{self.incarnation}-{self._verdicts}",
            incarnation=self.incarnation,
            candidate=candidate,
            violation=finding.violations[0] if finding.violations else None,
            warnings=finding.warnings,
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
