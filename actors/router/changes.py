"""Commands about what is already there: amend, cancel, close, halt, guard.

Cancels pass whatever compliance says and whatever is halted. A cancel or amend is durable as
an overlay on the order before it is passed on, and again passed on after a restart.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from actors import messages as m
from actors.gate import sealed
from actors.router import refusals
from actors.router.choice import soonest
from actors.router.desk import Desk, Draft
from actors.router.halts import Halts
from actors.router.operators import Operators
from actors.router.orders import Orders
from actors.router.screening import Asked, Screening, describe
from actors.router.signals import Signals
from actors.router.venue import Venue
from domain import events as ev
from domain.commands import (
    Amend,
    AmendPosition,
    Batch,
    Cancel,
    ClosePosition,
    Decided,
    Halt,
    Place,
    ResetBreaker,
    ResolveOrder,
    Resume,
    SetGuard,
    Submit,
    TakeSignal,
)
from domain.errors import ErrorInfo
from domain.instruments import find_grid_fault
from domain.lifecycle import OPEN, Order, Origin, Pending, Status, amended_terms
from domain.orders import (
    AmendOrder,
    CancelOrder,
    NewOrder,
    OrderType,
    PositionEffect,
    Side,
)
from domain.records import Changed, Guard, Settled
from domain.screening import Candidate, Verdict
from ledger.projection import change_digest

SEND_BY_NS_MAX = 500_000_000
SELECTORS = ("client_order_id", "order_id", "tag", "instrument", "account")


class Changes:
    """Takes every command; new orders go on to `Orders`."""

    def __init__(self, desk: Desk, orders: Orders, signals: Signals) -> None:
        self.desk = desk
        self.orders = orders
        self.halts = Halts(desk, self)
        self.operators = Operators(desk)
        self.signals = signals
        self.protect: Callable[[Any, Submit, AmendPosition], None] = _no_protection
        orders.send_amend = self.send_amend

    def submit(self, edge: Any, submit: Submit) -> None:
        """Decides a command, at once or when compliance has answered."""
        command = submit.command
        match command:
            case Place():
                self.orders.place_all(edge, submit, (command.order,), command.dry_run)
            case Batch():
                self.orders.place_all(edge, submit, command.orders, False)
            case TakeSignal():
                self.signals.take(edge, submit, command)
            case AmendPosition():
                self.protect(edge, submit, command)
            case ClosePosition():
                self.close_position(edge, submit, command)
            case Amend():
                self.amend(edge, submit, command)
            case Cancel():
                self.orders.answer(edge, submit.ref, self.cancel(submit, command.cancel))
            case SetGuard():
                self.set_guard(edge, submit, command)
            case Halt() | Resume():
                self.halts.change(edge, submit, command)
            case ResolveOrder():
                self.operators.resolve(edge, submit, command)
            case ResetBreaker():
                self.operators.reset_breaker(edge, submit, command)

    def amend(self, edge: Any, submit: Submit, command: Amend) -> None:
        """Screens the new total, then asks the broker; the overlay is durable before that."""
        amend = command.amend
        order = self.desk.books.orders.of_client(submit.owner, amend.client_order_id)
        known = self.find_known(submit, amend)
        if known is not None:
            self.orders.answer(edge, submit.ref, known)
            return
        asked = Asked(edge=edge, ref=submit.ref, answers=[None])
        refusal = self.begin_amend(asked, submit, order, amend)
        if refusal is not None:
            self.orders.answer(edge, submit.ref, refusal)

    def begin_amend(
        self, asked: Asked, submit: Submit, order: Order | None, amend: AmendOrder
    ) -> ErrorInfo | None:
        """Has the new terms screened; why not, where they cannot be."""
        refusal = self._amend_refusal(order, amend)
        if refusal is not None or order is None:
            return refusal or refusals.UNKNOWN_ORDER
        terms = amended_terms(order.terms or described(order), amend)
        venue = self.desk.venues[order.connection or ""]
        fault = find_grid_fault(terms, venue.instruments[terms.instrument])
        if fault is not None:
            return refusals.invalid(fault.field, fault.message)
        held = self.desk.books.held.get(venue.settings.account)
        if held is not None and terms.quantity > order.quantity:
            return refusals.account_held(venue.settings.account, held)
        screening = Screening(
            submit=submit, order=terms, order_id=order.order_id, digest="", rates=(),
            asked=[asked], amends=order,
        )  # fmt: skip
        candidate = Candidate(connection=venue.settings.id, account=venue.settings.account)
        self.orders.screen(screening, (candidate,))
        return None

    def _amend_refusal(
        self, order: Order | None, amend: AmendOrder, is_screened: bool = False
    ) -> ErrorInfo | None:
        if order is None:
            return refusals.UNKNOWN_ORDER
        if self.desk.closed is not None and not only_lowers(order, amend):
            return self.desk.closed
        if order.status not in (Status.LIVE, Status.PARTIALLY_FILLED):
            return refusals.not_working(order.status.value)
        if order.pending is not None:
            return refusals.PENDING
        if not is_screened and amend.if_version not in (None, order.version):
            return refusals.stale_version(order.version)
        venue = self.desk.venues.get(order.connection or "")
        if venue is None or not venue.takes_orders:
            return refusals.VENUE_UNAVAILABLE
        return refusals.COMPLIANCE_UNAVAILABLE if self.orders.compliance is None else None

    def find_known(
        self, submit: Submit, command: AmendOrder | CancelOrder
    ) -> ErrorInfo | tuple[Decided, ...] | None:
        """The earlier answer to a repeated request id; a conflict where the body differs."""
        books = self.desk.books
        before = books.change(submit.owner, submit.request_id)
        if before is None:
            return None
        if before.digest != change_digest(command):
            return refusals.REQUEST_CONFLICT
        orders = (books.orders.get(order_id) for order_id in before.orders)
        return tuple(describe(order, dup=True) for order in orders if order is not None)

    def send_amend(self, screening: Screening, verdict: Verdict) -> None:
        """Compliance let the amend pass: write it down and pass it on."""
        desk, submit = self.desk, screening.submit
        order = desk.books.orders.get(screening.order_id)
        assert isinstance(submit.command, Amend)
        refusal = self._amend_refusal(order, submit.command.amend, is_screened=True)
        if refusal is not None or order is None:
            if order is None or order.pending is not Pending.AMEND:
                # An amend that overtook this one keeps the reservation; it ends with its outcome.
                desk.to_compliance.append(m.Release(order_id=screening.order_id))
            self.orders.refuse(screening, refusal or refusals.UNKNOWN_ORDER)
            return
        draft = self._changed(submit, submit.command.amend, (order,))
        after = draft.event(
            order, ev.AmendRequested(at_ns=desk.now_ns, request_id=submit.request_id)
        )
        draft.close()
        amend = m.SendAmend(
            epoch=desk.epoch,
            order_id=order.order_id,
            order=order.terms or described(order),
            terms=screening.order,
            venue_client_id=order.venue_client_id or "",
            broker_order_id=order.legs[-1] if order.legs else None,
            send_by_ns=desk.boot_ns + SEND_BY_NS_MAX,
            request_id=submit.request_id,
        )
        desk.to_connections.append((verdict.candidate.connection, sealed(amend)))
        self.orders.decide(screening.asked[0], describe(after))

    def give_up_amends(self, connection: str) -> None:
        """After a restart: whether an amend took effect shows as Replaced; no overlay may stay."""
        for order in self.desk.books.orders.open_at(connection):
            if order.pending is Pending.AMEND:
                draft = self.desk.draft(Settled(why="a restart lost the amend"), order.owner)
                error = refusals.unanswered("amend")
                draft.event(order, ev.AmendRefused(at_ns=self.desk.now_ns, error=error))
                draft.close()

    def _changed(
        self, submit: Submit, command: AmendOrder | CancelOrder, orders: tuple[Order, ...]
    ) -> Draft:
        cause = Changed(
            request_id=submit.request_id,
            command=command,
            owner=submit.owner,
            session=submit.session,
            cseq=submit.cseq,
            orders=tuple(order.order_id for order in orders),
        )
        return self.desk.draft(cause, submit.owner)

    def cancel(
        self, submit: Submit, cancel: CancelOrder, session: str | None = None
    ) -> ErrorInfo | tuple[Decided, ...]:
        """Cancels what can still be canceled, of one session alone where it is named.

        Asking again answers the same.
        """
        known = self.find_known(submit, cancel)
        if known is not None:
            return known
        if not (cancel.all or any(getattr(cancel, name) is not None for name in SELECTORS)):
            # Nothing chosen is not everything chosen.
            return refusals.NO_SELECTOR
        targets = self._select(submit.owner, cancel)
        if session is not None:
            targets = [order for order in targets if order.session == session]
        one = cancel.client_order_id is not None or cancel.order_id is not None
        if one and not targets:
            return refusals.UNKNOWN_ORDER
        working = [order for order in targets if order.status in OPEN]
        if one and not working:
            return refusals.not_working(targets[0].status.value)
        draft = self._changed(submit, cancel, tuple(working))
        after = tuple(self.cancel_one(draft, order, submit.request_id) for order in working)
        draft.close()
        for order in after:
            self.send_cancel(order)
        return tuple(describe(order) for order in after)

    def _select(self, owner: str, cancel: CancelOrder) -> list[Order]:
        books = self.desk.books
        if cancel.client_order_id is not None:
            found = books.orders.of_client(owner, cancel.client_order_id)
            return [found] if found else []
        if cancel.order_id is not None:
            found = books.orders.get(cancel.order_id)
            return [found] if found and found.owner == owner else []
        return [
            order
            for order in books.orders.open.values()
            if order.owner == owner
            and (cancel.include_external or order.origin is not Origin.EXTERNAL)
            and (cancel.tag is None or (order.terms is not None and order.terms.tag == cancel.tag))
            and cancel.instrument in (None, order.instrument)
            and cancel.account in (None, order.account)
        ]

    def cancel_one(self, draft: Draft, order: Order, request_id: str) -> Order:
        """The order as the cancel leaves it: ended, or pending at its broker."""
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
        venue = self.desk.venues.get(order.connection)
        if venue is None or not venue.is_up:
            return  # it is sent when the connection is back
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

    def close_position(self, edge: Any, submit: Submit, close: ClosePosition) -> None:
        """Becomes a reduce-only market order for what was asked of the position."""
        known = self.desk.books.orders.of_client(submit.owner, close.client_order_id)
        if known is not None and known.terms is not None:
            self.orders.answer(edge, submit.ref, (_close_again(known, known.terms, close),))
            return
        position = self.desk.books.positions.get((close.account, close.instrument))
        held = position.quantity if position else Decimal(0)
        asked = close.quantity
        if close.percent is not None:
            asked = abs(held) * close.percent / 100
        quantity = min(abs(held), asked) if asked is not None else abs(held)
        venue = self._venue_of(submit.owner, close.account)
        instrument = venue.instruments.get(close.instrument) if venue else None
        if venue is None or instrument is None:
            self.orders.answer(edge, submit.ref, refusals.NO_POSITION)
            return
        quantity -= quantity % instrument.lot
        if not quantity:
            self.orders.answer(edge, submit.ref, refusals.NO_POSITION)
            return
        order = NewOrder(
            client_order_id=close.client_order_id,
            instrument=close.instrument,
            side=Side.SELL if held > 0 else Side.BUY,
            quantity=quantity,
            type=OrderType.MARKET,
            account=close.account,
            position_effect=PositionEffect.REDUCE_ONLY,
            reduce_only=True,
        )
        order = msgspec.structs.replace(order, time_in_force=soonest(venue, order))
        self.orders.place_all(edge, submit, (order,), False)

    def _venue_of(self, owner: str, account: str) -> Venue | None:
        for venue in self.desk.venues.values():
            if (venue.settings.owner, venue.settings.account) == (owner, account):
                return venue
        return None

    def set_guard(self, edge: Any, submit: Submit, command: SetGuard) -> None:
        """Arms or lifts a guard of the session."""
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
        self.orders.answer(edge, submit.ref, (Decided(),))


def _close_again(known: Order, terms: NewOrder, close: ClosePosition) -> Decided:
    """The position has changed since: a close is the same where it closes the same."""
    before = (terms.reduce_only, terms.account, terms.instrument)
    is_same = before == (True, close.account, close.instrument)
    return describe(known, dup=True) if is_same else refusals.id_conflict(close.client_order_id)


def only_lowers(order: Order, amend: AmendOrder) -> bool:
    """True where nothing changes but the quantity, and that downward: no risk is added."""
    others = (amend.limit_price, amend.stop_price, amend.trailing, amend.expire_at_ns)
    if amend.quantity is None or any(other is not None for other in others):
        return False
    return amend.quantity <= order.filled + order.leaves


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
        expire_at_ns=external.expire_at_ns,
        closes_lot=external.closes_lot,
        reduce_only=external.closes_lot is not None,
    )


def _no_protection(_edge: Any, _submit: Submit, _command: AmendPosition) -> None:
    raise AssertionError("position.amend is wired by `protection`")
