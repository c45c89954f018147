"""The compliance actor: one ordered link with the router, and the screen behind it.

Until a router has loaded the book nothing passes. Screens, durable updates and releases come
on the same link, in order, so every screen sees exactly what was durable before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from actors import messages as m
from actors.beacon import boot_ns
from actors.figures import Figures
from actors.link import Link, LinkOwner
from actors.tracing import Tracer, utc_less_boot_ns
from compliance.calendar import BusinessCalendar
from compliance.digest import digest_of
from compliance.leases import Leaseholder, Lent, Recalled
from compliance.past import Past
from compliance.screen import Screener
from compliance.settings import ComplianceSettings
from domain.portfolio import ZERO
from domain.screening import ScreenAnswer, ScreenRequest

SHARD = "compliance"

log = structlog.get_logger()


class ComplianceActor(LinkOwner[Any]):
    """Answers screens; a plain class, given its links by the host."""

    def __init__(
        self,
        settings: ComplianceSettings,
        incarnation: str,
        calendars: Mapping[str, BusinessCalendar] | None = None,
    ) -> None:
        self.incarnation = incarnation
        self._calendars = calendars
        self._settings = _spelled(settings)
        self._is_leased = settings.market.firm_credit_max is not None
        self._lease = Leaseholder(SHARD, 0)
        # One for the whole life, so that no verdict id comes twice; None while no book is loaded.
        self._made = Screener(settings, incarnation, calendars)
        self.screener: Screener | None = None
        self._epoch = 0
        self._router: Link[Any] | None = None
        self._screens = 0
        self.tracer: Tracer | None = None

    def use(self, settings: ComplianceSettings, incarnation: str) -> None:
        """Screens by other settings from the next book on, which the router brings at once."""
        self.incarnation = incarnation
        self._settings = _spelled(settings)
        self._is_leased = settings.market.firm_credit_max is not None
        self._made = Screener(settings, incarnation, self._calendars)
        if self._router is not None:
            self._router.close()

    def received(self, link: Link[Any], message: Any) -> None:
        """A router's word; an older router is cut off."""
        if isinstance(message, m.LoadBook):
            self._load(link, message)
        elif link is not self._router or self.screener is None:
            link.close()
        elif isinstance(message, ScreenRequest):
            self._screens += 1
            link.send(self._screen(self.screener, message))
            self.screener.settle()
        elif isinstance(message, m.Observe):
            for update in message.updates:
                self.screener.observe(update)
        elif isinstance(message, m.SeeRates):
            self.screener.observe_rates(message.rates, message.stepped_ns)
        elif isinstance(message, m.SeeMarket):
            self.screener.observe_market(message.securities)
        elif isinstance(message, m.Release):
            self.screener.release(message.order_id)
        elif isinstance(message, Lent | Recalled):
            self._hear(link, message)
        elif isinstance(message, m.SetHalts):
            self.screener.set_halts(message.halts)

    def batch_ended(self) -> None:
        """What was found in all that came together is told at once."""
        if self._router is not None and self.screener is not None:
            self._tell_findings(self._router, self.screener)

    def _screen(self, screener: Screener, asked: ScreenRequest) -> ScreenAnswer:
        if self.tracer is None or asked.trace is None:
            return screener.screen(asked)
        began_ns = boot_ns()
        answer = screener.screen(asked)
        shift_ns, ended_ns = utc_less_boot_ns(), boot_ns()
        words: dict[str, str | int] = {"fillgate.order": asked.order_id}
        words["fillgate.passed"] = answer.passed is not None
        self.tracer.span("rules", asked.trace, began_ns + shift_ns, ended_ns + shift_ns, **words)
        return answer

    def _tell_findings(self, router: Link[Any], screener: Screener) -> None:
        findings = screener.take_findings()
        if findings:
            router.send(m.Found(findings=findings))
        trips = screener.take_trips()
        if trips:
            router.send(m.Tripped(halts=trips))

    def _load(self, link: Link[Any], book: m.LoadBook) -> None:
        if book.epoch < self._epoch:
            link.close()
            return
        if self._router is not None and self._router is not link:
            self._router.close()
        self._epoch, self._router = book.epoch, link
        self.screener = self._made
        self.screener.load(
            accounts=book.accounts,
            orders=book.orders,
            halts=book.halts,
            instruments=book.instruments,
            past=Past(histories=book.histories, equities=book.equities),
        )
        self._lease = Leaseholder(SHARD, 0)
        if self._is_leased:
            self.screener.set_firm_budget(ZERO)
        state = digest_of(self.screener.book)
        log.info("book", position=book.position, state=state)
        link.send(m.Loaded(incarnation=self.incarnation, settings=self._settings, state=state))

    def _hear(self, link: Link[Any], word: Lent | Recalled) -> None:
        """The lessor's word on this shard's part of the firm's limit."""
        assert self.screener is not None
        if self._lease.epoch != word.epoch:
            self._lease = Leaseholder(word.shard, word.epoch)
        credit = self.screener.book.credit
        self._lease.used = ZERO if credit is None else credit.firm.total
        answer = self._lease.hear(word)
        self.screener.set_firm_budget(self._lease.amount)
        if answer is not None:
            link.send(answer)

    def link_down(self, link: Link[Any]) -> None:
        """Without a router nothing is known any more; the next one loads anew."""
        if link is self._router:
            self._router, self.screener = None, None

    def is_ready(self) -> bool:
        """What a Pong says: a book is loaded."""
        return self.screener is not None

    def figures(self) -> Figures:
        """What it tells of itself once a second."""
        told = Figures()
        told.put("fillgate_compliance_loaded", int(self.screener is not None))
        told.put("fillgate_screens_total", self._screens)
        return told


def _spelled(settings: ComplianceSettings) -> str:
    """The settings in words that a later reader can screen by again."""
    return msgspec.json.encode(settings).decode()
