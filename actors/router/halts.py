"""Halts: durable, then enforced at every gate, then answered.

The answer names the connections whose gates confirmed: nothing in scope leaves after it. One
that does not confirm is ended first, and named as such. One that is down sends nothing either,
and gets the halts before anything else when it is back.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from msgspec import Struct

from actors import messages as m
from actors.gate import is_halted
from actors.router import refusals
from actors.router.desk import Desk, Draft
from domain.commands import Answer, Decided, Halt, Resume, Submit
from domain.errors import ErrorInfo
from domain.ids import halt_word
from domain.lifecycle import Order, Origin
from domain.records import Halted, Resumed, Settled
from domain.streams import NoticeKind

SILENT_NS = 1_000_000_000
"""A gate that has not confirmed by then belongs to a process that hangs: it is ended."""
CANCELED_AT_ONCE_MAX = 500
"""Cancels in one record; a halt of more orders writes several."""


class Confirming(Struct, kw_only=True):
    """A halt on its way: whom to answer, who has confirmed or ended, and who has yet to."""

    edge: Any
    ref: int
    asked_ns: int
    waiting: set[str]
    confirmed: list[str] = []
    ended: list[str] = []


class Cancels(Protocol):
    """Who cancels an order, in a draft and then at its broker."""

    def cancel_one(self, draft: Draft, order: Order, request_id: str) -> Order:
        """The order as a cancel leaves it."""

    def send_cancel(self, order: Order) -> None:
        """Passes it on."""


class Halts:
    """Writes halts down and hands them to every gate."""

    def __init__(self, desk: Desk, cancels: Cancels) -> None:
        self._desk = desk
        self._cancels = cancels
        self._confirming: dict[int, Confirming] = {}

    def change(self, edge: Any, submit: Submit, command: Halt | Resume) -> None:
        """Writes a halt (or its end) down; the answer follows the gates' confirmations.

        The end of a halt is asked for twice: first without its word, then with it.
        """
        desk, by = self._desk, submit.owner
        if isinstance(command, Resume) and (unread := self._find_unread(command)) is not None:
            desk.to_edges.append((edge, Answer(ref=submit.ref, decided=(Decided(error=unread),))))
            return
        if isinstance(command, Halt):
            cause: Halted | Resumed = Halted(
                scope=command.scope, subject=command.subject, by=by, reason=command.reason
            )
            kind, message = NoticeKind.HALTED, command.reason
        else:
            cause = Resumed(scope=command.scope, subject=command.subject, by=by)
            kind, message = NoticeKind.RESUMED, "resumed"
        number = self._write(cause, kind, message)
        self._confirming[number] = Confirming(
            edge=edge,
            ref=submit.ref,
            asked_ns=desk.boot_ns,
            waiting={name for name, venue in desk.venues.items() if venue.is_attached},
        )
        if isinstance(cause, Halted) and isinstance(command, Halt) and command.cancel_open:
            self._cancel_covered(cause, submit.request_id)
        self._answer_if_done(number)

    def _cancel_covered(self, halt: Halted, request_id: str) -> None:
        """Cancels what clients have at brokers in the halt's scope; each owner's apart."""
        desk = self._desk
        covered: dict[str, list[Order]] = {}
        for order in desk.books.orders.open.values():
            venue = desk.venues.get(order.connection or "")
            if venue is None or order.terms is None or order.origin is not Origin.CLIENT:
                continue
            if is_halted(order.terms, (halt,), venue.settings):
                covered.setdefault(order.owner, []).append(order)
        for owner, orders in covered.items():
            for first in range(0, len(orders), CANCELED_AT_ONCE_MAX):
                batch = orders[first : first + CANCELED_AT_ONCE_MAX]
                self._cancel(owner, batch, halt, request_id)

    def _cancel(self, owner: str, orders: list[Order], halt: Halted, request_id: str) -> None:
        draft = self._desk.draft(Settled(why=f"halted by {halt.by}: {halt.reason}"), owner)
        after = [self._cancels.cancel_one(draft, order, request_id) for order in orders]
        draft.close()
        for order in after:
            self._cancels.send_cancel(order)

    def find_silent(self) -> set[str]:
        """Connections that should have confirmed long ago: they are to be ended."""
        late_ns = self._desk.boot_ns - SILENT_NS
        late = (one.waiting for one in self._confirming.values() if one.asked_ns < late_ns)
        return set().union(*late)

    def trip(self, halts: tuple[Halted, ...]) -> None:
        """Writes down halts that compliance calls for; those in force already are passed over."""
        for halt in halts:
            if (halt.scope, halt.subject) not in self._desk.books.halts:
                self._write(halt, NoticeKind.HALTED, halt.reason)

    def _write(self, cause: Halted | Resumed, kind: NoticeKind, message: str) -> int:
        desk = self._desk
        draft = desk.draft(cause)
        draft.notice(kind, f"{cause.scope.value}/{cause.subject}", message, None)
        number = draft.close().number
        told = m.SetHalts(epoch=desk.epoch, number=number, halts=desk.halts())
        # Also to one whose Attach, with the halts of before, is just on its way.
        desk.to_connections += [(name, told) for name in desk.venues]
        desk.to_compliance.append(told)
        return number

    def _find_unread(self, resume: Resume) -> ErrorInfo | None:
        halt = self._desk.books.halts.get((resume.scope, resume.subject))
        if halt is None:
            return None
        word = halt_word(halt.scope.value, halt.subject, halt.by, halt.reason)
        return None if resume.confirm == word else refusals.unconfirmed(halt, word)

    def confirmed(self, connection: str, number: int) -> None:
        """A gate has the halts of this number, and so of every earlier one."""
        for known in [known for known in self._confirming if known <= number]:
            confirming = self._confirming[known]
            if connection in confirming.waiting:
                confirming.waiting.discard(connection)
                confirming.confirmed.append(connection)
            self._answer_if_done(known)

    def lost(self, connection: str) -> None:
        """The connection is gone: nothing leaves through it."""
        for number, confirming in tuple(self._confirming.items()):
            if connection in confirming.waiting:
                confirming.waiting.discard(connection)
                confirming.ended.append(connection)
            self._answer_if_done(number)

    def _answer_if_done(self, number: int) -> None:
        confirming = self._confirming[number]
        if confirming.waiting:
            return
        del self._confirming[number]
        told = {"confirmed": sorted(confirming.confirmed), "ended": sorted(confirming.ended)}
        body = msgspec.msgpack.encode(told)
        answer = Answer(ref=confirming.ref, decided=(Decided(),), body=body)
        self._desk.to_edges.append((confirming.edge, answer))
