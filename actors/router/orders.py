"""Commands: what a client asks, from receipt to a durable decision.

An order is checked here for what is not compliance's business (identity, grid, venue), screened
by compliance over its link, and then written as SENDING (or READY, or DENIED) in one record.
Refusals that are not compliance's are not journaled and consume no client order id.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from actors import messages as m
from actors.connection import is_halted
from actors.router import refusals
from actors.router.desk import Desk, Draft, Venue
from domain import events as ev
from domain import ids, routing
from domain.commands import (
    Amend,
    Answer,
    Batch,
    Cancel,
    ClosePosition,
    Decided,
    Halt,
    Place,
    Resume,
    SetGuard,
    Submit,
)
from domain.errors import ErrorInfo
from domain.instruments import Instrument, find_grid_fault
from domain.lifecycle import OPEN, TERMINAL, Order, Origin, Pending, Status, amended_terms
from domain.orders import CancelOrder, NewOrder, OrderType, PositionEffect, Side, TimeInForce
from domain.records import Changed, Guard, Halted, Ordered, Resumed, Settled
from domain.screening import Candidate, Rate, ScreenAnswer, ScreenRequest, Verdict
from domain.streams import NoticeKind

SEND_BY_NS_MAX = 500_000_000
SCREENS_MAX = 10_000
READY_MAX = 10_000


class Asked(Struct, kw_only=True):
    """Where an answer goes: an edge, its ref, and the place of this order in the answer."""

    edge: Any
    ref: int
    answers: list[Decided | None]
    index: int = 0


class Screening(Struct, kw_only=True):
    """An order (or an amend) that compliance is looking at."""

    submit: Submit
    order: NewOrder
    order_id: str
    digest: str
    rates: tuple[Rate, ...]
    asked: list[Asked]
    amends: Order | None = None
    is_dry_run: bool = False


class Orders:
    """Takes commands and verdicts; drafts records and messages at the desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.compliance: str | None = None
        self._screens: dict[int, Screening] = {}
        self._by_order: dict[str, int] = {}
        self._screen_number = 0
        self._send_by: dict[str, int] = {}

    # -- commands

    def submit(self, edge: Any, submit: Submit) -> None:
        """Decides a command, at once or when compliance has answered."""
        command = submit.command
        match command:
            case Place():
                self._place_all(edge, submit, (command.order,), command.dry_run)
            case Batch():
                self._place_all(edge, submit, command.orders, False)
            case ClosePosition():
                self._close_position(edge, submit, command)
            case Amend():
                self._amend(edge, submit, command)
            case Cancel():
                self._answer(edge, submit.ref, self.cancel(submit, command.cancel))
            case SetGuard():
                self._set_guard(edge, submit, command)
            case Halt() | Resume():
                self._halt(edge, submit, command)

    def _answer(self, edge: Any, ref: int, result: ErrorInfo | tuple[Decided, ...]) -> None:
        if isinstance(result, ErrorInfo):
            self.desk.to_edges.append((edge, Answer(ref=ref, error=result)))
        else:
            self.desk.to_edges.append((edge, Answer(ref=ref, decided=result)))

    def _place_all(
        self, edge: Any, submit: Submit, orders: tuple[NewOrder, ...], dry_run: bool
    ) -> None:
        answers: list[Decided | None] = [None] * len(orders)
        for index, order in enumerate(orders):
            asked = Asked(edge=edge, ref=submit.ref, answers=answers, index=index)
            refused = self._place(submit, order, asked, dry_run)
            if refused is not None:
                self._decide(asked, refused)

    def _decide(self, asked: Asked, decided: Decided) -> None:
        """Fills in one order's answer; the last one sends them all."""
        asked.answers[asked.index] = decided
        done = [answer for answer in asked.answers if answer is not None]
        if len(done) == len(asked.answers):
            self._answer(asked.edge, asked.ref, tuple(done))

    def _place(
        self, submit: Submit, order: NewOrder, asked: Asked, dry_run: bool
    ) -> Decided | None:
        """A decision where one can be had at once; None while compliance looks."""
        order_id = ids.order_id(submit.owner, order.client_order_id)
        digest = ids.digest(order)
        known = self._known(submit, order, order_id, digest, asked)
        if known is not None:
            return known if isinstance(known, Decided) else None
        fault = self._find_refusal(submit, order)
        if fault is not None:
            return Decided(client_order_id=order.client_order_id, error=fault)
        venues = self._venues(submit.owner, order)
        candidates = routing.choose(order, venues)
        if not candidates:
            error = self._explain_no_candidate(submit.owner, order)
            return Decided(client_order_id=order.client_order_id, error=error)
        order, unsupported = self._supported(order, candidates)
        if unsupported is not None:
            return Decided(client_order_id=order.client_order_id, error=unsupported)
        screening = Screening(
            submit=submit,
            order=order,
            order_id=order_id,
            digest=digest,
            rates=(),
            asked=[asked],
            is_dry_run=dry_run,
        )
        self._screen(screening, candidates)
        return None

    def _known(
        self, submit: Submit, order: NewOrder, order_id: str, digest: str, asked: Asked
    ) -> Decided | bool | None:
        """The earlier answer for a repeated id; True where its screening is still under way."""
        known = self.desk.books.orders.get(order_id)
        if known is not None:
            same = self.desk.books.digests.get((submit.owner, order.client_order_id)) == digest
            return describe(known, dup=True) if same else refusals.id_conflict(order)
        number = self._by_order.get(order_id)
        if number is None:
            return None
        screening = self._screens[number]
        if screening.digest != digest:
            return refusals.id_conflict(order)
        screening.asked.append(asked)
        return True

    def _find_refusal(self, submit: Submit, order: NewOrder) -> ErrorInfo | None:
        """What stands in the way before compliance is asked."""
        desk = self.desk
        if self.compliance is None:
            return refusals.COMPLIANCE_UNAVAILABLE
        if len(self._screens) >= SCREENS_MAX:
            return refusals.BUSY
        if submit.deadline_ns is not None and desk.boot_ns > submit.deadline_ns:
            return refusals.STALE
        instrument = self._find_instrument(submit.owner, order)
        if instrument is None:
            return refusals.unknown_instrument(order.instrument)
        fault = find_grid_fault(order, instrument)
        if fault is not None:
            return refusals.invalid(fault.field, fault.message)
        return None

    def _find_instrument(self, owner: str, order: NewOrder) -> Instrument | None:
        for venue in self.desk.venues.values():
            if venue.settings.owner == owner and order.instrument in venue.instruments:
                if order.account in (None, venue.settings.account):
                    return venue.instruments[order.instrument]
        return None

    def _venues(self, owner: str, order: NewOrder) -> tuple[routing.Venue, ...]:
        return tuple(
            routing.Venue(
                candidate=Candidate(connection=name, account=venue.settings.account),
                is_up=venue.is_up,
                trades_instrument=order.instrument in venue.instruments,
                quote=self.desk.find_quote(order.instrument, name),
            )
            for name, venue in self.desk.venues.items()
            if venue.settings.owner == owner
            and not self._has_unknown(venue.settings.account, order.instrument)
        )

    def _has_unknown(self, account: str, instrument: str) -> bool:
        return (account, instrument) in self.desk.books.unknown_at()

    def _explain_no_candidate(self, owner: str, order: NewOrder) -> ErrorInfo:
        for venue in self.desk.venues.values():
            if venue.settings.owner != owner:
                continue
            if self._has_unknown(venue.settings.account, order.instrument):
                return refusals.unknown_outstanding(order.instrument)
        return refusals.VENUE_UNAVAILABLE

    def _supported(
        self, order: NewOrder, candidates: tuple[Candidate, ...]
    ) -> tuple[NewOrder, ErrorInfo | None]:
        """Refuses what the first choice cannot do, or a market that is closed."""
        first = candidates[0]
        venue = self.desk.venues[first.connection]
        reason = venue.adapter.find_unsupported(order)
        if reason is not None:
            return order, refusals.unsupported(reason)
        quote = self.desk.find_quote(order.instrument, first.connection)
        if quote is not None and not quote.tradeable and order.type is OrderType.MARKET:
            return order, refusals.market_closed(order.instrument)
        return order, None

    # -- screening

    def _screen(self, screening: Screening, candidates: tuple[Candidate, ...]) -> None:
        desk = self.desk
        self._screen_number += 1
        number = self._screen_number
        venue = desk.venues[candidates[0].connection]
        instrument = venue.instruments[screening.order.instrument]
        homes = {desk.venues[c.connection].settings.currency for c in candidates}
        screening.rates = desk.rates(instrument, homes)
        self._screens[number] = screening
        if not screening.is_dry_run:
            self._by_order[screening.order_id] = number
        amends = screening.amends
        desk.to_compliance.append(
            ScreenRequest(
                number=number,
                owner=screening.submit.owner,
                order_id=screening.order_id,
                order=screening.order,
                candidates=candidates,
                rates=screening.rates,
                now_ns=desk.now_ns,
                replaces_order_id=amends.order_id if amends else None,
                is_dry_run=screening.is_dry_run,
            )
        )

    def screened(self, answer: ScreenAnswer) -> None:
        """A verdict came: writes the order down as sent, ready or denied."""
        screening = self._screens.pop(answer.number, None)
        if screening is None:
            return
        self._by_order.pop(screening.order_id, None)
        if screening.is_dry_run:
            self._answer_dry_run(screening, answer)
            return
        verdict = answer.passed
        if verdict is None:
            self._deny(screening, answer)
        elif verdict.incarnation != self.compliance:
            self._refuse(screening, refusals.COMPLIANCE_UNAVAILABLE)
        elif screening.amends is not None:
            self._send_amend(screening, verdict)
        else:
            self._pass(screening, verdict)

    def _answer_dry_run(self, screening: Screening, answer: ScreenAnswer) -> None:
        body = msgspec.Raw(msgspec.msgpack.encode(answer))
        for asked in screening.asked:
            self.desk.to_edges.append((asked.edge, Answer(ref=asked.ref, body=body)))

    def _refuse(self, screening: Screening, error: ErrorInfo) -> None:
        decided = Decided(client_order_id=screening.order.client_order_id, error=error)
        for asked in screening.asked:
            self._decide(asked, decided)

    def _deny(self, screening: Screening, answer: ScreenAnswer) -> None:
        violation = next((v.violation for v in answer.verdicts if v.violation), None)
        error = refusals.denied(violation)
        if screening.amends is not None:
            self._refuse(screening, error)
            return
        verdict = answer.verdicts[-1] if answer.verdicts else None
        draft = self._draft(screening, verdict, error)
        order = draft.event(self._received(screening), ev.Denied(at_ns=self.desk.now_ns, error=error))
        draft.close()
        decided = msgspec.structs.replace(describe(order), error=error)
        for asked in screening.asked:
            self._decide(asked, decided)

    def _received(self, screening: Screening) -> Order:
        submit = screening.submit
        return Order(
            order_id=screening.order_id,
            owner=submit.owner,
            origin=Origin.CLIENT,
            terms=screening.order,
            client_order_id=screening.order.client_order_id,
            received_ns=submit.received_ns,
        )

    def _draft(
        self, screening: Screening, verdict: Verdict | None, error: ErrorInfo | None = None
    ) -> Draft:
        submit = screening.submit
        cause = Ordered(
            command=screening.order,
            digest=screening.digest,
            session=submit.session,
            cseq=submit.cseq,
            received_ns=submit.received_ns,
            verdict=verdict,
            error=error,
            rates=screening.rates,
        )
        return self.desk.draft(cause, submit.owner)

    def _pass(self, screening: Screening, verdict: Verdict) -> None:
        desk, submit = self.desk, screening.submit
        venue = desk.venues[verdict.candidate.connection]
        refusal = self._late_refusal(screening, venue)
        if refusal is not None:
            desk.to_compliance.append(m.Release(order_id=screening.order_id))
            self._refuse(screening, refusal)
            return
        draft = self._draft(screening, verdict)
        order = self._received(screening)
        self._send_by[order.order_id] = min(
            submit.deadline_ns or desk.boot_ns + SEND_BY_NS_MAX, desk.boot_ns + SEND_BY_NS_MAX
        )
        if len(venue.in_flight) < venue.credits and venue.is_up:
            order = self._send(draft, order, venue, verdict.id)
        else:
            order = draft.event(order, ev.Readied(at_ns=desk.now_ns))
            venue.ready.append(order.order_id)
        draft.close()
        for asked in screening.asked:
            self._decide(asked, describe(order, dup=asked is not screening.asked[0]))

    def _late_refusal(self, screening: Screening, venue: Venue) -> ErrorInfo | None:
        """What may have changed while compliance looked."""
        deadline = screening.submit.deadline_ns
        if deadline is not None and self.desk.boot_ns > deadline:
            return refusals.STALE
        place = (venue.settings.id, venue.settings.account)
        if is_halted(screening.order, self.desk.halts(), screening.submit.owner, place):
            return refusals.HALTED
        if not venue.is_up and not screening.order.queue_if_down:
            return refusals.VENUE_UNAVAILABLE
        return refusals.BUSY if len(venue.ready) >= READY_MAX else None

    def _send(self, draft: Draft, order: Order, venue: Venue, verdict: str) -> Order:
        """Drafts SENDING; the dispatch leaves after the commit."""
        desk, connection = self.desk, venue.settings.id
        assert order.terms is not None
        assert order.client_order_id is not None
        attempt = order.attempt + 1
        intent = desk.books.last_intents.get(connection, 0) + 1
        name = ids.venue_client_id(order.owner, order.client_order_id, "0", attempt)
        sent = draft.event(
            order,
            ev.Sending(
                at_ns=desk.now_ns,
                connection=connection,
                account=venue.settings.account,
                intent=intent,
                attempt=attempt,
                venue_client_id=name,
                verdict=verdict,
            ),
        )
        venue.in_flight.add(intent)
        desk.to_connections.append(
            (
                connection,
                m.Dispatch(
                    epoch=desk.epoch,
                    intent=intent,
                    attempt=attempt,
                    order_id=order.order_id,
                    order=order.terms,
                    venue_client_id=name,
                    verdict=verdict,
                    send_by_ns=self._send_by.pop(
                        order.order_id, desk.boot_ns + SEND_BY_NS_MAX
                    ),
                ),
            )
        )
        return sent

    def spend_credits(self, venue: Venue) -> None:
        """Sends READY orders while the connection grants credits; drops the stale and halted."""
        desk = self.desk
        while venue.ready and venue.is_up and len(venue.in_flight) < venue.credits:
            order = desk.books.orders[venue.ready.popleft()]
            if order.status is not Status.READY or order.terms is None:
                continue
            draft = desk.draft(Settled(why="a credit came free"), order.owner)
            place = (venue.settings.id, venue.settings.account)
            if is_halted(order.terms, desk.halts(), order.owner, place):
                draft.event(order, ev.Canceled(at_ns=desk.now_ns, reason="halted"))
            elif desk.boot_ns > self._send_by.get(order.order_id, desk.boot_ns):
                draft.event(order, ev.Canceled(at_ns=desk.now_ns, reason="stale"))
            else:
                self._send(draft, order, venue, "queued")
            draft.close()

    def compliance_lost(self) -> None:
        """Refuses what was being screened; nothing of it is journaled."""
        self.compliance = None
        screens, self._screens = self._screens, {}
        self._by_order.clear()
        for screening in screens.values():
            self._refuse(screening, refusals.COMPLIANCE_UNAVAILABLE)

    # -- amend, cancel, close

    def _amend(self, edge: Any, submit: Submit, command: Amend) -> None:
        amend = command.amend
        order_id = ids.order_id(submit.owner, amend.client_order_id)
        order = self.desk.books.orders.get(order_id)
        if self._was_decided(submit) and order is not None:
            self._answer(edge, submit.ref, (describe(order, dup=True),))
            return
        refusal = self._amend_refusal(order, amend.if_version)
        if refusal is not None or order is None or order.terms is None:
            error = refusal or refusals.UNKNOWN_ORDER
            self._answer(edge, submit.ref, error)
            return
        terms = amended_terms(order.terms, amend)
        venue = self.desk.venues[order.connection or ""]
        fault = find_grid_fault(terms, venue.instruments[terms.instrument])
        if fault is not None:
            self._answer(edge, submit.ref, refusals.invalid(fault.field, fault.message))
            return
        asked = Asked(edge=edge, ref=submit.ref, answers=[None])
        screening = Screening(
            submit=submit, order=terms, order_id=order_id, digest="", rates=(), asked=[asked],
            amends=order,
        )  # fmt: skip
        candidate = Candidate(connection=venue.settings.id, account=venue.settings.account)
        self._screen(screening, (candidate,))

    def _amend_refusal(self, order: Order | None, if_version: int | None) -> ErrorInfo | None:
        if order is None:
            return refusals.UNKNOWN_ORDER
        if order.status not in (Status.LIVE, Status.PARTIALLY_FILLED):
            return refusals.not_working(order.status.value)
        if order.pending is not None:
            return refusals.PENDING
        if if_version is not None and if_version != order.version:
            return refusals.stale_version(order.version)
        venue = self.desk.venues.get(order.connection or "")
        if venue is None or not venue.is_up:
            return refusals.VENUE_UNAVAILABLE
        return refusals.COMPLIANCE_UNAVAILABLE if self.compliance is None else None

    def _was_decided(self, submit: Submit) -> bool:
        return (submit.owner, submit.request_id) in self.desk.books.requests

    def _send_amend(self, screening: Screening, verdict: Verdict) -> None:
        desk, submit = self.desk, screening.submit
        order = desk.books.orders[screening.order_id]
        refusal = self._amend_refusal(order, None)
        if refusal is not None or order.terms is None:
            self._refuse(screening, refusal or refusals.UNKNOWN_ORDER)
            return
        assert isinstance(submit.command, Amend)
        draft = self._changed(submit, submit.command.amend, (order,))
        after = draft.event(
            order, ev.AmendRequested(at_ns=desk.now_ns, request_id=submit.request_id)
        )
        draft.close()
        desk.to_connections.append(
            (
                verdict.candidate.connection,
                m.SendAmend(
                    epoch=desk.epoch,
                    order_id=order.order_id,
                    order=order.terms,
                    terms=screening.order,
                    venue_client_id=order.venue_client_id or "",
                    broker_order_id=order.legs[-1] if order.legs else None,
                    send_by_ns=desk.boot_ns + SEND_BY_NS_MAX,
                ),
            )
        )
        self._decide(screening.asked[0], describe(after))

    def _changed(self, submit: Submit, command: Any, orders: tuple[Order, ...]) -> Draft:
        cause = Changed(
            request_id=submit.request_id,
            command=command,
            owner=submit.owner,
            session=submit.session,
            cseq=submit.cseq,
            orders=tuple(order.order_id for order in orders),
        )
        return self.desk.draft(cause, submit.owner)

    def cancel(self, submit: Submit, cancel: CancelOrder) -> ErrorInfo | tuple[Decided, ...]:
        """Cancels what can still be canceled; asking again answers the same."""
        targets = self._select(submit.owner, cancel)
        one = cancel.client_order_id is not None or cancel.order_id is not None
        if one and not targets:
            return refusals.UNKNOWN_ORDER
        if self._was_decided(submit):
            return tuple(describe(order, dup=True) for order in targets)
        working = [order for order in targets if order.status in OPEN]
        if one and not working:
            return refusals.not_working(targets[0].status.value)
        draft = self._changed(submit, cancel, tuple(working))
        after = tuple(self._cancel_one(draft, order, submit.request_id) for order in working)
        draft.close()
        for order in after:
            self.send_cancel(order)
        return tuple(describe(order) for order in after)

    def _select(self, owner: str, cancel: CancelOrder) -> list[Order]:
        books = self.desk.books
        if cancel.client_order_id is not None:
            found = books.orders.get(ids.order_id(owner, cancel.client_order_id))
            return [found] if found else []
        if cancel.order_id is not None:
            found = books.orders.get(cancel.order_id)
            return [found] if found and found.owner == owner else []
        return [
            order
            for order in books.open_orders()
            if order.owner == owner
            and (cancel.include_external or order.origin is not Origin.EXTERNAL)
            and (cancel.tag is None or (order.terms is not None and order.terms.tag == cancel.tag))
            and cancel.instrument in (None, order.instrument)
            and cancel.account in (None, order.account)
        ]

    def _cancel_one(self, draft: Draft, order: Order, request_id: str) -> Order:
        now = self.desk.now_ns
        if order.status in (Status.READY, Status.HELD, Status.ARMED):
            return draft.event(order, ev.Canceled(at_ns=now, reason="canceled by the client"))
        if order.pending is Pending.CANCEL:
            return order
        return draft.event(order, ev.CancelRequested(at_ns=now, request_id=request_id))

    def send_cancel(self, order: Order) -> None:
        """Passes a pending cancel on, once the broker can know the order."""
        if order.pending is not Pending.CANCEL or order.connection is None:
            return
        if order.status not in (Status.LIVE, Status.PARTIALLY_FILLED):
            return
        terms = order.terms or described(order)
        self.desk.to_connections.append(
            (
                order.connection,
                m.SendCancel(
                    epoch=self.desk.epoch,
                    order_id=order.order_id,
                    order=terms,
                    venue_client_id=order.venue_client_id or "",
                    broker_order_id=order.legs[-1] if order.legs else None,
                ),
            )
        )

    def _close_position(self, edge: Any, submit: Submit, close: ClosePosition) -> None:
        position = self.desk.books.positions.get((close.account, close.instrument))
        held = position.quantity if position else Decimal(0)
        asked = close.quantity
        if close.percent is not None:
            asked = abs(held) * close.percent / 100
        quantity = min(abs(held), asked) if asked is not None else abs(held)
        instrument = self._find_any(close.instrument)
        if instrument is not None:
            quantity -= quantity % instrument.lot
        if not quantity:
            self._answer(edge, submit.ref, refusals.NO_POSITION)
            return
        order = NewOrder(
            client_order_id=close.client_order_id,
            instrument=close.instrument,
            side=Side.SELL if held > 0 else Side.BUY,
            quantity=quantity,
            type=OrderType.MARKET,
            time_in_force=TimeInForce.FOK,
            account=close.account,
            position_effect=PositionEffect.REDUCE_ONLY,
            reduce_only=True,
        )
        self._place_all(edge, submit, (order,), False)

    def _find_any(self, symbol: str) -> Instrument | None:
        for venue in self.desk.venues.values():
            if symbol in venue.instruments:
                return venue.instruments[symbol]
        return None

    # -- guards and halts

    def _set_guard(self, edge: Any, submit: Submit, command: SetGuard) -> None:
        guard = Guard(
            owner=submit.owner,
            session=submit.session,
            kind=command.kind,
            grace_ms=command.grace_ms,
            armed=command.armed,
            tag=command.tag,
            instrument=command.instrument,
            account=command.account,
        )
        self.desk.draft(guard, submit.owner).close()
        self._answer(edge, submit.ref, (Decided(),))

    def _halt(self, edge: Any, submit: Submit, command: Halt | Resume) -> None:
        by = submit.owner
        if isinstance(command, Halt):
            cause: Halted | Resumed = Halted(
                scope=command.scope, subject=command.subject, by=by, reason=command.reason
            )
            kind, message = NoticeKind.HALTED, command.reason
        else:
            cause = Resumed(scope=command.scope, subject=command.subject, by=by)
            kind, message = NoticeKind.RESUMED, "resumed"
        draft = self.desk.draft(cause)
        draft.notice(kind, f"{command.scope.value}/{command.subject}", message, None)
        number = draft.close().number
        halts = self.desk.halts()
        told = m.SetHalts(epoch=self.desk.epoch, number=number, halts=halts)
        for name in self.desk.venues:
            self.desk.to_connections.append((name, told))
        self.desk.to_compliance.append(told)
        self._answer(edge, submit.ref, (Decided(),))


def described(order: Order) -> NewOrder:
    """The terms of an order that is not ours, as far as the broker told them."""
    external = order.external
    assert external is not None
    return NewOrder(
        client_order_id=order.order_id,
        instrument=external.instrument,
        side=external.side,
        quantity=external.quantity,
        type=external.order_type,
        time_in_force=external.time_in_force,
        limit_price=external.limit_price,
        stop_price=external.stop_price,
        trailing=external.trailing,
    )


def describe(order: Order, dup: bool = False) -> Decided:
    """What a client is told of an order it asked about."""
    return Decided(
        client_order_id=order.client_order_id,
        order_id=order.order_id,
        status=order.status.value,
        dup=dup,
    )


__all__ = ["TERMINAL", "Orders", "describe", "described"]
