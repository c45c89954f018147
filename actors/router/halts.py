"""Halts: durable, then enforced at every gate, then answered.

The answer names the connections whose gates confirmed: nothing in scope leaves after it. One
that is down, or that the watchdog ends for its silence, sends nothing either, and gets the
halts before anything else when it is back.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from actors import messages as m
from actors.router import refusals
from actors.router.desk import Desk
from domain.commands import Answer, Decided, Halt, Resume, Submit
from domain.errors import ErrorInfo
from domain.ids import halt_word
from domain.records import Halted, Resumed
from domain.streams import NoticeKind


class Confirming(Struct, kw_only=True):
    """A halt on its way: whom to answer, who has confirmed, and who has yet to."""

    edge: Any
    ref: int
    waiting: set[str]
    confirmed: list[str]


class Halts:
    """Writes halts down and hands them to every gate."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
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
        waiting = [name for name, venue in desk.venues.items() if venue.is_attached]
        confirming = Confirming(edge=edge, ref=submit.ref, waiting=set(waiting), confirmed=[])
        self._confirming[number] = confirming
        self._answer_if_done(number)

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
        for number in tuple(self._confirming):
            self._confirming[number].waiting.discard(connection)
            self._answer_if_done(number)

    def _answer_if_done(self, number: int) -> None:
        confirming = self._confirming[number]
        if confirming.waiting:
            return
        del self._confirming[number]
        body = msgspec.msgpack.encode({"confirmed": sorted(confirming.confirmed)})
        answer = Answer(ref=confirming.ref, decided=(Decided(),), body=body)
        self._desk.to_edges.append((confirming.edge, answer))
