"""Follows what was journaled and finds trading that looks like abuse: warnings, never denials.

A finding is of an account, an instrument and a day (New York), under an id that says so: found
again, after a restart or by another fill, it is the same one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from compliance.monitors.alert import Alert, AlertKind
from compliance.monitors.suspicion import (
    Canceled,
    Filled,
    Placed,
    Session,
    Suspicion,
    SuspicionSettings,
)
from domain import events as ev
from domain.dates import NEW_YORK, local_date
from domain.findings import Finding, FindingKind
from domain.lifecycle import Origin
from domain.market_facts import MarketFact
from domain.orders import NewOrder
from domain.records import MarketTold, Ordered, Record
from domain.streams import OrderUpdate, StreamUpdate

ORDERS_MAX = 100_000
"""Orders whose terms are remembered; the oldest are forgotten."""

NAMED_MAX = 20
"""Orders a finding names."""

KINDS = {
    AlertKind.SPOOF: FindingKind.SPOOFING,
    AlertKind.LAYERING: FindingKind.LAYERING,
    AlertKind.WASH_TRADE: FindingKind.WASH_TRADE,
    AlertKind.MARKING_THE_CLOSE: FindingKind.MARKING_THE_CLOSE,
}


class Surveillance:
    """One fold over the journal's records."""

    def __init__(self, settings: SuspicionSettings) -> None:
        self._suspicion = Suspicion(settings)
        self._terms: OrderedDict[str, NewOrder] = OrderedDict()
        self._asked: OrderedDict[str, None] = OrderedDict()
        """Orders somebody asked to cancel."""

    def take(self, record: Record) -> tuple[Finding, ...]:
        """What the record completes."""
        cause = record.cause
        if isinstance(cause, MarketTold):
            for fact in cause.facts:
                self._note_session(fact)
            return ()
        found: list[Finding] = []
        for update in record.updates:
            body = update.body
            if not isinstance(body, OrderUpdate):
                continue
            if isinstance(cause, Ordered):
                self._remember(body.order_id, cause.command)
            alerts = self._follow(update, body, record.owner or "")
            found += [finding_of(alert, body.account or "") for alert in alerts]
        return tuple(found)

    def _note_session(self, fact: MarketFact) -> None:
        if fact.day_volume is not None and fact.closes_ns is not None:
            self._suspicion.session(
                Session(
                    instrument=fact.instrument, closes_ns=fact.closes_ns, volume=fact.day_volume
                )
            )

    def _remember(self, order_id: str, terms: NewOrder) -> None:
        self._terms[order_id] = terms
        _bound(self._terms)

    def _follow(self, update: StreamUpdate, body: OrderUpdate, owner: str) -> tuple[Alert, ...]:
        event, at_ns = body.event, update.at_ns
        if isinstance(event, ev.Fill):
            return self._suspicion.fill(
                Filled(
                    order_id=body.order_id,
                    quantity=event.quantity,
                    price=event.price,
                    at_ns=at_ns,
                )
            )
        if isinstance(event, ev.CancelRequested):
            self._asked[body.order_id] = None
            _bound(self._asked)
        elif isinstance(event, ev.Canceled):
            if body.origin is Origin.CLIENT and body.order_id not in self._asked:
                return ()  # by its own terms, by its broker or with its twin: nobody took it back
            gone = Canceled(order_id=body.order_id, at_ns=at_ns, reason=event.reason)
            return self._suspicion.cancel(gone)
        placed = self._placed(body, owner, at_ns)
        if placed is not None:
            self._suspicion.place(placed)
        return ()

    def _placed(self, body: OrderUpdate, owner: str, at_ns: int) -> Placed | None:
        """The order as it went to the market; None of other news, and of what guards a position."""
        event = body.event
        terms: NewOrder | ev.External | None = None
        if isinstance(event, ev.External):
            is_guard = event.closes_lot or event.parent_execution or event.parent_broker_order_id
            terms = None if is_guard else event
        elif isinstance(event, ev.Sending):
            terms = self._terms.get(body.order_id)
        if terms is None:
            return None
        return Placed(
            order_id=body.order_id,
            owner=owner,
            instrument=terms.instrument,
            sign=terms.side.sign,
            quantity=terms.quantity,
            price=terms.limit_price or terms.stop_price,
            at_ns=at_ns,
        )


def _bound(kept: OrderedDict[str, Any]) -> None:
    if len(kept) > ORDERS_MAX:
        kept.popitem(last=False)


def finding_of(alert: Alert, account: str) -> Finding:
    """An alert as it is written down."""
    kind = KINDS[alert.kind]
    day = local_date(alert.at_ns, NEW_YORK).isoformat()
    return Finding(
        id=f"{kind.value}:{account}:{alert.instrument}:{day}",
        kind=kind,
        account=account,
        day=day,
        at_ns=alert.at_ns,
        rule="suspicion",
        citation=alert.citation,
        message=f"{alert.instrument}: {alert.message}",
        orders=alert.orders[:NAMED_MAX],
    )
