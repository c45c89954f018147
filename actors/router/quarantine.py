"""Quarantine: what starts again and again may only cancel, until a person lifts the halt.

A process says in its hello that it was restarted too often of late. The halt is a journal record
like any other: enforced at the gates, told on the admin stream, and lifted in two steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.link import Hello
from domain.records import Halted, HaltScope

if TYPE_CHECKING:
    from actors.router.actor import Router

BY = "fillgate"


def look_at(router: Router, hello: Hello | None, scope: HaltScope, subject: str) -> None:
    """Halts what the process stands for, if it is in quarantine."""
    if hello is not None and hello.is_quarantined:
        reason = f"quarantine: {hello.role} was restarted too often within a minute"
        halt = Halted(scope=scope, subject=subject, by=BY, reason=reason)
        router.changes.halts.trip((halt,))
        router.flush()
