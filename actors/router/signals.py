"""Signals: the router reads one by its rule, adds what it knows, and takes the order it becomes.

The signal's id is the order's, and the digest kept is the signal's: the same signal again gets
the same answer, whatever equity, price and position have become meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from actors.router import refusals
from actors.router.choice import soonest
from actors.router.desk import Desk
from actors.router.orders import Orders
from actors.router.screening import Asked
from actors.router.venue import Venue
from compliance.rates import RateBook
from domain import ids, signals
from domain.commands import Decided, Submit, TakeSignal
from domain.instruments import Instrument
from domain.orders import OrderType, find_fault
from domain.portfolio import ZERO
from domain.signal_orders import Facts, order_of
from domain.signals import Reading, Refusal, SignalRule, Sizing

MS = 1_000_000
RATE_AGE_NS_MAX = 60_000_000_000
OF_EQUITY = frozenset({Sizing.EQUITY_PERCENT, Sizing.RISK_PERCENT})


class Signals:
    """The rules of the settings, by owner, and what becomes of the signals they take."""

    def __init__(self, desk: Desk, orders: Orders, rules: Iterable[SignalRule]) -> None:
        self._desk = desk
        self._orders = orders
        self._venues = {venue.settings.account: venue for venue in desk.venues.values()}
        self._rules: dict[str, list[SignalRule]] = {}
        for rule in rules:
            owner = self._venues[rule.account].settings.owner
            self._rules.setdefault(owner, []).append(rule)

    def take(self, edge: Any, submit: Submit, command: TakeSignal) -> None:
        """Answers with the order's decision, or why the signal stands for none."""
        reading = self._read(submit, command)
        if isinstance(reading, Refusal):
            self._refuse(edge, submit, reading)
            return
        body = TakeSignal(signal=dict(sorted(command.signal.items())), signal_id=reading.signal_id)
        digest = ids.digest(body)
        if not command.dry_run and self._is_known(edge, submit, reading.signal_id, digest):
            return
        facts = self._facts(reading)
        order = facts if isinstance(facts, Refusal) else order_of(reading, facts)
        if isinstance(order, Refusal):
            self._refuse(edge, submit, order)
            return
        is_timed = reading.rule.time_in_force is not None and not order.reduce_only
        if order.type is OrderType.MARKET and not is_timed:
            venue = self._venues[reading.rule.account]
            order = replace(order, time_in_force=soonest(venue, order))
        fault = find_fault(order)
        if fault is not None:
            self._orders.answer(edge, submit.ref, refusals.invalid(fault.field, fault.message))
            return
        if order.valid_for_ms is not None:
            deadline_ns = self._desk.boot_ns + order.valid_for_ms * MS
            submit = replace(submit, deadline_ns=deadline_ns)
        self._orders.place_all(edge, submit, (order,), command.dry_run, digest)

    def _is_known(self, edge: Any, submit: Submit, signal_id: str, digest: str) -> bool:
        """True where the signal was taken before, or is being: then it is answered as that was."""
        asked = Asked(edge=edge, ref=submit.ref, answers=[None])
        known = self._orders.find_known(submit.owner, signal_id, digest, asked)
        if isinstance(known, Decided):
            self._orders.decide(asked, known)
        return known is not None

    def _refuse(self, edge: Any, submit: Submit, refusal: Refusal) -> None:
        self._orders.answer(edge, submit.ref, refusals.signal_refused(refusal))

    def _read(self, submit: Submit, command: TakeSignal) -> Reading | Refusal:
        rule = signals.find_rule(self._rules.get(submit.owner, ()), command.signal)
        if isinstance(rule, Refusal):
            return rule
        return signals.read(rule, command.signal, command.signal_id, self._desk.now_ns)

    def _facts(self, reading: Reading) -> Facts | Refusal:
        desk, account = self._desk, reading.rule.account
        venue = self._venues[account]
        instrument = venue.instruments.get(reading.symbol)
        if instrument is None:
            field = reading.rule.fields.symbol
            message = f"{account} does not trade {reading.symbol}; map it in `instruments`"
            return Refusal("unknown_instrument", field, message)
        position = desk.books.positions.get((account, reading.symbol))
        equity, rate = self._money(reading, venue, instrument)
        return Facts(
            instrument=instrument,
            held=position.quantity if position is not None else ZERO,
            quote=desk.find_quote(reading.symbol, venue.settings.id),
            equity=equity,
            rate=rate,
        )

    def _money(
        self, reading: Reading, venue: Venue, instrument: Instrument
    ) -> tuple[Decimal | None, Decimal | None]:
        """The account's equity, and the quote currency in the account's, where they matter."""
        if reading.rule.sizing.by not in OF_EQUITY:
            return None, None
        home = venue.settings.currency
        balances = self._desk.books.balances.get((venue.settings.account, home))
        book = RateBook()
        for rate in self._desk.rates(instrument, (home,)):
            book.put(rate)
        since_ns = self._desk.now_ns - RATE_AGE_NS_MAX
        found = book.convert(instrument.quote_currency, home, since_ns)
        return balances.equity if balances else None, found.rate if found else None
