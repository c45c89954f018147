"""Screens the journal's orders again, each against the book as it was, by any rules.

What an order was screened by is in the journal: its terms, candidates, prices and moment, the
settings and instruments (`Ruled`), what markets said (`MarketTold`), and everything that the book
is a fold of. Prices of other holdings are known only as far as orders were screened by them, so the
same rules may come to another word where a margin depends on them: whoever compares counts those
apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors.router.loading import snapshots_of
from actors.router.markets import security_of
from compliance.calendar import BusinessCalendar
from compliance.exposure import Book
from compliance.past import Past
from compliance.regimes import Planner, make_plan
from compliance.screen import Screener
from compliance.settings import ComplianceSettings
from domain import ids
from domain.instruments import Instrument
from domain.market_facts import MarketFact
from domain.orders import NewOrder
from domain.records import (
    Checked,
    EpochStarted,
    Halted,
    MarketTold,
    Ordered,
    Record,
    Resumed,
    Ruled,
    Synced,
)
from domain.screening import Candidate, Rate, Ruling, ScreenRequest, Verdict
from ledger.projection import Books

_decode_settings = msgspec.json.Decoder(ComplianceSettings).decode


class Table(Struct, frozen=True, kw_only=True):
    """By which rules to screen: the settings (None: as they were journaled), and the plans."""

    settings: ComplianceSettings | None = None
    planner: Planner = make_plan


class Screened(Struct, frozen=True, kw_only=True):
    """One order: what was said then, and what each table says of it now."""

    record: int
    at_ns: int
    order_id: str
    order: NewOrder
    then: tuple[Verdict, ...]
    now: tuple[tuple[Ruling, ...], ...]


class Replay:
    """Follows records from the first; answers for the orders it is asked about."""

    def __init__(
        self, tables: tuple[Table, ...], calendars: Mapping[str, BusinessCalendar]
    ) -> None:
        self._tables = tables
        self._calendars = calendars
        self._books = Books()
        self._settings: ComplianceSettings | None = None
        self._instruments: dict[tuple[str, str], Instrument] = {}
        self._screeners: tuple[Screener, ...] = ()
        self._rates: dict[str, Rate] = {}
        self._facts: dict[str, MarketFact] = {}
        self._told: deque[tuple[int, MarketFact]] = deque()
        """When compliance heard of what no order was screened by yet."""

    def run(self, records: Iterable[Record], since_ns: int = 0) -> Iterator[Screened]:
        """Every order screened since a moment, by every table."""
        for record in records:
            cause = record.cause
            asked = _request_of(record) if isinstance(cause, Ordered | Checked) else None
            if asked is not None:
                self._hear(asked.now_ns)
            if isinstance(cause, Ordered | Checked) and asked is not None and self._screeners:
                found = [self._ask(screener, asked) for screener in self._screeners]
                if record.at_ns >= since_ns:
                    yield Screened(
                        record=record.number,
                        at_ns=record.at_ns,
                        order_id=asked.order_id,
                        order=asked.order,
                        then=_verdicts_of(cause),
                        now=tuple(found),
                    )
            self._follow(record, asked)

    def book_at(self, records: Iterable[Record], position: int) -> Book:
        """What a compliance actor knows that is loaded after a record."""
        for record in records:
            if record.number > position:
                break
            self._follow(record, None)
        self._settings = self._settings or ComplianceSettings()
        self._load()
        return self._screeners[0].book

    def _ask(self, screener: Screener, asked: ScreenRequest) -> tuple[Ruling, ...]:
        return screener.screen(asked).rulings

    def _follow(self, record: Record, asked: ScreenRequest | None) -> None:
        self._books.apply(record)
        cause = record.cause
        if isinstance(cause, EpochStarted):
            self._instruments, self._settings = {}, None
            self._facts, self._told = {}, deque()
        if isinstance(cause, MarketTold):
            self._told += [(record.at_ns, fact) for fact in cause.facts]
        if isinstance(cause, Ruled):
            self._settings = _decode_settings(cause.settings)
            self._instruments |= {(i.symbol, i.broker_symbol): i for i in cause.instruments}
        if isinstance(cause, EpochStarted | Ruled | Synced):
            self._load()
            return
        if asked is not None:
            self._rates |= {rate.instrument: rate for rate in asked.rates}
        for screener in self._screeners:
            self._tell(screener, record, asked)

    def _hear(self, screened_ns: int) -> None:
        """Tells what compliance had heard before it looked at an order, and nothing later."""
        while self._told and self._told[0][0] < screened_ns:
            _, fact = self._told.popleft()
            self._facts[fact.instrument] = fact
            for screener in self._screeners:
                screener.observe_market((security_of(fact),))

    def _tell(self, screener: Screener, record: Record, asked: ScreenRequest | None) -> None:
        if asked is not None and isinstance(record.cause, Ordered | Checked):
            self._reserve(screener, record.cause, asked)
        for update in record.updates:
            screener.observe(update)
        if isinstance(record.cause, Halted | Resumed):
            screener.set_halts(tuple(self._books.halts.values()))

    def _reserve(self, screener: Screener, cause: Ordered | Checked, asked: ScreenRequest) -> None:
        """The book goes on from what happened, whatever this table would have said."""
        last = _verdicts_of(cause)[-1]
        is_sent = last.violation is None and cause.error is None
        answer = screener.screen(replace(asked, is_dry_run=False))
        order = self._books.orders.get(asked.order_id)
        if answer.passed is not None and not is_sent:
            screener.release(asked.order_id)
        elif is_sent and answer.passed is None and order is not None:
            screener.book.load_order(order)

    def _load(self) -> None:
        """As a compliance actor is loaded: the book, and the prices known so far."""
        if self._settings is None:
            self._screeners = ()
            return
        books, found = self._books, []
        for table in self._tables:
            settings = table.settings or self._settings
            screener = Screener(settings, "replay", self._calendars, table.planner)
            screener.load(
                accounts=snapshots_of(books),
                orders=tuple(books.orders.open.values()),
                halts=tuple(books.halts.values()),
                instruments=tuple(self._instruments.values()),
                past=_copy(Past(
                    histories=tuple(books.histories.values()),
                    equities=tuple(books.equities.values()),
                )),
            )  # fmt: skip
            screener.observe_market(tuple(security_of(fact) for fact in self._facts.values()))
            screener.observe_rates(tuple(self._rates.values()))
            found.append(screener)
        self._screeners = tuple(found)


def _copy(past: Past) -> Past:
    # The books go on folding into theirs, and each screener into its own.
    return msgspec.msgpack.decode(msgspec.msgpack.encode(past), type=Past)


def _request_of(record: Record) -> ScreenRequest | None:
    """The question as compliance was asked it, as a dry run: every rule answers."""
    cause = record.cause
    assert isinstance(cause, Ordered | Checked)
    candidates = _candidates_of(cause)
    if not candidates or not cause.screened_ns:
        return None
    owner = record.owner or ""
    if isinstance(cause, Ordered):
        order_id = ids.order_id(owner, cause.command.client_order_id)
    else:
        order_id = cause.order_id
    is_amend = isinstance(cause, Checked) and cause.is_amend
    return ScreenRequest(
        number=record.number,
        owner=owner,
        order_id=order_id,
        order=cause.command,
        candidates=candidates,
        rates=cause.rates,
        now_ns=cause.screened_ns,
        replaces_order_id=order_id if is_amend else None,
        is_dry_run=True,
    )


def _verdicts_of(cause: Ordered | Checked) -> tuple[Verdict, ...]:
    if isinstance(cause, Checked):
        return cause.verdicts
    return (*cause.refused, *(() if cause.verdict is None else (cause.verdict,)))


def _candidates_of(cause: Ordered | Checked) -> tuple[Candidate, ...]:
    return tuple(verdict.candidate for verdict in _verdicts_of(cause))
