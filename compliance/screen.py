"""Asks every rule about an order and reserves for the first account that may take it.

An order screened again (an amend, or one that waited) is asked without its own reservation.
Nothing here raises on what it is given: whatever is missing, too old or unknown is a violation
with its own code. Verdict ids count up within an incarnation, and equal inputs in equal order
give equal answers, so that replay is exact.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from compliance.exposure import NEVER_TOLD, Book, is_immediate
from compliance.holding import AccountExposure, Fingerprint, Holding, OpenOrder
from compliance.magnitude import LOT_MIN, PRICE_MAX, QUANTITY_MAX, is_usable
from compliance.rates import RateBook
from compliance.regimes import Plan, make_plan, make_weigher
from compliance.rule import Context
from compliance.rules.us_fx_fifo import picks_lot, splits_lot
from compliance.settings import ComplianceSettings
from domain.accounts import AccountSnapshot
from domain.instruments import Instrument
from domain.lifecycle import Order
from domain.portfolio import ZERO
from domain.records import Halted, HaltScope
from domain.screening import Candidate, Rate, ScreenAnswer, ScreenRequest, Verdict, Violation
from domain.streams import BalancesUpdate, OrderUpdate, PositionUpdate, StreamUpdate

_NS_PER_MS = 1_000_000
_HOUSE = "house: fails closed"


class _Finding(Struct, frozen=True, gc=False):
    """What the rules said of one candidate; without a context it could not even be asked."""

    violations: tuple[Violation, ...]
    warnings: tuple[Violation, ...] = ()
    context: Context | None = None


class Screener:
    """The exposure of one shard of owners, and the rules over it. One caller at a time."""

    def __init__(self, settings: ComplianceSettings, incarnation: str) -> None:
        self.incarnation = incarnation
        self.book = Book()
        self._settings = settings
        self._rates = RateBook()
        self._halts: dict[tuple[HaltScope, str], Halted] = {}
        self._instruments: dict[str, Instrument] = {}
        self._plans: dict[str, Plan] = {}
        self._verdicts = 0
        self.set_halts(())

    def load(
        self,
        accounts: tuple[AccountSnapshot, ...],
        orders: tuple[Order, ...],
        halts: tuple[Halted, ...],
        instruments: tuple[Instrument, ...],
    ) -> None:
        """Replaces everything known by what the router lists."""
        self.book = Book()
        self._plans = {}
        self._instruments = _by_symbol(instruments)
        self.set_halts(halts)
        for snapshot in accounts:
            # Weighed by the plan of the first screen: until then no date is known.
            self.book.open_account(snapshot, _weighs_nothing)
        for order in orders:
            self.book.load_order(order)

    def observe(self, update: StreamUpdate) -> None:
        """Follows one durable update; repeats and old news change nothing."""
        body = update.body
        if isinstance(body, OrderUpdate):
            self.book.follow(body)
        elif isinstance(body, PositionUpdate):
            self.book.set_position(body.position, update.seq)
        elif isinstance(body, BalancesUpdate):
            self.book.set_balances(body.balances, update.seq)

    def observe_rates(self, rates: tuple[Rate, ...]) -> None:
        """Takes prices outside a request: what values holdings in other instruments."""
        for rate in rates:
            self._rates.put(rate)

    def set_halts(self, halts: tuple[Halted, ...]) -> None:
        """The halts in force from now on, beside those of the settings."""
        named = (*self._settings.halts, *halts)
        self._halts = {(halt.scope, halt.subject): halt for halt in named}

    def release(self, order_id: str) -> None:
        """An order that passed was not sent after all, or its amend was not."""
        self.book.release(order_id)

    def keep_only(self, order_ids: frozenset[str]) -> None:
        """A new router's open orders: every other reservation drops."""
        self.book.keep_only(order_ids)

    def screen(self, request: ScreenRequest) -> ScreenAnswer:
        """A verdict per candidate in order until one passes, which reserves for it.

        A dry run asks every rule about every candidate and reserves nothing; its verdicts end
        with the first that passes all the same.
        """
        self._take_rates(request)
        known = self.book.orders.get(request.replaces_order_id or request.order_id)
        if known is not None:
            self.book.lift(known)
        verdicts: list[Verdict] = []
        refusals: list[Violation] = []
        chosen: tuple[Candidate, Context] | None = None
        for candidate in request.candidates:
            finding = self._look(request, candidate, known)
            refusals += finding.violations
            if chosen is None:
                verdicts.append(self._verdict(candidate, finding))
                if finding.context is not None and not finding.violations:
                    chosen = candidate, finding.context
            if chosen is not None and not request.is_dry_run:
                break
        if known is not None:
            self.book.lay(known)
        if chosen is not None and not request.is_dry_run:
            self._reserve(request, *chosen)
        return ScreenAnswer(
            number=request.number,
            verdicts=tuple(verdicts),
            all_violations=tuple(refusals) if request.is_dry_run else (),
        )

    def _take_rates(self, request: ScreenRequest) -> None:
        """A price from the future would stay fresh for ever: it is not taken."""
        until_ns = request.now_ns + self._settings.quote_age_ms_max * _NS_PER_MS
        for rate in request.rates:
            if rate.received_ns <= until_ns:
                self._rates.put(rate)

    def _look(
        self, request: ScreenRequest, candidate: Candidate, known: OpenOrder | None
    ) -> _Finding:
        missing = self._find_missing(request, candidate, known)
        if missing is not None:
            return _Finding((missing,))
        context = self._make_context(request, candidate, known)
        order, plan = request.order, self._plans[candidate.account]
        asked = plan.checks[context.instrument.asset_class, context.is_opening]
        violations: list[Violation] = []
        for check in asked.refusing:
            violation = check(order, context)
            if violation is not None:
                violations.append(violation)
                if not request.is_dry_run:
                    return _Finding(tuple(violations))
        flags = [check(order, context) for check in asked.warning]
        warnings = tuple([flag for flag in flags if flag is not None])
        return _Finding(tuple(violations), warnings, context)

    def _find_missing(
        self, request: ScreenRequest, candidate: Candidate, known: OpenOrder | None
    ) -> Violation | None:
        """What makes it impossible to ask the rules at all."""
        order = request.order
        if not is_usable(order.quantity, QUANTITY_MAX):
            return _refuse("bad_quantity", f"{order.quantity} is not a quantity", "quantity")
        for price in (order.limit_price, order.stop_price, order.price_bound):
            if price is not None and not is_usable(price, PRICE_MAX):
                return _refuse("bad_price", f"{price} is not a price")
        exposure = self.book.accounts.get(candidate.account)
        if exposure is None or exposure.account.owner != request.owner:
            return _refuse("unknown_account", f"{candidate.account} is not known", "account")
        if order.instrument not in self._instruments:
            return _refuse("unknown_instrument", f"{order.instrument} is not known", "instrument")
        if request.replaces_order_id is None:
            return None
        at = (candidate.account, order.instrument, order.side.sign)
        if known is None or (known.account, known.instrument, known.sign) != at:
            return _refuse("unknown_order", f"no open order {request.replaces_order_id} to amend")
        return None

    def _make_context(
        self, request: ScreenRequest, candidate: Candidate, known: OpenOrder | None
    ) -> Context:
        order, now_ns = request.order, request.now_ns
        exposure = self.book.accounts[candidate.account]
        plan = self._plan(exposure, now_ns)
        holding = exposure.holding(order.instrument)
        self._value(exposure, holding, request.rates)
        fresh_since_ns = now_ns - self._settings.quote_age_ms_max * _NS_PER_MS
        leaves = order.quantity
        reduces = order.only_reduces
        is_opening = not reduces
        is_amend = request.replaces_order_id is not None
        if known is not None:
            leaves = max(order.quantity - known.filled, ZERO)
            is_opening = is_opening and not (is_amend and leaves <= known.leaves)
        sign = order.side.sign
        return Context(
            owner=request.owner,
            order_id=request.order_id,
            connection=candidate.connection,
            account=exposure.account,
            instrument=self._instruments[order.instrument],
            exposure=exposure,
            holding=holding,
            rates=self._rates,
            quote=self._rates.find(order.instrument, fresh_since_ns),
            halts=self._halts,
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
            is_offset_elsewhere=self.book.has_opposite_elsewhere(request.owner, holding, sign),
        )

    def _plan(self, exposure: AccountExposure, now_ns: int) -> Plan:
        account = exposure.account
        plan = self._plans.get(account.account)
        if plan is None or not plan.from_ns <= now_ns < plan.until_ns:
            plan = make_plan(account, self._settings, now_ns)
            self._plans[account.account] = plan
            exposure.weigh_all(make_weigher(account, self._instruments, plan, self._settings))
        return plan

    def _value(self, exposure: AccountExposure, holding: Holding, rates: tuple[Rate, ...]) -> None:
        exposure.value(holding.base, self._rates)
        for rate in rates:
            for currency in self._rates.legs(rate.instrument):
                if currency != holding.base and currency in exposure.buckets:
                    exposure.value(currency, self._rates)

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
        order, at_once = request.order, context.is_immediate
        if request.replaces_order_id is not None:
            self.book.amend(request.replaces_order_id, order.quantity)
            return
        made = OpenOrder(
            order_id=request.order_id,
            account=candidate.account,
            instrument=order.instrument,
            sign=context.sign,
            leaves=context.leaves,
            version=NEVER_TOLD,
            only_reduces=context.only_reduces,
            is_immediate=at_once,
            has_bracket=order.bracket is not None,
            closes_lot=order.closes_lot,
            splits=at_once and splits_lot(order, context),
            picks=at_once and picks_lot(order, context),
            fingerprint=context.fingerprint,
        )
        self.book.reserve(made, context.fingerprint, request.now_ns)


def _by_symbol(instruments: tuple[Instrument, ...]) -> dict[str, Instrument]:
    """One row a symbol: where brokers differ, the one that asks for more margin.

    A row whose numbers make no sense is left out, so that its orders are refused.
    """
    found: dict[str, Instrument] = {}
    for instrument in filter(_is_sane, instruments):
        held = found.get(instrument.symbol)
        if held is None or (held.margin_rate or ZERO) < (instrument.margin_rate or ZERO):
            found[instrument.symbol] = instrument
    return found


def _is_sane(instrument: Instrument) -> bool:
    has_grid = is_usable(instrument.lot, QUANTITY_MAX) and instrument.lot >= LOT_MIN
    margin_rate = instrument.margin_rate or ZERO
    has_margin = margin_rate.is_finite() and ZERO <= margin_rate <= 1
    return has_grid and has_margin and is_usable(instrument.multiplier, PRICE_MAX)


def _weighs_nothing(symbol: str) -> tuple[str, Decimal]:
    return symbol, ZERO


def _refuse(code: str, message: str, field: str | None = None) -> Violation:
    return Violation(code=code, rule="inputs", citation=_HOUSE, message=message, field=field)
