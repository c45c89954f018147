"""What only an operator decides: an order nobody can tell the end of, and a breaker's end.

Each is a record of its own, with who and why. An order resolved by hand holds its account until
the broker's own view of it has been read and agrees.
"""

from __future__ import annotations

from typing import Any

from actors import messages as m
from actors.router import refusals
from actors.router.desk import Desk
from actors.router.screening import describe
from domain import events as ev
from domain import ids
from domain.commands import (
    Answer,
    Decided,
    Execution,
    ResetBreaker,
    Resolution,
    ResolveOrder,
    Submit,
)
from domain.errors import ErrorInfo
from domain.events import OrderEvent
from domain.lifecycle import Order, Status
from domain.records import BreakerReset, Resolved
from domain.streams import NoticeKind

ENDS = {
    Resolution.FILLED: frozenset({Status.FILLED, Status.PARTIALLY_FILLED}),
    Resolution.CANCELED: frozenset({Status.CANCELED}),
    Resolution.NEVER_ARRIVED: frozenset({Status.NOT_PLACED}),
}
assert ENDS.keys() == set(Resolution)


EVIDENCE_CHARS_MIN = 10


class Operators:
    """Takes what operators ask."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def resolve(self, edge: Any, submit: Submit, command: ResolveOrder) -> None:
        """Ends an unknown order as the operator found; asked again it answers the same."""
        order = self._desk.books.orders.get(command.order_id)
        error = self._find_fault(submit, order, command)
        if error is not None:
            self._answer(edge, submit, Decided(order_id=command.order_id, error=error))
            return
        assert order is not None
        if order.status is not Status.UNKNOWN:
            self._answer(edge, submit, describe(order, dup=True))
            return
        self._answer(edge, submit, describe(self._write(submit, order, command)))

    def _find_fault(
        self, submit: Submit, order: Order | None, command: ResolveOrder
    ) -> ErrorInfo | None:
        if not submit.by_admin:
            return refusals.ADMIN_ONLY
        if order is None:
            return refusals.UNKNOWN_ORDER
        if order.status is not Status.UNKNOWN and order.status not in ENDS[command.resolution]:
            return refusals.not_unknown(order.status.value)
        if len(command.evidence) < EVIDENCE_CHARS_MIN:
            return refusals.invalid("evidence", "say how it is known: who looked where")
        execution = command.execution
        if (execution is not None) is not (command.resolution is Resolution.FILLED):
            return refusals.invalid("execution", "goes with the resolution filled, and only there")
        if execution is not None and not 0 < execution.quantity <= order.quantity:
            limit = f"must be above zero and at most {order.quantity}"
            return refusals.invalid("execution.quantity", limit)
        if execution is not None and execution.price <= 0:
            return refusals.invalid("execution.price", "must be above zero")
        return None

    def _write(self, submit: Submit, order: Order, command: ResolveOrder) -> Order:
        desk = self._desk
        cause = Resolved(
            order_id=order.order_id,
            resolution=command.resolution.value,
            evidence=command.evidence,
            by=submit.owner,
            request_id=submit.request_id,
        )
        draft = desk.draft(cause, order.owner)
        after = draft.event(order, self._event(order, command, submit.owner))
        what = f"resolved as {command.resolution.value} by {submit.owner}: {command.evidence}"
        draft.notice(NoticeKind.RESOLVED, f"account/{order.account}", what, order.order_id)
        draft.close()
        return after

    def _event(self, order: Order, command: ResolveOrder, by: str) -> OrderEvent:
        now = self._desk.now_ns
        evidence = f"{by}: {command.evidence}"
        if command.execution is not None:
            return _fill(order, command.execution, self._venue_of(order), now)
        if command.resolution is Resolution.CANCELED:
            return ev.Canceled(at_ns=now, reason=evidence)
        return ev.NotPlaced(at_ns=now, evidence=(evidence,))

    def _venue_of(self, order: Order) -> tuple[str, str]:
        """Broker and account as execution ids are made of; ours where no broker will tell more."""
        venue = self._desk.venues.get(order.connection or "")
        if venue is None:
            return order.connection or "", order.account or ""
        return venue.settings.broker, venue.settings.broker_account_id

    def reset_breaker(self, edge: Any, submit: Submit, command: ResetBreaker) -> None:
        """Tells the connection, once it is written down who wanted it."""
        desk = self._desk
        error = None
        if not submit.by_admin:
            error = refusals.ADMIN_ONLY
        elif command.connection not in desk.venues:
            error = refusals.no_connection(command.connection)
        if error is None:
            draft = desk.draft(BreakerReset(connection=command.connection, by=submit.owner))
            scope = f"connection/{command.connection}"
            draft.notice(NoticeKind.BREAKER, scope, f"reset by {submit.owner}", None)
            draft.close()
            desk.to_connections.append((command.connection, m.ResetBreaker(epoch=desk.epoch)))
        self._answer(edge, submit, Decided(error=error))

    def _answer(self, edge: Any, submit: Submit, decided: Decided) -> None:
        self._desk.to_edges.append((edge, Answer(ref=submit.ref, decided=(decided,))))


def _fill(order: Order, execution: Execution, at: tuple[str, str], now_ns: int) -> ev.Fill:
    assert order.terms is not None
    return ev.Fill(
        at_ns=now_ns,
        execution_id=ids.execution_id(*at, execution.broker_execution_id),
        broker_execution_id=execution.broker_execution_id,
        broker_order_id=execution.broker_order_id,
        instrument=order.instrument,
        side=order.terms.side,
        quantity=execution.quantity,
        price=execution.price,
        venue_client_id=order.venue_client_id,
    )
